//! Jobs: who completed which slot, and whether it starts again. Feeds I19, and I7 for jobs.

use std::collections::BTreeMap;

use crdt_state::ServiceId;
use crdt_state::node::Availability;
use crdt_state::service::Service;
use crdt_state::spec::{Scale, TemplateVersion};
use crdt_state::task::{Slot, TaskStart};
use node_core::view::Presence;

use super::Watch;
use crate::bounds::CALM_MS;
use crate::check::jobs::{self, JobStart};
use crate::check::kept::Justified;
use crate::disk::Write;
use crate::invariant::{Invariant, Verdict, Violation};
use crate::machine::Machine;
use crate::network::MachineNo;
use crate::programs::RunFacts;
use crate::sim_node::{SimNode, completed_on_disk, node_id};
use crate::sometimes::Event;

/// Where and when each slot of each iteration was first completed, and with which machines in sight.
#[derive(Debug, Default)]
pub struct JobFacts {
    completed: BTreeMap<(ServiceId, TemplateVersion, Slot), Completed>,
}

#[derive(Debug)]
struct Completed {
    machine: MachineNo,
    at: u64,
    part: Vec<MachineNo>,
}

impl Watch {
    /// A node writes what it completed.
    pub(super) fn note_completed(&mut self, at: u64, machine: &Machine, write: &Write) {
        let own = node_id(machine.seed);
        let said = write.puts.iter().filter_map(|(key, bytes)| completed_on_disk(*key, bytes));
        for report in said.filter(|report| report.node == own) {
            for done in &report.iterations {
                for slot in report.slots(done.version) {
                    let part = self.last[machine.no].part.clone();
                    let key = (report.service, done.version, slot);
                    let new = Completed { machine: machine.no, at, part };
                    self.jobs.completed.entry(key).or_insert(new);
                    self.sometimes.saw(Event::JobCompleted);
                }
            }
        }
    }

    /// A node starts a run: if it is one of a job, may it?
    pub(super) fn judge_job_start(
        &mut self,
        no: MachineNo,
        start: &TaskStart,
        machines: &[Machine],
    ) {
        let Some(agent) = &machines[no].agent else { return };
        let Some(service) = agent.node.service(start.service) else { return };
        if !service.scale.is_job() || service.template_version != start.template_version {
            return;
        }
        let is_calm = |machine: MachineNo, at| self.last[machine].disturbed_at + CALM_MS <= at;
        let completed =
            self.jobs.completed.get(&(start.service, start.template_version, start.slot));
        let in_sight = completed.filter(|done| {
            done.part.contains(&no) && is_calm(done.machine, done.at) && is_calm(no, done.at)
        });
        let verdict = jobs::started(&JobStart {
            machine: no,
            service: start.service,
            slot: start.slot,
            is_known: agent.node.completed(start.service).contains(&start.slot),
            in_sight: in_sight.map(|done| done.machine),
        });
        self.report(verdict);
    }
}

/// Is there a reason to stop a run of a job? `None`: it is of no job.
pub(super) fn justify(
    no: MachineNo,
    facts: RunFacts,
    node: &SimNode,
) -> Option<Result<Justified, Violation>> {
    let RunFacts { service: id, slot, template, .. } = facts;
    let service = node.service(id).filter(|service| service.scale.is_job())?;
    let is_drained =
        node.node_view(node.id()).is_none_or(|me| me.availability == Availability::Drain);
    let is_of_now = has_slot(&service, slot) && service.template_version == template;
    if is_drained || !is_of_now {
        return Some(Ok(Justified::ByOperator));
    }
    if node.completed(id).contains(&slot) {
        return Some(Ok(Justified::Surplus));
    }
    let detail = format!("n{no} stops a run of the job {id} {slot:?}; {}", node.known_of(id, slot));
    Some(Err(Violation::new(Invariant::I7Kept, detail)))
}

/// Has every job ended, in a fleet that agrees?
pub(super) fn all_ended(node: &SimNode) -> Verdict {
    let may_take = |view: &node_core::view::NodeView| {
        view.presence == Presence::Here && view.availability == Availability::Active
    };
    let takers = node.node_views().iter().filter(|view| may_take(view)).count();
    for (job, slots) in node.jobs() {
        let policy = job.template.restart.condition;
        for (slot, placed) in slots {
            jobs::ended((job.id, slot), placed, policy, takers)?;
        }
    }
    Ok(())
}

/// Has every program ended that will end by itself, and of whose service nobody can read the record?
/// Such a task is left as it is: its node reports the end when it comes, and does not start it again.
pub(super) fn unread_ended(node: &SimNode, machines: &[Machine]) -> Verdict {
    for machine in machines {
        for (run, facts) in machine.programs.running() {
            let is_unread = node.service(facts.service).is_none();
            if is_unread && facts.ends_by_itself {
                let detail = format!("n{} runs {run:?}, which will end by itself", machine.no);
                return Err(Violation::new(Invariant::I19Jobs, detail));
            }
        }
    }
    Ok(())
}

/// Does the service have this slot?
pub(super) fn has_slot(service: &Service, slot: Slot) -> bool {
    match (service.scale, slot) {
        (Scale::Replicated { replicas }, Slot::Number(number)) => (1..=replicas).contains(&number),
        (Scale::JobReplicated { completions, .. }, Slot::Number(number)) => {
            (1..=completions).contains(&number)
        }
        (Scale::Global | Scale::JobGlobal, Slot::Node(_)) => true,
        _ => false,
    }
}
