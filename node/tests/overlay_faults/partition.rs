//! Both sides of a partition go on: they give addresses and names without asking each other. After the
//! heal every address has one task, every name one meaning, and nothing was restarted.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::fleet::{Fleet, Task, address_in, first_processes};

/// Three tasks before the cut, and these on either side: 12 of the 13 addresses of the subnet, so that
/// the sides almost always take the same ones.
const LEFT: &str = "4";
const RIGHT: &str = "5";

/// Three nodes, with a task of `base` on each in a subnet with few addresses.
pub fn open(letter: char) -> Option<(Fleet, Vec<Task>)> {
    let fleet = Fleet::open(letter, 3)?;
    fleet.create_network(&["--subnet", "10.201.0.0/28", "small"]);
    let base = ["--network", "small", "--endpoint-mode", "dnsrr", "--mode", "global"];
    fleet.create_web(
        1,
        "base",
        &[&base[..], &["--publish", "mode=host,published=8081,target=80"]].concat(),
    );
    let mut tasks = fleet.await_tasks(1, "base", 3);
    tasks.sort_by_key(|task| task.node);
    Some((fleet, tasks))
}

pub fn check_partition(fleet: &Fleet, base: &[Task]) {
    fleet.lab.succeed(&["cut", "n3"]);
    let create = |node: u8, side: &str, name: &str, replicas: &str, subnet: &str| {
        fleet.edgectl(node, &["network", "create", "--subnet", subnet, "twin"]);
        let place = ["--constraint", side];
        let more = ["--network", "small", "--replicas", replicas, "--endpoint-mode", "dnsrr"];
        fleet.create_idle(node, name, &[&place[..], &more].concat());
        fleet.create_web(
            node,
            &format!("{name}-twin"),
            &[&place[..], &["--network", "twin", "--publish", "8090:80"]].concat(),
        );
        fleet.create_idle(node, "same", &place);
    };
    create(1, "node.hostname!=n3", "left", LEFT, "10.202.0.0/24");
    create(3, "node.hostname==n3", "right", RIGHT, "10.203.0.0/24");
    let all = |asked: u8, name: &str, count: &str| {
        let of_side = fleet.await_tasks(asked, name, count.parse().expect("a number"));
        of_side.into_iter().chain(fleet.await_tasks(asked, &format!("{name}-twin"), 1))
    };
    let tasks = base.iter().cloned().chain(all(1, "left", LEFT)).chain(all(3, "right", RIGHT));
    let spaces: Vec<PathBuf> = tasks.map(|task| task.space).collect();
    let (before, twice) = (first_processes(&spaces), taken_twice(&spaces));
    assert_eq!(before.len(), spaces.len());
    eprintln!("taken on both sides: {twice:?}");

    fleet.lab.succeed(&["heal"]);
    fleet.until("every address has one task", || {
        let have_one = spaces.iter().all(|space| address_in(space).is_some());
        have_one && taken_twice(&spaces).is_empty()
    });
    for name in ["base", "left", "right", "left-twin", "right-twin"] {
        for node in fleet.nodes() {
            // It fails while nodes answer differently.
            let words = ["dns", "--all", name];
            fleet.until("a name means the same everywhere", || {
                fleet.try_edgectl(node, &words).is_ok()
            });
        }
    }
    assert_eq!(first_processes(&spaces), before, "nothing was restarted");
    check_conflicts(fleet);
    fleet.until("every container knows its own address", || {
        before.iter().all(|(space, pid)| {
            let hosts = std::fs::read_to_string(format!("/proc/{pid}/root/etc/hosts"));
            let own = address_in(space).map(|ip| format!("{ip}\t")).expect("an address");
            hosts.is_ok_and(|hosts| hosts.lines().any(|line| line.starts_with(&own)))
        })
    });
    let events: String = fleet.nodes().map(|node| fleet.events(node)).collect();
    let told = |ip: &Ipv4Addr| {
        let from = format!("from={ip}");
        events.lines().any(|row| row.contains(" renumber ") && row.contains(&from))
    };
    let untold: Vec<_> = twice.iter().filter(|ip| !told(ip)).collect();
    assert!(untold.is_empty(), "{untold:?} changed in silence: {events}");
}

/// What both sides created is listed on every node.
fn check_conflicts(fleet: &Fleet) {
    let listed = ["conflicts", "--format", "{{.Name}} {{.Facet}}: {{.Value}}"];
    let is_told = |listed: &str| {
        let row =
            |words: [&str; 2]| listed.lines().any(|row| words.iter().all(|w| row.contains(w)));
        row(["twin name: ", "the name means "])
            && row(["-twin ports: ", "port 8090/tcp leads to "])
            && listed.lines().filter(|row| row.starts_with("same name: ")).count() == 2
    };
    for node in fleet.nodes() {
        fleet.until("a name and a port of both sides are listed", || {
            is_told(&fleet.edgectl(node, &listed))
        });
    }
}

/// The addresses that several of these tasks have, as the kernel says.
fn taken_twice(spaces: &[PathBuf]) -> Vec<Ipv4Addr> {
    let mut taken: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
    for address in spaces.iter().filter_map(|space| address_in(space)) {
        *taken.entry(address).or_default() += 1;
    }
    taken.into_iter().filter(|(_, count)| *count > 1).map(|(address, _)| address).collect()
}
