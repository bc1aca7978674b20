//! The terminal of the person who typed: every key as it is, and back as it was, whatever happens.

use std::io::{IsTerminal, stdin};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use runtime::exec::Size;

/// A terminal that passes every key on; dropping this makes it as it was.
#[derive(Debug)]
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// That of standard input; `None` if that is none.
    pub fn enter() -> Option<Raw> {
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin(), SetArg::TCSANOW, &raw).ok()?;
        Some(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.before);
    }
}

/// Is somebody typing?
pub fn is_terminal() -> bool {
    stdin().is_terminal()
}

/// The size of the terminal that is looked at.
pub fn size() -> Option<Size> {
    let (width, height) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(Size { rows: height.0, columns: width.0 })
}
