//! The runs that a node no longer wants, by its own records, as its peers read them. What it shows to
//! operators is not enough: there the tasks of a removed service are left out, and a service that is
//! brought back before they have ended would look as if it had never been removed.

use crdt_state::task::{Run, TaskRecord};
use crdt_state::{Kind, Record};

use super::SimNode;

impl SimNode {
    /// The runs of this node that it no longer wants, also those of removed services.
    pub fn unwanted_runs(&self) -> Vec<Run> {
        let (replica, me) = (self.node.replica(), self.node.me());
        let is_own = |record: &Record| record.as_owned().is_some_and(|owned| owned.owner() == me);
        let own = replica.keys(Kind::TASK).filter(|key| replica.record(key).is_some_and(is_own));
        let records = own.filter_map(|key| replica.owned::<TaskRecord>(&key));
        let tasks = records.flat_map(|(_, record)| record.tasks);
        let unwanted = tasks.filter(|task| !task.desired_running);
        unwanted.map(|task| Run { task: task.id, attempt: task.current.number }).collect()
    }
}
