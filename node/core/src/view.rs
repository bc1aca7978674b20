//! The view that the planner plans from: nodes, services, and the tasks that owners report.
//!
//! A view is a plain value; equal views give equal plans. Liveness is one of two values, here or
//! gone, and the failover delay is applied before: no clock reaches the planner.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::partition::Partition;
use crdt_state::spec::{Platform, PublishedPort, Resources, Scale};
use crdt_state::stamp::Stamp;
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};

use crate::affinity::Affinity;
use crate::constraint::Constraint;
use crate::preference::Preference;

mod node;

pub use node::{NodeView, Presence};

/// The state of a holder's task, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Running and healthy, or running without a health check.
    Running,
    /// Not ended, and not running healthy.
    Coming,
    /// Ended for good, with the current template: complete or failed.
    Ended,
}

/// A node that reports a task in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Which slot.
    pub slot: Slot,
    /// The node.
    pub node: NodeId,
    /// The state of its task.
    pub standing: Standing,
    /// Lamport counter when the task began to run: the lower, the longer it runs.
    pub running_since: u64,
}

/// A service as the planner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    /// Its id.
    pub id: ServiceId,
    /// Its name.
    pub name: String,
    /// The image of its tasks; empty: a program of the host.
    pub image: String,
    /// Its age, which orders services of one priority.
    pub created: Stamp,
    /// Mode and number of tasks.
    pub scale: Scale,
    /// Parsed constraints, or the text of those that do not parse.
    pub constraints: Vec<Result<Constraint, String>>,
    /// Beside whom it runs, parsed, or the text of those that do not parse.
    pub affinities: Vec<Result<Affinity, String>>,
    /// The labels over whose values its tasks are spread, outermost first.
    pub preferences: Vec<Preference>,
    /// The platforms that its image is built for; empty: not known, or no image.
    pub platforms: Vec<Platform>,
    /// The most tasks on one node; 0: no limit.
    pub max_per_node: u32,
    /// Higher is placed first.
    pub priority: i32,
    /// The resources that one task reserves.
    pub reservations: Resources,
    /// Ports that one task takes on its node.
    pub host_ports: Vec<PublishedPort>,
    /// The named volumes of its tasks, with [`SLOT`] in place of the slot's number.
    pub volumes: BTreeSet<String>,
    /// Are its tasks on networks of the fleet?
    pub has_networks: bool,
    /// Is one of these networks encrypted?
    pub needs_tunnel: bool,
    /// The nodes that report tasks of it; of a job, only tasks of its iteration that have not ended.
    pub holders: Vec<Holder>,
    /// What becomes of its tasks in a partition.
    pub partition: Partition,
    /// Of an `at-most-one` service: the node that has the leases of a majority of the anchors.
    pub leases: BTreeMap<Slot, NodeId>,
    /// What a job's tasks have come to.
    pub job: JobView,
}

/// What the tasks of one iteration of a job have come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobView {
    /// The slots whose task ended with code 0, on whatever node.
    pub completed: BTreeSet<Slot>,
    /// The slots of which a node reports that its task failed and is not started again.
    pub failed: BTreeSet<Slot>,
    /// It has a schedule, and no run of it was declared: nothing begins.
    pub awaits_run: bool,
}

/// Stands for the slot's number in the name of a volume: every slot has a volume of its own.
pub const SLOT: &str = "{{.Task.Slot}}";

impl ServiceView {
    /// The named volumes of one slot.
    pub fn volumes_of(&self, slot: Slot) -> BTreeSet<String> {
        let number = match slot {
            Slot::Number(number) => number.to_string(),
            Slot::Node(id) => id.to_string(),
        };
        self.volumes.iter().map(|name| name.replace(SLOT, &number)).collect()
    }
}

/// Everything a plan depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// All members: nodes that were not evicted and have not left.
    pub nodes: BTreeMap<NodeId, NodeView>,
    /// All services that are wanted.
    pub services: BTreeMap<ServiceId, ServiceView>,
}

impl View {
    /// The services whose tasks mount a volume of this name, on whatever node.
    pub fn services_naming(&self, volume: &str) -> impl Iterator<Item = ServiceId> {
        let names = move |service: &&ServiceView| {
            service.volumes.contains(volume)
                || self
                    .wanted_slots(service)
                    .iter()
                    .any(|slot| service.volumes_of(*slot).contains(volume))
        };
        self.services.values().filter(names).map(|service| service.id)
    }

    /// The wanted slots of a service.
    pub fn wanted_slots(&self, service: &ServiceView) -> BTreeSet<Slot> {
        match service.scale {
            Scale::Replicated { replicas: last }
            | Scale::JobReplicated { completions: last, .. } => {
                (1..=last).map(Slot::Number).collect()
            }
            Scale::Global | Scale::JobGlobal => {
                self.nodes.keys().map(|id| Slot::Node(*id)).collect()
            }
        }
    }
}
