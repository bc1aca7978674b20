//! Paths between nodes that are smaller than the links at their ends, and say so to nobody: two
//! routers between two nodes, 1280 bytes between the routers, and no ICMP that tells it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crdt_state::NodeId;
use overlay::paths::{PathState, Paths, Target, Verdict};
use overlay::plan::{
    OverlayPlan, PATH_NETWORK, PathPeer, PathPlan, link_local, node_mac, vxlan_overhead,
};
use overlay_linux::links::Links;

use crate::lab::{
    addresses, apply, inside, interface, node_id, over_ipv6, plan, run, run_in, send_whole,
    task_run, try_run,
};

const MIDDLE: u32 = 1280;

static ROADS: AtomicU32 = AtomicU32::new(0);

/// Node 1, two routers, node 2. Removed when it is dropped.
struct Road {
    prefix: String,
    directory: tempfile::TempDir,
}

impl Road {
    /// `None`, with a note, when the test is not run as root.
    fn new() -> Option<Road> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: namespaces and links need root");
            return None;
        }
        let number = ROADS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("rd{}-{number}-", std::process::id());
        let road = Road { prefix, directory: tempfile::tempdir().unwrap() };
        for name in ["1", "a", "b", "2"] {
            run("ip", &format!("netns add {}{name}", road.prefix));
            road.ip(name, "link set lo up");
            run_in(&road.host(name), "sysctl -q net.ipv6.conf.default.accept_dad=0");
        }
        road.connect(("1", "eth0", 0x11), ("a", "left", 0x12), 1500);
        road.connect(("a", "right", 0x21), ("b", "left", 0x22), MIDDLE);
        road.connect(("b", "right", 0x31), ("2", "eth0", 0x32), 1500);
        for (name, address) in [("1", 1), ("2", 2), ("a", 101), ("b", 102)] {
            let link = if name.len() == 1 && address < 3 { "eth0" } else { "lo" };
            road.ip(name, &format!("address add 192.0.2.{address}/32 dev {link}"));
            road.ip(name, &format!("address add 2001:db8::{address}/128 dev {link} nodad"));
        }
        road.route("1", "default", "eth0", 0x12);
        road.route("2", "default", "eth0", 0x31);
        road.route("a", "default", "right", 0x22);
        road.route("b", "default", "left", 0x21);
        road.route("a", "1", "left", 0x11);
        road.route("b", "2", "right", 0x32);
        for router in ["a", "b"] {
            let settings = "net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";
            run_in(&road.host(router), &format!("sysctl -q {settings}"));
            let output = "chain c { type filter hook output priority 0; \
                          icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }";
            nft(&road.host(router), &format!("table inet mute {{ {output}; }}"));
        }
        Some(road)
    }

    fn ip(&self, name: &str, words: &str) {
        run("ip", &format!("-n {}{name} {words}", self.prefix));
    }

    fn connect(&self, near: (&str, &str, u8), far: (&str, &str, u8), mtu: u32) {
        let (near_space, near_link, near_address) = near;
        let (far_space, far_link, far_address) = far;
        let peer = format!("peer name {far_link} netns {}{far_space}", self.prefix);
        self.ip(near_space, &format!("link add {near_link} mtu {mtu} type veth {peer}"));
        self.ip(far_space, &format!("link set {far_link} mtu {mtu}"));
        for (space, link, address) in
            [(near_space, near_link, near_address), (far_space, far_link, far_address)]
        {
            self.ip(space, &format!("link set {link} up"));
            self.ip(space, &format!("address add fe80::{address:x}/64 dev {link} nodad"));
        }
    }

    fn route(&self, name: &str, to: &str, link: &str, via: u8) {
        let (ipv4, ipv6) = match to {
            "default" => ("default".to_owned(), "default".to_owned()),
            node => (format!("192.0.2.{node}"), format!("2001:db8::{node}")),
        };
        self.ip(name, &format!("-4 route add {ipv4} via inet6 fe80::{via:x} dev {link}"));
        self.ip(name, &format!("-6 route add {ipv6} via fe80::{via:x} dev {link}"));
    }

    fn host(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/run/netns/{}{name}", self.prefix))
    }

    fn directory(&self, node: u8) -> PathBuf {
        self.directory.path().join(node.to_string())
    }

    /// Packets of IPv4 that a router had to split.
    fn split(&self) -> u64 {
        let count = |router: &&str| -> u64 {
            let text = run_in(&self.host(router), "cat /proc/net/snmp");
            let mut lines = text.lines().filter(|line| line.starts_with("Ip:"));
            let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
            let named = names.split(' ').zip(values.split(' '));
            named
                .filter(|(name, _)| *name == "FragOKs")
                .map(|(_, n)| n.parse::<u64>().unwrap())
                .sum()
        };
        ["a", "b"].iter().map(count).sum()
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        for node in [1, 2] {
            for part in ["net", "task"] {
                let entries = std::fs::read_dir(self.directory(node).join(part));
                for entry in entries.into_iter().flatten().flatten() {
                    let _ = nix::mount::umount2(&entry.path(), nix::mount::MntFlags::MNT_DETACH);
                }
            }
        }
        for name in ["1", "a", "b", "2"] {
            let _ = try_run("ip", &format!("netns delete {}{name}", self.prefix));
        }
    }
}

