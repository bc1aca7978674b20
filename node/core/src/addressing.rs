//! The addresses of this node's tasks, out of blocks that this node claims.
//!
//! ```text
//! task waits, its service is on networks ──▶ lease ──▶ record ──▶ start with interfaces
//!                                              │ block lost to another node, network changed
//!                                              └──▶ other address, the task goes on
//! task ended ──▶ lease and record end
//! ```
//! Nobody is asked: a block that is not claimed as far as this node knows is claimed, and an address
//! of it given. This code must never give an address whose holder on this node may still live.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crdt_state::network::{
    AddressRange, Block, NodeNetworks, SlotAddresses, TaskAddresses, TaskInterface,
};
use crdt_state::replica::Replica;
use crdt_state::service::Service;
use crdt_state::spec::{NetworkMode, Runtime};
use crdt_state::task::{AdoptedRun, Slot, TaskStart};
use crdt_state::{NetworkId, NodeId, RecordKey, ServiceId, TaskId};
use ipnet::IpNet;
use overlay::blocks::Division;
use overlay::claims::{self, Claims};
use overlay::pool;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, NetworkCatalog};
use crate::event::{Event, Subject};

mod interfaces;

pub use interfaces::{gateway_network, mac};

/// What the agent has found out about this machine's part in networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkFacts {
    /// Why it takes part in no network: what is missing, and what to do. Empty: it can.
    pub refusal: String,
    /// The address that VXLAN packets leave from.
    pub data_address: Option<IpAddr>,
    /// The largest packet that leaves it whole, in bytes; 0: not known.
    pub mtu: u32,
    /// The routes of its site.
    pub routes: Vec<IpNet>,
}

impl Default for NetworkFacts {
    /// A machine that nobody has looked at.
    fn default() -> Self {
        let refusal = "this agent makes no networks".to_owned();
        NetworkFacts { refusal, data_address: None, mtu: 0, routes: Vec::new() }
    }
}

/// A task of this node that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LiveTask {
    /// The service.
    pub service: ServiceId,
    /// The slot.
    pub slot: Slot,
    /// The task.
    pub task: TaskId,
    /// The number of its current attempt.
    pub attempt: u32,
    /// Has its current attempt begun?
    pub has_begun: bool,
}

/// The addresses of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The service.
    pub service: ServiceId,
    /// The slot.
    pub slot: Slot,
    /// One entry for each network, in the order of its interfaces.
    pub interfaces: Vec<Leased>,
    /// It takes no new connections: it is about to be stopped.
    pub is_withdrawn: bool,
}

/// The addresses of a task on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The network.
    pub network: NetworkId,
    /// The name of the interface.
    pub name: String,
    /// At most one of each family.
    pub addresses: Vec<IpAddr>,
}

/// The addresses that one node has given.
pub struct Addressing {
    me: NodeId,
    facts: NetworkFacts,
    blocks: BTreeMap<NetworkId, Vec<Block>>,
    leases: BTreeMap<TaskId, Lease>,
    /// The last address given from each block: the next one is looked for behind it, so that a name
    /// that somebody still remembers leads to nobody rather than to another task.
    last: BTreeMap<IpNet, IpAddr>,
    /// The live tasks of the last settling; settled again when they or the records changed.
    live: Vec<LiveTask>,
    is_outdated: bool,
    /// The networks by which this node publishes ports: it has an address of its own there.
    own_needed: BTreeSet<NetworkId>,
}

impl Addressing {
    /// With the blocks that this node claimed before.
    pub fn new(me: NodeId, facts: NetworkFacts, networks: &NetworkCatalog) -> Addressing {
        let said = networks.claims.get(&me);
        Addressing {
            me,
            facts,
            blocks: said.map(|said| said.blocks.clone()).unwrap_or_default(),
            leases: BTreeMap::new(),
            last: BTreeMap::new(),
            live: Vec::new(),
            is_outdated: true,
            own_needed: BTreeSet::new(),
        }
    }

