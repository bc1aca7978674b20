//! The subnets and the number that each network really has.
//!
//! Two sides of a partition may create networks whose subnets or numbers meet. Of two the older one
//! keeps what it asked for; the younger gets others, the same on every node, because the choice is
//! a function of what all know. What was given differently than asked is listed.

use std::collections::BTreeMap;

use crdt_state::NetworkId;
use crdt_state::network::{AddressRange, NetworkSpec};
use crdt_state::stamp::Stamp;
use ipnet::IpNet;

use crate::pool;

/// What is settled of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledNetwork {
    /// Its ranges, at most one of each family.
    pub ranges: Vec<AddressRange>,
    /// Its number in VXLAN.
    pub vni: u32,
    /// The network that has what this one asked for; `None`: it has what it asked for.
    pub displaced_by: Option<NetworkId>,
}

/// Settles all networks. Each is named with the stamp of its creation, its age.
pub fn settle<'a>(
    networks: impl IntoIterator<Item = (NetworkId, Stamp, &'a NetworkSpec)>,
) -> BTreeMap<NetworkId, SettledNetwork> {
    let mut by_age: Vec<_> = networks.into_iter().collect();
    by_age.sort_unstable_by_key(|(id, created, _)| (*created, *id));
    // What is asked for anywhere is never chosen for another network: a network that loses its
    // subnet must not push out a third one.
    let asked: Vec<IpNet> = by_age.iter().flat_map(|(_, _, spec)| subnets(&spec.ranges)).collect();
    let asked_vnis: Vec<u32> = by_age.iter().map(|(_, _, spec)| spec.vni).collect();
    let mut given: Vec<(NetworkId, IpNet)> = Vec::new();
    let mut vnis: BTreeMap<u32, NetworkId> = BTreeMap::new();
    let mut settled = BTreeMap::new();
    for (id, _, spec) in by_age {
        let mut displaced_by = None;
        let ranges = spec.ranges.iter().map(|range| {
            let holder = given.iter().find(|(_, subnet)| pool::overlap(subnet, &range.subnet));
            let Some((holder, _)) = holder else { return range.clone() };
            displaced_by = Some(*holder);
            let taken: Vec<IpNet> =
                asked.iter().copied().chain(given.iter().map(|(_, subnet)| *subnet)).collect();
            other_range(id, range, &taken)
        });
        let ranges: Vec<AddressRange> = ranges.collect();
        given.extend(subnets(&ranges).map(|subnet| (id, subnet)));
        let vni = match vnis.get(&spec.vni) {
            None => spec.vni,
            Some(holder) => {
                displaced_by = displaced_by.or(Some(*holder));
                let taken: Vec<u32> =
                    asked_vnis.iter().copied().chain(vnis.keys().copied()).collect();
                pool::choose_vni(id, &taken)
            }
        };
        vnis.insert(vni, id);
        settled.insert(id, SettledNetwork { ranges, vni, displaced_by });
    }
    settled
}

/// The range that a network gets in place of one that is taken; without a free subnet it keeps what
/// it asked for, and an operator has to remove one of the two.
fn other_range(id: NetworkId, asked: &AddressRange, taken: &[IpNet]) -> AddressRange {
    let subnet = match asked.subnet {
        IpNet::V4(_) => pool::choose_ipv4(id, taken),
        IpNet::V6(_) => Some(pool::choose_ipv6(id, taken)),
    };
    let Some(subnet) = subnet else { return asked.clone() };
    AddressRange {
        subnet,
        gateway: pool::default_gateway(&subnet),
        range: None,
        reserved: BTreeMap::new(),
    }
}

fn subnets(ranges: &[AddressRange]) -> impl Iterator<Item = IpNet> {
    ranges.iter().map(|range| range.subnet)
}

#[cfg(test)]
mod tests {
    use crdt_state::stamp::Writer;
    use crdt_state::{NodeId, StoreId};

    use super::*;

    fn spec(subnet: &str, vni: u32) -> NetworkSpec {
        let subnet: IpNet = subnet.parse().expect("a subnet");
        let gateway = pool::default_gateway(&subnet);
        let range = AddressRange { subnet, gateway, range: None, reserved: BTreeMap::new() };
        NetworkSpec { ranges: vec![range], vni, ..NetworkSpec::default() }
    }

    fn created(lamport: u64) -> Stamp {
        Stamp { lamport, writer: Writer { node: NodeId([1; 16]), store: StoreId(1) } }
    }

    #[test]
    fn the_older_of_two_keeps_its_subnet_and_the_younger_gets_another() {
        let (older, younger) = (spec("10.1.0.0/16", 5_000), spec("10.1.128.0/17", 5_000));
        let (a, b) = (NetworkId([9; 16]), NetworkId([1; 16]));
        let settled = settle([(b, created(2), &younger), (a, created(1), &older)]);
        assert_eq!((&settled[&a].ranges, settled[&a].vni), (&older.ranges, 5_000));
        assert_eq!(settled[&a].displaced_by, None);
        assert_eq!(settled[&b].displaced_by, Some(a));
        assert!(!pool::overlap(&settled[&b].ranges[0].subnet, &older.ranges[0].subnet));
        assert_ne!(settled[&b].vni, 5_000);
    }

    #[test]
    fn a_network_that_lost_its_subnet_pushes_out_no_third_one() {
        let twin = spec("10.1.0.0/16", 5_000);
        let id = |n| NetworkId([n; 16]);
        let first = settle([(id(1), created(1), &twin), (id(2), created(2), &twin)]);
        let moved = NetworkSpec {
            ranges: first[&id(2)].ranges.clone(),
            vni: first[&id(2)].vni,
            ..NetworkSpec::default()
        };
        let all =
            [(id(1), created(1), &twin), (id(2), created(2), &twin), (id(3), created(3), &moved)];
        let settled = settle(all);
        assert_eq!(settled[&id(3)].displaced_by, None);
        assert!(!pool::overlap(&settled[&id(2)].ranges[0].subnet, &moved.ranges[0].subnet));
    }
}
