//! What a request reads of the whole fleet, copied from the node at one moment.
//!
//! The node's thread owns the state. It raises the revision when it settles, and copies the state
//! when a reader asks for a revision that has no copy yet. That copy never changes, and all readers
//! of the revision share it through [`Latest`](super::latest::Latest). Lookups, filters and JSON
//! are done here, outside of that thread. Nothing may request a snapshot in a loop that does not
//! wait for a change, and a request that needs only one service must not use a snapshot.
//!
//! While the revision stays the same, only these change: the ages `since_ms`, `heard_ms` and
//! `unreachable_ms`, and a rollout that becomes `completed` at the end of its monitor time. They are
//! at most a second old, see [`AGE_MAX`](super::latest::AGE_MAX).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crdt_state::network::PickedPorts;
use crdt_state::previous::RanImage;
use crdt_state::read::NodeView;
use crdt_state::service::{self, Service};
use crdt_state::{
    FileClass, FleetImage, FleetSettings, NetworkId, NodeId, RecordKey, ServiceId, TaskId,
    fleet_images,
};
use gossip::Now;
use node_core::autoscale::AutoscaleStatus;
use node_core::schedules::ScheduleStatus;
use node_core::{FileRow, JobStatus, NetworkRow, Node, NodeRow, Rollout, TaskView};

use super::Api;
use super::failure::Failure;
use super::lookup;

/// The fleet as one node sees it.
pub struct Snapshot {
    /// The node that answers.
    pub me: NodeId,
    /// The settings of the fleet.
    pub fleet: FleetSettings,
    /// The living services.
    pub services: Vec<Arc<Service>>,
    /// Their tasks: as their owners report them, and slots without an owner.
    pub tasks: Vec<TaskView>,
    /// The members, present and past.
    pub nodes: Vec<NodeRow>,
    /// How many tasks of a service run and are healthy, and how many should.
    pub running: BTreeMap<ServiceId, (usize, usize)>,
    /// The iterations of the jobs.
    pub jobs: BTreeMap<ServiceId, JobStatus>,
    /// What this node makes of the schedules of jobs.
    pub schedules: BTreeMap<ServiceId, ScheduleStatus>,
    /// What this node makes of the load of services that are scaled by it. When the next number is
    /// due is not in it: the copy does not change while time passes.
    pub autoscaled: BTreeMap<ServiceId, AutoscaleStatus>,
    /// The state of the rollouts of updated templates; a job has none.
    pub rollouts: BTreeMap<ServiceId, Rollout>,
    /// When the records of a node were last written, by the writer's clock.
    pub node_updated_ms: BTreeMap<NodeId, u64>,
    /// The images that tasks with older templates run.
    pub ran: BTreeMap<ServiceId, Vec<RanImage>>,
    /// The images that the fleet has without a registry.
    pub images: Vec<FleetImage>,
    /// The networks of the fleet.
    pub networks: Vec<NetworkRow>,
    /// The configs of the fleet, without their data.
    pub configs: Vec<FileRow>,
    /// The secrets of the fleet, and who can read them.
    pub secrets: Vec<FileRow>,
    /// The addresses of tasks, by network.
    pub task_addresses: BTreeMap<TaskId, BTreeMap<NetworkId, Vec<IpAddr>>>,
    /// The ports that nodes picked for their tasks.
    pub picked_ports: PickedPorts,
    /// The virtual addresses of services, by network.
    pub service_addresses: BTreeMap<ServiceId, Vec<(NetworkId, IpAddr)>>,
    /// Why this node takes part in no network; empty: it can.
    pub network_refusal: String,
    /// Why it takes part in no encrypted network; empty: it can.
    pub tunnel_refusal: String,
    /// The service that owns a name which several services have.
    owners: BTreeMap<String, ServiceId>,
}

impl Snapshot {
    /// The current state, shared by all readers of the same revision. A reader that must see the
    /// next change takes [`node_agent::Handle::changes`] first.
    pub async fn latest(api: &Api) -> Result<Arc<Snapshot>, Failure> {
        let changes = api.handle.changes();
        let revision = changes.revision();
        // The revision is raised on the thread where this runs, so that it is the revision of the
        // copy.
        let make = api.read(move |node, now| (changes.revision(), Snapshot::of(node, now)));
        api.snapshots.get(revision, make).await
    }