    /// Takes over the addresses of the runs that were found on this machine, as they were recorded
    /// last; without a record, as they were started.
    pub fn restore(&mut self, adopted: &[AdoptedRun], networks: &NetworkCatalog) {
        for run in adopted.iter().filter(|run| !run.start.interfaces.is_empty()) {
            let start = &run.start;
            let records = networks.addresses.get(&start.service);
            let record = records.and_then(|records| records.get(&(start.slot, self.me)));
            let tasks = record.into_iter().flat_map(|record| &record.tasks);
            let recorded = tasks.into_iter().find(|said| said.task == start.run.task);
            let interfaces = start.interfaces.iter().map(|interface| Leased {
                network: interface.network,
                name: interface.name.clone(),
                addresses: recorded
                    .and_then(|said| said.networks.get(&interface.network))
                    .unwrap_or(&interface.addresses)
                    .clone(),
            });
            let interfaces = interfaces.collect();
            let lease =
                Lease { service: start.service, slot: start.slot, interfaces, is_withdrawn: false };
            self.leases.insert(start.run.task, lease);
        }
    }

    /// The machine was looked at again.
    pub fn on_facts_found(&mut self, facts: NetworkFacts) {
        self.is_outdated |= self.facts != facts;
        self.facts = facts;
    }

    /// Records of networks, claims, services or tasks changed.
    pub fn on_records(&mut self) {
        self.is_outdated = true;
    }

    /// Is there nothing left to give or to write?
    pub fn is_settled(&self) -> bool {
        !self.is_outdated
    }

    /// Can this node take part in networks?
    pub fn is_able(&self) -> bool {
        self.facts.refusal.is_empty()
    }

    /// What the agent has found out about this machine.
    pub fn facts(&self) -> &NetworkFacts {
        &self.facts
    }

    /// The addresses of each task.
    pub fn leases(&self) -> &BTreeMap<TaskId, Lease> {
        &self.leases
    }

    /// Gives addresses to the tasks that need some, takes back those of ended tasks, and writes
    /// what changed. Returns whether anything was written.
    pub fn settle(
        &mut self,
        live: Vec<LiveTask>,
        catalog: &Catalog,
        replica: &mut Replica,
        wall_ms: u64,
        events: &mut Vec<Event>,
    ) -> bool {
        if !self.is_outdated && self.live == live {
            return false;
        }
        self.is_outdated = false;
        self.live = live;
        let lamport = replica.next_stamp().lamport;
        self.end_leases();
        let mut claims = catalog.networks.claims.clone();
        self.note_own(&mut claims);
        for lost in self.give_up_lost(catalog, &mut claims) {
            events.push(renumbered(catalog, lost, wall_ms));
        }
        for live in self.live.clone() {
            self.lease(live, catalog, &mut claims, lamport);
        }
        self.claim_own_addresses(catalog, &mut claims, lamport);
        self.release_unused(catalog);
        self.write(replica, &catalog.networks, wall_ms)
    }

    fn end_leases(&mut self) {
        let live: BTreeSet<TaskId> = self.live.iter().map(|live| live.task).collect();
        self.leases.retain(|task, _| live.contains(task));
    }

    fn note_own(&self, claims: &mut Claims) {
        let own = claims.entry(self.me).or_default();
        own.blocks.clone_from(&self.blocks);
    }

    /// Gives up the blocks that another node holds, those of networks that are gone, and those that
    /// a network's new subnet does not have.
    fn give_up_lost(&mut self, catalog: &Catalog, claims: &mut Claims) -> Vec<claims::Lost> {
        let mut given_up = Vec::new();
        let settled = &catalog.networks.settled;
        self.blocks.retain(|network, _| settled.contains_key(network));
        for (network, blocks) in &mut self.blocks {
            let lost = claims::lost(claims, self.me, *network);
            let divisions = divisions(&settled[network].ranges);
            let virtual_addresses = taken_by_services(catalog, *network, &divisions);
            blocks.retain(|block| {
                let is_lost = lost.iter().any(|lost| lost.block == *block);
                let fits = divisions.iter().any(|division| division.is_block(&block.subnet));
                let is_virtual = virtual_addresses.iter().any(|ip| block.subnet.contains(ip));
                !is_lost && fits && !is_virtual
            });
            given_up.extend(lost);
        }
        self.note_own(claims);
        given_up
    }

