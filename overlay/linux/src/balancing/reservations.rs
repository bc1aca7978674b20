//! The numbers of published ports, kept from other programs by sockets of ours.
//!
//! Packets are translated before any socket sees them, so a published port would take away what
//! reaches a program of this machine that listens at its number. Each number is therefore reserved
//! by a socket that is bound and never listens: as long as we have it, no other program can, and
//! where another program has it the port is not published.
//!
//! ```text
//! wanted ── bound ──────────────────────────▶ reserved ── not wanted ──▶
//!    ├───── a program listens at it ────────▶ taken    ── bound ──▶ reserved
//!    └───── only connections have it ───────▶ shared   ── bound ──▶ reserved
//! ```
//! A shared number is published: a connection that began with it, or has just ended, takes nothing
//! that is sent to the port.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use overlay::plan::{Port, Protocol};
use overlay::tunnel::{DETOUR_PORT, TUNNEL_PORT};
use procfs::net::TcpState;
use procfs::process::{FDTarget, Process, all_processes};
use socket2::{Domain, Socket, Type};

use super::flows::SCTP;
use super::socket::inside;
use overlay::plan::VXLAN_PORT;

/// A published number that a program of this machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenPort {
    /// The number.
    pub port: Port,
    /// The program, if it can be seen: its name and its process.
    pub holder: Option<(String, i32)>,
}

impl fmt::Display for TakenPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Port { protocol, number } = self.port;
        let protocol = protocol.name();
        write!(f, "port {number}/{protocol} is not published on this node: ")?;
        match &self.holder {
            Some((name, process)) => write!(f, "{name} (process {process}) has it; stop it, or")?,
            None if is_of_networks(self.port) => write!(f, "it carries the networks themselves;")?,
            None => {
                let list = protocol.chars().next().unwrap_or('t').to_ascii_lowercase();
                let list = if self.port.protocol == Protocol::Sctp { 'S' } else { list };
                write!(
                    f,
                    "a program that the agent cannot see has it (`ss -ln{list}p 'sport = :{number}'` \
                     may name it); stop it, or"
                )?;
            }
        }
        write!(f, " publish another number")
    }
}

enum State {
    /// `None`: the kernel has no such protocol, so nobody can have the number.
    Reserved(#[expect(dead_code, reason = "it is held, not used")] Option<Socket>),
    /// The socket that has it, if it is known.
    Taken(TakenPort, Option<u64>),
    Shared,
}

/// The numbers that are wanted in a namespace.
pub(super) struct Reservations {
    namespace: OwnedFd,
    states: BTreeMap<Port, State>,
}

impl Reservations {
    /// Of a namespace; reserves nothing yet.
    pub(super) fn open(namespace: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { namespace: namespace.try_clone_to_owned()?, states: BTreeMap::new() })
    }

    /// Reserves what is not reserved yet.
    pub(super) fn reserve(&mut self, ports: impl IntoIterator<Item = Port>) {
        let ports = ports.into_iter().filter(|port| !self.states.contains_key(port));
        let ports: Vec<Port> = ports.collect();
        self.try_all(ports);
    }

    /// Keeps only these.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&Port) -> bool) {
        self.states.retain(|port, _| is_wanted(port));
    }

    /// Does a program of this machine have the number?
    pub(super) fn is_taken(&self, port: &Port) -> bool {
        matches!(self.states.get(port), Some(State::Taken(..)))
    }

    /// The numbers that programs of this machine have.
    pub(super) fn taken(&self) -> impl Iterator<Item = &TakenPort> {
        self.states.values().filter_map(|state| match state {
            State::Taken(taken, _) => Some(taken),
            State::Reserved(_) | State::Shared => None,
        })
    }

    /// Tries again what is not reserved. Returns whether other numbers are taken now.
    pub(super) fn try_again(&mut self) -> bool {
        let is_open = |(port, state): &(&Port, &State)| {
            !matches!(state, State::Reserved(_)) && !is_of_networks(**port)
        };
        let open: Vec<Port> = self.states.iter().filter(is_open).map(|(port, _)| *port).collect();
        let before: BTreeSet<Port> = self.taken().map(|taken| taken.port).collect();
        self.try_all(open);
        self.taken().map(|taken| taken.port).ne(before)
    }

    fn try_all(&mut self, ports: Vec<Port>) {
        if ports.is_empty() {
            return;
        }
        let states = inside(self.namespace.as_fd(), || {
            let mut listeners = None;
            let states = ports.iter().map(|port| {
                let before = self.states.get(port);
                (*port, try_one(*port, before, &mut listeners))
            });
            Ok(states.collect::<Vec<_>>())
        });
        match states {
            Ok(states) => self.states.extend(states),
            // No thread or no namespace: the ports are published, and tried again.
            Err(_) => self.states.extend(ports.into_iter().map(|port| (port, State::Shared))),
        }
    }
}

