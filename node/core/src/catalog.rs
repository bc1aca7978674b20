//! The records as the node reads them: decoded once, kept up to date by key.
//!
//! The catalog is only a cache: built again from the replica at any time, it must be equal. Records
//! that this version cannot decode are absent here and stay in the replica.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crdt_state::autoscale::ScalingReports;
use crdt_state::condition::NodeConditions;
use crdt_state::handover::Handovers;
use crdt_state::job::JobReport;
use crdt_state::labels;
use crdt_state::node::{Availability, NodeDescription};
use crdt_state::partition::Grants;
use crdt_state::read;
use crdt_state::replica::Replica;
use crdt_state::resource::NamedResources;
use crdt_state::rollout::RolloutReports;
use crdt_state::schedule::RunReport;
use crdt_state::service::Service;
use crdt_state::spec::{Facet, Labels, Life};
use crdt_state::stamp::Stamp;
use crdt_state::task::{Slot, TaskRecord};
use crdt_state::volume::Holding;
use crdt_state::{FleetSettings, Kind, NetworkId, NodeId, Record, RecordKey, SecretId, ServiceId};

mod autoscale;
mod files;
mod grants;
mod jobs;
mod networks;
mod secrets;
mod site_routes;

pub use files::FileCatalog;
pub(crate) use files::named_by;
pub use networks::{Asked, NetworkCatalog};
pub use secrets::KeyCatalog;
pub use site_routes::MetRoute;

/// A node as the records describe it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeEntry {
    /// Its own description.
    pub description: Option<NodeDescription>,
    /// Its availability, set by operators.
    pub availability: Availability,
    /// Its labels, set by operators.
    pub labels: Labels,
    /// Operators removed it from the fleet.
    pub evicted: bool,
    /// The volumes that it holds.
    pub volumes: BTreeMap<String, Holding>,
    /// Why it cannot start tasks, as the node itself reports.
    pub conditions: NodeConditions,
    /// The names of its generic resources that have names, by kind.
    pub named_resources: NamedResources,
    /// The highest counter of what operators set: Docker's `Version.Index`.
    pub version: u64,
}

impl NodeEntry {
    /// Does it take part in placement?
    pub fn is_member(&self) -> bool {
        !self.evicted && self.description.as_ref().is_some_and(|d| !d.left)
    }

    /// Does it say that it has left, or begins to?
    fn leaves(&self) -> bool {
        self.description.as_ref().is_some_and(|said| said.left)
    }
}

/// What a change of records affects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Services whose spec or tasks changed.
    pub services: BTreeSet<ServiceId>,
    /// Nodes changed: every service may be concerned.
    pub nodes: bool,
    /// Services whose handovers changed: reconciled again, but not planned again.
    pub handovers: BTreeSet<ServiceId>,
    /// Services whose addresses changed, or the owner of whose name: nothing is planned again for
    /// them.
    pub named: BTreeSet<ServiceId>,
    /// Nodes that gave addresses which changed.
    pub givers: BTreeSet<NodeId>,
    /// Networks on which the blocks changed that a node holds.
    pub claims: BTreeSet<NetworkId>,
    /// Networks on which a service asks for another virtual address.
    pub asked: BTreeSet<NetworkId>,
}

impl Touched {
    /// Adds what another change affects.
    pub fn add(&mut self, other: &Touched) {
        self.services.extend(&other.services);
        self.nodes |= other.nodes;
        self.handovers.extend(&other.handovers);
        self.named.extend(&other.named);
        self.givers.extend(&other.givers);
        self.claims.extend(&other.claims);
        self.asked.extend(&other.asked);
    }
}