/// Loads rules.
fn nft(namespace: &Path, rules: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rules).unwrap();
    run_in(namespace, &format!("nft -f {}", file.path().display()));
}

/// A node at one end of the road, with a task.
struct End {
    node: u8,
    links: Links,
    plan: OverlayPlan,
    task: PathBuf,
    paths: Paths,
    start: Instant,
}

impl End {
    fn open(road: &Road, node: u8, adapt: fn(OverlayPlan) -> OverlayPlan) -> End {
        let mut plan = adapt(plan(node, 2, 1));
        let local = plan.networks.values().next().unwrap();
        let peers = local.peers.iter().map(|(node, peer)| {
            let (underlay, mac) = (peer.underlay, peer.mac);
            (*node, PathPeer { underlay, mac, underlay_mtu: 1500, is_heard: true })
        });
        let (mac, underlay) = (local.mac, local.underlay);
        let paths = PathPlan { mac, underlay, underlay_mtu: 1500, peers: peers.collect() };
        plan.networks.insert(PATH_NETWORK, paths.network());
        let directory = road.directory(node);
        let mut links = inside(&road.host(&node.to_string()), || Links::open(&directory).unwrap());
        apply(&mut links, &plan);
        let task = links.attach(task_run(node, 0), &[interface(node, 0)]).unwrap();
        End { node, links, plan, task, paths: Paths::default(), start: Instant::now() }
    }

    fn peer(&self) -> NodeId {
        node_id(3 - self.node)
    }

    fn overhead(&self) -> u32 {
        vxlan_overhead(self.plan.networks[&PATH_NETWORK].underlay)
    }

    /// Probes the path until something is known of it.
    fn probe(&mut self, holds: impl Fn(Verdict) -> bool) -> Verdict {
        let echo = self.links.open_echo(*b"a secret").unwrap();
        let target = Target { bytes_max: 1500 - self.overhead(), is_used: true };
        let peer = self.peer();
        let now_us = |start: Instant| start.elapsed().as_micros() as u64;
        self.paths.set_targets(now_us(self.start), &BTreeMap::from([(peer, target)]));
        self.paths.check(now_us(self.start));
        let begun = Instant::now();
        loop {
            while let Some(probe) = self.paths.poll_probe(now_us(self.start)) {
                let _ = echo.send(link_local(node_mac(peer)), probe.number, probe.bytes);
            }
            while let Ok(found) = echo.receive() {
                let Some(answer) = found else { continue };
                assert_eq!(answer.from, link_local(node_mac(peer)));
                let now_us = now_us(self.start);
                self.paths.handle_answer(now_us, peer, answer.number, answer.bytes);
            }
            let verdict = self.paths.verdicts().next().unwrap().1;
            if holds(verdict) {
                return verdict;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{verdict:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Finds the largest packet, and sets the routes of all networks to it.
    fn adapt(&mut self) -> u32 {
        let bytes = self.probe(|verdict| verdict.bytes.is_some()).bytes.unwrap();
        let overhead = self.overhead();
        for peer in self.plan.networks.values_mut().flat_map(|local| local.peers.values_mut()) {
            peer.underlay_mtu = bytes + overhead;
        }
        apply(&mut self.links, &self.plan);
        bytes
    }
}

/// Both ends at once.
fn adapt(one: &mut End, two: &mut End) -> (u32, u32) {
    std::thread::scope(|scope| {
        let one = scope.spawn(|| one.adapt());
        let two = two.adapt();
        (one.join().unwrap(), two)
    })
}

/// A million bytes each way over TCP; says how long that took.
fn transfer(from: &Path, to: &Path, address: IpAddr) -> std::io::Result<Duration> {
    let listener = inside(to, || TcpListener::bind((address, 8080)))?;
    let (begun, timeout) = (Instant::now(), Some(Duration::from_secs(5)));
    let bytes = vec![7; 1_000_000];
    std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let (mut stream, _) = listener.accept()?;
            stream.set_read_timeout(timeout)?;
            let mut received = vec![0; bytes.len()];
            stream.read_exact(&mut received)?;
            stream.write_all(&received)
        });
        let mut stream = inside(from, || TcpStream::connect((address, 8080)))?;
        stream.set_read_timeout(timeout)?;
        stream.set_write_timeout(timeout)?;
        stream.write_all(&bytes)?;
        let mut received = vec![0; bytes.len()];
        stream.read_exact(&mut received)?;
        server.join().unwrap()?;
        Ok(begun.elapsed())
    })
}

