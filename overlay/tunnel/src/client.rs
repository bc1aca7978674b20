//! What an agent does with its tunnel process: finds it or starts it, tells it everything, ends it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Ipv6Addr;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;

use crate::control::{Hello, LINE_BYTES_MAX, State, Taken, VERSION, decode, encode};
use crate::process::{END_FILE, PANIC_FILE, READY, SOCKET_FILE};

/// A process answers at once, but the machine may be busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Why there is no tunnel, or not the wanted one.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// No process could be started.
    #[error("the process of the tunnel cannot be started: {0}")]
    Start(io::Error),
    /// The process found something missing.
    #[error("{0}")]
    Refused(String),
    /// The process does not answer; it is started again with the next attempt.
    #[error("the process of the tunnel does not answer: {0}")]
    Silent(io::Error),
}

/// How to start a tunnel process: everything but its state.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program; it is given the word `tunnel` and more.
    pub program: PathBuf,
    /// Where its socket is, readable for root alone.
    pub directory: PathBuf,
    /// The name of its link.
    pub link: String,
    /// Its UDP port.
    pub port: u16,
}

/// The tunnel of this node, as its agent holds it. Dropping it ends no process.
pub struct Tunnel {
    setup: Setup,
    held: Option<Held>,
    /// A process that this agent started: to be waited for when it ends.
    child: Option<Child>,
}

struct Held {
    stream: BufReader<UnixStream>,
    hello: Hello,
    told: Option<State>,
}

impl Tunnel {
    /// Nothing is started yet.
    pub fn new(setup: Setup) -> Tunnel {
        Tunnel { setup, held: None, child: None }
    }

    /// Finds a process of this version, and starts none. Returns the number of its life.
    pub fn find(&mut self) -> Option<u64> {
        if !self.is_alive() {
            let found = Held::find(&self.setup.directory).ok();
            self.held = found.filter(|held| held.is_of(&self.setup));
        }
        self.held.as_ref().map(|held| held.hello.life)
    }

    /// Makes the tunnel what `state` says. Starts a process if there is none of this version.
    /// Returns the number of its life.
    ///
    /// # Errors
    /// There is no tunnel, or it may be as it was before.
    pub fn hold(&mut self, state: &State) -> Result<u64, TunnelError> {
        if !self.is_alive() {
            self.held = Some(self.find_or_start()?);
        }
        let Some(held) = &mut self.held else { unreachable!("it was just found") };
        if held.told.as_ref() != Some(state) {
            match held.tell(state) {
                Ok(_) => held.told = Some(state.clone()),
                Err(error) => {
                    if let Some(held) = self.held.take() {
                        end_process(held.stream.into_inner());
                    }
                    return Err(TunnelError::Silent(error));
                }
            }
        }
        Ok(held.hello.life)
    }

