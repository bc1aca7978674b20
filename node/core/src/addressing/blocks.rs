//! The blocks that this node claims, and the free addresses in them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crdt_state::NetworkId;
use crdt_state::network::{AddressRange, Block};
use ipnet::IpNet;
use overlay::blocks::Division;
use overlay::claims;
use overlay::pool;

use super::{Addressing, Outdated, interfaces};
use crate::catalog::Catalog;

impl Addressing {
    /// Of these networks, gives up the blocks that another node holds, those of networks that are
    /// gone, and those that a network's new subnet does not have.
    pub(super) fn give_up_lost(&mut self, networks: &BTreeSet<NetworkId>, catalog: &Catalog) {
        for network in networks {
            let Some(settled) = catalog.networks.settled.get(network) else {
                self.blocks.remove(network);
                continue;
            };
            let Some(blocks) = self.blocks.get_mut(network) else { continue };
            let others = catalog.networks.blocks_of_others(self.me, *network);
            let lost = claims::lost(blocks, self.me, others);
            let divisions = divisions(&settled.ranges);
            let virtual_addresses = taken_by_services(catalog, *network, &divisions);
            blocks.retain(|block| {
                let is_lost = lost.contains(block);
                let fits = divisions.iter().any(|division| division.is_block(&block.subnet));
                let is_virtual = virtual_addresses.iter().any(|ip| block.subnet.contains(ip));
                !is_lost && fits && !is_virtual
            });
        }
    }

    /// Is the address in one of this node's blocks of this division?
    pub(super) fn is_mine(&self, network: NetworkId, division: &Division, ip: IpAddr) -> bool {
        let blocks = self.blocks.get(&network).map_or(&[][..], Vec::as_slice);
        let mut blocks = blocks.iter().filter(|block| division.is_block(&block.subnet));
        blocks.any(|block| block.subnet.contains(&ip))
    }

    /// A node that lost its records claims the blocks again in which its tasks run, unless another
    /// node has claimed them, or the address is a virtual one.
    pub(super) fn claim_again(
        &mut self,
        network: NetworkId,
        division: &Division,
        ip: IpAddr,
        catalog: &Catalog,
        lamport: u64,
    ) -> bool {
        let taken = taken_by_services(catalog, network, std::slice::from_ref(division));
        let block = division.block_of(ip).filter(|block| division.is_block(block));
        let Some(subnet) = block.filter(|_| !taken.contains(&ip)) else { return false };
        let mut others = catalog.networks.blocks_of_others(self.me, network);
        if others.any(|(_, other)| pool::overlap(&other.subnet, &subnet)) {
            return false;
        }
        self.blocks.entry(network).or_default().push(Block { subnet, claimed: lamport });
        true
    }

    /// A free address of this node's blocks; if there is none, of a further block.
    pub(super) fn give(
        &mut self,
        network: NetworkId,
        division: &Division,
        catalog: &Catalog,
        lamport: u64,
    ) -> Option<IpAddr> {
        let given = self.free_address(network, division).or_else(|| {
            self.claim(network, division, catalog, lamport)?;
            self.free_address(network, division)
        });
        if given.is_none() {
            self.full.insert(network);
        }
        given
    }

