//! Sockets that stay open while no agent runs: a process of its own holds duplicates of them.
//!
//! ```text
//!            ┌── keep, forget ──▶ keeper ──── the same sockets ───▶ next agent
//! agent ─────┘   (SCM_RIGHTS)       │
//!   ended ──────────────────────────┴── 10 s without an agent: ends, the sockets close
//! ```
//! What arrives at an open socket that nobody reads waits in the kernel, so a client whose agent
//! restarts is answered late instead of refused. After a longer absence clients are refused at once
//! again, rather than wait for nothing: that is why the keeper ends.
//!
//! The words of the protocol never change, because a keeper of one version serves the agent of
//! another. Both sides ignore words that they do not know.

mod channel;
mod process;

use std::collections::BTreeMap;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::unistd::Pid;

use crate::server::Sockets;
use channel::{Channel, Message};

pub use process::keeper_main;

/// How long either side waits for the other, which answers at once unless the machine is busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// The file of the keeper's socket.
const SOCKET_FILE: &str = "keeper";

/// The agent's side of a keeper. Dropping it leaves the sockets with the keeper.
#[derive(Debug)]
pub struct Keeper {
    channel: Channel,
    /// Where it listens.
    path: PathBuf,
    /// The process, if this agent started it.
    process: Option<Child>,
}

/// Sockets by the names under which they are kept.
pub type KeptSockets = BTreeMap<String, Sockets>;

impl Keeper {
    /// Takes over the keeper of an earlier agent and what it has. `None`: there is none.
    pub fn find(directory: &Path) -> Option<(Keeper, KeptSockets)> {
        let path = directory.join(SOCKET_FILE);
        let channel = Channel::connect(&path, ANSWER_TIMEOUT).ok()?;
        let kept = take_all(&channel)?;
        Some((Keeper { channel, path, process: None }, kept))
    }

    /// Starts a keeper, which has nothing yet: `program` with the words `keeper` and the directory
    /// of its socket, which calls [`keeper_main`].
    ///
    /// # Errors
    /// There is no such directory, or the process cannot be started.
    pub fn start(program: &Path, directory: &Path) -> io::Result<Keeper> {
        // It listens before there is a process, so that the next agent finds it in any case.
        let path = directory.join(SOCKET_FILE);
        let listener = Channel::listen(&path)?;
        let mut command = Command::new(program);
        command.arg0("edgectl").arg("keeper").arg(directory).env_clear().current_dir("/");
        command.stdin(listener.into_fd()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn()?;
        // The process alone has the listener: when it ends, nobody is kept waiting.
        drop(command);
        let connected = Channel::connect(&path, ANSWER_TIMEOUT);
        match connected.map(|channel| (take_all(&channel).is_some(), channel)) {
            Ok((true, channel)) => Ok(Keeper { channel, path, process: Some(process) }),
            failed => {
                reap(&mut process);
                Err(failed.err().unwrap_or_else(|| io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Keeps sockets under a name beyond the life of this process.
    ///
    /// # Errors
    /// The keeper is gone.
    pub fn keep(&self, name: &str, sockets: [BorrowedFd<'_>; 2]) -> io::Result<()> {
        self.channel.send(&format!("keep {name}"), &sockets)
    }

    /// Closes the keeper's duplicates of these sockets.
    pub fn forget(&self, name: &str) {
        // A keeper that is gone keeps nothing.
        let _ = self.channel.send(&format!("forget {name}"), &[]);
    }

    /// Is the process there?
    pub fn is_alive(&self) -> bool {
        self.channel.is_open()
    }

    /// The process, if it was started here.
    pub fn process_id(&self) -> Option<Pid> {
        self.process.as_ref().map(|process| Pid::from_raw(process.id() as i32))
    }

    /// Closes all duplicates and ends the process.
    pub fn end(self) {
        // It may have ended already.
        let _ = self.channel.send("end", &[]);
        if let Some(mut process) = self.process {
            reap(&mut process);
        }
        let _ = std::fs::remove_file(self.path);
    }
}

fn reap(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

/// What a keeper has; `None`: it does not say.
fn take_all(channel: &Channel) -> Option<KeptSockets> {
    let mut kept = KeptSockets::new();
    loop {
        let Message { text, fds } = channel.receive().ok()??;
        match text.split_once(' ') {
            None if text == "all" => return Some(kept),
            Some(("have", name)) => {
                kept.extend(sockets(fds).map(|sockets| (name.to_owned(), sockets)));
            }
            _ => {}
        }
    }
}

fn sockets(fds: Vec<OwnedFd>) -> Option<Sockets> {
    let [udp, tcp] = <[OwnedFd; 2]>::try_from(fds).ok()?;
    Some(Sockets { udp: UdpSocket::from(udp), tcp: TcpListener::from(tcp) })
}