/// The kinds that are decoded.
const READ: [Kind; 27] = [
    Kind::FLEET_SETTINGS,
    Kind::NODE,
    Kind::NODE_SETTINGS,
    Kind::EVICTION,
    Kind::VOLUMES,
    Kind::CONDITIONS,
    Kind::NAMED_RESOURCES,
    Kind::SERVICE,
    Kind::TASK,
    Kind::HANDOVERS,
    Kind::GRANTS,
    Kind::COMPLETIONS,
    Kind::SCHEDULED_RUNS,
    Kind::SCALING,
    Kind::ROLLOUTS,
    Kind::NETWORK,
    Kind::NODE_NETWORKS,
    Kind::TUNNEL,
    Kind::PICKED_PORTS,
    Kind::ADDRESSES,
    Kind::CONFIG,
    Kind::CONFIG_PART,
    Kind::SECRET,
    Kind::SECRET_PART,
    Kind::FLEET_KEY,
    Kind::UNLOCK_KEY,
    Kind::SECRET_KEYS,
];

/// All records, decoded.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The settings of the fleet.
    pub fleet: FleetSettings,
    /// Living services.
    pub services: BTreeMap<ServiceId, Arc<Service>>,
    /// Nodes, members or not.
    pub nodes: BTreeMap<NodeId, NodeEntry>,
    /// The task records of the owners, per service.
    pub tasks: BTreeMap<ServiceId, BTreeMap<(Slot, NodeId), TaskRecord>>,
    /// What each node completed of each job.
    pub jobs: BTreeMap<ServiceId, BTreeMap<NodeId, JobReport>>,
    /// The runs of jobs that each node declared.
    pub runs: BTreeMap<ServiceId, BTreeMap<NodeId, RunReport>>,
    /// What nodes report of services that are scaled by their load.
    pub scaling: BTreeMap<NodeId, ScalingReports>,
    /// The handover records of the nodes: their questions and their answers.
    pub handovers: BTreeMap<NodeId, Handovers>,
    /// The leases that nodes gave out as witnesses.
    pub grants: BTreeMap<NodeId, Grants>,
    /// What nodes report of rollouts.
    pub rollouts: BTreeMap<NodeId, RolloutReports>,
    /// Networks and addresses.
    pub networks: NetworkCatalog,
    /// Configs and secrets.
    pub files: FileCatalog,
    /// Who has the keys of secrets.
    pub secrets: KeyCatalog,
    task_keys: BTreeMap<RecordKey, (ServiceId, Slot, NodeId)>,
    job_keys: BTreeMap<RecordKey, (ServiceId, NodeId)>,
    run_keys: BTreeMap<RecordKey, (ServiceId, NodeId)>,
    /// The living services of each name, the oldest first.
    by_name: BTreeMap<String, BTreeSet<(Stamp, ServiceId)>>,
}

impl Catalog {
    /// How much of the past of a service's slots is kept. Of a container that was made by hand at
    /// least the last attempt: it may be started again, with the files of that.
    pub fn past_max(&self, service: ServiceId) -> usize {
        let service = self.services.get(&service);
        let is_standalone = service.is_some_and(|service| service.template.is_standalone());
        self.fleet.past_max().max(usize::from(is_standalone))
    }

    /// Reads everything.
    pub fn read(replica: &Replica) -> Catalog {
        let mut catalog = Catalog::default();
        for kind in READ {
            for key in replica.keys(kind).collect::<Vec<_>>() {
                catalog.update(replica, key, &mut Touched::default());
            }
        }
        catalog
    }

