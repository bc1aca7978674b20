//! Who reaches whom, and with how large packets.

use std::path::PathBuf;

use overlay::plan::OverlayPlan;
use overlay_linux::links::Links;

use crate::lab::{
    Lab, addresses, apply, inside, interface, over_ipv6, ping, plan, run_in, send_whole, task_run,
};

/// A node with two tasks.
fn start(lab: &Lab, node: u8, plan: &OverlayPlan) -> (Links, Vec<PathBuf>) {
    let mut links = lab.open(node);
    apply(&mut links, plan);
    let attach = |task| links.attach(task_run(node, task), &[interface(node, task)]).unwrap();
    let tasks = [0, 1].map(attach).to_vec();
    (links, tasks)
}

fn ping_all(from: &std::path::Path, node: u8, task: u8) {
    for address in addresses(node, task) {
        ping(from, &address.to_string()).unwrap();
    }
}

#[test]
fn tasks_reach_each_other_on_one_node_and_across_nodes() {
    let Some(lab) = Lab::new(2) else { return };
    let (_one, first) = start(&lab, 1, &plan(1, 2, 2));
    let (_two, second) = start(&lab, 2, &plan(2, 2, 2));
    ping_all(&first[0], 1, 1);
    ping_all(&first[0], 2, 0);
    ping_all(&second[1], 1, 1);
    for gateway in ["10.9.0.1", "fd09::1"] {
        ping(&first[0], gateway).unwrap();
    }
}

#[test]
fn a_packet_of_exactly_the_mtu_passes_and_one_byte_more_is_refused() {
    let Some(lab) = Lab::new(2) else { return };
    for (is_ipv6, mtu) in [(false, 1450), (true, 1430)] {
        let adapt = |plan| if is_ipv6 { over_ipv6(plan) } else { plan };
        let (mut one, first) = start(&lab, 1, &adapt(plan(1, 2, 2)));
        let (mut two, second) = start(&lab, 2, &adapt(plan(2, 2, 2)));
        for address in addresses(2, 0) {
            send_whole(&first[0], &second[0], address, mtu).unwrap();
            let refused = send_whole(&first[0], &second[0], address, mtu + 1).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(nix::libc::EMSGSIZE));
        }
        assert!(one.remove_all().failures.is_empty());
        assert!(two.remove_all().failures.is_empty());
    }
}

#[test]
fn a_peer_with_a_smaller_mtu_is_sent_smaller_packets() {
    let Some(lab) = Lab::new(2) else { return };
    let mut first_plan = plan(1, 2, 2);
    for peer in first_plan.networks.values_mut().flat_map(|network| network.peers.values_mut()) {
        peer.underlay_mtu = 1400;
    }
    let (_one, first) = start(&lab, 1, &first_plan);
    let (_two, second) = start(&lab, 2, &plan(2, 2, 2));
    for address in addresses(2, 0) {
        // The first packet is answered with the size of the path, the next is refused at once.
        assert!(send_whole(&first[0], &second[0], address, 1351).is_err());
        let refused = send_whole(&first[0], &second[0], address, 1351).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(nix::libc::EMSGSIZE));
        send_whole(&first[0], &second[0], address, 1350).unwrap();
    }
}

#[test]
fn a_host_reaches_the_tasks_of_its_node_and_they_reach_it() {
    let Some(lab) = Lab::new(1) else { return };
    let (_one, tasks) = start(&lab, 1, &plan(1, 1, 2));
    ping_all(&lab.host(1), 1, 0);
    assert!(run_in(&lab.host(1), "ip link").contains("alias edgectl network default"));
    // With more queues the kernel takes longer to make a link and to remove it.
    for (namespace, ours) in [(lab.network(1), 3), (tasks[0].clone(), 1)] {
        let pairs = run_in(&namespace, "ip -details link show type veth");
        assert_eq!(pairs.matches("numtxqueues 1 numrxqueues 1 ").count(), ours, "{pairs}");
    }
    ping(&tasks[0], "192.0.2.1").unwrap();
    ping(&tasks[0], "2001:db8::1").unwrap();
}

#[test]
fn a_task_of_an_internal_network_has_no_way_out() {
    let Some(lab) = Lab::new(1) else { return };
    let mut internal = plan(1, 1, 2);
    internal.networks.values_mut().for_each(|network| network.internal = true);
    let (_one, tasks) = start(&lab, 1, &internal);
    ping_all(&tasks[0], 1, 1);
    let answer = ping(&tasks[0], "192.0.2.1").unwrap_err();
    assert!(answer.contains("Unreachable"), "{answer}");
}

#[test]
fn an_address_of_no_task_is_unreachable_at_once() {
    let Some(lab) = Lab::new(1) else { return };
    let (_one, tasks) = start(&lab, 1, &plan(1, 1, 2));
    let answer = ping(&tasks[0], "10.9.77.7").unwrap_err();
    assert!(answer.contains("Unreachable"), "{answer}");
}

