//! Other rules of the host that would drop what is forwarded.

use std::os::fd::AsFd;

use overlay::plan::OverlayPlan;
use overlay_linux::balancing::{PortBalancer, find_forwarding_obstacles};

use crate::lab::{Namespace, is_possible};

fn obstacles(host: &Namespace) -> Vec<String> {
    let found = find_forwarding_obstacles(host.file().as_fd()).unwrap();
    found.iter().map(ToString::to_string).collect()
}

/// Types what the sentence says.
fn obey(host: &Namespace, sentence: &str) {
    let commands = sentence.split('`').nth(3).unwrap();
    for command in commands.split("; ") {
        host.run(&command.replace('"', ""));
    }
}

fn check(prepare: &[&str], remedy: &str) {
    if !is_possible() {
        return;
    }
    let host = Namespace::new();
    PortBalancer::open(host.file().as_fd(), "a").unwrap().apply(&OverlayPlan::default()).unwrap();
    assert_eq!(obstacles(&host), [""; 0]);
    for command in prepare {
        host.run(command);
    }
    let found = obstacles(&host);
    println!("{found:?}");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains(remedy));
    obey(&host, &found[0]);
    assert_eq!(obstacles(&host), [""; 0]);
}

#[test]
fn a_policy_of_iptables_is_found() {
    check(&["iptables -P FORWARD DROP"], "iptables -I FORWARD -i ec+ -j ACCEPT");
}

#[test]
fn docker_is_found() {
    let prepare = [
        "iptables -N DOCKER-USER",
        "iptables -I FORWARD -j DOCKER-USER",
        "iptables -P FORWARD DROP",
    ];
    check(&prepare, "iptables -I DOCKER-USER -o ec+ -j ACCEPT");
}

#[test]
fn a_table_of_nft_is_found() {
    let prepare = [
        "nft add table inet wall",
        "nft add chain inet wall pass { type filter hook forward priority 5 ; policy drop ; }",
    ];
    check(&prepare, r#"nft insert rule inet wall pass iifname "ec*" accept"#);
}

#[test]
fn the_older_tables_are_found() {
    check(&["iptables-legacy -P FORWARD DROP"], "iptables-legacy -I FORWARD -i ec+ -j ACCEPT");
}

#[test]
fn the_older_tables_of_ipv6_are_found() {
    check(&["ip6tables-legacy -P FORWARD DROP"], "ip6tables-legacy -I FORWARD -i ec+ -j ACCEPT");
}
