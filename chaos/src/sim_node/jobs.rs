//! What a node says and knows of jobs.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::job::JobReport;
use crdt_state::service::Service;
use crdt_state::task::Slot;
use crdt_state::{Kind, Record, RecordKey, ServiceId, wire};
use node_core::plan::Placed;

use super::{SimNode, on_disk};

impl SimNode {
    /// The slots of a job that this node knows to be complete in the present iteration.
    pub fn completed(&self, job: ServiceId) -> BTreeSet<Slot> {
        let view = self.node.view().services.get(&job);
        view.map(|view| view.job.completed.clone()).unwrap_or_default()
    }

    /// The jobs, each with the plan of its slots.
    pub fn jobs(&self) -> Vec<(Service, BTreeMap<Slot, Placed>)> {
        let jobs = self.services().into_iter().filter(|service| service.scale.is_job());
        let plan = self.node.plan();
        let slots = |id| plan.services.get(&id).map(|plan| plan.slots.clone()).unwrap_or_default();
        jobs.map(|job| (slots(job.id), job)).map(|(slots, job)| (job, slots)).collect()
    }
}

/// What a node completed of a job, if the record of the disk says that.
pub fn completed_on_disk(key: RecordKey, bytes: &[u8]) -> Option<JobReport> {
    if key.kind != Kind::COMPLETIONS {
        return None;
    }
    let Some(Record::Owned(record)) = on_disk(key, bytes) else { return None };
    wire::decode(&record.value?).ok()
}
