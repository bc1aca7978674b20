//! How a subnet is divided into the blocks that nodes claim, and into virtual addresses.
//!
//! A block is the unit of routing: a peer costs one route per block. A subnet of less than 2,048
//! addresses is not divided: there every address is a block, so that it can be used up to the last
//! one. The upper quarter of a divided subnet is for virtual addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crdt_state::network::AddressRange;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Blocks of a divided subnet: 1,024. Nodes of one fleet are counted in hundreds at most, and a
/// node may take several blocks.
const BLOCK_BITS: u8 = 10;

/// An IPv4 subnet with a longer prefix is not divided.
const DIVIDED_LEN_MAX: u8 = 20;

/// The largest IPv4 block: a node with 253 tasks on one network claims a second block.
const BLOCK_LEN_MIN: u8 = 24;

/// An IPv6 block leaves 64 bits to the node, if the subnet has them to spare.
const BLOCK_LEN_IPV6: u8 = 64;

/// How one range of a network is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Division {
    /// The first address from which is given, as a number.
    first: u128,
    /// The number of blocks, those for virtual addresses included.
    count: u64,
    /// Addresses of one block; a power of two.
    block: u128,
    /// The family, and the length of an address in bits.
    bits: u8,
    /// Addresses that are never given out.
    reserved: Vec<u128>,
}

impl Division {
    /// The division of a range.
    pub fn of(range: &AddressRange) -> Division {
        let part = range.range.unwrap_or(range.subnet);
        let (bits, first) = match part {
            IpNet::V4(net) => (32, u128::from(u32::from(net.network()))),
            IpNet::V6(net) => (128, u128::from(net.network())),
        };
        let len = block_len(&part);
        let (lowest, highest) = ends(&range.subnet);
        let reserved = range.reserved.values().chain([&range.gateway]).map(|ip| number(*ip));
        Division {
            first,
            count: 1u64 << (len - part.prefix_len()).min(63),
            block: 1u128 << (bits - len),
            bits,
            reserved: reserved.chain([lowest, highest]).collect(),
        }
    }

    /// Is every address a block?
    pub fn is_undivided(&self) -> bool {
        self.block == 1
    }

    /// The number of blocks that nodes may claim. They have the numbers from 0.
    pub fn claimable(&self) -> u64 {
        if self.is_undivided() { self.count } else { self.count - self.count / 4 }
    }

    /// The block of a number.
    pub fn block(&self, at: u64) -> IpNet {
        let first = self.first + u128::from(at) * self.block;
        let len = self.bits - u8::try_from(self.block.ilog2()).expect("at most 128 bits");
        match address(first, self.bits) {
            IpAddr::V4(ip) => IpNet::V4(Ipv4Net::new(ip, len).expect("at most 32 bits")),
            IpAddr::V6(ip) => IpNet::V6(Ipv6Net::new(ip, len).expect("at most 128 bits")),
        }
    }

    /// The block of an address; `None`: it lies outside.
    pub fn block_of(&self, ip: IpAddr) -> Option<IpNet> {
        let same_family = ip.is_ipv4() == (self.bits == 32);
        let at = number(ip).checked_sub(self.first).filter(|_| same_family)? / self.block;
        let at = u64::try_from(at).ok().filter(|at| *at < self.count)?;
        Some(self.block(at))
    }

    /// May this be a block of a node?
    pub fn is_block(&self, block: &IpNet) -> bool {
        let (first, last) = ends(block);
        let inside = first >= self.first && last - first + 1 == self.block;
        let at = if inside { (first - self.first) / self.block } else { return false };
        let is_whole = (first - self.first).is_multiple_of(self.block);
        is_whole && at < u128::from(self.claimable()) && self.is_usable(block)
    }

    /// Does the block have an address that may be given out?
    pub fn is_usable(&self, block: &IpNet) -> bool {
        let (first, last) = ends(block);
        let reserved = self.reserved.iter().filter(|ip| (first..=last).contains(*ip)).count();
        (reserved as u128) < last - first + 1
    }

    /// The addresses of a block that may be given out, in order.
    pub fn addresses(&self, block: &IpNet) -> impl Iterator<Item = IpAddr> {
        let (first, last) = ends(block);
        let bits = self.bits;
        let usable = move |ip: &u128| !self.reserved.contains(ip);
        (first..=last).filter(usable).map(move |ip| address(ip, bits))
    }

    /// The addresses that may be virtual ones, in order of their numbers from 0.
    pub fn virtual_addresses(&self) -> VirtualAddresses<'_> {
        let skipped = if self.is_undivided() { 0 } else { self.claimable() };
        let first = self.first + u128::from(skipped) * self.block;
        let count = u128::from(self.count - skipped) * self.block;
        // More than 2^32 virtual addresses of one network are never looked at.
        VirtualAddresses { division: self, first, count: count.min(1 << 32) as u64 }
    }

    /// The number of addresses that may be given out.
    pub fn usable_addresses(&self) -> u128 {
        let all = u128::from(self.count).saturating_mul(self.block);
        let last = self.first.saturating_add(all - 1);
        let reserved = self.reserved.iter().filter(|ip| (self.first..=last).contains(*ip));
        let mut reserved: Vec<&u128> = reserved.collect();
        reserved.sort_unstable();
        reserved.dedup();
        all - reserved.len() as u128
    }
}

