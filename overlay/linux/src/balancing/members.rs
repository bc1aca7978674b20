//! Which packets of VXLAN the host takes: those that come from a member of the network that they
//! belong to.
//!
//! The kernel gives what arrives at the port of VXLAN to the network that the packet names, whoever
//! sent it. So anybody who reaches the port could put packets into any network. The rules in the
//! language of `nft`:
//!
//! ```text
//! chain input { type filter hook input priority filter;
//!               meta l4proto udp th dport 4789 goto vxlan }
//! chain vxlan { ip saddr . @th,96,24 @members4 accept; ip6 saddr . @th,96,24 @members6 accept
//!               th dport . @th,96,24 @vnis counter drop }
//! ```
//!
//! Numbers that are not in `vnis` belong to somebody else on this machine, who shares the port. What
//! is accepted here can still be dropped by the host's own rules, and what is dropped here cannot be
//! accepted by them. The input hook comes after fragments are put together.

use std::collections::BTreeSet;

use overlay::plan::{OverlayPlan, PATH_VNI};

use super::chains::{Family, IPV4, IPV6};
use super::element::{Elements, Fields, Place, Value};
use super::expression::{Meta, Rule};
use super::field::Field;
use super::flows::UDP;
use super::layout::{Chain, Holds, INPUT, Map};
use overlay::plan::VXLAN_PORT;

use Field::{Address4, Address6, Port, Vni};

/// The numbers of networks of ours on the port of VXLAN.
pub(super) const VNIS: Map = Map { name: "vnis", key: &[Port, Vni], holds: Holds::Keys };
/// The addresses of members, each with the number of a network that it takes part in.
pub(super) const MEMBERS_4: Map =
    Map { name: "members4", key: &[Address4, Vni], holds: Holds::Keys };
/// The same for addresses of IPv6.
pub(super) const MEMBERS_6: Map =
    Map { name: "members6", key: &[Address6, Vni], holds: Holds::Keys };

/// The chain that judges packets of VXLAN.
pub(super) const VXLAN_CHAIN: &str = "vxlan";

/// The chains that let only members in.
pub(super) fn chains() -> [Chain; 2] {
    let is_vxlan = Rule::default().meta(Meta::Protocol, 0).is(0, &[UDP]).destination_port(0);
    let is_vxlan = is_vxlan.is(0, &VXLAN_PORT.to_be_bytes());
    let from_member = |family: Family, members: &Map| {
        let source = family.load_source(family.rule(), 0);
        source.vni(family.registers()).in_set(members.name).accept()
    };
    let of_ours = Rule::default().destination_port(0).vni(1).in_set(VNIS.name);
    let rules = vec![
        from_member(IPV4, &MEMBERS_4),
        from_member(IPV6, &MEMBERS_6),
        of_ours.counted().drop_packet(),
    ];
    [Chain::inner(VXLAN_CHAIN, rules), Chain::at(INPUT, "input", vec![is_vxlan.goto(VXLAN_CHAIN)])]
}

/// What the three sets hold, in places from `first` on, in the order above. `others` are numbers
/// that devices of somebody else have on this machine.
pub(super) fn elements(plan: &OverlayPlan, others: &BTreeSet<u32>, first: usize) -> Elements {
    let mut elements = Elements::new();
    let mut add = |map, key| _ = elements.insert(Place { map, key }, Value::Nothing);
    for network in plan.networks.values().filter(|network| !others.contains(&network.vni)) {
        add(first, Fields::default().port(VXLAN_PORT).vni(network.vni));
        for peer in network.peers.values() {
            let map = first + if peer.underlay.is_ipv4() { 1 } else { 2 };
            add(map, Fields::default().address(peer.underlay).vni(network.vni));
        }
    }
    // Probes come from those with whom this node shares a network.
    if let Some(paths) = plan.paths.as_ref().filter(|_| !others.contains(&PATH_VNI)) {
        add(first, Fields::default().port(VXLAN_PORT).vni(PATH_VNI));
        for peer in paths.peers.values() {
            let map = first + if peer.underlay.is_ipv4() { 1 } else { 2 };
            add(map, Fields::default().address(peer.underlay).vni(PATH_VNI));
        }
    }
    elements
}