/// Also before the socket for it is there.
fn is_of_networks(port: Port) -> bool {
    port.protocol == Protocol::Udp && [VXLAN_PORT, TUNNEL_PORT, DETOUR_PORT].contains(&port.number)
}

/// To search all processes for a socket takes long: who has it is found out once.
fn try_one(port: Port, before: Option<&State>, listeners: &mut Option<Listeners>) -> State {
    let unknown = || State::Taken(TakenPort { port, holder: None }, None);
    if is_of_networks(port) {
        return unknown();
    }
    match bind(port) {
        Ok(socket) => State::Reserved(Some(socket)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            match listeners.get_or_insert_with(Listeners::read).find(port) {
                Some(inode) => match before {
                    Some(State::Taken(taken, Some(held))) if *held == inode => {
                        State::Taken(taken.clone(), Some(inode))
                    }
                    _ => State::Taken(TakenPort { port, holder: program(inode) }, Some(inode)),
                },
                // Connections of SCTP are not listed apart from listeners.
                None if port.protocol == Protocol::Sctp => unknown(),
                None => State::Shared,
            }
        }
        Err(error) if error.raw_os_error() == Some(nix::libc::EPROTONOSUPPORT) => {
            State::Reserved(None)
        }
        Err(_) => State::Shared,
    }
}

/// A socket at the number, for all addresses of both families.
fn bind(port: Port) -> io::Result<Socket> {
    let (kind, protocol) = match port.protocol {
        Protocol::Tcp => (Type::STREAM, None),
        Protocol::Udp => (Type::DGRAM, None),
        Protocol::Sctp => (Type::STREAM, Some(i32::from(SCTP).into())),
    };
    let open = |domain| Socket::new(domain, kind, protocol);
    let (socket, address) = match open(Domain::IPV6) {
        Ok(socket) => {
            socket.set_only_v6(false)?;
            (socket, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port.number)))
        }
        Err(error) if error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => {
            (open(Domain::IPV4)?, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port.number)))
        }
        Err(error) => return Err(error),
    };
    if port.protocol == Protocol::Udp {
        // What is not translated, while somebody else's change of rules is repaired, is dropped.
        socket.set_recv_buffer_size(0)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// The sockets of this thread's namespace that take what is sent to them, by protocol and number.
struct Listeners(BTreeMap<Port, u64>);

impl Listeners {
    fn read() -> Listeners {
        let mut found = BTreeMap::new();
        // A thread may be in another namespace than its process.
        let Ok(thread) = Process::new(nix::unistd::gettid().as_raw()) else {
            return Listeners(found);
        };
        for entry in [thread.tcp(), thread.tcp6()].into_iter().flatten().flatten() {
            if entry.state == TcpState::Listen {
                let number = entry.local_address.port();
                found.insert(Port { protocol: Protocol::Tcp, number }, entry.inode);
            }
        }
        for entry in [thread.udp(), thread.udp6()].into_iter().flatten().flatten() {
            // A client's socket takes only what its server sends.
            if entry.remote_address.port() == 0 {
                let number = entry.local_address.port();
                found.insert(Port { protocol: Protocol::Udp, number }, entry.inode);
            }
        }
        Listeners(found)
    }

    fn find(&self, port: Port) -> Option<u64> {
        self.0.get(&port).copied()
    }
}

/// The name and number of the process that has a socket.
fn program(inode: u64) -> Option<(String, i32)> {
    let has = |process: &Process| {
        let files = process.fd().into_iter().flatten().flatten();
        files.into_iter().any(|file| matches!(file.target, FDTarget::Socket(of) if of == inode))
    };
    let process = all_processes().ok()?.flatten().find(has)?;
    Some((process.stat().ok()?.comm, process.pid))
}
