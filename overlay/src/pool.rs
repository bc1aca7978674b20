//! What may be chosen for a network that leaves it open: subnets, gateways, numbers in VXLAN.
//!
//! A choice starts at a place that is a hash of the network's id, so that two sides of a partition
//! that create networks at the same time rarely choose alike.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crdt_state::NetworkId;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Where IPv4 subnets are taken from, in order: first the shared address space of RFC 6598, which
/// sites hardly use inside, then the upper half of 10.0.0.0/8.
pub const POOLS: [Ipv4Net; 2] = [
    Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10),
    Ipv4Net::new_assert(Ipv4Addr::new(10, 128, 0, 0), 9),
];

/// The prefix length of a chosen IPv4 subnet: 1,024 blocks of 64 addresses.
pub const PREFIX_LEN: u8 = 16;

/// The least number of a network in VXLAN: keeps clear of VLANs.
pub const VNI_MIN: u32 = 4_096;

/// Numbers from [`VNI_MIN`] to 2^24 - 1.
const VNIS: u64 = (1 << 24) - VNI_MIN as u64;

/// The first 8 bytes of a keyed hash.
pub(crate) fn hash(context: &str, parts: &[&[u8]]) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(part);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_be_bytes(first)
}

/// Do two subnets share an address?
pub fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// A free IPv4 subnet for a network; `None`: every subnet of the pools meets one of `taken`.
pub fn choose_ipv4(id: NetworkId, taken: &[IpNet]) -> Option<IpNet> {
    let start = hash("edgectl network subnet 1", &[&id.0]);
    POOLS.iter().find_map(|pool| {
        let count = 1u64 << (PREFIX_LEN - pool.prefix_len());
        let candidates = (0..count).map(|step| nth(pool, start.wrapping_add(step) % count));
        candidates.map(IpNet::V4).find(|subnet| !taken.iter().any(|other| overlap(subnet, other)))
    })
}

fn nth(pool: &Ipv4Net, at: u64) -> Ipv4Net {
    let size = 1u32 << (32 - PREFIX_LEN);
    let at = u32::try_from(at).expect("fewer subnets than addresses");
    let first = u32::from(pool.network()) + at * size;
    Ipv4Net::new_assert(Ipv4Addr::from(first), PREFIX_LEN)
}

/// A free IPv6 subnet: a /32 below fd00::/8, whose other 24 bits are a hash of the network's id.
/// The 32 bits behind it are for nodes.
pub fn choose_ipv6(id: NetworkId, taken: &[IpNet]) -> IpNet {
    let start = hash("edgectl network subnet 1", &[&id.0]);
    let subnet = |step: u64| {
        let bits = u128::from(start.wrapping_add(step) & 0x00ff_ffff);
        let first = (0xfd_u128 << 120) | (bits << 96);
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(first), 32))
    };
    // At most as many candidates meet something as there are subnets taken.
    let candidates = (0..=taken.len() as u64).map(subnet);
    let mut free = candidates.filter(|subnet| !taken.iter().any(|other| overlap(subnet, other)));
    free.next().unwrap_or_else(|| subnet(0))
}

/// The gateway of a subnet that names none: its first address after the network's.
pub fn default_gateway(subnet: &IpNet) -> IpAddr {
    match subnet {
        IpNet::V4(net) => IpAddr::V4(Ipv4Addr::from(u32::from(net.network()) + 1)),
        IpNet::V6(net) => IpAddr::V6(Ipv6Addr::from(u128::from(net.network()) + 1)),
    }
}

/// A free number in VXLAN.
pub fn choose_vni(id: NetworkId, taken: &[u32]) -> u32 {
    let start = hash("edgectl network vni 1", &[&id.0]) % VNIS;
    let vni = |step: u64| VNI_MIN + u32::try_from((start + step) % VNIS).expect("24 bits");
    let candidates = (0..=taken.len() as u64).map(vni);
    candidates.into_iter().find(|vni| !taken.contains(vni)).unwrap_or_else(|| vni(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a subnet")
    }

    #[test]
    fn a_chosen_subnet_meets_nothing_that_is_taken() {
        let mut taken = vec![net("100.64.0.0/11"), net("10.0.0.0/8")];
        for n in 0..32 {
            let chosen = choose_ipv4(NetworkId([n; 16]), &taken).expect("half of a pool is free");
            assert!(net("100.96.0.0/11").contains(&chosen), "{chosen}");
            assert!(!taken.iter().any(|other| overlap(&chosen, other)));
            taken.push(chosen);
        }
        assert_eq!(choose_ipv4(NetworkId([99; 16]), &taken), None);
    }

    #[test]
    fn an_ipv6_subnet_is_local_and_differs_between_networks() {
        let one = choose_ipv6(NetworkId([1; 16]), &[]);
        assert!(net("fd00::/8").contains(&one) && one.prefix_len() == 32);
        let other = choose_ipv6(NetworkId([1; 16]), &[one]);
        assert!(!overlap(&one, &other));
    }

    #[test]
    fn a_number_is_never_one_that_is_taken_nor_one_of_a_vlan() {
        let mut taken = Vec::new();
        for _ in 0..100 {
            let vni = choose_vni(NetworkId([7; 16]), &taken);
            assert!((VNI_MIN..1 << 24).contains(&vni) && !taken.contains(&vni));
            taken.push(vni);
        }
    }

    #[test]
    fn the_gateway_is_the_first_address() {
        assert_eq!(default_gateway(&net("10.1.0.0/16")).to_string(), "10.1.0.1");
        assert_eq!(default_gateway(&net("fd12::/32")).to_string(), "fd12::1");
    }
}
