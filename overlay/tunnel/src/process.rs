//! The process: one loop around the device, the socket and the agent's connection.
//!
//! It is our own program with other arguments, has one thread and sleeps unless there is something
//! to do; while no peer has keys, it does not even look at the clock.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};

use crate::control::{Hello, State, Taken, VERSION, encode};
use crate::engine::{Engine, PACKET_BYTES_MAX, Sink};
use crate::merge::{Merged, VIRTIO_HEADER};
use crate::socket::{self, Batch, Buffers, Socket};
use crate::tun::Tun;

mod connection;
use connection::{Connection, Heard};

/// The process's socket in the directory that it is started with.
pub const SOCKET_FILE: &str = "tunnel.sock";

/// Why it panicked, in the same directory.
pub const PANIC_FILE: &str = "tunnel.panic";

/// Why it ended by itself, in the same directory.
pub const END_FILE: &str = "tunnel.end";

/// What it says when everything is open.
pub const READY: &str = "ready";

/// As `ps` shows it.
const TITLE: &std::ffi::CStr = c"edgectl-tunnel";

/// How often time passes for keys, which live for minutes.
const TICK: Duration = Duration::from_millis(250);

/// Packets of the device in one turn of the loop, before others have theirs.
const PACKETS_PER_TURN: usize = 256;

/// Runs the tunnel `<directory> <link> <port>` and ends the process. To be called before anything
/// else in `main`.
pub fn tunnel_main(arguments: &[OsString]) -> ! {
    let Some((directory, link, port)) = parse(arguments) else {
        eprintln!("edgectl tunnel is started by the agent, not by hand");
        std::process::exit(2);
    };
    // It leads a session already if somebody started it by setsid.
    let _ = setsid();
    let _ = prctl::set_name(TITLE);
    // When memory is short, the kernel should end what uses it, not what carries the packets.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-500");
    umask(Mode::from_bits_truncate(0o077));
    match Process::open(Path::new(directory), link, port) {
        Ok(mut process) => {
            println!("{READY}");
            let trace = Path::new(directory).join(PANIC_FILE);
            std::panic::set_hook(Box::new(move |panic| {
                let _ = std::fs::write(&trace, panic.to_string());
            }));
            if let Err(error) = let_go_of_the_agent().and_then(|()| process.run()) {
                let _ = std::fs::write(Path::new(directory).join(END_FILE), error.to_string());
            }
            std::process::exit(0)
        }
        Err(reason) => {
            println!("{reason}");
            std::process::exit(1)
        }
    }
}

fn parse(arguments: &[OsString]) -> Option<(&OsString, &str, u16)> {
    let [directory, link, port] = arguments else { return None };
    Some((directory, link.to_str()?, port.to_str()?.parse().ok()?))
}

/// The agent waits for the end of the output, and its terminal may go away.
fn let_go_of_the_agent() -> io::Result<()> {
    let _ = io::stdout().flush();
    let null: OwnedFd =
        std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into();
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    std::env::set_current_dir("/")
}

struct Process {
    tun: Tun,
    socket: Socket,
    listener: UnixListener,
    hello: Hello,
    connection: Option<Connection>,
    /// `None` until an agent has said what is wanted.
    engine: Option<Engine>,
    buffers: Buffers,
    packet: Vec<u8>,
    batch: Batch,
    next: Batch,
    merged: Merged,
    /// The kernel splits what is merged: since Linux 6.2.
    does_split: bool,
    /// The socket takes no more: the device is not read either, and the kernel's queue fills.
    is_waiting: bool,
    ticked: Instant,
}

/// Hands what the engine says to the descriptors.
struct Out<'a> {
    tun: &'a Tun,
    socket: &'a Socket,
    merged: &'a mut Merged,
    does_split: &'a mut bool,
}

impl Sink for Out<'_> {
    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.socket.send(to, datagram);
    }

    fn deliver(&mut self, packet: &[u8]) {
        if self.merged.push(packet) {
            return;
        }
        self.flush();
        let is_taken = self.merged.push(packet);
        debug_assert!(is_taken, "nothing waits before it");
    }
}

impl Out<'_> {
    /// Hands on what waits. A kernel without room drops it, as any link would.
    fn flush(&mut self) {
        let count = self.merged.count();
        if count == 1 || count > 1 && *self.does_split {
            let written = self.tun.write(self.merged.whole());
            if count > 1 && written.is_err_and(|error| error.kind() == io::ErrorKind::InvalidInput)
            {
                *self.does_split = false;
            }
        }
        if count > 1 && !*self.does_split {
            self.merged.each(|packet| _ = self.tun.write(packet));
        }
        self.merged.clear();
    }
}

impl Process {
    fn open(directory: &Path, link: &str, port: u16) -> Result<Process, String> {
        let socket = Socket::open(port).map_err(|error| socket::explain(port, &error))?;
        let tun = Tun::open(link).map_err(|error| {
            format!(
                "the link {link} cannot be made: {error}; if it is there: ip link delete {link}"
            )
        })?;
        let path = directory.join(SOCKET_FILE);
        // What an ended process left. One that lives has the port.
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let mut life = [0; 8];
        getrandom::fill(&mut life).map_err(|error| format!("no random number: {error}"))?;
        let hello = Hello { version: VERSION, life: u64::from_be_bytes(life), link: link.into() };
        Ok(Process {
            tun,
            socket,
            listener,
            hello,
            connection: None,
            engine: None,
            buffers: Buffers::new(),
            packet: vec![0; VIRTIO_HEADER + PACKET_BYTES_MAX],
            batch: Batch::new(),
            next: Batch::new(),
            merged: Merged::new(),
            does_split: true,
            is_waiting: false,
            ticked: Instant::now(),
        })
    }

