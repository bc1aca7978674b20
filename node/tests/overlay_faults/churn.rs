//! Services and their networks come and go without a pause, on all nodes, while clients ask others:
//! these notice nothing, no address is given twice, and in the end nothing is left of what went.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fleet::Fleet;
use crate::load::Load;
use crate::shop::Shop;
use crate::test_lab::{DEADLINE, until_or_say};

/// For how long services come and go.
const CHURN: Duration = Duration::from_secs(40);

pub fn check_churn(shop: &Shop) {
    let fleet = &shop.fleet;
    fleet.until("only the tasks of the shop are there", || {
        fleet.nodes().all(|node| fleet.spaces(node).len() == 2)
    });
    let before: Vec<Held> = fleet.nodes().map(|node| Held::of(fleet, node)).collect();
    let failures_before = failures(fleet);
    let mut loads: Vec<Load> = (1..=3).map(|node| shop.by_virtual_address(node)).collect();
    loads.extend((1..=2).map(|node| shop.by_port(node)));
    loads.push(shop.udp_by_virtual_address(1));
    loads.push(shop.udp_to_task(2, 3));
    let end = Instant::now() + CHURN;
    let (rounds, looks) = std::thread::scope(|scope| {
        let operators = [(1, Own::Network), (2, Own::Network), (3, Own::Nothing)];
        let churn = operators.map(|(node, own)| scope.spawn(move || churn(fleet, node, own, end)));
        let looks = scope.spawn(|| look_for_doubles(fleet, end));
        (churn.map(|churn| churn.join().expect("it works")), looks.join().expect("no doubles"))
    });
    eprintln!("rounds: {rounds:?}, {looks} looks at all addresses");
    assert!(rounds.iter().all(|rounds| *rounds > 1) && looks > 3);
    for load in loads {
        load.end_without_failure();
    }
    for node in fleet.nodes() {
        let before = &before[usize::from(node) - 1];
        let say = || format!("n{node}: {}", before.difference(&Held::of(fleet, node)));
        until_or_say(DEADLINE, say, || Held::of(fleet, node) == *before);
    }
    assert_eq!(failures(fleet), failures_before, "nothing failed");
}

/// What is made anew in each round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    /// A network that only this service is on.
    Network,
    /// The service is on the network of those that stay.
    Nothing,
}

/// Creates, scales and removes a service, again and again. Returns how often.
fn churn(fleet: &Fleet, node: u8, own: Own, end: Instant) -> usize {
    let (service, network) = (format!("c{node}"), format!("own{node}"));
    let ask = |words: &[&str]| fleet.edgectl(node, words);
    let mut rounds = 0;
    while Instant::now() < end {
        let mut more = vec!["--network", "back", "--replicas", "2", "--stop-grace-period", "1s"];
        let port = format!("84{node}0:80");
        if own == Own::Network {
            ask(&["network", "create", &network]);
            more.extend(["--network", &network, "--publish", &port, "--init"]);
        }
        fleet.create_idle(node, &service, &more);
        for count in [4, 1] {
            std::thread::sleep(Duration::from_millis(1_500));
            ask(&["service", "scale", "-d", &format!("{service}={count}")]);
        }
        std::thread::sleep(Duration::from_millis(500));
        ask(&["service", "rm", &service]);
        if own == Own::Network {
            fleet.until("its network is removed", || {
                fleet.try_edgectl(node, &["network", "rm", &network]).is_ok()
            });
        }
        rounds += 1;
    }
    fleet.until("its name is gone everywhere", || {
        fleet.nodes().all(|node| fleet.try_edgectl(node, &["dns", &service]).is_err())
    });
    rounds
}

