//! A terminal of our own: the end that we hold, and the end that a command runs on.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Uid, fchown};

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
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: the call has no memory effects.
        let ours = Errno::result(unsafe { libc::posix_openpt(flags) })?;
        // SAFETY: it was just made and is owned by nothing else.
        let ours = File::from(unsafe { OwnedFd::from_raw_fd(ours) });
        // SAFETY: the descriptor is open.
        Errno::result(unsafe { libc::unlockpt(ours.as_raw_fd()) })?;
        let mut name = [0_u8; 64];
        // SAFETY: the buffer is valid for its length.
        let named =
            unsafe { libc::ptsname_r(ours.as_raw_fd(), name.as_mut_ptr().cast(), name.len()) };
        if named != 0 {
            return Err(io::Error::from_raw_os_error(named));
        }
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let path =
            std::str::from_utf8(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let mut open = OpenOptions::new();
        let theirs = open.read(true).write(true).custom_flags(libc::O_NOCTTY).open(path)?;
        if let Some(uid) = uid {
            // Its user may open it by its name; who may not change owners is that user.
            let _ = fchown(theirs.as_fd(), Some(Uid::from_raw(uid)), None);
        }
        resize(&ours, size);
        Ok(Terminal { ours, theirs })
    }
}

/// Sets the size; whoever runs on it is told by SIGWINCH.
pub fn resize(ours: &File, size: Size) {
    let size =
        libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the structure is valid. A terminal that is gone has no size: not an error.
    unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
}