    pub(super) fn free_address(
        &mut self,
        network: NetworkId,
        division: &Division,
    ) -> Option<IpAddr> {
        let own = self.own_address(network, division);
        let blocks: Vec<IpNet> = self.blocks_of(network, division).collect();
        for block in blocks {
            let last = self.last.get(&block).copied();
            let free = |ip: &IpAddr| own != Some(*ip) && !self.leases.is_held(network, *ip);
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
        lamport: u64,
    ) -> Option<IpNet> {
        let taken = taken_by_services(catalog, network, std::slice::from_ref(division));
        let is_taken = |block: &IpNet| taken.iter().any(|ip| block.contains(ip));
        let freed = catalog.networks.freed_blocks(network);
        let is_freed = |block: &IpNet| freed.iter().any(|other| pool::overlap(other, block));
        let who = (self.me, network);
        let others = catalog.networks.blocks_of_others(self.me, network).map(|(_, block)| block);
        let own = self.blocks.get(&network).into_iter().flatten();
        let claimed: Vec<IpNet> = others.chain(own).map(|block| block.subnet).collect();
        let never_used = claims::choose(division, who, &claimed, |b| is_taken(b) || is_freed(b));
        let subnet = never_used.or_else(|| claims::choose(division, who, &claimed, is_taken))?;
        self.blocks.entry(network).or_default().push(Block { subnet, claimed: lamport });
        Some(subnet)
    }

    /// This node's own address on a network, if it has one: the first of its first block. Where
    /// every address is a block, the first that no task has.
    pub fn own_address(&self, network: NetworkId, division: &Division) -> Option<IpAddr> {
        let mut blocks = self.blocks_of(network, division);
        if !division.is_undivided() {
            return division.addresses(&blocks.next()?).next();
        }
        let blocks = blocks.filter(|_| self.own_needed.contains(&network));
        blocks.map(|block| block.addr()).find(|ip| !self.leases.is_held(network, *ip))
    }

    /// Notes by which networks the outdated services publish ports, and adds the networks by which
    /// this node begins or ceases to publish some. Returns those by which it does; on others, its
    /// own address is free for tasks from now on.
    pub(super) fn note_meshed(
        &mut self,
        outdated: &Outdated,
        catalog: &Catalog,
        networks: &mut BTreeSet<NetworkId>,
    ) -> BTreeSet<NetworkId> {
        let mut is_changed = outdated.everything;
        for id in &outdated.services {
            let service = catalog.services.get(id).filter(|_| self.is_able());
            let after = service.and_then(|s| interfaces::mesh_network(s, &catalog.networks));
            let before = match after {
                Some(network) => self.meshed.insert(*id, network),
                None => self.meshed.remove(id),
            };
            is_changed |= before != after;
        }
        if !is_changed {
            return self.own_needed.clone();
        }
        let mut needed: BTreeSet<NetworkId> = self.meshed.values().copied().collect();
        if catalog.networks.no_tunnel(self.me).is_some() {
            let known = &catalog.networks.networks;
            needed.retain(|id| known.get(id).is_some_and(|n| !n.spec.encrypted));
        }
        networks.extend(self.own_needed.symmetric_difference(&needed));
        self.own_needed.retain(|id| needed.contains(id));
        needed
    }

    /// This node needs an address of its own on each network by which it publishes ports.
    pub(super) fn claim_own_addresses(
        &mut self,
        networks: &BTreeSet<NetworkId>,
        catalog: &Catalog,
        lamport: u64,
    ) {
        for network in networks {
            let settled = catalog.networks.settled.get(network);
            let Some(settled) = settled.filter(|_| self.own_needed.contains(network)) else {
                continue;
            };
            for division in divisions(&settled.ranges) {
                let is_missing = self.own_address(*network, &division).is_none();
                if is_missing && self.claim(*network, &division, catalog, lamport).is_none() {
                    self.full.insert(*network);
                }
            }
        }
    }

    /// A block of a single address that nobody has any more is free for others.
    pub(super) fn release_unused(&mut self, networks: &BTreeSet<NetworkId>, catalog: &Catalog) {
        for network in networks {
            let settled = catalog.networks.settled.get(network);
            let divisions = settled.map(|settled| divisions(&settled.ranges)).unwrap_or_default();
            let own = |division| self.own_address(*network, division);
            let own: Vec<IpAddr> = divisions.iter().filter_map(own).collect();
            let Some(blocks) = self.blocks.get_mut(network) else { continue };
            blocks.retain(|block| {
                let is_single = block.subnet.prefix_len() == block.subnet.max_prefix_len();
                let ip = block.subnet.addr();
                !is_single || own.contains(&ip) || self.leases.is_held(*network, ip)
            });
            if blocks.is_empty() {
                self.blocks.remove(network);
            }
        }
    }

    /// Notes this node's own addresses on the networks that it takes part in.
    pub(super) fn note_own_addresses(&mut self, networks: &BTreeSet<NetworkId>, catalog: &Catalog) {
        for network in networks {
            let takes_part = self.leases.is_on(*network) || self.own_needed.contains(network);
            let settled = catalog.networks.settled.get(network);
            let ranges = settled.map(|settled| divisions(&settled.ranges)).unwrap_or_default();
            let own = ranges.iter().filter_map(|range| self.own_address(*network, range));
            let after = takes_part.then(|| own.collect::<Vec<IpAddr>>());
            let before = match after.clone() {
                Some(own) => self.own_addresses.insert(*network, own),
                None => self.own_addresses.remove(network),
            };
            self.has_links_changed |= before != after;
        }
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
