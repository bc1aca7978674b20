//! The virtual addresses of services.
//!
//! A service's virtual address is written once, when it is first put on a network. Two sides of a
//! partition may choose the same one for two services: the older service keeps it, and the younger
//! one gets another, the same on every node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crdt_state::ServiceId;
use crdt_state::network::AddressRange;
use crdt_state::stamp::Stamp;

use crate::blocks::Division;
use crate::pool::hash;

/// What is known of one service on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The service.
    pub service: ServiceId,
    /// When it was created: its age.
    pub created: Stamp,
    /// The addresses that are written in its record, at most one of each family.
    pub written: Vec<IpAddr>,
}

/// The virtual addresses of all services on one network. `is_taken` names addresses that nodes have
/// claimed; an address that is written in a service's record is its own all the same.
pub fn settle(
    ranges: &[AddressRange],
    mut services: Vec<Asked>,
    is_taken: impl Fn(IpAddr) -> bool,
) -> BTreeMap<ServiceId, Vec<IpAddr>> {
    services.sort_unstable_by_key(|asked| (asked.created, asked.service));
    let mut given: BTreeMap<ServiceId, Vec<IpAddr>> = BTreeMap::new();
    for range in ranges {
        let division = Division::of(range);
        let part = division.virtual_addresses();
        let mut used = BTreeSet::new();
        let mut open = Vec::new();
        for asked in &services {
            let written = asked.written.iter().copied().find(|ip| part.contains(*ip));
            match written.filter(|ip| used.insert(*ip)) {
                Some(ip) => given.entry(asked.service).or_default().push(ip),
                None => open.push(asked.service),
            }
        }
        for service in open {
            let chosen = choose(&division, service, |ip| used.contains(&ip) || is_taken(ip));
            if let Some(ip) = chosen {
                used.insert(ip);
                given.entry(service).or_default().push(ip);
            }
        }
    }
    given
}

/// A free virtual address, from a place that is a hash of the service; `None`: all are taken.
pub fn choose(
    division: &Division,
    service: ServiceId,
    is_taken: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let part = division.virtual_addresses();
    let count = part.count();
    let start = hash("edgectl virtual address 1", &[&service.0]) % count.max(1);
    let candidates = (0..count).filter_map(|step| part.nth((start + step) % count));
    candidates.into_iter().find(|ip| !is_taken(*ip))
}

#[cfg(test)]
mod tests {
    use crdt_state::stamp::Writer;
    use crdt_state::{NodeId, StoreId};
    use ipnet::IpNet;

    use super::*;
    use crate::pool::default_gateway;

    fn ranges(subnet: &str) -> Vec<AddressRange> {
        let subnet: IpNet = subnet.parse().expect("a subnet");
        let gateway = default_gateway(&subnet);
        vec![AddressRange { subnet, gateway, range: None, reserved: BTreeMap::new() }]
    }

    fn asked(n: u8, lamport: u64, written: &[&str]) -> Asked {
        let writer = Writer { node: NodeId([1; 16]), store: StoreId(1) };
        let written = written.iter().map(|text| text.parse().expect("an address")).collect();
        Asked { service: ServiceId([n; 16]), created: Stamp { lamport, writer }, written }
    }

    #[test]
    fn a_written_address_stays_whoever_comes_or_goes() {
        let ranges = ranges("100.64.0.0/16");
        let one = asked(1, 5, &["100.64.192.7"]);
        for others in [vec![], vec![asked(2, 1, &[])], vec![asked(3, 9, &["100.64.192.7"])]] {
            let all = others.into_iter().chain([one.clone()]).collect();
            let given = settle(&ranges, all, |_| false);
            assert_eq!(given[&one.service], one.written);
        }
    }

    #[test]
    fn of_two_services_with_one_address_the_younger_gets_another() {
        let ranges = ranges("100.64.0.0/16");
        let (older, younger) = (asked(9, 1, &["100.64.192.7"]), asked(1, 2, &["100.64.192.7"]));
        let given = settle(&ranges, vec![younger.clone(), older.clone()], |_| false);
        assert_eq!(given[&older.service], older.written);
        assert_ne!(given[&younger.service], older.written);
    }

    #[test]
    fn an_exhausted_subnet_gives_none() {
        let ranges = ranges("10.0.0.0/30");
        let given = settle(&ranges, vec![asked(1, 1, &[]), asked(2, 2, &[])], |_| false);
        assert_eq!(given.len(), 1, "of four addresses three are never given out");
    }
}
