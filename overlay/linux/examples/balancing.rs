//! Measures the balancer, as root and in a namespace of its own, after `cargo build --release`:
//! `unshare -n sh -c "ip link set lo up; target/release/examples/balancing"`.

#![expect(clippy::unwrap_used, reason = "a measurement")]

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use overlay::plan::LocalNetwork;
use overlay_linux::balancing::{Flows, Intact, NetworkBalancer};

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
        subnets: Vec::new(),
        gateways: Vec::new(),
        mac: [2; 6],
        underlay: Ipv4Addr::LOCALHOST.into(),
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

fn main() {
    let namespace = File::open("/proc/self/ns/net").expect("the kernel and the clock answer");
    for (services, tasks) in [(0, 0), (10, 10), (1000, 10), (1, 1000)] {
        let mut first = Vec::new();
        for _ in 0..11 {
            let mut balancer =
                NetworkBalancer::open(namespace.as_fd()).expect("the kernel and the clock answer");
            let network = network(services, tasks);
            first.push(
                timed(|| balancer.apply(&network).expect("the kernel and the clock answer")).0,
            );
        }
        println!("{services} x {tasks}: first load {:.2} ms", median(first));
        if services == 0 {
            continue;
        }
        let mut balancer =
            NetworkBalancer::open(namespace.as_fd()).expect("the kernel and the clock answer");
        let mut network = network(services, tasks);
        balancer.apply(&network).expect("the kernel and the clock answer");
        let address = *network
            .virtual_addresses
            .keys()
            .nth(services as usize / 2)
            .expect("the kernel and the clock answer");
        let (mut leaves, mut comes) = (Vec::new(), Vec::new());
        let mut nothing = Vec::new();
        let (mut rechecks, mut checks) = (Vec::new(), Vec::new());
        let mut compares = Vec::new();
        for change in 0..101 {
            let backends = network
                .virtual_addresses
                .get_mut(&address)
                .expect("the kernel and the clock answer");
            if change % 2 == 0 {
                backends.remove(3);
            } else {
                backends.insert(3, Ipv4Addr::from(0x0a70_0000 + change).into());
            }
            let changes = if change % 2 == 0 { &mut leaves } else { &mut comes };
            changes.push(
                timed(|| balancer.apply(&network).expect("the kernel and the clock answer")).0,
            );
            nothing.push(
                timed(|| balancer.apply(&network).expect("the kernel and the clock answer")).0,
            );
            rechecks.push(
                timed(|| {
                    assert_eq!(
                        balancer.is_intact().expect("the kernel and the clock answer"),
                        Intact::Yes
                    )
                })
                .0,
            );
            checks.push(
                timed(|| {
                    assert_eq!(
                        balancer.is_intact().expect("the kernel and the clock answer"),
                        Intact::Yes
                    )
                })
                .0,
            );
            if change < 11 {
                compares.push(
                    timed(|| {
                        assert_eq!(
                            balancer.compare().expect("the kernel and the clock answer"),
                            Intact::Yes
                        )
                    })
                    .0,
                );
            }
        }
        for (what, times) in [
            ("a task comes", comes),
            ("a task leaves, with its flows", leaves),
            ("nothing changes", nothing),
            ("is_intact after a change, with its flows", rechecks),
            ("is_intact", checks),
            ("compare", compares),
        ] {
            println!("{services} x {tasks}: {what} {:.3} ms", median(times));
        }
    }
    // Each source port makes a flow.
    let mut flows = Flows::open(namespace.as_fd()).expect("the kernel and the clock answer");
    for count in [0, 20_000] {
        for port in 30_000..30_000 + count {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))
                .expect("the kernel and the clock answer");
            socket
                .send_to(b"x", (Ipv4Addr::LOCALHOST, 9))
                .expect("the kernel and the clock answer");
        }
        let absent = Ipv4Addr::from(0x0a00_0001).into();
        let times = (0..11)
            .map(|_| timed(|| flows.delete_to(absent).expect("the kernel and the clock answer")).0)
            .collect();
        println!("{count} flows: listed in {:.2} ms", median(times));
    }
}
