//! The blocks that this node claims, and the free addresses in them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crdt_state::NetworkId;
use crdt_state::network::{AddressRange, Block};
use ipnet::IpNet;
use overlay::blocks::Division;
use overlay::claims::{self, Claims};
use overlay::pool;

use super::{Addressing, interfaces};
use crate::catalog::Catalog;

impl Addressing {
    pub(super) fn note_own(&self, claims: &mut Claims) {
        let own = claims.entry(self.me).or_default();
        own.blocks.clone_from(&self.blocks);
    }

    /// Gives up the blocks that another node holds, those of networks that are gone, and those that
    /// a network's new subnet does not have.
    pub(super) fn give_up_lost(&mut self, catalog: &Catalog, claims: &mut Claims) {
        let settled = &catalog.networks.settled;
        self.blocks.retain(|network, _| settled.contains_key(network));
        for (network, blocks) in &mut self.blocks {
            let lost = claims::lost(claims, self.me, *network);
            let divisions = divisions(&settled[network].ranges);
            let virtual_addresses = taken_by_services(catalog, *network, &divisions);
            blocks.retain(|block| {
                let is_lost = lost.contains(block);
                let fits = divisions.iter().any(|division| division.is_block(&block.subnet));
                let is_virtual = virtual_addresses.iter().any(|ip| block.subnet.contains(ip));
                !is_lost && fits && !is_virtual
            });
        }
        self.note_own(claims);
    }

    /// Is the address in one of this node's blocks of this division?
    pub(super) fn is_mine(&self, network: NetworkId, division: &Division, ip: IpAddr) -> bool {
        let blocks = self.blocks.get(&network).map_or(&[][..], Vec::as_slice);
        let mut blocks = blocks.iter().filter(|block| division.is_block(&block.subnet));
        blocks.any(|block| block.subnet.contains(&ip))
    }

    /// A node that lost its records claims the blocks again in which its tasks run, unless another
    /// node has claimed them, or `virtual_addresses` has the address.
    pub(super) fn claim_again(
        &mut self,
        network: NetworkId,
        (division, virtual_addresses): (&Division, &[IpAddr]),
        ip: IpAddr,
        claims: &mut Claims,
        lamport: u64,
    ) -> bool {
        if virtual_addresses.contains(&ip) {
            return false;
        }
        let block = division.block_of(ip).filter(|block| division.is_block(block));
        let Some(subnet) = block else { return false };
        let others = claims.iter().filter(|(node, _)| **node != self.me);
        let mut claimed = others.flat_map(|(_, said)| said.blocks.get(&network)).flatten();
        if claimed.any(|other| pool::overlap(&other.subnet, &subnet)) {
            return false;
        }
        self.blocks.entry(network).or_default().push(Block { subnet, claimed: lamport });
        self.note_own(claims);
        true
    }

    /// A free address of this node's blocks; if there is none, of a further block.
    pub(super) fn give(
        &mut self,
        network: NetworkId,
        division: &Division,
        catalog: &Catalog,
        claims: &mut Claims,
        lamport: u64,
    ) -> Option<IpAddr> {
        self.free_address(network, division).or_else(|| {
            self.claim(network, division, catalog, claims, lamport)?;
            self.free_address(network, division)
        })
    }

    pub(super) fn free_address(
        &mut self,
        network: NetworkId,
        division: &Division,
    ) -> Option<IpAddr> {
        let leased = self.leases.values().flat_map(|lease| &lease.interfaces);
        let leased = leased.filter(|leased| leased.network == network);
        let mut used: BTreeSet<IpAddr> =
            leased.flat_map(|leased| leased.addresses.iter().copied()).collect();
        used.extend(self.own_address(network, division));
        let blocks: Vec<IpNet> = self.blocks_of(network, division).collect();
        for block in blocks {
            let last = self.last.get(&block).copied();
            let free = |ip: &IpAddr| !used.contains(ip);
            let mut behind =
                division.addresses(&block).filter(|ip| last.is_none_or(|last| *ip > last));
            let found = behind.find(free).or_else(|| division.addresses(&block).find(free));
            if let Some(ip) = found {
                self.last.insert(block, ip);
                return Some(ip);
            }
        }
        None
    }

