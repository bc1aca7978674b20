//! The terminal of a container: its OCI runtime opens one inside and hands the other end over.

use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::unistd::{ForkResult, Pid, Uid, chdir, fchdir, fchown, fork};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};

use crate::refusal::StartError;

/// The device numbers of the terminals in `/dev/pts`.
const TERMINAL_MAJORS: std::ops::RangeInclusive<u64> = 136..=143;

/// Longest wait for the terminal after a runtime has connected, or reports that it is done.
const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Where a runtime delivers a terminal.
#[derive(Debug)]
pub struct Console {
    listener: UnixListener,
    path: PathBuf,
}

impl Console {
    /// Listens under this name in the folder of the run, for one terminal. It uses the name alone,
    /// because the folder's full path may be longer than the address of a socket can be.
    pub fn listen(run_dir: &Path, name: &str) -> Result<Console, StartError> {
        let broken = |source| StartError::RunDir { path: name.to_owned(), source };
        let listener = bind(run_dir, name).map_err(broken)?;
        listener.set_nonblocking(true).map_err(broken)?;
        Ok(Console { listener, path: run_dir.join(name) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the terminal that was delivered.
    pub fn take(self) -> Result<OwnedFd, StartError> {
        let missing = |errno| StartError::Step { step: "get the container's terminal", errno };
        let (stream, _) = self.listener.accept().map_err(|_| missing(Errno::ENOTTY))?;
        let master = receive(&stream).map_err(missing)?;
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(missing)?;
        Ok(master)
    }
}

/// A terminal that is on its way. A process of its own takes the terminal as soon as it is
/// delivered, gives it to its user and passes it on, while this process is still busy having the
/// program made.
#[derive(Debug)]
pub struct Delivery {
    console: Console,
    from: UnixStream,
}

impl Delivery {
    /// Waits for the terminal of a program of this user. For a process with one thread.
    pub fn expect(console: Console, uid: u32) -> nix::Result<Delivery> {
        let raw = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
        let (from, to) = UnixStream::pair().map_err(raw)?;
        // SAFETY: as promised by the caller.
        match unsafe { fork() }? {
            ForkResult::Parent { .. } => Ok(Delivery { console, from }),
            ForkResult::Child => {
                drop(from);
                let _ = deliver(&console.listener, &to, uid);
                // SAFETY: it runs nothing of this process.
                unsafe { libc::_exit(0) }
            }
        }
    }

    /// Where a runtime delivers it.
    pub fn path(&self) -> &Path {
        self.console.path()
    }

    /// Takes it, after the runtime has delivered it.
    pub fn take(self) -> Result<OwnedFd, StartError> {
        let missing = |errno| StartError::Step { step: "get the command's terminal", errno };
        let _ = self.from.set_read_timeout(Some(DELIVERY_WAIT_MAX));
        let master = receive(&self.from).map_err(missing)?;
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(missing)?;
        Ok(master)
    }
}

fn deliver(listener: &UnixListener, to: &UnixStream, uid: u32) -> nix::Result<()> {
    // The waiting process may give up or be killed: then the other end closes.
    let mut fds = [
        PollFd::new(listener.as_fd(), PollFlags::POLLIN),
        PollFd::new(to.as_fd(), PollFlags::empty()),
    ];
    while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
    let (stream, _) = listener.accept().map_err(|_| Errno::ENOTTY)?;
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(DELIVERY_WAIT_MAX));
    let master = receive(&stream)?;
    if let Ok(theirs) = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY) {
        let _ = fchown(&theirs, Some(Uid::from_raw(uid)), None);
    }
    let fds = [master.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&fds)];
    let slices = [IoSlice::new(b"t")];
    sendmsg::<()>(to.as_raw_fd(), &slices, &control, MsgFlags::empty(), None).map(drop)
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Gives the terminal on a process' standard input to a user, who may want to open `/dev/stdout`:
/// the runtime that opened it was root. Anything but a terminal stays as it is.
pub fn own_terminal(pid: Pid, uid: u32) -> std::io::Result<()> {
    let path = format!("/proc/{pid}/fd/0");
    let found = fs::metadata(&path)?;
    let is_terminal = found.file_type().is_char_device()
        && TERMINAL_MAJORS.contains(&nix::sys::stat::major(found.rdev()));
    if !is_terminal || found.uid() == uid {
        return Ok(());
    }
    chown(&path, Some(uid), None)
}

fn bind(run_dir: &Path, name: &str) -> std::io::Result<UnixListener> {
    let here = fs::File::open(".")?;
    chdir(run_dir)?;
    let bound = UnixListener::bind(name);
    fchdir(&here)?;
    bound
}

fn receive(stream: &UnixStream) -> nix::Result<OwnedFd> {
    let mut name = [0; 256];
    let mut slices = [IoSliceMut::new(&mut name)];
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control
            && let Some(fd) = fds.first()
        {
            // SAFETY: the kernel has just made it for this process, and nothing else owns it.
            return Ok(unsafe { OwnedFd::from_raw_fd(*fd) });
        }
    }
    Err(Errno::ENOTTY)
}