#[test]
fn no_packet_is_flooded_and_nothing_is_asked() {
    let Some(lab) = Lab::new(3) else { return };
    let (_one, first) = start(&lab, 1, &plan(1, 3, 2));
    let (_two, _second) = start(&lab, 2, &plan(2, 3, 2));
    let (_three, _third) = start(&lab, 3, &plan(3, 3, 2));
    let third = lab.host(3);
    let watch = "timeout 3 tcpdump -nn -i eth0 udp port 4789";
    let asked = "timeout 3 tcpdump -nn -i any arp or icmp6[0]==135 or icmp6[0]==133";
    let (flooded, asked_inside, asked_task) = std::thread::scope(|scope| {
        let flooded = scope.spawn(|| capture(&third, watch));
        let network = lab.network(2);
        let inside = scope.spawn(move || capture(&network, asked));
        let task = scope.spawn(|| capture(&first[0], asked));
        std::thread::sleep(std::time::Duration::from_secs(1));
        ping_all(&first[0], 2, 0);
        ping_all(&first[0], 1, 1);
        // An address that no task has, in a block that the second node has.
        let _ = ping(&first[0], "10.9.2.200");
        (flooded.join().unwrap(), inside.join().unwrap(), task.join().unwrap())
    });
    for seen in [flooded, asked_inside, asked_task] {
        assert!(seen.contains("0 packets captured"), "{seen}");
    }
}