/// No two tasks have one address, at any moment. Returns how often that was asked.
fn look_for_doubles(fleet: &Fleet, end: Instant) -> usize {
    let mut looks = 0;
    while Instant::now() < end {
        let mut holders: BTreeMap<Ipv4Addr, PathBuf> = BTreeMap::new();
        for space in fleet.nodes().flat_map(|node| fleet.spaces(node)) {
            for address in addresses_in(&space) {
                if let Some(other) = holders.insert(address, space.clone()) {
                    // One of them may have gone since, and the other come.
                    let both = [&space, &other].map(|space| addresses_in(space));
                    let is_double = both.iter().all(|found| found.contains(&address));
                    assert!(!is_double, "{address}: {} and {}", space.display(), other.display());
                }
            }
        }
        looks += 1;
        std::thread::sleep(Duration::from_secs(1));
    }
    looks
}

/// None if the namespace is gone.
fn addresses_in(space: &Path) -> Vec<Ipv4Addr> {
    let shown = said_in(space, &["ip", "-j", "-4", "address", "show", "scope", "global"]);
    let links: Vec<Value> = serde_json::from_str(&shown).unwrap_or_default();
    let all = links.iter().filter_map(|link| link["addr_info"].as_array()).flatten();
    all.filter_map(|info| info["local"].as_str()?.parse().ok()).collect()
}

/// What a command prints in a namespace; nothing if the namespace is gone.
fn said_in(space: &Path, words: &[&str]) -> String {
    let net = format!("--net={}", space.display());
    let output = Command::new("nsenter").arg(net).arg("--").args(words).output();
    String::from_utf8_lossy(&output.expect("nsenter is there").stdout).into_owned()
}

/// What a node holds in the kernel for networks and tasks: lines, each with the namespace it is in.
#[derive(PartialEq, Eq)]
struct Held(BTreeSet<String>);

impl Held {
    fn of(fleet: &Fleet, node: u8) -> Held {
        let all = [vec![fleet.host(node)], fleet.network_spaces(node), fleet.spaces(node)];
        let lines = all.concat().into_iter().flat_map(|space| {
            let links = said_in(&space, &["ip", "-o", "link"]);
            // Only names: numbers depend on what else was made meanwhile.
            let names = links.lines().filter_map(|row| row.split([':', '@']).nth(1));
            let mut lines: Vec<String> = names.map(str::to_owned).collect();
            for words in [
                &["ip", "-o", "address"][..],
                &["ip", "route", "show", "table", "all"],
                &["ip", "-6", "route", "show", "table", "all"],
                &["bridge", "fdb", "show"],
                &["ip", "neighbour", "show", "nud", "permanent"],
                &["nft", "-s", "list", "ruleset"],
            ] {
                let said = said_in(&space, words);
                lines.extend(said.lines().flat_map(|row| comparable(words, row)));
            }
            let space = space.file_name().expect("a name").to_string_lossy().into_owned();
            lines.into_iter().map(move |line| format!("{space}: {line}"))
        });
        Held(lines.collect())
    }

    fn difference(&self, now: &Held) -> String {
        let (left, gone) = (now.0.difference(&self.0), self.0.difference(&now.0));
        let left: Vec<&String> = left.take(5).collect();
        let gone: Vec<&String> = gone.take(5).collect();
        format!("left {left:?}, gone {gone:?}")
    }
}

/// A line without what changes by itself: numbers of links, times, and the order of elements.
fn comparable(words: &[&str], row: &str) -> Vec<String> {
    let row = match words {
        ["ip", "-o", ..] => row.split_once(": ").map_or(row, |(_, behind)| behind),
        _ => row,
    };
    let row = row.split(" expires").next().unwrap_or_default();
    let parts = row.split(", ").map(|part| part.trim_matches([' ', '\t', ',', '{', '}']));
    parts.map(|part| part.trim_start_matches("elements = { ").to_owned()).collect()
}

/// The failures of networks that nodes told, as events.
fn failures(fleet: &Fleet) -> Vec<String> {
    let events: String = fleet.nodes().map(|node| fleet.events(node)).collect();
    events.lines().filter(|row| row.contains(" failure ")).map(str::to_owned).collect()
}