    /// Sees to it that a task has an address on each network of its service.
    fn lease(&mut self, live: LiveTask, catalog: &Catalog, claims: &mut Claims, lamport: u64) {
        let Some(service) = catalog.services.get(&live.service) else { return };
        let held = self.leases.remove(&live.task);
        let is_wanted = held.is_some() || !live.has_begun;
        if !is_wanted || !self.is_able() || !is_on_networks(service) {
            self.leases.extend(held.map(|held| (live.task, held)));
            return;
        }
        // A further attempt takes connections again.
        let was_withdrawn = held.as_ref().is_some_and(|held| held.is_withdrawn);
        let is_withdrawn = was_withdrawn && live.has_begun;
        let held = held.map(|lease| lease.interfaces).unwrap_or_default();
        let mut interfaces: Vec<Leased> = Vec::new();
        for attachment in &service.networks {
            let network = attachment.network;
            let Some(settled) = catalog.networks.settled.get(&network) else { continue };
            let before = held.iter().find(|leased| leased.network == network);
            let names = held.iter().chain(&interfaces).map(|leased| leased.name.as_str());
            let name = before.map_or_else(|| free_name(names.collect()), |b| b.name.clone());
            let kept = before.map(|before| before.addresses.as_slice()).unwrap_or_default();
            let addresses = settled.ranges.iter().filter_map(|range| {
                let division = Division::of(range);
                let kept = kept.iter().copied().find(|ip| {
                    self.is_mine(network, &division, *ip)
                        || self.claim_again(network, &division, *ip, claims, lamport)
                });
                kept.or_else(|| self.give(network, &division, catalog, claims, lamport))
            });
            let addresses = addresses.collect();
            interfaces.push(Leased { network, name, addresses });
        }
        let (service, slot) = (live.service, live.slot);
        let lease = Lease { service, slot, interfaces, is_withdrawn };
        self.leases.insert(live.task, lease);
    }

    /// Is the address in one of this node's blocks of this division?
    fn is_mine(&self, network: NetworkId, division: &Division, ip: IpAddr) -> bool {
        let blocks = self.blocks.get(&network).map_or(&[][..], Vec::as_slice);
        let mut blocks = blocks.iter().filter(|block| division.is_block(&block.subnet));
        blocks.any(|block| block.subnet.contains(&ip))
    }

