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

use crdt_state::interface::TaskInterface;
use crdt_state::network::{Block, NodeTunnel, PickedPorts};
use crdt_state::replica::Replica;
use crdt_state::service::Service;
use crdt_state::spec::{NetworkMode, Runtime};
use crdt_state::task::{AdoptedRun, Slot, TaskStart};
use crdt_state::{NetworkId, NodeId, ServiceId, TaskId};
use ipnet::IpNet;
use overlay::blocks::Division;
use overlay::claims::Claims;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, MetRoute, NetworkCatalog};
use crate::event::Event;

mod blocks;
mod interfaces;
mod met_routes;
mod ports;
mod records;
mod renumbered;

pub use interfaces::{gateway_network, mac};
pub(crate) use ports::free_number;
pub use ports::is_picked_by_node;

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
    /// Does the default route lead here?
    pub is_default: bool,
}

/// The addresses that one node has given.
pub struct Addressing {
    me: NodeId,
    facts: NetworkFacts,
    /// This node's end of the tunnel; `None`: nobody has looked yet.
    tunnel: Option<NodeTunnel>,
    blocks: BTreeMap<NetworkId, Vec<Block>>,
    leases: BTreeMap<TaskId, Lease>,
    picked_ports: PickedPorts,
    /// The last address given from each block: the next one is looked for behind it, so that a name
    /// that somebody still remembers leads to nobody rather than to another task.
    last: BTreeMap<IpNet, IpAddr>,
    is_outdated: bool,
    /// Where routes of this machine's site met networks at the last settling.
    met_routes: BTreeSet<MetRoute>,
    /// The networks by which this node publishes ports: it has an address of its own there.
    own_needed: BTreeSet<NetworkId>,
    /// The services of which a lease changed since somebody asked.
    changed: BTreeSet<ServiceId>,
}

