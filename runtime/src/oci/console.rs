//! The terminal of a container: its OCI runtime opens one inside and hands the other end over.

use std::fs;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::unistd::{chdir, fchdir};

use crate::refusal::StartError;

/// Where a runtime delivers a terminal.
#[derive(Debug)]
pub struct Console {
    listener: UnixListener,
    path: PathBuf,
}

impl Console {
    /// Listens under this name in the folder of the run, for one terminal. The folder's own path
    /// may be longer than the address of a socket can be.
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

impl Drop for Console {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
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
