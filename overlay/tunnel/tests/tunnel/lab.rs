//! Two or more machines as namespaces on one switch, each with a tunnel process. Everything is
//! removed when the lab is dropped, also when the test fails.

use std::fs::File;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use overlay_tunnel::TunnelKey;
use overlay_tunnel::client::{self, Setup, Tunnel, TunnelError};
use overlay_tunnel::control::{PeerState, State};

use crate::capture::Capture;

/// What the tunnel carries.
pub const CARRIED: u16 = 4789;

/// The port of every tunnel.
pub const PORT: u16 = 7947;

/// The name of every tunnel's link.
pub const LINK: &str = "ectest0";

static LABS: AtomicU32 = AtomicU32::new(0);

pub struct Lab {
    prefix: String,
    nodes: u8,
    directory: tempfile::TempDir,
}

pub fn run(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn address(node: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfdec, 0, 0, 0, 0, 0, 0, u16::from(node))
}

/// The outer address of a node.
pub fn endpoint(node: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, node], PORT))
}

/// The state with the other nodes reached by IPv6.
pub fn over_ipv6(mut state: State, others: &[u8]) -> State {
    for (peer, node) in state.peers.iter_mut().zip(others) {
        let outer = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(*node));
        peer.endpoint = SocketAddr::from((outer, PORT));
    }
    state
}

pub fn key(node: u8) -> TunnelKey {
    TunnelKey::derive(&[node; 32])
}

pub fn peer(node: u8) -> PeerState {
    let (public_key, address) = (key(node).public(), address(node));
    PeerState { public_key, address, endpoint: endpoint(node), life: 0, is_only_way: false }
}

pub fn state(node: u8, peers: &[u8]) -> State {
    let peers = peers.iter().map(|node| peer(*node)).collect();
    State { key: key(node), address: address(node), carried_ports: vec![CARRIED], peers }
}

impl Lab {
    /// `None`, with a note, when the test is not run as root.
    pub fn new(nodes: u8) -> Option<Lab> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: namespaces and links need root");
            return None;
        }
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("ot{}-{number}-", std::process::id());
        let lab = Lab { prefix, nodes, directory: tempfile::tempdir().unwrap() };
        let switch = lab.name(0);
        run(&format!("ip netns add {switch}"));
        run(&format!("ip -n {switch} link add bridge0 type bridge"));
        run(&format!("ip -n {switch} link set bridge0 up"));
        for node in 1..=nodes {
            let (name, port) = (lab.name(node), format!("port{node}"));
            std::fs::create_dir(lab.directory(node)).unwrap();
            run(&format!("ip netns add {name}"));
            run(&format!("ip -n {name} link set lo up"));
            run(&format!("ip -n {name} link add eth0 type veth peer name {port} netns {switch}"));
            run(&format!("ip -n {switch} link set {port} master bridge0 up"));
            run(&format!("ip -n {name} address add 192.0.2.{node}/24 dev eth0"));
            run(&format!("ip -n {name} address add 2001:db8::{node}/64 dev eth0 nodad"));
            run(&format!("ip -n {name} link set eth0 up"));
        }
        for node in 2..=nodes {
            until("the switch forwards", || {
                lab.try_in(1, &format!("ping -n -c 1 -W 0.3 192.0.2.{node}"))
            });
        }
        Some(lab)
    }

    /// The name of a node's namespace; 0: the switch.
    pub fn name(&self, node: u8) -> String {
        format!("{}{node}", self.prefix)
    }

    fn file(&self, node: u8) -> PathBuf {
        Path::new("/run/netns").join(self.name(node))
    }

    pub fn directory(&self, node: u8) -> PathBuf {
        self.directory.path().join(node.to_string())
    }

    /// Runs something on a thread inside a node's namespace.
    pub fn inside<T: Send>(&self, node: u8, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(self.file(node)).unwrap();
        std::thread::scope(|scope| {
            let enter = || {
                setns(file, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            };
            scope.spawn(enter).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    pub fn command(&self, node: u8, words: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.file(node).display())).arg("--");
        command.args(words.split_whitespace());
        command
    }

    pub fn try_in(&self, node: u8, words: &str) -> bool {
        self.command(node, words).output().unwrap().status.success()
    }

    pub fn tunnel(&self, node: u8) -> Tunnel {
        Tunnel::new(Setup {
            program: env!("CARGO_BIN_EXE_overlay-tunnel").into(),
            directory: self.directory(node),
            link: LINK.into(),
            port: PORT,
        })
    }

    /// Starts a node's tunnel, or tells a running one what is wanted.
    pub fn hold(&self, tunnel: &mut Tunnel, node: u8, state: &State) -> Result<u64, TunnelError> {
        let life = self.inside(node, || tunnel.hold(state))?;
        // What an agent does with the link.
        let name = self.name(node);
        run(&format!("ip -n {name} link set {LINK} addrgenmode none mtu 1440 up"));
        run(&format!("ip -n {name} -6 address replace {}/128 dev {LINK} nodad", address(node)));
        run(&format!("ip -n {name} -6 route replace fdec::/48 dev {LINK}"));
        Ok(life)
    }

    /// A socket on the carried port of a node.
    pub fn socket(&self, node: u8) -> UdpSocket {
        let mut socket = None;
        until("the address can be used", || {
            socket = self.inside(node, || UdpSocket::bind((address(node), CARRIED))).ok();
            socket.is_some()
        });
        let socket = socket.unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        socket
    }

    /// Captures what passes between the nodes.
    pub fn capture(&self) -> Capture {
        Capture::begin(&self.file(0))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for node in 1..=self.nodes {
            client::end(&self.directory(node));
        }
        for node in 0..=self.nodes {
            let _ = Command::new("ip").args(["netns", "delete", &self.name(node)]).output();
        }
    }
}
