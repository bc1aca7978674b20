//! The user's terminal in raw mode, which is restored in any case.

use std::io::{IsTerminal, stdin};

use nix::sys::termios::{LocalFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use runtime::exec::Size;

/// A terminal that passes every key on; dropping this restores it.
#[derive(Debug)]
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Puts the terminal on standard input into raw mode; `None` if there is none.
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
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.before);
    }
}

/// A terminal that does not show what is typed; dropping this restores it.
#[derive(Debug)]
pub struct Hidden(#[expect(dead_code, reason = "its drop is what counts")] Raw);

impl Hidden {
    /// Of the terminal on standard input; `None` if there is none.
    pub fn enter() -> Option<Hidden> {
        let before = tcgetattr(stdin()).ok()?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        hidden.local_flags.insert(LocalFlags::ECHONL);
        tcsetattr(stdin(), SetArg::TCSANOW, &hidden).ok()?;
        Some(Hidden(Raw { before }))
    }
}

/// Is standard input a terminal?
pub fn is_terminal() -> bool {
    stdin().is_terminal()
}

/// The size of the terminal on standard output.
pub fn size() -> Option<Size> {
    let (width, height) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(Size { rows: height.0, columns: width.0 })
}
