//! What links cost: times of the operations, and throughput and connections per second between two
//! tasks, compared with the link below and with a bridge per network that is set up by hand.
//!
//! Run as root: `cargo run --release -p overlay-linux --example measure_links`; with `task`, `many`,
//! `traffic` or `rules` only this part. It needs iperf3.

use std::io::Read;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crdt_state::NetworkId;
use overlay_linux::balancing::{Intact, NetworkBalancer, PortBalancer};
use overlay_linux::links::Links;

#[allow(dead_code)]
#[expect(clippy::unwrap_used, reason = "shared with the tests")]
#[path = "../tests/links/lab.rs"]
mod lab;
#[path = "measure_links/one_task.rs"]
mod one_task;

use lab::{Lab, NETWORK, addresses, apply, inside, interface, plan, run, run_in, task_run};

/// What is measured is also what is needed to go on.
const WORKS: &str = "the machine that is measured does what it is told";

/// Many short rounds: neighbours on the machine disturb some of them, and the median leaves these
/// out.
const ROUNDS: usize = 15;
const SECONDS: u64 = 1;

fn main() {
    let Some(lab) = Lab::new(2) else { return };
    let parts: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| parts.is_empty() || parts.iter().any(|part| part == name);
    if wants("task") {
        one_task::one_task(&lab);
    }
    if wants("many") {
        many(&lab);
    }
    if wants("traffic") {
        traffic(&lab);
    }
    if wants("rules") {
        rules(&lab);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect(WORKS);
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect(WORKS);
    line.split_whitespace().nth(1).expect(WORKS).parse().expect(WORKS)
}

/// Free memory of the machine, in KiB.
fn available() -> i64 {
    let status = std::fs::read_to_string("/proc/meminfo").expect(WORKS);
    let line = status.lines().find(|line| line.starts_with("MemAvailable")).expect(WORKS);
    line.split_whitespace().nth(1).expect(WORKS).parse().expect(WORKS)
}

/// 20 networks with 5 peers and 10 tasks each.
fn many(lab: &Lab) {
    let single = plan(1, 6, 0).networks.into_values().next().expect(WORKS);
    let mut many = plan(1, 6, 0);
    many.networks.clear();
    let mut attach = Vec::new();
    for number in 0..20u8 {
        let id = NetworkId([100 + number; 16]);
        let mut network = single.clone();
        network.vni = 6000 + u32::from(number);
        let net: ipnet::IpNet = format!("10.{}.0.0/16", 100 + number).parse().expect(WORKS);
        (network.subnets, network.gateways) = (vec![net], vec![net.hosts().next().expect(WORKS)]);
        network.node_addresses = vec![net.hosts().nth(256).expect(WORKS)];
        for (at, peer) in network.peers.values_mut().enumerate() {
            peer.blocks =
                vec![format!("10.{}.{}.0/24", 100 + number, at + 10).parse().expect(WORKS)];
        }
        for task in 0..10u8 {
            let run = task_run(number, task);
            let mut own = interface(1, task);
            (own.network, own.gateways, own.subnets) =
                (id, network.gateways.clone(), network.subnets.clone());
            own.addresses = vec![net.hosts().nth(300 + usize::from(task)).expect(WORKS)];
            network.tasks.insert(run, own.addresses.clone());
            attach.push((run, own));
        }
        many.networks.insert(id, network);
    }
    let mut links = lab.open(1);
    let (rss, free, started) = (resident(), available(), Instant::now());
    println!("20 networks x 5 peers: {} changes, {:.0} ms", apply(&mut links, &many), ms(started));
    println!("  machine: {} KiB a network", (free - available()) / 20);
    let (free, started) = (available(), Instant::now());
    for (run, own) in attach {
        links.attach(run, &[own]).expect(WORKS);
    }
    println!("200 attach: {:.0} ms", ms(started));
    println!("  machine: {} KiB a task", (free - available()) / 200);
    println!("  this process: {} KiB more", resident() - rss);
    let times = (0..11).map(|_| {
        let started = Instant::now();
        assert_eq!(apply(&mut links, &many), 0);
        ms(started)
    });
    println!("apply without a change, median of 11: {:.1} ms", median(times.collect()));
    println!("  this process: {} KiB more", resident() - rss);
    let started = Instant::now();
    assert!(links.remove_all().failures.is_empty());
    println!("remove all: {:.0} ms", ms(started));
}

/// A way from one namespace to another.
struct Way {
    name: &'static str,
    from: PathBuf,
    to: PathBuf,
    address: IpAddr,
}

fn traffic(lab: &Lab) {
    let (one, first) = two_tasks(lab, 1);
    let (_two, second) = two_tasks(lab, 2);
    let bridged = by_hand(lab);
    let way = |name, from: &Path, to: &Path, address: &str| Way {
        name,
        from: from.into(),
        to: to.into(),
        address: address.parse().expect(WORKS),
    };
    let (task, neighbour) = (addresses(2, 0)[0].to_string(), addresses(1, 1)[0].to_string());
    let ways = [
        way("bridged, two nodes", &bridged[0], &bridged[2], "10.7.0.20"),
        way("link below", &lab.host(1), &lab.host(2), "192.0.2.2"),
        way("routed, two nodes", &first[0], &second[0], &task),
    ];
    let near = [
        way("bridged, one node", &bridged[0], &bridged[1], "10.7.0.11"),
        way("routed, one node", &first[0], &first[1], &neighbour),
    ];
    measure(&ways);
    measure(&near);
    for node in [1, 2] {
        let rules = "nft add table inet m; nft add chain inet m f \
                     '{ type filter hook forward priority 0; }'; \
                     nft add rule inet m f ct state established accept";
        let words = ["-c", rules];
        let output = std::process::Command::new("nsenter")
            .arg(format!("--net={}", lab.network(node).display()))
            .arg("sh")
            .args(words)
            .output()
            .expect(WORKS);
        assert!(output.status.success(), "{output:?}");
    }
    println!("with connection tracking in the networks' namespaces:");
    measure(&ways);
    measure(&near);
    drop(one);
    for node in [1, 2] {
        for name in ["b", "x", "y"] {
            let _ = lab::try_run("ip", &format!("netns delete {}", hand(lab, node, name)));
        }
    }
}

/// What each of the chains that judge or change every packet costs: with and without it in turn.
fn rules(lab: &Lab) {
    let nodes = [1, 2].map(|node| (two_tasks(lab, node), plan(node, 2, 2)));
    let mut tables: Vec<_> = nodes
        .iter()
        .map(|((links, _), plan)| {
            let network = NetworkBalancer::open(links.namespace(NETWORK).expect(WORKS));
            let host = PortBalancer::open(links.host_namespace(), "a");
            (network.expect(WORKS), host.expect(WORKS), plan)
        })
        .collect();
    let nodes: Vec<&Vec<PathBuf>> = nodes.iter().map(|((_, tasks), _)| tasks).collect();
    let way = |name, to: &Path, address: IpAddr| Way {
        name,
        from: nodes[0][0].clone(),
        to: to.into(),
        address,
    };
    let ways = [
        way("two nodes", &nodes[1][0], addresses(2, 0)[0]),
        way("one node", &nodes[0][1], addresses(1, 1)[0]),
    ];
    for chain in ["sources", "segments", "input"] {
        let mut ratios = vec![(Vec::new(), Vec::new()); ways.len()];
        for _ in 0..ROUNDS {
            for (network, host, plan) in &mut tables {
                // Whoever flushed a chain is found and repaired.
                if network.compare().expect(WORKS) == Intact::No {
                    network.apply(&plan.networks[&NETWORK]).expect(WORKS);
                }
                if host.compare().expect(WORKS) == Intact::No {
                    host.apply(plan).expect(WORKS);
                }
            }
            let with: Vec<_> = ways.iter().map(|way| (throughput(way), connections(way))).collect();
            for node in [1, 2] {
                let (place, table) = match chain {
                    "input" => (lab.host(node), "edgectl-a"),
                    _ => (lab.network(node), "edgectl"),
                };
                run_in(&place, &format!("nft flush chain inet {table} {chain}"));
            }
            for ((way, with), ratios) in ways.iter().zip(with).zip(&mut ratios) {
                ratios.0.push(with.0 / throughput(way));
                ratios.1.push(with.1 / connections(way));
            }
        }
        for (way, (throughput, connections)) in ways.iter().zip(ratios) {
            let ratios = (median(throughput), median(connections));
            println!(
                "{chain}, {}: throughput x {:.3}, connections x {:.3}",
                way.name, ratios.0, ratios.1
            );
        }
    }
}

fn measure(ways: &[Way]) {
    let mut results = vec![(Vec::new(), Vec::new()); ways.len()];
    // Interleaved, because the speed of the machine changes from minute to minute.
    for _ in 0..ROUNDS {
        for (way, result) in ways.iter().zip(&mut results) {
            result.0.push(throughput(way));
            result.1.push(connections(way));
        }
    }
    let base = results.first().cloned().unwrap_or_default();
    let ratio = |values: &[f64], base: &[f64]| {
        median(values.iter().zip(base).map(|(value, base)| value / base).collect())
    };
    for (way, (gigabits, connections)) in ways.iter().zip(results) {
        let ratios = (ratio(&gigabits, &base.0), ratio(&connections, &base.1));
        println!(
            "{:20} {:6.2} Gbit/s (x {:.2}) {:6.0} connections/s (x {:.2})",
            way.name,
            median(gigabits),
            ratios.0,
            median(connections),
            ratios.1
        );
    }
}

fn two_tasks(lab: &Lab, node: u8) -> (Links, Vec<PathBuf>) {
    let mut links = lab.open(node);
    apply(&mut links, &plan(node, 2, 2));
    let attach = |task| links.attach(task_run(node, task), &[interface(node, task)]).expect(WORKS);
    let tasks = [0, 1].map(attach).to_vec();
    (links, tasks)
}

fn hand(lab: &Lab, node: u8, name: &str) -> String {
    format!("{}{name}", lab.host(node).file_name().expect(WORKS).to_str().expect(WORKS))
}

/// A bridge with a VXLAN port and static entries on each node; tasks x and y on the first node, x
/// on the second.
fn by_hand(lab: &Lab) -> Vec<PathBuf> {
    let mut tasks = Vec::new();
    for node in [1u8, 2] {
        let (bridge, host) = (hand(lab, node, "b"), lab.host(node));
        run("ip", &format!("netns add {bridge}"));
        run("ip", &format!("-n {bridge} link add br0 type bridge"));
        let vxlan = format!("id 7000 dstport 4789 local 192.0.2.{node} dev eth0 nolearning");
        run_in(&host, &format!("ip link add vx0 netns {bridge} mtu 1450 type vxlan {vxlan}"));
        run("ip", &format!("-n {bridge} link set vx0 master br0 up"));
        run("ip", &format!("-n {bridge} link set br0 up"));
        for (at, name) in ["x", "y"].into_iter().enumerate().take(3 - usize::from(node)) {
            let task = hand(lab, node, name);
            run("ip", &format!("netns add {task}"));
            let mac = format!("02:07:00:00:0{node}:0{at}");
            let peer = format!("peer name {name} mtu 1450 netns {bridge}");
            run("ip", &format!("-n {task} link add eth0 mtu 1450 address {mac} type veth {peer}"));
            run("ip", &format!("-n {bridge} link set {name} master br0 up"));
            run("ip", &format!("-n {task} address add 10.7.0.{node}{at}/24 dev eth0"));
            run("ip", &format!("-n {task} link set eth0 up"));
            tasks.push(PathBuf::from(format!("/run/netns/{task}")));
        }
    }
    for (node, other) in [(1u8, 2u8), (2, 1)] {
        let bridge = PathBuf::from(format!("/run/netns/{}", hand(lab, node, "b")));
        let mac = format!("02:07:00:00:0{other}:00");
        run_in(&bridge, &format!("bridge fdb add {mac} dev vx0 self dst 192.0.2.{other}"));
        run_in(&bridge, &format!("bridge fdb add {mac} dev vx0 master static"));
        let task = PathBuf::from(format!("/run/netns/{}", hand(lab, node, "x")));
        run_in(&task, &format!("ip neigh add 10.7.0.{other}0 lladdr {mac} dev eth0"));
    }
    tasks
}

/// One stream of iperf3, in Gbit/s.
fn throughput(way: &Way) -> f64 {
    let server = std::process::Command::new("nsenter")
        .arg(format!("--net={}", way.to.display()))
        .args(["iperf3", "-s", "-1"])
        .stdout(std::process::Stdio::null())
        .spawn();
    let mut server = server.expect(WORKS);
    std::thread::sleep(Duration::from_millis(300));
    let words = format!("iperf3 -c {} -t {SECONDS} -J", way.address);
    let answer = run_in(&way.from, &words);
    server.wait().expect(WORKS);
    let answer: serde_json::Value = serde_json::from_str(&answer).expect(WORKS);
    answer["end"]["sum_received"]["bits_per_second"].as_f64().expect(WORKS) / 1e9
}

/// Connections per second, one after the other, each with a byte from the server.
fn connections(way: &Way) -> f64 {
    let listener = inside(&way.to, || TcpListener::bind(("0.0.0.0", 7777)).expect(WORKS));
    let deadline = Instant::now() + Duration::from_secs(SECONDS);
    let mut count = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                let mut byte = [0];
                std::io::Write::write_all(&mut stream.expect(WORKS), &[7]).expect(WORKS);
                if Instant::now() > deadline {
                    return;
                }
                std::hint::black_box(&mut byte);
            }
        });
        inside(&way.from, || {
            loop {
                let mut stream = TcpStream::connect((way.address, 7777)).expect(WORKS);
                let mut byte = [0];
                // The server has seen the end a moment earlier, and this one waits in its queue.
                let second = Some(Duration::from_secs(1));
                stream.set_read_timeout(second).expect(WORKS);
                if stream.read_exact(&mut byte).is_err() {
                    break;
                }
                // The server closes first, so its side waits and no port of the client is used up.
                let _ = stream.read(&mut byte);
                if Instant::now() > deadline {
                    break;
                }
                count += 1;
            }
        });
        // The server notices the end by one more connection, if it has not already.
        let _ = inside(&way.from, || TcpStream::connect((way.address, 7777)));
    });
    f64::from(count) / SECONDS as f64
}
