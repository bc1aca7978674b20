//! A terminal of our own: the end that we hold, and the end that a command runs on.

use std::fs::File;
use std::io;

use nix::unistd::{Uid, fchown};
use rustix::io::ioctl_fionbio;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::Size;

/// A pair of terminal ends.
#[derive(Debug)]
pub struct Terminal {
    /// Ours.
    pub ours: File,
    /// The command's; closed here as soon as the command has it.
    pub theirs: File,
}

impl Terminal {
    /// Opens a pair for a command of this user.
    pub fn open(size: Size, uid: Option<u32>) -> io::Result<Terminal> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags)?;
        unlockpt(&ours)?;
        ioctl_fionbio(&ours, true)?;
        let theirs = ioctl_tiocgptpeer(&ours, flags)?;
        if let Some(uid) = uid {
            // The user may open it by its name; a caller that may not change owners is that user
            // already.
            let _ = fchown(&theirs, Some(Uid::from_raw(uid)), None);
        }
        let (ours, theirs) = (File::from(ours), File::from(theirs));
        resize(&ours, size);
        Ok(Terminal { ours, theirs })
    }
}

/// Sets the size; the kernel notifies the foreground processes with SIGWINCH.
pub fn resize(ours: &File, size: Size) {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // A terminal that is gone has no size: not an error.
    let _ = tcsetwinsize(ours, size);
}
