//! The standard input of a container: what attached clients send.
//!
//! ```text
//! helper of a session ─▶ fifo `stdin` ─▶ the container itself         (pipe)
//!                                    └─▶ monitor ─▶ its terminal      (tty)
//! ```
//! The monitor holds the fifo open, so that the container waits for the next client, until the first
//! one has closed its side where that is asked for. It never waits for the container: bytes that a
//! terminal does not take stay in the fifo.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::exec::Size;
use crate::run_dir;

/// Bytes that are on their way to a terminal at most.
const PENDING_BYTES_MAX: usize = 4 * 1024;

/// The standard input of a container as long as it runs. The default: it has none.
#[derive(Default)]
pub struct Stdin {
    /// The writing end of the fifo, without which the container would read its end.
    kept_open: Option<OwnedFd>,
    terminal: Option<TerminalInput>,
}

struct TerminalInput {
    master: File,
    /// Open for both, so that it has no end; `None`: nobody may send anything.
    fifo: Option<File>,
    pending: Vec<u8>,
}

/// Makes the fifo in the current folder, and opens it for a container without a terminal: its end,
/// and the one that keeps it open.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    make()?;
    let read = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(run_dir::STDIN)?;
    let write = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(run_dir::STDIN)?;
    // The container's program expects to wait.
    fcntl(&read, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok((read.into(), write.into()))
}

fn make() -> io::Result<()> {
    Ok(mkfifo(run_dir::STDIN, Mode::from_bits_truncate(0o600))?)
}

/// The end of a fifo for a helper that writes to it. An error if nobody reads any more.
pub fn open_to_write(dir: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Without a reader the open fails (ENXIO) instead of waiting for one.
    let fifo = options.write(true).custom_flags(libc::O_NONBLOCK).open(dir.join(run_dir::STDIN))?;
    fcntl(&fifo, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(fifo)
}

impl Stdin {
    /// Of a container without a terminal.
    pub fn of_pipe(kept_open: Option<OwnedFd>) -> Stdin {
        Stdin { kept_open, terminal: None }
    }

    /// Of a container with a terminal, of which `master` is the monitor's end.
    pub fn of_terminal(master: OwnedFd, takes_input: TakesInput) -> io::Result<Stdin> {
        let fifo = match takes_input {
            TakesInput::No => None,
            TakesInput::Yes => {
                make()?;
                let mut both = OpenOptions::new();
                let both = both.read(true).write(true).custom_flags(libc::O_NONBLOCK);
                Some(both.open(run_dir::STDIN)?)
            }
        };
        let terminal = TerminalInput { master: File::from(master), fifo, pending: Vec::new() };
        Ok(Stdin { kept_open: None, terminal: Some(terminal) })
    }

    /// What to wait for.
    pub fn poll_fd(&self) -> Option<PollFd<'_>> {
        let TerminalInput { master, fifo, pending } = self.terminal.as_ref()?;
        match pending.is_empty() {
            true => Some(PollFd::new(fifo.as_ref()?.as_fd(), PollFlags::POLLIN)),
            false => Some(PollFd::new(master.as_fd(), PollFlags::POLLOUT)),
        }
    }

    /// Passes on what has arrived, as far as the terminal takes it.
    pub fn pump(&mut self) {
        let Some(TerminalInput { master, fifo, pending }) = &mut self.terminal else { return };
        if pending.is_empty()
            && let Some(fifo) = fifo
        {
            let mut bytes = [0; PENDING_BYTES_MAX];
            let count = fifo.read(&mut bytes).unwrap_or(0);
            pending.extend_from_slice(&bytes[..count]);
        }
        while !pending.is_empty() {
            match master.write(pending) {
                Ok(count) => drop(pending.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody has the terminal any more.
                Err(_) => pending.clear(),
            }
        }
    }

    /// The container reads the end of its input.
    pub fn close(&mut self) {
        self.kept_open = None;
    }

    /// Sets the size of the terminal.
    pub fn resize(&self, size: Size) {
        if let Some(terminal) = &self.terminal {
            crate::exec::resize(&terminal.master, size);
        }
    }
}

/// May clients send input to a terminal?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakesInput {
    /// Its fifo is made.
    Yes,
    /// It has none.
    No,
}
