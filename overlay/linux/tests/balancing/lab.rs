//! Namespaces of a small overlay network: tasks, the network's own namespace, the host, a client
//! outside, and a second node.
//!
//! ```text
//! task 1..n ── veth ── network ── uplink/ec0 ── host ── eth0/eth0 ── outside
//!                         └───── vxlan0 ── network of node 2 ── task 101..
//! ```

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};

/// A namespace that is removed with its value.
pub struct Namespace {
    name: String,
    file: File,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Namespace {
    pub fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("edgectl-test-{}-{number}", std::process::id());
        run("ip", &format!("netns add {name}"));
        let file = File::open(format!("/run/netns/{name}")).unwrap();
        let namespace = Self { name, file };
        for setting in ["ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1"] {
            namespace.set(setting);
        }
        namespace.ip("link set lo up");
        namespace
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn ip(&self, arguments: &str) {
        run("ip", &format!("-n {} {arguments}", self.name));
    }

    pub fn run(&self, command: &str) -> String {
        run("ip", &format!("netns exec {} {command}", self.name))
    }

    pub fn set(&self, setting: &str) {
        self.run(&format!("sysctl -qw net.{setting}"));
    }

    /// Saves all rules, removes them and loads them again, as hosts do when they start.
    pub fn reload_rules(&self) {
        let path = std::env::temp_dir().join(format!("{}.nft", self.name));
        std::fs::write(&path, self.run("nft list ruleset")).unwrap();
        self.run("nft flush ruleset");
        self.run(&format!("nft -f {}", path.display()));
        std::fs::remove_file(path).unwrap();
    }

    /// Runs `work` in the namespace, on a thread of its own.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = &self.file;
        std::thread::scope(|scope| {
            let entered = scope.spawn(move || {
                setns(file.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            entered.join().unwrap()
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether these tests can run here; says why not.
pub fn is_possible() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root, to make network namespaces");
    }
    root
}

/// The overlay network of a test.
pub struct Lab {
    pub network: Namespace,
    pub host: Namespace,
    pub outside: Namespace,
    pub tasks: Vec<Namespace>,
    pub other_network: Namespace,
    pub other_tasks: Vec<Namespace>,
}

pub const NODE: &str = "10.1.0.250";
pub const NODE_6: &str = "fd01::250";
pub const GATEWAY: &str = "10.1.0.1";
pub const GATEWAY_6: &str = "fd01::1";
pub const HOST: &str = "192.0.2.1";
pub const HOST_6: &str = "2001:db8::1";

/// The address of task `number`: those of the second node have numbers above 100.
pub fn task(number: u8) -> IpAddr {
    let block = number / 100;
    format!("10.1.{block}.{}", number % 100 + 10).parse().unwrap()
}

pub fn task_6(number: u8) -> IpAddr {
    let block = number / 100;
    format!("fd01::{block}:{:x}", u16::from(number % 100) + 0x10).parse().unwrap()
}

/// A virtual address.
pub fn service(number: u8) -> IpAddr {
    format!("10.2.0.{number}").parse().unwrap()
}

pub fn service_6(number: u8) -> IpAddr {
    format!("fd02::{number:x}").parse().unwrap()
}

impl Lab {
    /// A lab with so many tasks on this node (from number 1 on) and on the other (from 101 on).
    pub fn new(tasks: u8, other_tasks: u8) -> Self {
        let (network, host, outside) = (Namespace::new(), Namespace::new(), Namespace::new());
        let other_network = Namespace::new();
        gateway(&network);
        gateway(&other_network);
        let attach = |number: u8, network: &Namespace| attach_task(network, number);
        let tasks = (1..=tasks).map(|number| attach(number, &network)).collect();
        let other_tasks =
            (101..=100 + other_tasks).map(|number| attach(number, &other_network)).collect();
        let lab = Self { network, host, outside, tasks, other_network, other_tasks };
        lab.connect_nodes();
        lab.connect_host();
        lab
    }

    fn connect_nodes(&self) {
        let (near, far) = (&self.network, &self.other_network);
        near.ip(&format!("link add vxlan0 type veth peer name vxlan0 netns {}", far.name));
        for (side, own) in [(near, 1), (far, 2)] {
            side.ip("link set vxlan0 up");
            side.ip(&format!("addr add fe80::{own}/64 dev vxlan0 nodad"));
            side.ip(&format!("addr add 169.254.1.{own}/24 dev vxlan0"));
        }
        near.ip("route add 10.1.1.0/24 via 169.254.1.2");
        near.ip("route add fd01::1:0/112 via fe80::2 dev vxlan0");
        far.ip("route add 10.1.0.0/24 via 169.254.1.1");
        far.ip("route add fd01::/112 via fe80::1 dev vxlan0");
    }

    fn connect_host(&self) {
        let (network, host) = (&self.network, &self.host);
        network.ip(&format!("link add uplink type veth peer name ec0 netns {}", host.name));
        network.ip("link set uplink up");
        network.ip("addr add fe80::1/64 dev uplink nodad");
        network.ip(&format!("route add {NODE} dev uplink"));
        network.ip(&format!("route add {NODE_6} via fe80::2 dev uplink"));
        host.ip("link set ec0 up");
        host.ip(&format!("addr add {NODE}/32 dev ec0"));
        host.ip(&format!("addr add {NODE_6}/128 dev ec0 nodad"));
        host.ip("addr add fe80::2/64 dev ec0 nodad");
        for block in ["10.1.0.0/16", "10.2.0.0/16"] {
            host.ip(&format!("route add {block} via {GATEWAY} dev ec0 onlink src {NODE}"));
        }
        for block in ["fd01::/64", "fd02::/64"] {
            host.ip(&format!("route add {block} via fe80::1 dev ec0 src {NODE_6}"));
        }
        network.ip(&format!("route add default via {NODE} dev uplink"));
        network.ip("route add default via fe80::2 dev uplink");
        host.ip(&format!("link add eth0 type veth peer name eth0 netns {}", self.outside.name));
        for (side, own) in [(host, 1), (&self.outside, 2)] {
            side.ip("link set eth0 up");
            side.ip(&format!("addr add 192.0.2.{own}/24 dev eth0"));
            side.ip(&format!("addr add 2001:db8::{own}/64 dev eth0 nodad"));
        }
    }
}

fn gateway(network: &Namespace) {
    network.ip(&format!("addr add {GATEWAY}/32 dev lo"));
    network.ip(&format!("addr add {GATEWAY_6}/128 dev lo nodad"));
    for block in ["10.1.0.0/16", "10.2.0.0/16", "fd01::/64", "fd02::/64"] {
        network.ip(&format!("route add unreachable {block}"));
    }
}

fn attach_task(network: &Namespace, number: u8) -> Namespace {
    let namespace = Namespace::new();
    let link = format!("t{number}");
    let (address, address_6) = (task(number), task_6(number));
    network.ip(&format!("link add {link} type veth peer name eth0 netns {}", namespace.name));
    network.ip(&format!("link set {link} up"));
    network.ip(&format!("addr add fe80::1/64 dev {link} nodad"));
    network.ip(&format!("route add {address} dev {link}"));
    network.ip(&format!("route add {address_6} dev {link}"));
    namespace.ip("link set eth0 up");
    namespace.ip(&format!("addr add {address}/32 dev eth0"));
    namespace.ip(&format!("addr add {address_6}/128 dev eth0 nodad"));
    namespace.ip(&format!("route add default via {GATEWAY} dev eth0 onlink"));
    namespace.ip("route add default via fe80::1 dev eth0");
    namespace
}