#[test]
fn full_packets_pass_a_smaller_path_whole_once_it_is_probed() {
    let Some(road) = Road::new() else { return };
    let (mut one, mut two) = (End::open(&road, 1, |plan| plan), End::open(&road, 2, |plan| plan));
    let to = addresses(2, 0)[0];
    send_whole(&one.task, &two.task, to, 1450).unwrap();
    assert!(road.split() > 0, "until then the routers split what they are sent");
    assert_eq!(adapt(&mut one, &mut two), (1230, 1230));
    let before = road.split();
    // The first packet is answered with the size of the path.
    let _ = send_whole(&one.task, &two.task, to, 1450);
    let refused = send_whole(&one.task, &two.task, to, 1231).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(nix::libc::EMSGSIZE));
    send_whole(&one.task, &two.task, to, 1230).unwrap();
    transfer(&one.task, &two.task, to).unwrap();
    assert_eq!(road.split(), before);
    // A packet of IPv6 may have 1280 bytes on any path: it is split below.
    let to = addresses(2, 0)[1];
    let _ = send_whole(&one.task, &two.task, to, 1450);
    send_whole(&one.task, &two.task, to, 1280).unwrap();
    transfer(&one.task, &two.task, to).unwrap();
}

#[test]
fn a_path_over_ipv6_swallows_full_packets_until_it_is_probed() {
    let Some(road) = Road::new() else { return };
    let (mut one, mut two) = (End::open(&road, 1, over_ipv6), End::open(&road, 2, over_ipv6));
    let to = addresses(2, 0)[0];
    let lost = send_whole(&one.task, &two.task, to, 1430).unwrap_err();
    assert_eq!(lost.kind(), std::io::ErrorKind::WouldBlock, "nobody says why");
    assert_eq!(adapt(&mut one, &mut two), (1210, 1210));
    let _ = send_whole(&one.task, &two.task, to, 1430);
    let refused = send_whole(&one.task, &two.task, to, 1211).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(nix::libc::EMSGSIZE));
    send_whole(&one.task, &two.task, to, 1210).unwrap();
    transfer(&one.task, &two.task, to).unwrap();
}

#[test]
fn probes_are_answered_without_an_agent_and_a_path_that_drops_vxlan_is_silent() {
    let Some(road) = Road::new() else { return };
    let (mut one, two) = (End::open(&road, 1, |plan| plan), End::open(&road, 2, |plan| plan));
    // Its namespaces stay, as when an agent ends.
    drop(two);
    let answered = one.probe(|verdict| verdict.sent >= 1 && verdict.bytes.is_some());
    assert_eq!((answered.reach, answered.lost), (PathState::Answers, 0));
    assert!(answered.rtt_us.is_some_and(|rtt_us| rtt_us < 100_000));
    let rule = "chain f { type filter hook forward priority 0; udp dport 4789 drop; }";
    nft(&road.host("a"), &format!("table inet cut {{ {rule}; }}"));
    let begun = Instant::now();
    one.probe(|verdict| verdict.reach.is_silent());
    assert!(begun.elapsed() < Duration::from_secs(6), "three probes, a second each");
    run_in(&road.host("a"), "nft delete table inet cut");
    one.probe(|verdict| verdict.reach == PathState::Answers);
}
