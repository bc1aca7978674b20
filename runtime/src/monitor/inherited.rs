//! What the driver gives a monitor: the order on descriptor 0, and with it the secrets of the run, the
//! notify pipe on 1, the orders on 2.
//!
//! The three are moved to other numbers and never reach a program: it gets /dev/null in their
//! place.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::control::Control;
use crate::secret_files;

/// The descriptors of a monitor.
#[derive(Debug)]
pub struct Inherited {
    /// The monitor holds the lock of the order through this descriptor, which shows that it lives.
    order: File,
    notify: File,
    /// The orders from the agent.
    pub control: Control,
    /// `/dev/null`, for a program's standard input.
    null: File,
    /// The secrets of the run, until its program has begun.
    secrets: Option<OwnedFd>,
}

impl Inherited {
    /// Takes over the three descriptors.
    pub fn take() -> nix::Result<Inherited> {
        let [order, notify, control] = [0, 1, 2].map(duplicate);
        let (given, notify, control) = (order?, notify?, control?);
        let null = OpenOptions::new().read(true).write(true).open("/dev/null");
        let null = null.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        let ours = [&given, &notify, &control, &null].map(AsRawFd::as_raw_fd);
        close_from(ours.into_iter().max().expect("four descriptors") + 1);
        let (order, secrets) = secret_files::receive(given)?;
        Ok(Inherited { order, notify, control: Control::new(control), null, secrets })
    }

    /// The bytes of the order.
    pub fn read_order(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.order.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Tells the agent to check the folder, if there is an agent. A pipe that is full already needs
    /// no further byte.
    pub fn notify(&self) {
        let _ = (&self.notify).write(b"!");
    }

    /// The secrets of the run.
    pub fn secrets(&self) -> Option<BorrowedFd<'_>> {
        self.secrets.as_ref().map(AsFd::as_fd)
    }

    /// The program has its secrets: the monitor lives long, and needs none.
    pub fn forget_secrets(&mut self) {
        self.secrets = None;
    }

    /// `/dev/null`.
    pub fn null(&self) -> BorrowedFd<'_> {
        self.null.as_fd()
    }
}

/// A copy of a descriptor with a number above the first three.
pub(crate) fn duplicate(fd: RawFd) -> nix::Result<File> {
    // SAFETY: fcntl on a number has no memory effects; the new descriptor belongs to nobody yet.
    let copy = Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: it was just made and is owned by nothing else.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(copy) }))
}

/// Closes what the agent may have left open by mistake, so that no task inherits a socket.
pub(crate) fn close_from(first: RawFd) {
    close_between(first, libc::c_uint::MAX);
}

/// Closes everything but the standard streams and these descriptors. For a forked child that ends
/// without running destructors: the owners of the other descriptors must not be used in it any
/// more.
pub fn keep_only(kept: &[BorrowedFd<'_>]) {
    let mut kept: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.into_iter().filter(|fd| *fd >= 3) {
        if fd > first {
            close_between(first, fd as libc::c_uint - 1);
        }
        first = fd + 1;
    }
    close_between(first, libc::c_uint::MAX);
}

fn close_between(first: RawFd, last: libc::c_uint) {
    // SAFETY: nothing in this process uses a descriptor between the two any more.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed == 0 {
        return;
    }
    // A kernel before 5.9.
    for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let fd = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
        if let Some(fd) = fd.filter(|fd| *fd >= first && *fd as libc::c_uint <= last) {
            // SAFETY: as above; the folder's own descriptor is closed twice at worst, unnoticed.
            unsafe { libc::close(fd) };
        }
    }
}
