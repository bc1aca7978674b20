//! A machine park in network namespaces: a switch, and nodes with one link to it each.
//!
//! Everything is made by a [`Lab`] and removed when it is dropped, also when the test fails. No
//! traffic leaves the namespaces.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crdt_state::interface::TaskInterface;
use crdt_state::task::Run;
use crdt_state::{NetworkId, NodeId, TaskId};
use nix::sched::{CloneFlags, setns};
use overlay::plan::{LocalNetwork, OverlayPlan, Peer, node_mac};
use overlay_linux::links::Links;

pub const NETWORK: NetworkId = NetworkId([1; 16]);

static LABS: AtomicU32 = AtomicU32::new(0);

/// Namespaces of a switch and of nodes.
pub struct Lab {
    prefix: String,
    nodes: u8,
    directory: tempfile::TempDir,
}

/// Runs something on a thread inside a namespace.
pub fn inside<T: Send>(namespace: &Path, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let enter = || {
            setns(std::fs::File::open(namespace).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        scope.spawn(enter).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub fn try_run(program: &str, words: &str) -> Result<String, String> {
    let output = Command::new(program).args(words.split_whitespace()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => {
            Err(format!("{program} {words}: {}{}", text(&output.stdout), text(&output.stderr)))
        }
    }
}

pub fn run(program: &str, words: &str) -> String {
    try_run(program, words).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a program inside a namespace.
pub fn try_run_in(namespace: &Path, words: &str) -> Result<String, String> {
    try_run("nsenter", &format!("--net={} -- {words}", namespace.display()))
}

pub fn run_in(namespace: &Path, words: &str) -> String {
    try_run_in(namespace, words).unwrap_or_else(|error| panic!("{error}"))
}

/// One echo request answered, in each direction of the path.
pub fn ping(namespace: &Path, to: &str) -> Result<String, String> {
    try_run_in(namespace, &format!("ping -n -c 1 -W 2 {to}"))
}

impl Lab {
    /// `None`, with a note, when the test is not run as root.
    pub fn new(nodes: u8) -> Option<Lab> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: namespaces and links need root");
            return None;
        }
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("ol{}-{number}-", std::process::id());
        let directory = tempfile::tempdir().unwrap();
        let lab = Lab { prefix, nodes, directory };
        let switch = format!("{}s", lab.prefix);
        run("ip", &format!("netns add {switch}"));
        run("ip", &format!("-n {switch} link add bridge0 type bridge"));
        run("ip", &format!("-n {switch} link set bridge0 up"));
        for node in 1..=nodes {
            lab.plug_in(&switch, node);
        }
        (2..=nodes).for_each(|node| lab.wait_for(node));
        Some(lab)
    }

    /// The ports of a bridge forward only some time after their links are up.
    fn wait_for(&self, node: u8) {
        for address in [format!("192.0.2.{node}"), format!("2001:db8::{node}")] {
            let words = format!("ping -n -c 1 -W 0.3 {address}");
            let start = std::time::Instant::now();
            while let Err(error) = try_run_in(&self.host(1), &words) {
                assert!(start.elapsed().as_secs() < 20, "{error}");
            }
        }
    }

    fn plug_in(&self, switch: &str, node: u8) {
        let name = format!("{}{node}", self.prefix);
        run("ip", &format!("netns add {name}"));
        run("ip", &format!("-n {name} link set lo up"));
        let peer = format!("peer name port{node} netns {switch}");
        run("ip", &format!("-n {name} link add eth0 type veth {peer}"));
        run("ip", &format!("-n {switch} link set port{node} master bridge0 up"));
        self.address(node);
    }

    /// Gives a node's link its addresses and sets it up.
    pub fn address(&self, node: u8) {
        let name = format!("{}{node}", self.prefix);
        run("ip", &format!("-n {name} address add 192.0.2.{node}/24 dev eth0"));
        run("ip", &format!("-n {name} address add 2001:db8::{node}/64 dev eth0 nodad"));
        run("ip", &format!("-n {name} link set eth0 up"));
    }

    /// The file of a node's namespace; 0: the switch.
    pub fn host(&self, node: u8) -> PathBuf {
        let name = if node == 0 { "s".into() } else { node.to_string() };
        PathBuf::from(format!("/run/netns/{}{name}", self.prefix))
    }

    pub fn directory(&self, node: u8) -> PathBuf {
        self.directory.path().join(node.to_string())
    }

    /// The file of a network's namespace on a node.
    pub fn network(&self, node: u8) -> PathBuf {
        self.directory(node).join("net").join(NETWORK.to_string())
    }

    pub fn open(&self, node: u8) -> Links {
        inside(&self.host(node), || Links::open(&self.directory(node)).unwrap())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for node in 1..=self.nodes {
            for part in ["net", "task"] {
                let entries = std::fs::read_dir(self.directory(node).join(part));
                for entry in entries.into_iter().flatten().flatten() {
                    let _ = nix::mount::umount2(&entry.path(), nix::mount::MntFlags::MNT_DETACH);
                }
            }
            let _ = try_run("ip", &format!("netns delete {}{node}", self.prefix));
        }
        let _ = try_run("ip", &format!("netns delete {}s", self.prefix));
    }
}

pub fn node_id(node: u8) -> NodeId {
    NodeId([node; 16])
}

pub fn task_run(node: u8, task: u8) -> Run {
    let mut id = [node; 16];
    id[15] = task;
    Run { task: TaskId(id), attempt: 1 }
}

fn ip(text: String) -> IpAddr {
    text.parse().unwrap()
}

/// The addresses of a task.
pub fn addresses(node: u8, task: u8) -> Vec<IpAddr> {
    let task = u16::from(task) + 10;
    vec![ip(format!("10.9.{node}.{task}")), ip(format!("fd09:0:0:{node}::{task}"))]
}

pub fn gateways() -> Vec<IpAddr> {
    vec![ip("10.9.0.1".into()), ip("fd09::1".into())]
}

/// The plan of a node in a park of `nodes`, with tasks numbered from 0.
pub fn plan(node: u8, nodes: u8, tasks: u8) -> OverlayPlan {
    let peer = |other: u8| Peer {
        underlay: ip(format!("192.0.2.{other}")),
        mac: node_mac(node_id(other)),
        blocks: vec![
            format!("10.9.{other}.0/24").parse().unwrap(),
            format!("fd09:0:0:{other}::/64").parse().unwrap(),
        ],
        underlay_mtu: 1500,
        tunnel: None,
        detour: None,
    };
    let local = LocalNetwork {
        name: "default".into(),
        vni: 5000,
        underlay_mtu: None,
        internal: false,
        multicast: false,
        subnets: vec!["10.9.0.0/16".parse().unwrap(), "fd09::/48".parse().unwrap()],
        gateways: gateways(),
        mac: node_mac(node_id(node)),
        underlay: ip(format!("192.0.2.{node}")),
        tunnel: None,
        detour: None,
        node_addresses: vec![ip(format!("10.9.{node}.1")), ip(format!("fd09:0:0:{node}::1"))],
        peers: (1..=nodes)
            .filter(|other| *other != node)
            .map(|other| (node_id(other), peer(other)))
            .collect(),
        tasks: (0..tasks).map(|task| (task_run(node, task), addresses(node, task))).collect(),
        virtual_addresses: Default::default(),
    };
    OverlayPlan { networks: [(NETWORK, local)].into(), ..OverlayPlan::default() }
}

/// The plan with IPv6 below.
pub fn over_ipv6(mut plan: OverlayPlan) -> OverlayPlan {
    let to_ipv6 = |address: IpAddr| match address {
        IpAddr::V4(address) => ip(format!("2001:db8::{}", address.octets()[3])),
        IpAddr::V6(_) => address,
    };
    for network in plan.networks.values_mut() {
        network.underlay = to_ipv6(network.underlay);
        for peer in network.peers.values_mut() {
            peer.underlay = to_ipv6(peer.underlay);
        }
    }
    plan
}

/// The only interface of a task.
pub fn interface(node: u8, task: u8) -> TaskInterface {
    TaskInterface {
        network: NETWORK,
        name: "eth0".into(),
        addresses: addresses(node, task),
        mac: [2, 0, 0, 9, node, task],
        gateways: gateways(),
        subnets: vec!["10.9.0.0/16".parse().unwrap(), "fd09::/48".parse().unwrap()],
        is_default: true,
        settings: Vec::new(),
    }
}

/// Applies a plan and demands that all of it could be done.
pub fn apply(links: &mut Links, plan: &OverlayPlan) -> usize {
    let applied = links.apply(plan);
    let failures: Vec<String> = applied.failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    applied.changes
}

/// A UDP datagram of this many bytes with the header of IP, which must not be split.
pub fn send_whole(from: &Path, to: &Path, address: IpAddr, bytes: usize) -> io::Result<()> {
    let any: IpAddr = if address.is_ipv4() { ip("0.0.0.0".into()) } else { ip("::".into()) };
    let headers = if address.is_ipv4() { 28 } else { 48 };
    let bind = || std::net::UdpSocket::bind((any, 0)).unwrap();
    let (receiver, sender) = (inside(to, bind), inside(from, bind));
    receiver.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
    forbid_fragments(&sender, address.is_ipv4());
    let (port, payload) = (receiver.local_addr()?.port(), vec![7; bytes - headers]);
    sender.send_to(&payload, (address, port))?;
    let mut buffer = vec![0; 65536];
    assert_eq!(receiver.recv(&mut buffer)?, payload.len());
    Ok(())
}

fn forbid_fragments(socket: &std::net::UdpSocket, is_ipv4: bool) {
    use nix::libc::{
        IP_MTU_DISCOVER, IP_PMTUDISC_DO, IPPROTO_IP, IPPROTO_IPV6, IPV6_MTU_DISCOVER, c_int,
        setsockopt,
    };
    use std::os::fd::AsRawFd;
    let (level, option) = match is_ipv4 {
        true => (IPPROTO_IP, IP_MTU_DISCOVER),
        false => (IPPROTO_IPV6, IPV6_MTU_DISCOVER),
    };
    let value: c_int = IP_PMTUDISC_DO;
    // SAFETY: the value is a c_int that lives during the call, with its size.
    let result = unsafe {
        let size = size_of::<c_int>() as u32;
        setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size)
    };
    assert_eq!(result, 0);
}