    /// Reads one record again.
    pub fn update(&mut self, replica: &Replica, key: RecordKey, touched: &mut Touched) {
        match key.kind {
            Kind::SERVICE => self.update_service(replica, ServiceId(key.id), touched),
            Kind::TASK => self.update_task(replica, key, touched),
            Kind::NODE
            | Kind::NODE_SETTINGS
            | Kind::EVICTION
            | Kind::VOLUMES
            | Kind::CONDITIONS
            | Kind::NAMED_RESOURCES => {
                touched.nodes = true;
                let id = NodeId(key.id);
                let entry = read_node(replica, id);
                self.networks.note_evicted(id, &entry, touched);
                self.nodes.insert(id, entry);
            }
            Kind::NETWORK
            | Kind::NODE_NETWORKS
            | Kind::TUNNEL
            | Kind::PICKED_PORTS
            | Kind::ADDRESSES => {
                self.networks.update(replica, key, touched);
                if key.kind == Kind::NETWORK {
                    // Whether it is encrypted decides where their tasks may run.
                    let id = NetworkId(key.id);
                    let is_on = |s: &&Arc<Service>| s.networks.iter().any(|a| a.network == id);
                    let on_it = self.services.values().filter(is_on);
                    touched.services.extend(on_it.map(|service| service.id));
                }
            }
            Kind::CONFIG | Kind::CONFIG_PART | Kind::SECRET_PART => {
                self.update_file(replica, key, touched);
            }
            Kind::SECRET => {
                self.update_file(replica, key, touched);
                self.count_holders(replica, SecretId(key.id), touched);
            }
            Kind::FLEET_KEY | Kind::UNLOCK_KEY => {
                self.count_holders(replica, SecretId(key.id), touched);
            }
            Kind::SECRET_KEYS => self.update_keys(replica, key, touched),
            // It decides nothing that is planned.
            Kind::FLEET_SETTINGS => self.fleet = read::fleet_settings(replica),
            Kind::COMPLETIONS => self.update_job(replica, key, touched),
            Kind::GRANTS => self.update_grants(replica, NodeId(key.id), touched),
            Kind::SCHEDULED_RUNS => self.update_runs(replica, key, touched),
            Kind::SCALING => self.update_scaling(replica, NodeId(key.id), touched),
            Kind::HANDOVERS => self.update_handovers(replica, NodeId(key.id), touched),
            Kind::ROLLOUTS => self.update_rollouts(replica, NodeId(key.id), touched),
            _ => {}
        }
    }

    fn update_service(&mut self, replica: &Replica, id: ServiceId, touched: &mut Touched) {
        touched.services.insert(id);
        let before = self.services.remove(&id);
        let after = Service::read(replica, id).map(Arc::new);
        let age = |service: &Service| (service.created, service.id);
        let is_same =
            before.as_ref().map(|s| (age(s), &s.name)) == after.as_ref().map(|s| (age(s), &s.name));
        if !is_same {
            if let Some(service) = &before
                && let Some(named) = self.by_name.get_mut(&service.name)
            {
                named.remove(&age(service));
                touched.named.extend(named.iter().map(|(_, id)| *id));
                if named.is_empty() {
                    self.by_name.remove(&service.name);
                }
            }
            if let Some(service) = &after {
                let named = self.by_name.entry(service.name.clone()).or_default();
                touched.named.extend(named.iter().map(|(_, id)| *id));
                named.insert(age(service));
            }
        }
        let (asked, asks) = (before.as_deref().map(Asked::of), after.as_deref().map(Asked::of));
        if asked != asks {
            let both = asked.into_iter().chain(asks);
            touched.asked.extend(both.flat_map(|asked| asked.networks.into_keys()));
        }
        self.services.extend(after.map(|service| (id, service)));
    }

    fn update_handovers(&mut self, replica: &Replica, node: NodeId, touched: &mut Touched) {
        let before = self.handovers.remove(&node);
        let after = read::handovers_of(replica, node);
        let both = before.iter().chain(&after);
        touched.handovers.extend(both.flat_map(Handovers::services));
        self.handovers.extend(after.map(|after| (node, after)));
    }

    /// A service is read again when a report of it changes: which template counts may depend on it.
    fn update_rollouts(&mut self, replica: &Replica, node: NodeId, touched: &mut Touched) {
        let before = self.rollouts.remove(&node).unwrap_or_default();
        let after = read::rollouts_of(replica, node);
        let both: BTreeSet<ServiceId> = before.keys().chain(after.keys()).copied().collect();
        for id in both.into_iter().filter(|id| before.get(id) != after.get(id)) {
            self.update_service(replica, id, touched);
        }
        if !after.is_empty() {
            self.rollouts.insert(node, after);
        }
    }

