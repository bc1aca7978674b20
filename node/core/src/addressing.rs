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

use crdt_state::interface::{Setting, TaskInterface};
use crdt_state::network::{Block, NodeTunnel, PickedPorts};
use crdt_state::replica::Replica;
use crdt_state::spec::{NetworkMode, TemplateVersion};
use crdt_state::task::{AdoptedRun, Slot, TaskStart};
use crdt_state::{NetworkId, NodeId, ServiceId, TaskId};
use ipnet::IpNet;
use overlay::blocks::Division;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, MetRoute, NetworkCatalog};
use crate::event::Event;

mod blocks;
mod interfaces;
mod leases;
mod met_routes;
mod outdated;
mod ports;
mod records;
mod renumbered;

pub use interfaces::is_on_networks;
pub use interfaces::{gateway_network, mac};
pub use leases::Leases;
pub use outdated::Outdated;
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
    /// The template that it was made from.
    pub template: TemplateVersion,
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
    /// Settings of the kernel for the interface.
    pub settings: Vec<Setting>,
}

/// The addresses that one node has given.
pub struct Addressing {
    me: NodeId,
    facts: NetworkFacts,
    /// This node's end of the tunnel; `None`: nobody has looked yet.
    tunnel: Option<NodeTunnel>,
    blocks: BTreeMap<NetworkId, Vec<Block>>,
    leases: Leases,
    picked_ports: PickedPorts,
    /// The last address given from each block: the next one is looked for behind it, so that a name
    /// that somebody still remembers leads to nobody rather than to another task.
    last: BTreeMap<IpNet, IpAddr>,
    outdated: Outdated,
    /// The networks on which something has not all the addresses that it needs: every settling
    /// tries again.
    full: BTreeSet<NetworkId>,
    /// Where routes of this machine's site met networks at the last settling.
    met_routes: BTreeSet<MetRoute>,
    /// The network by which each service publishes ports on every node.
    meshed: BTreeMap<ServiceId, NetworkId>,
    /// The networks by which this node publishes ports: it has an address of its own there.
    own_needed: BTreeSet<NetworkId>,
    /// This node's own addresses on each network that it takes part in.
    own_addresses: BTreeMap<NetworkId, Vec<IpAddr>>,
    /// The services of which a lease changed since somebody asked.
    changed: BTreeSet<ServiceId>,
    /// Did the networks that this node takes part in, or its own addresses, change since then?
    has_links_changed: bool,
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
            leases: Leases::default(),
            picked_ports: networks.picked_ports.get(&me).cloned().unwrap_or_default(),
            last: BTreeMap::new(),
            outdated: Outdated::everything(),
            full: BTreeSet::new(),
            met_routes: BTreeSet::new(),
            meshed: BTreeMap::new(),
            own_needed: BTreeSet::new(),
            own_addresses: BTreeMap::new(),
            changed: BTreeSet::new(),
            has_links_changed: false,
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
                settings: interface.settings.clone(),
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
        self.outdated.everything |= self.facts != facts;
        self.facts = facts;
    }

    /// The tunnel was looked at again.
    pub fn on_tunnel_found(&mut self, found: NodeTunnel) {
        let found = Some(found);
        self.outdated.everything |= self.tunnel != found;
        self.tunnel = found;
    }

    /// Is there nothing left to give or to write?
    pub fn is_settled(&self) -> bool {
        self.outdated == Outdated::default()
    }

    /// Can this node take part in networks?
    pub fn is_able(&self) -> bool {
        self.facts.refusal.is_empty()
    }

    /// What the agent has found out about this machine.
    pub fn facts(&self) -> &NetworkFacts {
        &self.facts
    }

    /// Did any lease or own address change since somebody asked?
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty() || self.has_links_changed
    }

    /// The services of which a lease changed since the last call.
    pub fn drain_changed(&mut self) -> BTreeSet<ServiceId> {
        std::mem::take(&mut self.changed)
    }

    /// Did the networks that this node takes part in, or its own addresses there, change since the
    /// last call?
    pub fn take_links_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_links_changed)
    }

    /// The addresses of each task.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Gives addresses to the tasks that need some, takes back those of ended tasks, and writes
    /// what changed. `live` are the live tasks of the services that are outdated. Returns whether
    /// anything was written.
    pub fn settle(
        &mut self,
        (outdated, live): (&Outdated, &[LiveTask]),
        catalog: &Catalog,
        replica: &mut Replica,
        wall_ms: u64,
        events: &mut Vec<Event>,
    ) -> bool {
        let lamport = replica.next_stamp().lamport;
        let mut networks = outdated.networks.clone();
        let ended = self.end_leases(outdated, live, &mut networks);
        self.give_up_lost(&outdated.networks, catalog);
        let needed = self.note_meshed(outdated, catalog, &mut networks);
        for live in live {
            let before = self.lease(*live, catalog, lamport);
            let (held, lease) = (before.unwrap_or_default(), self.leases.get(live.task));
            if let Some(lease) = lease {
                networks.extend(held.iter().chain(&lease.interfaces).map(|leased| leased.network));
                let whose = (self.me, *live);
                events.extend(renumbered::events(whose, &held, lease, catalog, wall_ms));
            }
        }
        self.own_needed = needed;
        self.claim_own_addresses(&networks, catalog, lamport);
        self.release_unused(&networks, catalog);
        // The last word of a node that leaves.
        if catalog.is_leaving(self.me) && self.leases.is_empty() {
            self.blocks.clear();
        }
        self.pick_ports(outdated, &ended, catalog);
        if outdated.everything {
            events.extend(self.met_route_events(catalog, wall_ms));
        }
        self.note_own_addresses(&networks, catalog);
        if cfg!(debug_assertions) {
            self.leases.check();
        }
        self.write(&outdated.services, replica, &catalog.networks, wall_ms)
    }

    /// Ends the leases of tasks that have ended, and adds the networks that they were on. Returns
    /// these tasks.
    fn end_leases(
        &mut self,
        outdated: &Outdated,
        live: &[LiveTask],
        networks: &mut BTreeSet<NetworkId>,
    ) -> Vec<TaskId> {
        let live: BTreeSet<TaskId> = live.iter().map(|live| live.task).collect();
        let leased = outdated.services.iter().flat_map(|service| self.leases.of(*service));
        let ended = leased.map(|(task, _)| task).filter(|task| !live.contains(task));
        let ended: Vec<TaskId> = ended.collect();
        for lease in ended.iter().filter_map(|task| self.leases.remove(*task)) {
            self.changed.insert(lease.service);
            networks.extend(lease.interfaces.iter().map(|leased| leased.network));
        }
        ended
    }

    /// Sees to it that a task has an address on each network of its service. Returns what it had
    /// before, if that was looked at.
    fn lease(&mut self, live: LiveTask, catalog: &Catalog, lamport: u64) -> Option<Vec<Leased>> {
        let service = catalog.services.get(&live.service)?;
        let is_wanted = self.leases.get(live.task).is_some() || !live.has_begun;
        if !is_wanted || !self.is_able() || !interfaces::has_task_networks(service, live.template) {
            return None;
        }
        let held = self.leases.remove(live.task);
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
            let name = interfaces::name(service, network, &held, &interfaces);
            let settings = interfaces::options(attachment).settings_of(&name);
            let kept = before.map(|before| before.addresses.as_slice()).unwrap_or_default();
            let addresses = settled.ranges.iter().filter_map(|range| {
                let division = Division::of(range);
                let kept = kept.iter().copied().find(|ip| {
                    self.is_mine(network, &division, *ip)
                        || self.claim_again(network, &division, *ip, catalog, lamport)
                });
                kept.or_else(|| self.give(network, &division, catalog, lamport))
            });
            let addresses = addresses.collect();
            let is_default = way_out == Some(network);
            interfaces.push(Leased { network, name, addresses, is_default, settings });
        }
        let (service, slot) = (live.service, live.slot);
        let lease = Lease { service, slot, interfaces, is_withdrawn };
        if before.as_ref() != Some(&lease) {
            self.changed.insert(service);
        }
        self.leases.insert(live.task, lease);
        Some(held)
    }

    /// The networks by which this node publishes ports.
    pub fn mesh_networks(&self) -> &BTreeSet<NetworkId> {
        &self.own_needed
    }

    /// From now on the task takes no new connections. Returns whether that changes anything.
    pub fn withdraw(&mut self, task: TaskId) -> bool {
        let Some((service, is_news)) = self.leases.withdraw(task) else { return false };
        self.changed.insert(service);
        if is_news {
            self.outdated.services.insert(service);
        }
        is_news
    }

    /// What a start gets: its interfaces, or why it cannot have them.
    pub fn equip(&self, start: &mut TaskStart, catalog: &Catalog) -> Result<(), String> {
        let service = catalog.services.get(&start.service);
        let service = service.filter(|s| interfaces::has_networks(s, &start.template));
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
        let lease = self.leases.get(start.run.task);
        interfaces::check(lease, service, &catalog.networks)?;
        start.interfaces = interfaces::of_lease(lease, &catalog.networks)?;
        self.check_picked_ports(start.run.task, service)?;
        start.template.container.network = NetworkMode::None;
        Ok(())
    }

    /// The interfaces that a live task has now; none: it is on the network of its template.
    pub fn interfaces(&self, task: TaskId, catalog: &Catalog) -> Vec<TaskInterface> {
        let Some(lease) = self.leases.get(task) else { return Vec::new() };
        // Also when its service is gone: it may still have connections. A network that has no
        // address for it takes no other away.
        interfaces::that_can_be(lease, &catalog.networks)
    }
}
