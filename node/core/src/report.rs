//! The answers of one node to what operators ask, at one moment.
//!
//! Every answer comes from this node's own state, at once, and changes nothing. No peer is asked:
//! what an unreachable node reported last is shown with its age.

use crdt_state::replica::Replica;
use crdt_state::service::Service;
use crdt_state::{FleetSettings, NodeId};
use gossip::{Gossip, Now};

use crate::autoscale::{AutoscaleStatus, Autoscaler};
use crate::catalog::Catalog;
use crate::plan::Plan;
use crate::planner::Planner;
use crate::schedules::{ScheduleStatus, Schedules};
use crate::view::View;

mod copies;
mod edits;
mod files;
mod jobs;
mod names;
mod networks;
mod nodes;
mod partition;
mod relations;
mod rollout;
mod spread;
mod stacks;
mod tasks;
mod unfit;
mod volumes;
mod why;

pub use files::{FileConflict, FileRow, SealedSecret};
pub use jobs::JobStatus;
pub use names::{NameMeaning, NameRow, NameService, NameStanding, NameTask};
pub use networks::{NetworkConflict, NetworkDetail, NetworkRow, NetworkService, NetworkTask};
pub use nodes::NodeRow;
pub use rollout::{Rollout, RolloutState};
pub use tasks::TaskView;
pub use unfit::UnfitRow;
pub use volumes::VolumeRow;
pub use why::{HeldMove, NodeVerdict, NodeWhy, SlotWhy};

/// What can be asked of a node. It borrows the node's state; ages are counted to `now`.
#[derive(Clone, Copy)]
pub struct NodeReport<'a> {
    pub(crate) me: NodeId,
    pub(crate) now: Now,
    pub(crate) replica: &'a Replica,
    pub(crate) gossip: &'a Gossip,
    pub(crate) planner: &'a Planner,
    pub(crate) schedules: &'a Schedules,
    pub(crate) autoscaler: &'a Autoscaler,
}

impl<'a> NodeReport<'a> {
    pub(crate) fn catalog(&self) -> &'a Catalog {
        self.planner.catalog()
    }

    pub(crate) fn plan(&self) -> &'a Plan {
        self.planner.plan()
    }

    /// The settings of the fleet.
    pub fn fleet(&self) -> FleetSettings {
        self.catalog().fleet
    }

    /// What this node makes of the schedule of a job; `None`: it has none.
    pub fn schedule(&self, service: &Service) -> Option<ScheduleStatus> {
        self.schedules.status(service, self.planner)
    }

    /// What this node makes of the load of a service; `None`: it is not scaled by its load.
    pub fn autoscale(&self, service: &Service) -> Option<AutoscaleStatus> {
        self.autoscaler.status(self.now, service, self.planner)
    }

    fn view(&self) -> &'a View {
        self.planner.view()
    }

    /// How a service is shown: by its name, or by its id while an older service has the same name.
    pub fn called(&self, service: &Service) -> String {
        match self.catalog().owns_name(service) {
            true => service.name.clone(),
            false => service.id.to_string(),
        }
    }
}
