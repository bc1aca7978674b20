//! Virtual addresses.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crdt_state::TaskId;
use crdt_state::task::Run;
use overlay::plan::LocalNetwork;
use overlay_linux::balancing::{Changed, Intact, NetworkBalancer};

use crate::lab::{
    GATEWAY, GATEWAY_6, Lab, NODE, NODE_6, is_possible, service, service_6, task, task_6,
};
use crate::traffic::{PORT, ask, connect, serve, udp};

/// The network of the lab with services that lead to these tasks.
pub fn network(lab: &Lab, services: &[(u8, &[u8])]) -> LocalNetwork {
    let mut virtual_addresses = BTreeMap::new();
    for (number, tasks) in services {
        virtual_addresses.insert(service(*number), tasks.iter().map(|each| task(*each)).collect());
        virtual_addresses
            .insert(service_6(*number), tasks.iter().map(|each| task_6(*each)).collect());
    }
    let local = u8::try_from(lab.tasks.len()).unwrap();
    let tasks = (1..=local).map(|number| (run(number), vec![task(number), task_6(number)]));
    LocalNetwork {
        name: "web".into(),
        vni: 1,
        underlay_mtu: None,
        internal: false,
        multicast: false,
        subnets: vec!["10.1.0.0/16".parse().unwrap(), "fd01::/64".parse().unwrap()],
        gateways: vec![GATEWAY.parse().unwrap(), GATEWAY_6.parse().unwrap()],
        mac: [2, 0, 0, 0, 0, 1],
        underlay: "192.0.2.1".parse().unwrap(),
        tunnel: None,
        detour: None,
        node_addresses: vec![NODE.parse().unwrap(), NODE_6.parse().unwrap()],
        peers: BTreeMap::new(),
        tasks: tasks.collect(),
        virtual_addresses,
    }
}

fn run(number: u8) -> Run {
    Run { task: TaskId([number; 16]), attempt: 1 }
}

pub fn balancer(lab: &Lab) -> NetworkBalancer {
    NetworkBalancer::open(lab.network.file().as_fd()).unwrap()
}

/// A lab with so many serving tasks and one more that is the client.
pub fn serving(tasks: u8) -> Lab {
    let lab = Lab::new(tasks + 1, 0);
    for (number, namespace) in (1..=tasks).zip(&lab.tasks) {
        serve(namespace, number);
    }
    lab
}

#[test]
fn each_task_gets_its_share() {
    if !is_possible() {
        return;
    }
    const CONNECTIONS: usize = 3000;
    let lab = serving(7);
    let mut balancer = balancer(&lab);
    let all = [1, 2, 3, 4, 5, 6, 7];
    balancer.apply(&network(&lab, &[(2, &all[..2]), (3, &all[..3]), (7, &all)])).unwrap();
    for (number, of) in [(2, service(2)), (3, service(3)), (7, service(7)), (7, service_6(7))] {
        let mut shares = BTreeMap::new();
        lab.tasks[7].inside(|| {
            for _ in 0..CONNECTIONS {
                *shares.entry(connect(of, PORT).unwrap().server).or_insert(0) += 1;
            }
        });
        let share = 1.0 / number as f64;
        let deviation = (CONNECTIONS as f64 * share * (1.0 - share)).sqrt();
        println!("{of}: {shares:?}");
        assert_eq!(shares.len(), number);
        for count in shares.values() {
            let distance = (f64::from(*count) - CONNECTIONS as f64 * share).abs();
            assert!(distance <= 4.0 * deviation, "{shares:?}");
        }
    }
}

#[test]
fn every_protocol_reaches_a_task() {
    if !is_possible() {
        return;
    }
    let lab = serving(2);
    let mut balancer = balancer(&lab);
    balancer.apply(&network(&lab, &[(1, &[1, 2])])).unwrap();
    let client = &lab.tasks[2];
    for address in [service(1), service_6(1)] {
        client.inside(|| {
            assert!(connect(address, PORT).is_ok());
            assert!(ask(&udp(address, PORT)).is_ok());
        });
        client.run(&format!("ping -c 1 -W 1 {address}"));
        // From the host by the uplink too.
        lab.host.inside(|| {
            assert!(connect(address, PORT).is_ok());
            assert!(ask(&udp(address, PORT)).is_ok());
        });
        lab.host.run(&format!("ping -c 1 -W 1 {address}"));
    }
}

