//! Nodes between which VXLAN does not pass, with a pair of links in place of the tunnel.

use std::path::PathBuf;

use overlay::detour::Detours;
use overlay::plan::{OverlayPlan, TunnelEnd};
use overlay::tunnel::tunnel_address;

use crate::lab::{
    Lab, NETWORK, addresses, apply, node_id, over_ipv6, ping, plan, run_in, send_whole, try_run_in,
};
use crate::members::{Guarded, guarded};

/// The plan with tunnels that could be used.
fn with_tunnels(mut plan: OverlayPlan) -> OverlayPlan {
    for (node, peer) in &mut plan.networks.get_mut(&NETWORK).unwrap().peers {
        let endpoint = (peer.underlay, 7947).into();
        let public_key = [node.0[0]; 32];
        peer.detour = Some(TunnelEnd { public_key, endpoint, life: 0, is_only_way: false });
    }
    plan
}

/// The plan with these detours.
fn detoured(node: u8, mut plan: OverlayPlan, detours: &Detours) -> OverlayPlan {
    let network = plan.networks.get_mut(&NETWORK).unwrap();
    network.detour(tunnel_address(node_id(node)), detours);
    plan
}

fn to(node: u8) -> Detours {
    Detours { taken: [node_id(node)].into(), ..Detours::default() }
}

/// The node has gone back, and takes what the other one still sends by the detour.
fn left_open(node: u8) -> Detours {
    Detours { open: [node_id(node)].into(), ..Detours::default() }
}

fn direct(node: u8) -> OverlayPlan {
    with_tunnels(plan(node, 2, 1))
}

/// Two nodes with all our rules, and a pair of links as the tunnel between them.
struct Two {
    lab: Lab,
    nodes: [Guarded; 2],
}

impl Two {
    fn new(direct: impl Fn(u8) -> OverlayPlan) -> Option<Two> {
        let lab = Lab::new(2)?;
        let links = [1, 2].map(|node| lab.open(node).tunnel_link());
        let far = format!("peer name {} netns {}", links[1], file_name(lab.host(2)));
        run_in(&lab.host(1), &format!("ip link add {} type veth {far}", links[0]));
        let nodes = [1, 2].map(|node| guarded(&lab, node, &direct(node)));
        Some(Two { lab, nodes })
    }

    fn apply(&mut self, node: u8, plan: &OverlayPlan) {
        let guarded = &mut self.nodes[usize::from(node) - 1];
        apply(&mut guarded.links, plan);
        assert_eq!(apply(&mut guarded.links, plan), 0, "it is as planned");
    }

    /// From the task on node 1 to that on node 2, by both families.
    fn pings(&self) -> [bool; 2] {
        let to = addresses(2, 0);
        let ping = |to| try_run_in(&self.nodes[0].task, &format!("ping -n -c 1 -W 0.7 {to}"));
        [0, 1].map(|family| ping(to[family]).is_ok())
    }

    fn cut(&self) {
        for node in [1, 2] {
            for rule in [
                "add table inet cut",
                "add chain inet cut in { type filter hook input priority -5 ; }",
                "add rule inet cut in iifname eth0 udp dport 4789 drop",
            ] {
                run_in(&self.lab.host(node), &format!("nft {rule}"));
            }
        }
    }

    fn heal(&self) {
        for node in [1, 2] {
            run_in(&self.lab.host(node), "nft delete table inet cut");
        }
    }
}

fn file_name(path: PathBuf) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

const ALL: [bool; 2] = [true; 2];
const NONE: [bool; 2] = [false; 2];

#[test]
fn tasks_reach_each_other_by_the_detour_whole_and_by_whichever_way_each_end_sends() {
    check_detour(|plan| plan, [1290, 1290]);
}

#[test]
fn a_network_over_ipv6_has_the_same_detour_beside_it() {
    check_detour(over_ipv6, [1270, 1280]);
}

/// `bytes` is the largest packet on the detour, of IPv4 and of IPv6.
fn check_detour(adapt: fn(OverlayPlan) -> OverlayPlan, bytes: [usize; 2]) {
    let direct = |node| with_tunnels(adapt(plan(node, 2, 1)));
    let Some(mut two) = Two::new(direct) else { return };
    assert_eq!(two.pings(), ALL);
    two.cut();
    assert_eq!(two.pings(), NONE);
    two.apply(1, &detoured(1, direct(1), &to(2)));
    assert_eq!(two.pings(), NONE, "answers take the old way");
    two.apply(2, &detoured(2, direct(2), &to(1)));
    assert_eq!(two.pings(), ALL);
    let tasks = two.nodes.each_ref().map(|node| &node.task);
    for (to, bytes) in addresses(2, 0).into_iter().zip(bytes) {
        send_whole(tasks[0], tasks[1], to, bytes).unwrap();
        assert!(send_whole(tasks[0], tasks[1], to, bytes + 1).is_err(), "a relay needs room");
    }
    // Each goes back by itself, and takes what comes on the other way.
    two.heal();
    for (node, other) in [(1, 2), (2, 1)] {
        two.apply(node, &detoured(node, direct(node), &left_open(other)));
        assert_eq!(two.pings(), ALL);
    }
    for node in [1, 2] {
        two.apply(node, &direct(node));
        assert_eq!(two.pings(), ALL);
    }
    let left = run_in(&two.lab.network(1), "ip -br link");
    assert!(!left.contains("vxlan1"), "{left}");
}

#[test]
fn a_task_does_not_pass_for_one_that_is_reached_by_the_detour() {
    let Some(mut two) = Two::new(direct) else { return };
    two.apply(1, &detoured(1, direct(1), &to(2)));
    let one = &mut two.nodes[0];
    let before = one.network.dropped_by_source().unwrap();
    let from = addresses(2, 9)[0];
    run_in(&one.task, &format!("ip address add {from}/32 dev eth0"));
    let to = addresses(2, 0)[0];
    try_run_in(&one.task, &format!("ping -n -c 1 -W 1 -I {from} {to}")).unwrap_err();
    assert_eq!(one.network.dropped_by_source().unwrap(), before + 1);
}

#[test]
fn without_the_tunnel_the_network_says_so_and_its_other_nodes_are_reached() {
    let Some(lab) = Lab::new(3) else { return };
    let mut one = guarded(&lab, 1, &with_tunnels(plan(1, 3, 1)));
    let two = guarded(&lab, 2, &with_tunnels(plan(2, 3, 1)));
    let plan = detoured(1, with_tunnels(plan(1, 3, 1)), &to(3));
    let failures = one.links.apply(&plan).failures;
    let told: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].contains("VXLAN does not reach some nodes"), "{told:?}");
    ping(&one.task, &addresses(2, 0)[0].to_string()).unwrap();
    drop(two);
}
