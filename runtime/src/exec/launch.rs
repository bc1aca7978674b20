//! The agent's side of a session: one cheap spawn, and a socket.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tokio::net::UnixStream;

use crate::files;

/// Begins a session in the run of a folder. The first frame to send is the request; the results
/// arrive as frames, see [`super::frame`]; closing the socket ends the session. `program` is the
/// helper when called as `<program> enter <folder>`. To be called in a tokio runtime, which reaps
/// the helper.
pub fn open(program: &Path, dir: &Path) -> io::Result<UnixStream> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = Command::new(program);
    // The agent's environment may hold secrets.
    command.arg0("edgectl").arg("enter").arg(dir).args(files::word()).env_clear();
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
    let mut helper = tokio::process::Command::from(command).spawn()?;
    tokio::spawn(async move { helper.wait().await });
    UnixStream::from_std(ours)
}
