//! The terminal of the person who typed: every key as it is, and back as it was, whatever happens.

use std::io::IsTerminal;
use std::os::fd::AsRawFd;

use nix::libc;

use runtime::exec::Size;

/// A terminal that passes every key on; dropping this makes it as it was.
#[derive(Debug)]
pub struct Raw {
    before: libc::termios,
}

impl Raw {
    /// That of standard input; `None` if that is none.
    pub fn enter() -> Option<Raw> {
        let fd = std::io::stdin().as_raw_fd();
        // SAFETY: all zeros is a value of this plain structure.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the structure is valid for writing.
        if unsafe { libc::tcgetattr(fd, &raw mut before) } != 0 {
            return None;
        }
        let mut raw = before;
        // SAFETY: the structure is valid.
        unsafe { libc::cfmakeraw(&raw mut raw) };
        // SAFETY: the structure is valid.
        if unsafe { libc::tcsetattr(fd, libc::TCSANOW, &raw const raw) } != 0 {
            return None;
        }
        Some(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let fd = std::io::stdin().as_raw_fd();
        // SAFETY: the structure is the one that the system gave. A terminal that is gone needs nothing.
        unsafe { libc::tcsetattr(fd, libc::TCSANOW, &raw const self.before) };
    }
}

/// Is somebody typing?
pub fn is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// The size of the terminal that is looked at.
pub fn size() -> Option<Size> {
    let (width, height) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(Size { rows: height.0, columns: width.0 })
}
