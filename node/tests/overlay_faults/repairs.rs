//! What somebody else removes or changes on a node comes back, and is told.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fleet::{Fleet, address_in, run_in, until_within};
use crate::load;
use crate::shop::Shop;

/// Within this time the first node repairs what somebody else changed: it looks every second, and
/// the machine may be busy.
const REPAIR_MAX: Duration = Duration::from_millis(2_500);

impl Shop {
    /// Does every way in and out of the first node work?
    pub fn is_whole(&self) -> bool {
        let web = |node: usize| address_in(&self.web[node - 1].space).map(IpAddr::V4);
        let (Some(first), Some(second)) = (web(1), web(2)) else { return false };
        let (port, own) = (8080, IpAddr::V4(self.fleet.address(1)));
        let asks = [
            (&self.cli[0].space, SocketAddr::new(self.virtual_address, 80)),
            (&self.cli[0].space, SocketAddr::new(first, 80)),
            (&self.cli[0].space, SocketAddr::new(second, 80)),
            (&self.cli[1].space, SocketAddr::new(first, 80)),
            (&self.fleet.host(1), SocketAddr::new(own, port)),
            (&self.fleet.host(2), SocketAddr::new(own, port)),
            (&self.fleet.host(1), SocketAddr::new(IpAddr::V4(self.fleet.address(2)), port)),
        ];
        // Each virtual address and port leads to any of three tasks.
        let answers =
            |(space, to): &(&PathBuf, SocketAddr)| (0..3).all(|_| load::answers(space, *to));
        asks.iter().all(answers)
    }

    /// Somebody disturbs the first node: it is as before in time, and tells what it made again.
    fn repairs(&self, what: &str, told: Option<&str>, disturb: impl FnOnce()) {
        let repairs = || -> Vec<String> {
            let events = self.fleet.events(1);
            let repair = |row: &&str| row.contains(" repair ");
            events.lines().filter(repair).map(str::to_owned).collect()
        };
        let before = repairs().len();
        disturb();
        let begun = Instant::now();
        until_within(REPAIR_MAX, what, || self.is_whole());
        eprintln!("{what}: whole after {:?}", begun.elapsed());
        let Some(told) = told else { return };
        let is_told = || repairs()[before..].iter().any(|row| row.contains(told));
        until_within(REPAIR_MAX, &format!("{what} is told: {told}"), is_told);
    }
}

/// Links are set down and up, rules flushed and devices removed on the first node, one after the
/// other, while the agent is busy with other things.
pub fn check_repairs(shop: &Shop) {
    let fleet = &shop.fleet;
    let host = fleet.host(1);
    let task = shop.cli[0].space.clone();
    let network = fleet.network_spaces(1).into_iter();
    // The other one is that of probes.
    let mut network = network.filter(|space| run_in(space, &["ip", "link"]).contains("uplink"));
    let network = network.next().expect("the network's namespace");
    let links = run_in(&host, &["ip", "-o", "link"]);
    let own = links.split_whitespace().find(|word| word.starts_with("ec")).expect("one of ours");
    let own = own.split('@').next().expect("a name");
    let (links, rules) = ("network=back, what=links", "network=back, what=rules");
    let (links, rules) = (Some(links), Some(rules));
    let noise = Noise::begin(fleet);
    let flap = |space: &Path, link: &str| {
        for state in ["down", "up"] {
            run_in(space, &["ip", "link", "set", link, state]);
        }
    };
    let remove = |space: &Path, link: &str| drop(run_in(space, &["ip", "link", "delete", link]));
    let flush = |space: &Path| drop(run_in(space, &["nft", "flush", "ruleset"]));
    shop.repairs("the underlay's link flaps", None, || flap(&host, "eth0"));
    shop.repairs("the VXLAN device flaps", links, || flap(&network, "vxlan0"));
    shop.repairs("the network's link to the node flaps", links, || flap(&network, "uplink"));
    shop.repairs("the node's link to the network flaps", links, || flap(&host, own));
    shop.repairs("the interface of a task flaps", links, || flap(&task, "eth0"));
    shop.repairs("the node's rules are flushed", Some("what=rules"), || flush(&host));
    shop.repairs("the network's rules are flushed", rules, || flush(&network));
    shop.repairs("the VXLAN device is removed", links, || remove(&network, "vxlan0"));
    shop.repairs("the link to the network is removed", links, || remove(&host, own));
    shop.repairs("the interface of a task is removed", links, || remove(&task, "eth0"));
    noise.end();
    fleet.edgectl(1, &["service", "rm", "noise"]);
}

/// Keeps the first node's agent busy: tasks come and go all the time, and somebody reads its counters.
struct Noise {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Noise {
    fn begin(fleet: &Fleet) -> Noise {
        fleet.create_idle(1, "noise", &["--network", "back", "--constraint", "node.hostname==n1"]);
        let is_over = Arc::new(AtomicBool::new(false));
        let socket = fleet.lab.dir.join("n1/edge.sock");
        let scale = |count: usize| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
            command.arg("-H").arg(&socket).args(["service", "scale", "-d"]);
            command.arg(format!("noise={count}")).stdout(Stdio::null());
            command
        };
        let (mut more, mut fewer) = (scale(2), scale(1));
        let comes_and_goes = move || {
            more.status().expect("it was built for this test");
            std::thread::sleep(Duration::from_millis(300));
            fewer.status().expect("it was built for this test");
            std::thread::sleep(Duration::from_millis(300));
        };
        let reads = {
            let socket = socket.clone();
            move || {
                let mut stream = UnixStream::connect(&socket).expect("the agent runs");
                stream.write_all(b"GET /edge/counters HTTP/1.0\r\n\r\n").expect("written");
                let mut answer = String::new();
                stream.read_to_string(&mut answer).expect("an answer");
                assert!(answer.contains("networks.dropped"), "{answer}");
                std::thread::sleep(Duration::from_millis(100));
            }
        };
        let repeat = |mut each: Box<dyn FnMut() + Send>| {
            let is_over = is_over.clone();
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    each();
                }
            })
        };
        let threads = vec![repeat(Box::new(comes_and_goes)), repeat(Box::new(reads))];
        Noise { is_over, threads }
    }

    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("it did not panic");
        }
    }
}