/// What tcpdump says when it has ended by itself.
fn capture(namespace: &std::path::Path, words: &str) -> String {
    let words = format!("--net={} -- {words}", namespace.display());
    let output = std::process::Command::new("nsenter").args(words.split(' ')).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_task_on_two_networks_has_an_interface_on_each() {
    let Some(lab) = Lab::new(1) else { return };
    let mut both = plan(1, 1, 2);
    let other = crdt_state::NetworkId([2; 16]);
    let mut second = both.networks.values().next().unwrap().clone();
    second.vni = 5001;
    second.subnets = vec!["10.8.0.0/16".parse().unwrap()];
    second.gateways = vec!["10.8.0.1".parse().unwrap()];
    second.node_addresses = vec!["10.8.1.1".parse().unwrap()];
    both.networks.insert(other, second);
    let (mut links, tasks) = start(&lab, 1, &both);
    let mut extra = interface(1, 0);
    extra.network = other;
    extra.name = "eth1".into();
    extra.addresses = vec!["10.8.1.10".parse().unwrap()];
    extra.gateways = vec!["10.8.0.1".parse().unwrap()];
    extra.subnets = vec!["10.8.0.0/16".parse().unwrap()];
    extra.is_default = false;
    links.attach(task_run(1, 0), &[interface(1, 0), extra]).unwrap();
    ping(&tasks[0], "10.8.0.1").unwrap();
    ping(&tasks[0], "10.9.1.11").unwrap();
    let ping = |to: &str| crate::lab::ping(&lab.host(1), to);
    ping("10.8.1.10").unwrap();
    links.attach(task_run(1, 0), &[interface(1, 0)]).unwrap();
    ping("10.8.1.10").unwrap_err();
    ping("10.9.1.10").unwrap();
    assert!(!run_in(&tasks[0], "ip link").contains("eth1"));
}

#[test]
fn a_task_sees_its_addresses_before_its_first_packet() {
    let Some(lab) = Lab::new(1) else { return };
    let (_one, tasks) = start(&lab, 1, &plan(1, 1, 2));
    for address in addresses(1, 1) {
        inside(&tasks[1], || std::net::TcpListener::bind((address, 80)).unwrap());
    }
}

/// Both nodes with this MTU below.
fn with_mtu_below(lab: &Lab, mtu: u32) {
    for node in [1, 2] {
        run_in(&lab.host(node), &format!("ip link set eth0 mtu {mtu}"));
    }
}

#[test]
fn a_link_below_that_is_a_small_tunnel_still_carries_both_families_over_ipv4() {
    let Some(lab) = Lab::new(2) else { return };
    with_mtu_below(&lab, 1280);
    let (mut one, first) = start(&lab, 1, &plan(1, 2, 2));
    let (_two, second) = start(&lab, 2, &plan(2, 2, 2));
    for address in addresses(2, 0) {
        for _ in 0..3 {
            send_whole(&first[0], &second[0], address, 1280).unwrap();
        }
        send_whole(&first[0], &second[0], address, 1281).unwrap_err();
    }
    let failures = one.apply(&over_ipv6(plan(1, 2, 2))).failures;
    let needs = overlay_linux::error::Cause::SmallUnderlay { has: 1280, needs: 1350 };
    assert_eq!(failures[0].cause.to_string(), needs.to_string());
}

#[test]
fn a_changed_mtu_below_is_followed_by_every_link() {
    let Some(lab) = Lab::new(2) else { return };
    let (mut one, first) = start(&lab, 1, &plan(1, 2, 2));
    let (mut two, second) = start(&lab, 2, &plan(2, 2, 2));
    for below in [1400, 9000] {
        with_mtu_below(&lab, below);
        if below == 9000 {
            run_in(&lab.host(0), "ip link set port1 mtu 9000");
            run_in(&lab.host(0), "ip link set port2 mtu 9000");
        }
        for (node, links) in [(1, &mut one), (2, &mut two)] {
            let mut plan = plan(node, 2, 2);
            let networks = plan.networks.values_mut();
            networks.flat_map(|network| network.peers.values_mut()).for_each(|peer| {
                peer.underlay_mtu = below;
            });
            assert!(apply(links, &plan) > 0);
            assert_eq!(apply(links, &plan), 0);
        }
        let mtu = below as usize - 50;
        for address in addresses(2, 0) {
            send_whole(&first[0], &second[0], address, mtu).unwrap();
            send_whole(&first[0], &second[0], address, mtu + 1).unwrap_err();
        }
    }
}

#[test]
fn a_host_without_ipv6_and_with_strict_source_checks_is_good_enough() {
    let Some(lab) = Lab::new(2) else { return };
    for node in [1, 2] {
        for family in ["all", "default"] {
            let ipv6 = format!("net.ipv6.conf.{family}.disable_ipv6=1");
            let strict = format!("net.ipv4.conf.{family}.rp_filter=1");
            run_in(&lab.host(node), &format!("sysctl -q {ipv6} {strict}"));
        }
    }
    let (_one, first) = start(&lab, 1, &plan(1, 2, 2));
    let (_two, _second) = start(&lab, 2, &plan(2, 2, 2));
    ping_all(&first[0], 2, 0);
    ping(&lab.host(1), "10.9.1.10").unwrap();
    ping(&first[0], "192.0.2.1").unwrap();
}

#[test]
fn two_interfaces_of_a_running_task_can_swap_their_names() {
    let Some(lab) = Lab::new(1) else { return };
    let mut both = plan(1, 1, 2);
    let other = crdt_state::NetworkId([2; 16]);
    let mut second = both.networks.values().next().unwrap().clone();
    (second.vni, second.subnets, second.gateways) = (5001, Vec::new(), Vec::new());
    second.node_addresses.clear();
    both.networks.insert(other, second);
    let (mut links, tasks) = start(&lab, 1, &both);
    let named = |first: &str, second: &str| {
        let (mut one, mut two) = (interface(1, 0), interface(1, 0));
        (one.name, two.name) = (first.into(), second.into());
        (two.network, two.addresses, two.gateways) = (other, Vec::new(), Vec::new());
        (two.subnets, two.is_default, two.mac) = (Vec::new(), false, [2, 0, 0, 8, 1, 1]);
        [one, two]
    };
    links.attach(task_run(1, 0), &named("eth0", "eth1")).unwrap();
    links.attach(task_run(1, 0), &named("eth1", "eth0")).unwrap();
    ping_all(&tasks[0], 1, 1);
    assert!(run_in(&tasks[0], "ip route get 10.9.1.11").contains("eth1"));
    assert_eq!(apply(&mut links, &both), 0);
}

#[test]
fn the_first_packet_of_a_task_is_not_lost() {
    let Some(lab) = Lab::new(1) else { return };
    let mut links = lab.open(1);
    apply(&mut links, &plan(1, 1, 30));
    for task in 0..30 {
        let namespace = links.attach(task_run(1, task), &[interface(1, task)]).unwrap();
        ping_all(&lab.network(1), 1, task);
        ping(&namespace, "10.9.0.1").unwrap();
    }
}

#[test]
fn a_task_gets_the_address_of_one_that_ended_and_waits_for_no_other() {
    let Some(lab) = Lab::new(1) else { return };
    let mut links = lab.open(1);
    apply(&mut links, &plan(1, 1, 4));
    let mut attach = |task| links.attach(task_run(1, task), &[interface(1, task)]).unwrap();
    let tasks: Vec<PathBuf> = (0..4).map(&mut attach).collect();
    for ended in [0, 1, 2] {
        links.detach_later(task_run(1, ended)).unwrap();
    }
    let other = interface(1, 1);
    links.attach(task_run(1, 9), std::slice::from_ref(&other)).unwrap();
    for address in &other.addresses {
        ping(&tasks[3], &address.to_string()).unwrap();
    }
    let there = |links: &Links| {
        [0, 1, 2].into_iter().filter(|task| links.interfaces(task_run(1, *task)).is_some()).count()
    };
    assert_eq!(there(&links), 2, "only the one that had the address is gone");
    while links.has_ended() {
        links.detach_next().unwrap();
    }
    assert_eq!(there(&links), 0);
    let shown = run_in(&lab.network(1), "ip -o link");
    // The loopback link, VXLAN, the way to the host, and two tasks.
    assert_eq!(shown.lines().count(), 5, "{shown}");
    for address in &other.addresses {
        ping(&tasks[3], &address.to_string()).unwrap();
    }
}