    /// The peers that packets wait for in vain, as of now; none if there is no process.
    pub fn silent(&mut self) -> Vec<Ipv6Addr> {
        let Some(held) = self.held.as_mut() else { return Vec::new() };
        // To be told the same again changes nothing.
        let taken = held.told.clone().map(|state| held.tell(&state));
        match taken {
            Some(Ok(taken)) => taken.silent,
            // The next attempt to hold it finds that out.
            Some(Err(_)) => {
                held.told = None;
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Is the process there that was told last?
    pub fn is_alive(&mut self) -> bool {
        if let Some(child) = &mut self.child
            && !matches!(child.try_wait(), Ok(None))
        {
            self.child = None;
        }
        let is_alive = self.held.as_mut().is_some_and(Held::is_alive);
        if !is_alive {
            self.held = None;
        }
        is_alive
    }

    fn find_or_start(&mut self) -> Result<Held, TunnelError> {
        if let Ok(held) = Held::find(&self.setup.directory) {
            if held.is_of(&self.setup) {
                return Ok(held);
            }
            end_process(held.stream.into_inner());
        } else {
            // One that does not greet is of no use, and has the port.
            end(&self.setup.directory);
        }
        self.reap();
        self.start()?;
        Held::find(&self.setup.directory).map_err(TunnelError::Silent)
    }

    /// Why the last process ended by itself, if it did; asked once.
    pub fn end_reason(&mut self) -> Option<String> {
        let reasons = [PANIC_FILE, END_FILE].map(|file| {
            let path = self.setup.directory.join(file);
            let reason = std::fs::read_to_string(&path).ok()?;
            let _ = std::fs::remove_file(path);
            Some(reason)
        });
        reasons.into_iter().flatten().next()
    }

    /// Waits for a process of ours that is told to end.
    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    fn start(&mut self) -> Result<(), TunnelError> {
        let mut command = Command::new(&self.setup.program);
        command.arg0("edgectl").arg("tunnel").arg(&self.setup.directory).arg(&self.setup.link);
        command.arg(self.setup.port.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(TunnelError::Start)?;
        let mut said = String::new();
        let mut output = child.stdout.take().expect("the output is piped");
        // It closes its output when it is ready, and ends otherwise.
        let read = output.read_to_string(&mut said);
        if said.trim() == READY {
            self.child = Some(child);
            return Ok(());
        }
        let _ = child.wait();
        read.map_err(TunnelError::Start)?;
        Err(TunnelError::Refused(said.trim().to_owned()))
    }

    /// Ends the process, and its link with it.
    pub fn end(&mut self) {
        match self.held.take() {
            Some(held) => end_process(held.stream.into_inner()),
            None => end(&self.setup.directory),
        }
        self.reap();
        for file in [SOCKET_FILE, PANIC_FILE, END_FILE] {
            let _ = std::fs::remove_file(self.setup.directory.join(file));
        }
    }
}

impl Held {
    fn find(directory: &Path) -> io::Result<Held> {
        let stream = UnixStream::connect(directory.join(SOCKET_FILE))?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let mut stream = BufReader::new(stream);
        let hello = read_line(&mut stream)?;
        Ok(Held { stream, hello, told: None })
    }

    fn is_of(&self, setup: &Setup) -> bool {
        self.hello.version == VERSION && self.hello.link == setup.link
    }

    fn tell(&mut self, state: &State) -> io::Result<Taken> {
        self.stream.get_mut().write_all(&encode(state))?;
        read_line(&mut self.stream)
    }

    fn is_alive(&mut self) -> bool {
        let stream = self.stream.get_ref();
        // It says nothing unasked: what can be read is the end.
        let peeked = stream.set_nonblocking(true).and_then(|()| {
            let mut byte = [0];
            nix::sys::socket::recv(
                std::os::fd::AsRawFd::as_raw_fd(stream),
                &mut byte,
                nix::sys::socket::MsgFlags::MSG_PEEK,
            )
            .map_err(io::Error::from)
        });
        let is_quiet = matches!(&peeked, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        is_quiet && stream.set_nonblocking(false).is_ok()
    }
}

fn read_line<T: DeserializeOwned>(stream: &mut BufReader<UnixStream>) -> io::Result<T> {
    let mut line = Vec::new();
    stream.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
    decode(&line).ok_or_else(|| io::Error::other("it says what is not understood"))
}

/// Ends the process whose socket is in this directory, if there is one.
pub fn end(directory: &Path) {
    if let Ok(stream) = UnixStream::connect(directory.join(SOCKET_FILE)) {
        end_process(stream);
    }
}

/// The kernel says who listens, whatever version it is. Its end is that of the connection.
fn end_process(mut stream: UnixStream) {
    let Ok(listener) = getsockopt(&stream, sockopt::PeerCredentials) else { return };
    let pid = Pid::from_raw(listener.pid());
    if pid.as_raw() <= 0 {
        return;
    }
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    for (signal, seconds) in [(Signal::SIGTERM, 1), (Signal::SIGKILL, 2)] {
        if kill(pid, signal).is_err() {
            return;
        }
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < deadline {
            match stream.read(&mut [0; 512]) {
                Ok(0) => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return,
                _ => {}
            }
        }
    }
}