    fn of(node: &Node, now: Now) -> Snapshot {
        let replica = node.replica();
        let report = node.report(now);
        let shared = service::name_conflicts(replica);
        let nodes = report.nodes();
        let updated = |row: &NodeRow| (row.id, NodeView::read(replica, row.id).updated_wall_ms);
        Snapshot {
            me: node.me(),
            fleet: report.fleet(),
            services: node.shared_services().cloned().collect(),
            tasks: report.tasks(),
            running: node.services().map(|service| (service.id, report.running(service))).collect(),
            jobs: node.services().filter_map(|s| Some((s.id, report.job(s)?))).collect(),
            schedules: node
                .services()
                .filter_map(|service| Some((service.id, report.schedule(service)?)))
                .collect(),
            autoscaled: node
                .services()
                .filter_map(|service| Some((service.id, report.autoscale(service)?.undated())))
                .collect(),
            rollouts: node
                .services()
                .filter(|service| !service.scale.is_job())
                .filter_map(|service| Some((service.id, report.rollout(service)?)))
                .collect(),
            node_updated_ms: nodes.iter().map(updated).collect(),
            ran: node.services().map(|service| (service.id, service.earlier_images())).collect(),
            owners: shared.into_iter().map(|shared| (shared.name, shared.owner)).collect(),
            images: fleet_images(replica),
            networks: node.network_rows(),
            configs: node.file_rows(FileClass::Config),
            secrets: node.file_rows(FileClass::Secret),
            task_addresses: node.task_addresses(),
            picked_ports: node.picked_ports_of_all(),
            service_addresses: node.service_addresses(),
            network_refusal: node.addressing().facts().refusal.clone(),
            tunnel_refusal: node.tunnel_refusal(),
            nodes,
        }
    }

    /// The other service that owns this one's name, if two sides of a partition created the name.
    pub fn name_owner(&self, service: &Service) -> Option<ServiceId> {
        self.owners.get(&service.name).copied().filter(|owner| *owner != service.id)
    }

    /// The other services that have the same name as this one.
    pub fn namesakes(&self, service: &Service) -> impl Iterator<Item = &Service> {
        let is_other = |other: &&Service| other.name == service.name && other.id != service.id;
        self.services.iter().map(Arc::as_ref).filter(is_other)
    }

    /// The services, without those that are containers made by hand: Docker's clients know these as
    /// containers only.
    pub fn shown_services(&self) -> impl Iterator<Item = &Service> + Clone {
        let all = self.services.iter().map(Arc::as_ref);
        all.filter(|service| !service.template.is_standalone())
    }

    /// Is it a container that was made by hand?
    pub fn is_standalone(&self, service: ServiceId) -> bool {
        self.service_of(service).is_some_and(|service| service.template.is_standalone())
    }

    /// Finds a service. A name that two sides of a partition created means its owner.
    pub fn service(&self, wanted: &str) -> Result<&Service, Failure> {
        let is_called = |service: &Service, name: &str| {
            service.name == name && self.name_owner(service).is_none()
        };
        lookup::find("service", wanted, self.shown_services(), |s| s.id.to_string(), is_called)
    }

    /// Does this service own its name?
    pub fn owns_its_name(&self, id: &str) -> bool {
        let called = self.services.iter().find(|service| service.id.to_string() == id);
        called
            .and_then(|service| self.owners.get(&service.name))
            .is_none_or(|o| o.to_string() == id)
    }

    /// Finds a network of the fleet. A name that two sides of a partition created means the older.
    pub fn network(&self, wanted: &str) -> Result<&NetworkRow, Failure> {
        let owns = |row: &NetworkRow, name: &str| {
            let named = self.networks.iter().map(|row| &row.network).filter(|n| n.name == name);
            let owner = named.min_by_key(|network| (network.created, network.id));
            owner.is_some_and(|owner| owner.id == row.network.id)
        };
        let id = |row: &NetworkRow| row.network.id.to_string();
        lookup::find("network", wanted, self.networks.iter(), id, owns)
    }

    /// Finds a node: by id, host name, or `self`.
    pub fn node(&self, wanted: &str) -> Result<&NodeRow, Failure> {
        let me = self.me.to_string();
        let wanted = if wanted == "self" { &me } else { wanted };
        let is_called = |row: &NodeRow, name: &str| hostname(row) == name;
        lookup::find("node", wanted, self.nodes.iter(), |row| row.id.to_string(), is_called)
    }

    /// The image of a task whose template is not the service's any more, as far as it is known.
    pub fn ran(&self, task: &TaskView) -> Option<&RanImage> {
        let mut images = self.ran.get(&task.service)?.iter();
        images.find(|image| image.version == task.template)
    }

    /// A service by its id.
    pub fn service_of(&self, id: ServiceId) -> Option<&Service> {
        self.services.iter().map(Arc::as_ref).find(|service| service.id == id)
    }

    /// The name of an image of the fleet.
    pub fn image(&self, key: RecordKey) -> Option<String> {
        let named = self.images.iter().find(|image| RecordKey::image(&image.name) == key);
        named.map(|image| image.name.clone())
    }

    /// A node's host name; its id if it has not published one.
    pub fn hostname(&self, id: NodeId) -> String {
        let row = self.nodes.iter().find(|row| row.id == id);
        row.map(hostname)
            .filter(|name| !name.is_empty())
            .map_or_else(|| id.to_string(), str::to_owned)
    }
}

/// The host name that a node has published; empty if there is none.
pub fn hostname(row: &NodeRow) -> &str {
    row.description.as_ref().map_or("", |description| description.hostname.as_str())
}

#[cfg(test)]
mod tests;
