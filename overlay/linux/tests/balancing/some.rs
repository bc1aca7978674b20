//! Changes of a few destinations: afterwards the kernel holds what it holds by the whole plan.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::AsFd;

use overlay::plan::{LocalNetwork, Port, PortTargets};
use overlay_linux::balancing::{Changed, Intact, NetworkBalancer, PortBalancer};

use crate::lab::{Lab, is_possible, service, service_6, task, task_6};
use crate::network::network;
use crate::ports::{WEB, plan};
use crate::traffic::{PORT, connect, serve};

/// The virtual addresses that differ, and the addresses of local tasks that differ.
fn differing(before: &LocalNetwork, after: &LocalNetwork) -> [BTreeSet<IpAddr>; 2] {
    let both = before.virtual_addresses.keys().chain(after.virtual_addresses.keys());
    let lead = |network: &LocalNetwork, at| network.virtual_addresses.get(at).cloned();
    let addresses = both.filter(|at| lead(before, at) != lead(after, at)).copied();
    let of = |network: &LocalNetwork| -> BTreeSet<IpAddr> {
        network.tasks.values().flatten().copied().collect()
    };
    let tasks = of(before).symmetric_difference(&of(after)).copied().collect();
    [addresses.collect(), tasks]
}

#[test]
fn virtual_addresses_change_one_by_one_as_they_do_together() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new(4, 0);
    serve(&lab.tasks[1], 2);
    let mut balancer = NetworkBalancer::open(lab.network.file().as_fd()).unwrap();
    let mut before = network(&lab, &[(1, &[1, 2, 3]), (2, &[1])]);
    balancer.apply(&before).unwrap();
    let mut without_a_task = network(&lab, &[(1, &[2]), (3, &[])]);
    without_a_task.tasks.pop_last();
    let steps = [
        network(&lab, &[(1, &[2, 3]), (2, &[1])]),
        network(&lab, &[(1, &[2, 3]), (3, &[1])]),
        without_a_task,
        network(&lab, &[(1, &[2, 3, 4]), (2, &[1]), (3, &[1])]),
        network(&lab, &[(1, &[2])]),
    ];
    for after in steps {
        let [addresses, tasks] = differing(&before, &after);
        let changed = balancer.apply_some(&after, &addresses, &tasks).unwrap();
        assert!(matches!(changed, Changed::Elements(_)), "{changed:?}");
        assert_eq!(balancer.compare().unwrap(), Intact::Yes);
        assert_eq!(balancer.apply(&after).unwrap(), Changed::Nothing);
        before = after;
    }
    lab.tasks[3].inside(|| assert_eq!(connect(service(1), PORT).unwrap().server, 2));
    lab.tasks[3].inside(|| assert_eq!(connect(service_6(1), PORT).unwrap().server, 2));
}

#[test]
fn published_ports_change_one_by_one_as_they_do_together() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new(2, 1);
    serve(&lab.tasks[1], 2);
    let mut balancer = PortBalancer::open(lab.host.file().as_fd(), "a").unwrap();
    let first = plan(&lab, &[1, 2, 101]);
    balancer.apply(&first).unwrap();
    let ports: Vec<Port> = first.ports.keys().copied().collect();
    // A task that one port loses is still led to by the other.
    let mut only_one = plan(&lab, &[2]);
    only_one.ports.insert(ports[1], first.ports[&ports[1]].clone());
    let mut less = plan(&lab, &[2]);
    less.ports.remove(&ports[1]);
    let mut more = less.clone();
    let addresses = vec![task(101), task_6(101)];
    more.ports.insert(ports[1], PortTargets { network: WEB, target: PORT, addresses });
    let steps = [only_one, plan(&lab, &[2]), less, more, plan(&lab, &[]), plan(&lab, &[2])];
    let mut before = first;
    for after in steps {
        let differs = |port: &&Port| before.ports.get(port) != after.ports.get(port);
        let changed: BTreeSet<Port> = ports.iter().filter(differs).copied().collect();
        assert!(!changed.is_empty());
        balancer.apply_some(&after, &changed).unwrap();
        assert_eq!(balancer.compare().unwrap(), Intact::Yes);
        assert_eq!(balancer.apply(&after).unwrap(), Changed::Nothing);
        before = after;
    }
    let published = ports[0].number;
    lab.outside.inside(|| {
        let host = crate::lab::HOST.parse().unwrap();
        assert_eq!(connect(host, published).unwrap().server, 2);
    });
}