    fn update_task(&mut self, replica: &Replica, key: RecordKey, touched: &mut Touched) {
        let said: Option<TaskRecord> = replica
            .owned::<TaskRecord>(&key)
            .filter(|(owner, record)| *owner == record.node)
            .map(|(_, record)| record);
        if let Some((service, slot, node)) = self.task_keys.remove(&key) {
            touched.services.insert(service);
            if let Some(records) = self.tasks.get_mut(&service) {
                records.remove(&(slot, node));
                if records.is_empty() {
                    self.tasks.remove(&service);
                }
            }
        }
        if let Some(record) = said {
            touched.services.insert(record.service);
            self.task_keys.insert(key, (record.service, record.slot, record.node));
            self.tasks
                .entry(record.service)
                .or_default()
                .insert((record.slot, record.node), record);
        }
    }

    /// The reports of rollouts that a record holds; none if it holds something else.
    pub fn rollouts_said_in(&self, key: RecordKey) -> RolloutReports {
        let said = self.rollouts.get(&NodeId(key.id)).filter(|_| key.kind == Kind::ROLLOUTS);
        said.cloned().unwrap_or_default()
    }

    /// All task records of one node.
    pub fn tasks_of(&self, node: NodeId) -> impl Iterator<Item = &TaskRecord> {
        self.tasks.values().flat_map(|records| records.values()).filter(move |r| r.node == node)
    }

    /// A node's record of one slot.
    pub fn said(&self, service: ServiceId, slot: Slot, node: NodeId) -> Option<&TaskRecord> {
        self.tasks.get(&service)?.get(&(slot, node))
    }

    /// Has the node left or been removed, or does it begin to leave?
    pub fn is_leaving(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.evicted || node.leaves())
    }

    /// The host name of a node; empty if the node has not reported it.
    pub fn hostname(&self, id: NodeId) -> String {
        let description = self.nodes.get(&id).and_then(|node| node.description.as_ref());
        description.map(|description| description.hostname.clone()).unwrap_or_default()
    }

    /// A living service.
    pub fn service(&self, id: ServiceId) -> Option<&Service> {
        self.services.get(&id).map(Arc::as_ref)
    }

    /// The service that owns a name.
    pub fn named(&self, name: &str) -> Option<&Service> {
        let (_, id) = self.by_name.get(name)?.first()?;
        self.service(*id)
    }

    /// Does the service own its name? Of two services that were created with one name on two sides
    /// of a partition, the older one does, on every node. Both run; the name leads only to its
    /// owner.
    pub fn owns_name(&self, service: &Service) -> bool {
        let named = self.by_name.get(&service.name).and_then(BTreeSet::first);
        named.is_some_and(|(_, owner)| *owner == service.id)
    }
}

fn read_node(replica: &Replica, id: NodeId) -> NodeEntry {
    let settings = RecordKey::node_settings(id);
    NodeEntry {
        description: replica
            .owned::<NodeDescription>(&RecordKey::node(id))
            .filter(|(owner, _)| *owner == id)
            .map(|(_, description)| description),
        availability: replica
            .facet::<Availability>(&settings, Facet::AVAILABILITY)
            .map_or(Availability::Active, |(_, availability)| availability),
        labels: labels::labels(replica, &settings),
        volumes: read::holdings(replica, id),
        conditions: read::conditions_of(replica, id),
        named_resources: read::named_resources_of(replica, id),
        version: settings_version(replica, &settings),
        evicted: matches!(replica.life(&RecordKey::eviction(id)), Some(Life::Present { .. })),
    }
}

fn settings_version(replica: &Replica, settings: &RecordKey) -> u64 {
    let Some(record) = replica.record(settings).and_then(Record::as_shared) else { return 0 };
    let facets = [Facet::AVAILABILITY, Facet::LABELS, Facet::LABEL_CHANGES];
    let writes = facets.into_iter().filter_map(|facet| record.winner(facet));
    writes.map(|write| write.stamp.lamport).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
