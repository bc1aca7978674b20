//! Jobs for operators: how far an iteration is, and why a slot does not run.

use crdt_state::job::JobReport;
use crdt_state::service::Service;
use crdt_state::task::{Attempt, Slot, TaskState, TaskStatus};
use crdt_state::{NodeId, ServiceId, TaskId};

use super::why::SlotWhy;
use super::{NodeReport, TaskView};
use crate::expand::task_name;
use crate::plan::Placed;
use crate::reason::Unplaced;

/// The iteration of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobStatus {
    /// 0 is the first; an edit of the template begins the next. Of a schedule, the number of the
    /// run: its time, in seconds since 1970.
    pub iteration: u64,
    /// When it began, by the clock of the node where it was asked for; a run of a schedule, when it
    /// was due.
    pub began_wall_ms: u64,
    /// How many slots are complete.
    pub completed: usize,
}

impl NodeReport<'_> {
    /// The iteration of a job; `None`: the service is no job.
    pub fn job(&self, service: &Service) -> Option<JobStatus> {
        if !service.scale.is_job() {
            return None;
        }
        let slots = self.plan().services.get(&service.id).into_iter().flat_map(|p| &p.slots);
        let is_complete =
            |(_, placed): &(&Slot, &Placed)| matches!(placed, Placed::Nowhere(Unplaced::Complete));
        let run_s = service.run.map(|run| run.due_s);
        Some(JobStatus {
            iteration: run_s.unwrap_or(service.template.force_update),
            began_wall_ms: run_s.map_or(service.template_wall_ms, |run_s| run_s * 1_000),
            completed: slots.filter(is_complete).count(),
        })
    }

    /// Does the slot of a job wait until others have ended, or for its schedule, and runs nowhere?
    pub(super) fn waits_for_others(&self, service: ServiceId, slot: Slot, placed: Placed) -> bool {
        let runs = self.reported(service, slot).any(|(_, s)| !s.current.state.is_terminal());
        matches!(placed, Placed::Nowhere(Unplaced::Concurrent(_) | Unplaced::NotDue)) && !runs
    }

    /// A slot that a node said it completed, though its report of the task is lost: a task for
    /// display, so that whoever counts the complete ones counts them all.
    pub(super) fn completed_elsewhere(
        &self,
        service: &Service,
        slot: Slot,
        placed: Placed,
    ) -> Option<TaskView> {
        let is_complete = placed == Placed::Nowhere(Unplaced::Complete);
        let reports = self.catalog().jobs.get(&service.id).filter(|_| is_complete)?;
        let version = service.template_version;
        let has = |report: &&JobReport| report.slots(version).any(|done| done == slot);
        let node = reports.values().find(has)?.node;
        let id = TaskId::of(service.id, slot, node, version);
        let mut current = Attempt::first(service.template_wall_ms);
        current.enter(TaskState::Complete, service.template_wall_ms);
        current.exit_code = Some(0);
        Some(TaskView {
            id,
            service: service.id,
            service_name: self.called(service),
            slot,
            node: Some(node),
            desired_running: true,
            template: version,
            reason: Some("complete; its node reports no more of it".to_owned()),
            unreachable_ms: None,
            waits_for_others: false,
            status: Some(TaskStatus {
                id,
                template: version,
                desired_running: true,
                running_since: u64::MAX,
                created_wall_ms: service.template_wall_ms,
                current,
                history: Vec::new(),
            }),
        })
    }

    /// Why a slot of a job has no owner; `None`: for a reason that any service may have.
    pub(super) fn why_job(&self, service: &Service, slot: Slot, why: Unplaced) -> Option<SlotWhy> {
        let called = self.called(service);
        let name = task_name(&called, slot);
        let current = || {
            let said = self.reported(service.id, slot);
            said.filter(|(_, s)| s.template == service.template_version && s.desired_running)
        };
        let ended = |state: fn(TaskState) -> bool| {
            current()
                .find(|(_, s)| state(s.current.state))
                .map(|(node, s)| (format!(" on {}", self.shown(node)), s.current.message.clone()))
        };
        let again = format!("edgectl service update --force {called}    # runs all of it again");
        let copy = current().find(|(_, s)| s.current.state == TaskState::Running);
        let copy = copy.map(|(node, _)| self.shown(node));
        let (summary, fixes) = match why {
            Unplaced::Complete => {
                let (place, _) = ended(|state| state == TaskState::Complete).unwrap_or_default();
                let what = "it does not run again in this iteration";
                (format!("{name} is complete: it ended with code 0{place}; {what}"), Vec::new())
            }
            Unplaced::Failed => {
                let (place, message) = ended(TaskState::is_terminal).unwrap_or_default();
                let why = if message.is_empty() { String::new() } else { format!(": {message}") };
                let what = "the restart policy does not start it again";
                let fixes = vec![format!("edgectl service logs {called}"), again];
                (format!("{name} failed for good{place}{why}; {what}"), fixes)
            }
            Unplaced::Concurrent(_) if let Some(node) = copy => {
                (format!("{name} runs on {node}, and begins nowhere else meanwhile"), Vec::new())
            }
            Unplaced::Concurrent(most) => {
                let what = "at most as many run at a time as --max-concurrent says";
                (format!("{name} waits until others have ended: {what} ({most})"), Vec::new())
            }
            Unplaced::NotDue => {
                let when = self.schedule(service).map(|status| status.in_words());
                let when = when.unwrap_or_else(|| "a schedule".to_owned());
                let now = format!("edgectl service update --force {called}    # runs it now");
                (format!("{name} waits for {when}"), vec![now])
            }
            Unplaced::Leaving(node) => {
                let node = self.shown(node);
                let what = "it ends there before it begins on another node";
                (format!("{name} runs on {node}, which is drained: {what}"), Vec::new())
            }
            Unplaced::NoNode
            | Unplaced::Full
            | Unplaced::Volume(_)
            | Unplaced::Preempted(_)
            | Unplaced::Holder(_)
            | Unplaced::NoMajority => return None,
        };
        let is_well = !matches!(why, Unplaced::Failed);
        let (owner, code, nodes) = (None, why.code(), Vec::new());
        Some(SlotWhy { name, slot, owner, code, running: is_well, summary, nodes, fixes })
    }

    /// What nodes report of a slot.
    pub(super) fn reported(
        &self,
        service: ServiceId,
        slot: Slot,
    ) -> impl Iterator<Item = (NodeId, &TaskStatus)> {
        let records = self.catalog().tasks.get(&service).into_iter().flatten();
        let of_slot = records.filter(move |((of, _), _)| *of == slot);
        of_slot.flat_map(|((_, node), record)| record.tasks.iter().map(|task| (*node, task)))
    }
}