    pub(super) fn blocks_of(
        &self,
        network: NetworkId,
        division: &Division,
    ) -> impl Iterator<Item = IpNet> + use<'_> {
        let blocks = self.blocks.get(&network).map_or(&[][..], Vec::as_slice);
        let blocks = blocks.iter().map(|block| block.subnet);
        let blocks: Vec<IpNet> = blocks.filter(|subnet| division.is_block(subnet)).collect();
        blocks.into_iter()
    }

    pub(super) fn claim(
        &mut self,
        network: NetworkId,
        division: &Division,
        catalog: &Catalog,
        claims: &mut Claims,
        lamport: u64,
    ) -> Option<IpNet> {
        let taken = taken_by_services(catalog, network, std::slice::from_ref(division));
        let is_taken = |block: &IpNet| taken.iter().any(|ip| block.contains(ip));
        let freed = catalog.networks.freed_blocks(network);
        let is_freed = |block: &IpNet| freed.iter().any(|other| pool::overlap(other, block));
        let who = (self.me, network);
        let never_used = claims::choose(division, claims, who, |b| is_taken(b) || is_freed(b));
        let subnet = never_used.or_else(|| claims::choose(division, claims, who, is_taken))?;
        self.blocks.entry(network).or_default().push(Block { subnet, claimed: lamport });
        self.note_own(claims);
        Some(subnet)
    }

    /// This node's own address on a network, if it has one: the first of its first block. Where
    /// every address is a block, the first that no task has.
    pub fn own_address(&self, network: NetworkId, division: &Division) -> Option<IpAddr> {
        let mut blocks = self.blocks_of(network, division);
        if !division.is_undivided() {
            return division.addresses(&blocks.next()?).next();
        }
        let leased = self.leases.values().flat_map(|lease| &lease.interfaces);
        let leased: Vec<IpAddr> = leased.flat_map(|leased| leased.addresses.clone()).collect();
        blocks
            .map(|block| block.addr())
            .find(|ip| self.is_own_needed(network) && !leased.contains(ip))
    }

    pub(super) fn is_own_needed(&self, network: NetworkId) -> bool {
        self.own_needed.contains(&network)
    }

    /// This node needs an address of its own on each network by which it publishes ports.
    pub(super) fn claim_own_addresses(
        &mut self,
        catalog: &Catalog,
        claims: &mut Claims,
        lamport: u64,
    ) {
        self.own_needed =
            if self.is_able() { interfaces::mesh_networks(catalog) } else { BTreeSet::new() };
        if catalog.networks.no_tunnel(self.me).is_some() {
            let networks = &catalog.networks.networks;
            let is_clear = |id: &NetworkId| networks.get(id).is_some_and(|n| !n.spec.encrypted);
            self.own_needed.retain(is_clear);
        }
        for network in self.own_needed.clone() {
            let Some(settled) = catalog.networks.settled.get(&network) else { continue };
            for division in divisions(&settled.ranges) {
                if self.own_address(network, &division).is_none() {
                    self.claim(network, &division, catalog, claims, lamport);
                }
            }
        }
    }

    /// A block of a single address that nobody has any more is free for others.
    pub(super) fn release_unused(&mut self, catalog: &Catalog) {
        let leased = self.leases.values().flat_map(|lease| &lease.interfaces);
        let mut used: BTreeSet<(NetworkId, IpAddr)> =
            leased.flat_map(|l| l.addresses.iter().map(|ip| (l.network, *ip))).collect();
        for (network, settled) in &catalog.networks.settled {
            for division in divisions(&settled.ranges) {
                used.extend(self.own_address(*network, &division).map(|ip| (*network, ip)));
            }
        }
        for (network, blocks) in &mut self.blocks {
            blocks.retain(|block| {
                let is_single = block.subnet.prefix_len() == block.subnet.max_prefix_len();
                !is_single || used.contains(&(*network, block.subnet.addr()))
            });
        }
        self.blocks.retain(|_, blocks| !blocks.is_empty());
    }
}

fn divisions(ranges: &[AddressRange]) -> Vec<Division> {
    ranges.iter().map(Division::of).collect()
}

/// The virtual addresses on a network that is not divided: there they lie among the blocks.
pub(super) fn taken_by_services(
    catalog: &Catalog,
    network: NetworkId,
    divisions: &[Division],
) -> Vec<IpAddr> {
    if divisions.iter().all(|division| !division.is_undivided()) {
        return Vec::new();
    }
    let settled = catalog.networks.virtual_addresses(&catalog.services, network);
    settled.into_values().flatten().collect()
}