#[test]
fn a_service_without_tasks_refuses_at_once() {
    if !is_possible() {
        return;
    }
    let lab = serving(1);
    let mut balancer = balancer(&lab);
    balancer.apply(&network(&lab, &[(1, &[])])).unwrap();
    for address in [service(1), service_6(1)] {
        lab.tasks[1].inside(|| {
            let start = Instant::now();
            let error = connect(address, PORT).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            let error = ask(&udp(address, PORT)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
        });
    }
}

/// Opens connections all the time while `work` runs; returns how many, and the errors.
fn under_load(lab: &Lab, address: IpAddr, work: impl FnOnce()) -> (usize, Vec<String>) {
    let client = lab.tasks.last().unwrap();
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut errors = Vec::new();
    std::thread::scope(|scope| {
        let clients = [0, 1].map(|_| {
            scope.spawn(|| {
                let mut errors = Vec::new();
                client.inside(|| {
                    let mut kept = connect(address, PORT).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        if let Err(error) = connect(address, PORT).and_then(|_| kept.echo()) {
                            errors.push(error.to_string());
                        }
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
                errors
            })
        });
        std::thread::sleep(Duration::from_millis(50));
        work();
        stop.store(true, Ordering::Relaxed);
        errors.extend(clients.into_iter().flat_map(|client| client.join().unwrap()));
    });
    (count.into_inner(), errors)
}

#[test]
fn changes_under_load_cost_no_connection() {
    if !is_possible() {
        return;
    }
    let lab = serving(4);
    let mut balancer = balancer(&lab);
    let sets: [&[u8]; 4] = [&[1, 2, 3, 4], &[1, 3], &[4, 2, 3], &[2]];
    balancer.apply(&network(&lab, &[(1, sets[0])])).unwrap();
    let (count, errors) = under_load(&lab, service(1), || {
        for change in 1..=20 {
            balancer.apply(&network(&lab, &[(1, sets[change % 4])])).unwrap();
            std::thread::sleep(Duration::from_millis(30));
        }
    });
    println!("{count} connections during 20 changes");
    assert_eq!(errors, [""; 0]);
}

#[test]
fn a_restarted_agent_costs_no_connection() {
    if !is_possible() {
        return;
    }
    let lab = serving(2);
    let network = network(&lab, &[(1, &[1, 2])]);
    balancer(&lab).apply(&network).unwrap();
    let (_, errors) = under_load(&lab, service(1), || {
        for _ in 0..100 {
            let changed = balancer(&lab).apply(&network).unwrap();
            assert!(matches!(changed, Changed::Everything(_)));
        }
    });
    assert_eq!(errors, [""; 0]);
}

#[test]
fn a_task_reaches_itself() {
    if !is_possible() {
        return;
    }
    let lab = serving(1);
    let mut balancer = balancer(&lab);
    balancer.apply(&network(&lab, &[(1, &[1])])).unwrap();
    lab.tasks[0].inside(|| {
        for (address, gateway) in [(service(1), GATEWAY), (service_6(1), GATEWAY_6)] {
            let connection = connect(address, PORT).unwrap();
            assert_eq!(connection.seen.to_string(), gateway);
            assert_eq!(ask(&udp(address, PORT)).unwrap(), 1);
        }
    });
    // Others keep their address.
    let seen = lab.tasks[1].inside(|| connect(service(1), PORT).unwrap().seen);
    assert_eq!(seen, task(2));
}

#[test]
fn a_task_of_another_node_answers() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new(1, 1);
    serve(&lab.other_tasks[0], 101);
    let mut balancer = balancer(&lab);
    balancer.apply(&network(&lab, &[(1, &[101])])).unwrap();
    lab.tasks[0].inside(|| {
        for (address, client) in [(service(1), task(1)), (service_6(1), task_6(1))] {
            let connection = connect(address, PORT).unwrap();
            assert_eq!((connection.server, connection.seen), (101, client));
        }
    });
}

#[test]
fn what_others_change_is_found_and_repaired() {
    if !is_possible() {
        return;
    }
    let lab = serving(1);
    let mut balancer = balancer(&lab);
    let network = network(&lab, &[(1, &[1])]);
    assert_eq!(balancer.is_intact().unwrap(), Intact::No);
    for damage in [
        "flush ruleset",
        "delete table inet edgectl",
        "flush table inet edgectl",
        "flush chain inet edgectl prerouting",
        "delete element inet edgectl services4 { 10.2.0.1 }",
        "add element inet edgectl services4 { 10.2.0.9 : goto refuse }",
        "flush map inet edgectl tasks6",
    ] {
        balancer.apply(&network).unwrap();
        assert_eq!(balancer.is_intact().unwrap(), Intact::Yes, "before {damage}");
        lab.network.run(&format!("nft {damage}"));
        assert_eq!(balancer.is_intact().unwrap(), Intact::No, "after {damage}");
        let changed = balancer.apply(&network).unwrap();
        assert!(matches!(changed, Changed::Everything(_)));
        assert!(lab.tasks[1].inside(|| connect(service(1), PORT).is_ok()));
    }
    // What does not concern us is not repaired.
    lab.network.run("nft add table inet other");
    assert_eq!(balancer.is_intact().unwrap(), Intact::Yes);
    assert_eq!(balancer.apply(&network).unwrap(), Changed::Nothing);
    // Rules that were saved and loaded again are the same.
    lab.network.reload_rules();
    assert_eq!(balancer.is_intact().unwrap(), Intact::Yes);
    assert!(lab.tasks[1].inside(|| connect(service(1), PORT).is_ok()));
    // A change that meets a damage repairs it at once.
    lab.network.run("nft flush ruleset");
    let mut network = network;
    network.virtual_addresses.remove(&service(1));
    assert!(matches!(balancer.apply(&network).unwrap(), Changed::Everything(_)));
    balancer.remove().unwrap();
    assert!(!lab.network.run("nft list ruleset").contains("edgectl"));
}

#[test]
fn connections_outlive_a_flush_that_is_repaired() {
    if !is_possible() {
        return;
    }
    let lab = serving(1);
    let mut balancer = balancer(&lab);
    let network = network(&lab, &[(1, &[1])]);
    balancer.apply(&network).unwrap();
    lab.tasks[1].inside(|| {
        let mut idle = connect(service(1), PORT).unwrap();
        let mut busy = connect(service(1), PORT).unwrap();
        lab.network.run("nft flush ruleset");
        busy.stream.write_all(b"x").unwrap();
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(balancer.is_intact().unwrap(), Intact::No);
        balancer.apply(&network).unwrap();
        idle.echo().unwrap();
        busy.stream.read_exact(&mut [0]).unwrap();
    });
}

#[test]
fn every_datagram_to_a_service_without_tasks_is_refused() {
    if !is_possible() {
        return;
    }
    let lab = serving(1);
    let mut balancer = balancer(&lab);
    balancer.apply(&network(&lab, &[(1, &[])])).unwrap();
    lab.tasks[1].inside(|| {
        for address in [service(1), service_6(1)] {
            for _ in 0..100 {
                let error = ask(&udp(address, PORT)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            }
        }
    });
}