    /// A node that lost its records claims the blocks again in which its tasks run, unless another
    /// node has claimed them.
    fn claim_again(
        &mut self,
        network: NetworkId,
        division: &Division,
        ip: IpAddr,
        claims: &mut Claims,
        lamport: u64,
    ) -> bool {
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
    fn give(
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

    fn free_address(&mut self, network: NetworkId, division: &Division) -> Option<IpAddr> {
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

    fn blocks_of(
        &self,
        network: NetworkId,
        division: &Division,
    ) -> impl Iterator<Item = IpNet> + use<'_> {
        let blocks = self.blocks.get(&network).map_or(&[][..], Vec::as_slice);
        let blocks = blocks.iter().map(|block| block.subnet);
        let blocks: Vec<IpNet> = blocks.filter(|subnet| division.is_block(subnet)).collect();
        blocks.into_iter()
    }

    fn claim(
        &mut self,
        network: NetworkId,
        division: &Division,
        catalog: &Catalog,
        claims: &mut Claims,
        lamport: u64,
    ) -> Option<IpNet> {
        let taken = taken_by_services(catalog, network, std::slice::from_ref(division));
        let is_taken = |block: &IpNet| taken.iter().any(|ip| block.contains(ip));
        let subnet = claims::choose(division, claims, (self.me, network), is_taken)?;
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

    /// The networks by which this node publishes ports.
    pub fn mesh_networks(&self) -> &BTreeSet<NetworkId> {
        &self.own_needed
    }

    fn is_own_needed(&self, network: NetworkId) -> bool {
        self.own_needed.contains(&network)
    }

    /// This node needs an address of its own on each network by which it publishes ports.
    fn claim_own_addresses(&mut self, catalog: &Catalog, claims: &mut Claims, lamport: u64) {
        self.own_needed =
            if self.is_able() { interfaces::mesh_networks(catalog) } else { BTreeSet::new() };
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
    fn release_unused(&mut self, catalog: &Catalog) {
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

    fn write(&self, replica: &mut Replica, networks: &NetworkCatalog, wall_ms: u64) -> bool {
        let said = NodeNetworks {
            refusal: self.facts.refusal.clone(),
            data_address: self.facts.data_address,
            mtu: self.facts.mtu,
            routes: self.facts.routes.clone(),
            blocks: self.blocks.clone(),
        };
        let mut is_changed = networks.claims.get(&self.me) != Some(&said);
        if is_changed {
            replica.put_owned(RecordKey::node_networks(self.me), &said, wall_ms);
        }
        let mut slots: BTreeMap<(ServiceId, Slot), SlotAddresses> = BTreeMap::new();
        for (task, lease) in &self.leases {
            let (service, slot, node) = (lease.service, lease.slot, self.me);
            let empty = SlotAddresses { service, slot, node, tasks: Vec::new() };
            let record = slots.entry((service, slot)).or_insert(empty);
            let networks =
                lease.interfaces.iter().map(|leased| (leased.network, leased.addresses.clone()));
            let networks = networks.collect();
            record.tasks.push(TaskAddresses {
                task: *task,
                networks,
                withdrawn: lease.is_withdrawn,
            });
        }
        for (key, record) in &slots {
            if own_record(networks, self.me, *key) != Some(record) {
                let key = RecordKey::addresses(self.me, key.0, key.1);
                replica.put_owned(key, record, wall_ms);
                is_changed = true;
            }
        }
        for (service, records) in &networks.addresses {
            for (slot, _) in records.keys().filter(|(_, node)| *node == self.me) {
                if !slots.contains_key(&(*service, *slot)) {
                    replica.retire_owned(RecordKey::addresses(self.me, *service, *slot), wall_ms);
                    is_changed = true;
                }
            }
        }
        is_changed
    }

    /// From now on the task takes no new connections. Returns whether that changes anything.
    pub fn withdraw(&mut self, task: TaskId) -> bool {
        let Some(lease) = self.leases.get_mut(&task) else { return false };
        let is_news = !std::mem::replace(&mut lease.is_withdrawn, true);
        self.is_outdated |= is_news;
        is_news
    }

    /// What a start gets: its interfaces, or why it cannot have them.
    pub fn equip(&self, start: &mut TaskStart, catalog: &Catalog) -> Result<(), String> {
        let service = catalog.services.get(&start.service).filter(|s| is_on_networks(s));
        let Some(service) = service else { return Ok(()) };
        if !self.is_able() {
            let falls_back = start.template.container.network == NetworkMode::Host;
            let refusal = || format!("no network on this node: {}", self.facts.refusal);
            return if falls_back { Ok(()) } else { Err(refusal()) };
        }
        let lease = self.leases.get(&start.run.task);
        start.interfaces = interfaces::of_lease(lease, service, &catalog.networks)?;
        start.template.container.network = NetworkMode::None;
        Ok(())
    }

    /// The interfaces that a live task has now; none: it is on the network of its template.
    pub fn interfaces(&self, task: TaskId, catalog: &Catalog) -> Vec<TaskInterface> {
        let Some(lease) = self.leases.get(&task) else { return Vec::new() };
        let service = catalog.services.get(&lease.service);
        let made = service.map(|s| interfaces::of_lease(Some(lease), s, &catalog.networks));
        made.and_then(Result::ok).unwrap_or_default()
    }
}

/// Does the service have networks, and tasks that can be on them?
pub fn is_on_networks(service: &Service) -> bool {
    !service.networks.is_empty() && service.template.runtime == Runtime::Container
}

fn divisions(ranges: &[AddressRange]) -> Vec<Division> {
    ranges.iter().map(Division::of).collect()
}

/// The virtual addresses on a network that is not divided: there they lie among the blocks.
fn taken_by_services(catalog: &Catalog, network: NetworkId, divisions: &[Division]) -> Vec<IpAddr> {
    if divisions.iter().all(|division| !division.is_undivided()) {
        return Vec::new();
    }
    let settled = catalog.networks.virtual_addresses(&catalog.services, network);
    settled.into_values().flatten().collect()
}

/// The first name `eth0`, `eth1` … that is not among these.
fn free_name(taken: Vec<&str>) -> String {
    let mut names = (0..).map(|number| format!("eth{number}"));
    names.find(|name| !taken.contains(&name.as_str())).expect("there are enough numbers")
}

fn own_record(
    networks: &NetworkCatalog,
    me: NodeId,
    (service, slot): (ServiceId, Slot),
) -> Option<&SlotAddresses> {
    networks.addresses.get(&service)?.get(&(slot, me))
}

fn renumbered(catalog: &Catalog, lost: claims::Lost, wall_ms: u64) -> Event {
    let (block, node) = (lost.block.subnet.to_string(), catalog.hostname(lost.to));
    let subject = Subject::Node { id: lost.to, name: node };
    let attributes = vec![("block", block)];
    Event { subject, action: "renumber", attributes, wall_ms }
}
