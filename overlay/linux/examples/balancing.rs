//! Measures the balancer, as root and in a namespace of its own, after `cargo build --release`:
//! `unshare -n sh -c "ip link set lo up; target/release/examples/balancing"`.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use overlay::plan::LocalNetwork;
use overlay_linux::balancing::{Intact, NetworkBalancer};

fn network(services: u32, tasks: u32) -> LocalNetwork {
    let task = |service: u32, task: u32| -> IpAddr {
        Ipv4Addr::from(0x0a01_0000 + service * tasks + task).into()
    };
    let services = (0..services).map(|service| {
        let address = IpAddr::from(Ipv4Addr::from(0x0a80_0000 + service));
        (address, (0..tasks).map(|each| task(service, each)).collect())
    });
    LocalNetwork {
        name: "web".into(),
        vni: 1,
        underlay_mtu: None,
        internal: false,
        multicast: false,
        subnets: Vec::new(),
        gateways: Vec::new(),
        mac: [2; 6],
        underlay: Ipv4Addr::LOCALHOST.into(),
        tunnel: None,
        detour: None,
        node_addresses: Vec::new(),
        peers: BTreeMap::new(),
        tasks: BTreeMap::new(),
        virtual_addresses: services.collect(),
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

const ANSWERS: &str = "the kernel answers";

fn main() {
    let namespace = File::open("/proc/self/ns/net").expect("of this process");
    for (services, tasks) in [(10, 10), (1000, 10), (1, 1000)] {
        first_load(&namespace, services, tasks);
        changes(&namespace, services, tasks);
    }
}

fn first_load(namespace: &File, services: u32, tasks: u32) {
    let network = network(services, tasks);
    let times = (0..11).map(|_| {
        let mut balancer = NetworkBalancer::open(namespace.as_fd()).expect(ANSWERS);
        timed(|| balancer.apply(&network).expect(ANSWERS)).0
    });
    println!("{services} x {tasks}: first load {:.2} ms", median(times.collect()));
}

fn changes(namespace: &File, services: u32, tasks: u32) {
    let mut balancer = NetworkBalancer::open(namespace.as_fd()).expect(ANSWERS);
    let mut network = network(services, tasks);
    balancer.apply(&network).expect(ANSWERS);
    let middle = services as usize / 2;
    let address = *network.virtual_addresses.keys().nth(middle).expect("there are services");
    let (mut leaves, mut comes, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    for change in 0..101 {
        let backends = network.virtual_addresses.get_mut(&address).expect("it is a service");
        match change % 2 {
            0 => drop(backends.remove(3)),
            _ => backends.insert(3, Ipv4Addr::from(0x0a70_0000 + change).into()),
        }
        let times = if change % 2 == 0 { &mut leaves } else { &mut comes };
        times.push(timed(|| balancer.apply(&network).expect(ANSWERS)).0);
        balancer.is_intact().expect(ANSWERS);
        let (time, intact) = timed(|| balancer.is_intact().expect(ANSWERS));
        assert_eq!(intact, Intact::Yes);
        checks.push(time);
    }
    for (what, times) in
        [("a task comes", comes), ("a task leaves, with its flows", leaves), ("check", checks)]
    {
        println!("{services} x {tasks}: {what} {:.3} ms", median(times));
    }
}