/// The part of a range from which virtual addresses are taken.
#[derive(Debug, Clone, Copy)]
pub struct VirtualAddresses<'a> {
    division: &'a Division,
    first: u128,
    count: u64,
}

impl VirtualAddresses<'_> {
    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The address of a number; `None`: it is never given out.
    pub fn nth(&self, at: u64) -> Option<IpAddr> {
        let ip = self.first + u128::from(at);
        let is_free = at < self.count && !self.division.reserved.contains(&ip);
        is_free.then(|| address(ip, self.division.bits))
    }

    /// Is it an address of this part?
    pub fn contains(&self, ip: IpAddr) -> bool {
        let same_family = ip.is_ipv4() == (self.division.bits == 32);
        let at = number(ip).checked_sub(self.first).and_then(|at| u64::try_from(at).ok());
        same_family && at.and_then(|at| self.nth(at)).is_some()
    }
}

/// Has a subnet of this size blocks of several addresses, so that no task ever has an address of those
/// for services?
pub fn is_divided(subnet: &IpNet) -> bool {
    block_len(subnet) < subnet.max_prefix_len()
}

fn block_len(part: &IpNet) -> u8 {
    let prefix = part.prefix_len();
    match part {
        IpNet::V4(_) if prefix > DIVIDED_LEN_MAX => 32,
        IpNet::V4(_) => (prefix + BLOCK_BITS).max(BLOCK_LEN_MIN),
        IpNet::V6(_) if prefix > 128 - BLOCK_BITS - 2 => 128,
        IpNet::V6(_) => (prefix + BLOCK_BITS).max(BLOCK_LEN_IPV6),
    }
}

/// The first and the last address of a subnet.
fn ends(net: &IpNet) -> (u128, u128) {
    (number(net.network()), number(net.broadcast()))
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

fn address(number: u128, bits: u8) -> IpAddr {
    if bits == 32 {
        IpAddr::V4(Ipv4Addr::from(u32::try_from(number).expect("inside an IPv4 subnet")))
    } else {
        IpAddr::V6(Ipv6Addr::from(number))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::pool::default_gateway;

    fn division(subnet: &str) -> Division {
        let subnet: IpNet = subnet.parse().expect("a subnet");
        let gateway = default_gateway(&subnet);
        Division::of(&AddressRange { subnet, gateway, range: None, reserved: BTreeMap::new() })
    }

    #[test]
    fn a_large_subnet_has_1024_blocks_of_which_a_quarter_is_for_virtual_addresses() {
        let division = division("100.64.0.0/16");
        assert_eq!(division.claimable(), 768);
        assert_eq!(division.block(1).to_string(), "100.64.0.64/26");
        let first = division.block(0);
        assert_eq!(division.addresses(&first).next().expect("one").to_string(), "100.64.0.2");
        let virtual_addresses = division.virtual_addresses();
        assert_eq!(virtual_addresses.nth(0).expect("one").to_string(), "100.64.192.0");
        assert_eq!(virtual_addresses.nth(virtual_addresses.count() - 1), None, "the broadcast");
        assert!(virtual_addresses.contains("100.64.200.1".parse().expect("an address")));
        assert!(!virtual_addresses.contains("100.64.1.1".parse().expect("an address")));
        assert!(division.is_block(&"100.64.0.64/26".parse().expect("a subnet")));
        for no in ["100.64.0.64/27", "100.64.192.0/26", "100.65.0.0/26", "100.64.0.64/25"] {
            assert!(!division.is_block(&no.parse().expect("a subnet")), "{no}");
        }
    }

    #[test]
    fn a_small_subnet_gives_every_address_but_three() {
        let division = division("10.9.8.16/28");
        assert!(division.is_undivided());
        let usable = (0..division.claimable()).filter(|at| {
            let block = division.block(*at);
            division.is_block(&block)
        });
        assert_eq!(usable.count(), 13);
        assert_eq!(division.usable_addresses(), 13);
    }

    #[test]
    fn ipv6_blocks_are_a_64_where_there_is_room() {
        assert_eq!(division("fd12:3456::/32").block(5).to_string(), "fd12:3456:0:5::/64");
        assert_eq!(division("fd12:3456::/32").claimable(), 3 << 30);
        assert_eq!(division("fd12::/64").block(1).to_string(), "fd12::40:0:0:0/74");
        assert!(division("fd12::/120").is_undivided());
    }
}