impl Addressing {
    /// With the blocks that this node claimed before.
    pub fn new(me: NodeId, mut facts: NetworkFacts, networks: &NetworkCatalog) -> Addressing {
        let said = networks.claims.get(&me);
        facts.data_address = facts.data_address.or(said.and_then(|said| said.data_address));
        Addressing {
            me,
            facts,
            tunnel: networks.tunnels.get(&me).cloned(),
            blocks: said.map(|said| said.blocks.clone()).unwrap_or_default(),
            leases: BTreeMap::new(),
            picked_ports: networks.picked_ports.get(&me).cloned().unwrap_or_default(),
            last: BTreeMap::new(),
            is_outdated: true,
            met_routes: BTreeSet::new(),
            own_needed: BTreeSet::new(),
            changed: BTreeSet::new(),
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
                is_default: interface.is_default,
            });
            let interfaces = interfaces.collect();
            let lease =
                Lease { service: start.service, slot: start.slot, interfaces, is_withdrawn: false };
            self.changed.insert(start.service);
            self.leases.insert(start.run.task, lease);
        }
    }

    /// The machine was looked at again. A cable that is pulled takes the address away, and not the networks: the last one stays.
    pub fn on_facts_found(&mut self, mut facts: NetworkFacts) {
        facts.data_address = facts.data_address.or(self.facts.data_address);
        self.is_outdated |= self.facts != facts;
        self.facts = facts;
    }

    /// The tunnel was looked at again.
    pub fn on_tunnel_found(&mut self, found: NodeTunnel) {
        let found = Some(found);
        self.is_outdated |= self.tunnel != found;
        self.tunnel = found;
    }

    /// Records of networks, claims or services changed, or the live tasks of this node.
    pub fn on_changed(&mut self) {
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

    /// Did any lease change since the last call of [`Addressing::drain_changed`]?
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The services of which a lease changed since the last call.
    pub fn drain_changed(&mut self) -> BTreeSet<ServiceId> {
        std::mem::take(&mut self.changed)
    }

    /// The addresses of each task.
    pub fn leases(&self) -> &BTreeMap<TaskId, Lease> {
        &self.leases
    }

    /// Gives addresses to the tasks that need some, takes back those of ended tasks, and writes
    /// what changed. Returns whether anything was written.
    pub fn settle(
        &mut self,
        live: &[LiveTask],
        catalog: &Catalog,
        replica: &mut Replica,
        wall_ms: u64,
        events: &mut Vec<Event>,
    ) -> bool {
        self.is_outdated = false;
        let lamport = replica.next_stamp().lamport;
        self.end_leases(live);
        let held = catalog.networks.held_claims();
        let mut claims: Claims = held.map(|(node, said)| (node, said.clone())).collect();
        self.note_own(&mut claims);
        self.give_up_lost(catalog, &mut claims);
        for live in live {
            let held = self.lease(*live, catalog, &mut claims, lamport);
            if let Some(lease) = self.leases.get(&live.task) {
                let known = (catalog, &claims);
                events.extend(renumbered::events(*live, &held, lease, known, wall_ms));
            }
        }
        self.claim_own_addresses(catalog, &mut claims, lamport);
        self.release_unused(catalog);
        // The last word of a node that leaves.
        if catalog.is_leaving(self.me) && self.leases.is_empty() {
            self.blocks.clear();
        }
        self.pick_ports(catalog);
        events.extend(self.met_route_events(catalog, wall_ms));
        self.write(replica, &catalog.networks, wall_ms)
    }

    fn end_leases(&mut self, live: &[LiveTask]) {
        let live: BTreeSet<TaskId> = live.iter().map(|live| live.task).collect();
        let ended = |(task, _): &(&TaskId, &Lease)| !live.contains(task);
        self.changed.extend(self.leases.iter().filter(ended).map(|(_, lease)| lease.service));
        self.leases.retain(|task, _| live.contains(task));
    }

    /// Sees to it that a task has an address on each network of its service. Returns what it had
    /// before, if that was looked at.
    fn lease(
        &mut self,
        live: LiveTask,
        catalog: &Catalog,
        claims: &mut Claims,
        lamport: u64,
    ) -> Vec<Leased> {
        let Some(service) = catalog.services.get(&live.service) else { return Vec::new() };
        let held = self.leases.remove(&live.task);
        let is_wanted = held.is_some() || !live.has_begun;
        if !is_wanted || !self.is_able() || !is_on_networks(service) {
            self.leases.extend(held.map(|held| (live.task, held)));
            return Vec::new();
        }
        // A further attempt takes connections again.
        let was_withdrawn = held.as_ref().is_some_and(|held| held.is_withdrawn);
        let is_withdrawn = was_withdrawn && live.has_begun;
        let before = held.clone();
        let held = held.map(|lease| lease.interfaces).unwrap_or_default();
        let way_out = interfaces::way_out(service, &catalog.networks);
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
                    self.is_mine(network, &division, *ip) || {
                        let own = std::slice::from_ref(&division);
                        let taken = blocks::taken_by_services(catalog, network, own);
                        self.claim_again(network, (&division, &taken), *ip, claims, lamport)
                    }
                });
                kept.or_else(|| self.give(network, &division, catalog, claims, lamport))
            });
            let addresses = addresses.collect();
            let is_default = way_out == Some(network);
            interfaces.push(Leased { network, name, addresses, is_default });
        }
        let (service, slot) = (live.service, live.slot);
        let lease = Lease { service, slot, interfaces, is_withdrawn };
        if before.as_ref() != Some(&lease) {
            self.changed.insert(service);
        }
        self.leases.insert(live.task, lease);
        held
    }

    /// The networks by which this node publishes ports.
    pub fn mesh_networks(&self) -> &BTreeSet<NetworkId> {
        &self.own_needed
    }

    /// From now on the task takes no new connections. Returns whether that changes anything.
    pub fn withdraw(&mut self, task: TaskId) -> bool {
        let Some(lease) = self.leases.get_mut(&task) else { return false };
        let is_news = !std::mem::replace(&mut lease.is_withdrawn, true);
        self.changed.insert(lease.service);
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
        if let (Some(network), Some(refusal)) =
            (catalog.networks.encrypted_of(service), catalog.networks.no_tunnel(self.me))
        {
            let name = &network.name;
            return Err(format!("network {name} is encrypted, and this node cannot: {refusal}"));
        }
        let lease = self.leases.get(&start.run.task);
        interfaces::check(lease, service, &catalog.networks)?;
        start.interfaces = interfaces::of_lease(lease, &catalog.networks)?;
        self.check_picked_ports(start.run.task, service)?;
        start.template.container.network = NetworkMode::None;
        Ok(())
    }

    /// The interfaces that a live task has now; none: it is on the network of its template.
    pub fn interfaces(&self, task: TaskId, catalog: &Catalog) -> Vec<TaskInterface> {
        let Some(lease) = self.leases.get(&task) else { return Vec::new() };
        // Also when its service is gone: it may still have connections. A network that has no
        // address for it takes no other away.
        interfaces::that_can_be(lease, &catalog.networks)
    }
}

/// Does the service have networks, and tasks that can be on them?
pub fn is_on_networks(service: &Service) -> bool {
    !service.networks.is_empty() && service.template.runtime == Runtime::Container
}

/// The first name `eth0`, `eth1` … that is not among these.
fn free_name(taken: Vec<&str>) -> String {
    let mut names = (0..).map(|number| format!("eth{number}"));
    names.find(|name| !taken.contains(&name.as_str())).expect("there are enough numbers")
}