    /// Runs until the device is gone.
    fn run(&mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            if self.ticked.elapsed() >= TICK {
                self.ticked = Instant::now();
                self.with_engine(|engine, out| engine.tick(out));
            }
            if ready.device.intersects(PollFlags::POLLERR | PollFlags::POLLHUP) {
                return Err(io::Error::other("somebody removed the link"));
            }
            if ready.socket.contains(PollFlags::POLLIN) {
                self.read_socket();
            }
            if self.is_waiting && ready.socket.contains(PollFlags::POLLOUT) {
                self.flush();
            }
            if !self.is_waiting && ready.device.contains(PollFlags::POLLIN) {
                self.read_device()?;
            }
            if ready.connection.intersects(PollFlags::all()) {
                self.read_connection();
            }
            if ready.listener.contains(PollFlags::POLLIN) {
                self.accept();
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let mut socket = PollFlags::POLLIN;
        socket.set(PollFlags::POLLOUT, self.is_waiting);
        let device = if self.is_waiting { PollFlags::empty() } else { PollFlags::POLLIN };
        let mut polled = vec![
            PollFd::new(self.tun.as_fd(), device),
            PollFd::new(self.socket.as_fd(), socket),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(connection) = &self.connection {
            polled.push(PollFd::new(connection.as_fd(), PollFlags::POLLIN));
        }
        let is_awake = self.engine.as_ref().is_some_and(Engine::is_awake);
        let timeout = if is_awake { TICK.as_millis() as u16 } else { 0 };
        let timeout = if is_awake { PollTimeout::from(timeout) } else { PollTimeout::NONE };
        match poll(&mut polled, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let of = |at: usize| polled.get(at).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        Ok(Ready { device: of(0), socket: of(1), listener: of(2), connection: of(3) })
    }

    /// Does something with the engine and where it hands things to, until an agent has said what is
    /// wanted nothing.
    fn with_engine(&mut self, work: impl FnOnce(&mut Engine, &mut Out<'_>)) {
        let Some(engine) = &mut self.engine else { return };
        let (tun, socket) = (&self.tun, &self.socket);
        let (merged, does_split) = (&mut self.merged, &mut self.does_split);
        let mut out = Out { tun, socket, merged, does_split };
        work(engine, &mut out);
        out.flush();
    }

    fn read_socket(&mut self) {
        let mut buffers = std::mem::take(&mut self.buffers);
        if self.engine.is_none() {
            self.socket.receive(&mut buffers, |_, _| ());
        }
        self.with_engine(|engine, out| {
            let socket = out.socket;
            socket.receive(&mut buffers, |from, datagram| engine.incoming(from, datagram, out));
        });
        self.buffers = buffers;
    }

    fn read_device(&mut self) -> io::Result<()> {
        for _ in 0..PACKETS_PER_TURN {
            let length = match self.tun.read(&mut self.packet) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let Some(engine) = &mut self.engine else { continue };
            let packet = self.packet[..length].get(VIRTIO_HEADER..).unwrap_or_default();
            let Some((to, length)) = engine.outgoing(packet, self.batch.room()) else { continue };
            if !self.batch.push(to, length, &mut self.next) {
                self.flush();
            }
            if self.is_waiting {
                return Ok(());
            }
        }
        self.flush();
        Ok(())
    }

    /// Sends what is gathered, or waits until the socket takes it.
    fn flush(&mut self) {
        while !self.batch.is_empty() {
            self.is_waiting = self.socket.send_batch(&self.batch).is_err();
            if self.is_waiting {
                return;
            }
            self.batch.clear();
            if !self.next.is_empty() {
                std::mem::swap(&mut self.batch, &mut self.next);
            }
        }
    }

    /// The latest agent counts: an earlier one has ended.
    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        self.connection = Connection::open(stream, &encode(&self.hello)).ok();
    }

    fn read_connection(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        match connection.read() {
            Heard::Nothing => {}
            Heard::State(state) => {
                let taken = self.apply(&state);
                let told = self.connection.as_mut().map(|one| one.write(&encode(&taken)));
                if !matches!(told, Some(Ok(()))) {
                    self.connection = None;
                }
            }
            Heard::End => self.connection = None,
        }
    }

    fn apply(&mut self, state: &State) -> Taken {
        self.engine.get_or_insert_with(|| {
            Engine::new(state.key.clone(), state.address, state.carried_ports.clone())
        });
        let mut taken = Taken::default();
        self.with_engine(|engine, out| {
            engine.apply(state, out);
            taken = Taken { silent: engine.silent() };
        });
        taken
    }
}

/// What each descriptor is ready for.
struct Ready {
    device: PollFlags,
    socket: PollFlags,
    listener: PollFlags,
    connection: PollFlags,
}
