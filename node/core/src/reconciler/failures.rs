//! What this node reports of rollouts: its slots that failed with the template that is rolled out,
//! and the verdict when that is more than the policy tolerates.
//!
//! Only the owner of a slot reports it, and only who reports a slot gives a verdict: all of it is
//! in this node's own record. A verdict is a fact that stays, so a node that sees one vanish says it
//! from then on: a node that lost its disk begins its record anew, and does not know what it said
//! before. Without that, a release that had been rolled back would be rolled out once more.

use std::collections::BTreeSet;

use crdt_state::replica::Replica;
use crdt_state::rollout::{
    FAILED_SLOTS_MAX, FailureAction, Failures, RATIO_ONE, REASON_BYTES_MAX, REPORTS_MAX,
    RolloutReport, RolloutReports, Verdict,
};
use crdt_state::service::Service;
use crdt_state::task::Slot;
use crdt_state::{NodeId, RecordKey, ServiceId, TaskId};
use gossip::Now;

use super::Reconciler;
use crate::catalog::Catalog;
use crate::plan::{ServicePlan, desired};
use crate::planner::Planner;
use crate::tasks::StepTime;

/// This node's report of rollouts.
#[derive(Debug, Default)]
pub(super) struct OwnFailures {
    reports: RolloutReports,
    is_changed: bool,
}

impl OwnFailures {
    /// As it was written last.
    pub(super) fn restore(written: Option<&RolloutReports>) -> OwnFailures {
        OwnFailures { reports: written.cloned().unwrap_or_default(), is_changed: false }
    }

    pub(super) fn is_written(&self) -> bool {
        !self.is_changed
    }

    /// Writes the report, if it changed. Returns whether it did.
    pub(super) fn write(&mut self, me: NodeId, replica: &mut Replica, wall_ms: u64) -> bool {
        let is_changed = std::mem::take(&mut self.is_changed);
        if is_changed {
            replica.put_owned(RecordKey::rollouts(me), &self.reports, wall_ms);
        }
        is_changed
    }

    /// A node that lost its store takes back what it had reported before, and says it together with
    /// what it reported since.
    fn take_back(&mut self, written: &RolloutReports) {
        for (id, report) in written {
            self.adopt(*id, report);
        }
        self.is_changed |= self.reports != *written;
    }

    /// From now on this node says what is in the report, besides what it says already.
    fn adopt(&mut self, service: ServiceId, report: &RolloutReport) {
        let own = self.reports.entry(service).or_insert_with(|| report.clone());
        if own.of == report.of {
            add(&mut own.forward, &report.forward);
            add(&mut own.back, &report.back);
        }
        self.drop_first_beyond_max();
    }

    fn drop_first_beyond_max(&mut self) {
        while self.reports.len() > REPORTS_MAX {
            let first = self.reports.iter().min_by_key(|(_, report)| report.of);
            let Some(id) = first.map(|(id, _)| *id) else { break };
            self.reports.remove(&id);
        }
    }

    fn forget(&mut self, service: ServiceId) {
        self.is_changed |= self.reports.remove(&service).is_some();
    }

    fn of(&self, service: &Service) -> Option<&Failures> {
        let report = self.reports.get(&service.id)?;
        Some(if service.rollout.failed_update.is_some() { &report.back } else { &report.forward })
    }

    fn change(&mut self, service: &Service, change: impl FnOnce(&mut Failures)) {
        let of = service.template_stamp;
        let report = self.reports.entry(service.id).or_insert_with(|| RolloutReport::of(of));
        let is_back = service.rollout.failed_update.is_some();
        change(if is_back { &mut report.back } else { &mut report.forward });
        self.is_changed = true;
        self.drop_first_beyond_max();
    }

    fn note(&mut self, service: &Service, slot: Slot, task: TaskId, why: &str) {
        let known = self.of(service);
        if known.is_some_and(|f| f.slots.contains(&slot) || f.slots.len() >= FAILED_SLOTS_MAX) {
            return;
        }
        let end = why.floor_char_boundary(REASON_BYTES_MAX);
        self.change(service, |failures| {
            failures.slots.insert(slot);
            if failures.task.is_none() {
                failures.task = Some(task);
                failures.message = why[..end].to_owned();
            }
        });
    }
}

/// Adds what was said elsewhere, or earlier, of the same rollout.
fn add(own: &mut Failures, said: &Failures) {
    let room = FAILED_SLOTS_MAX.saturating_sub(own.slots.len());
    let new: Vec<Slot> = said.slots.difference(&own.slots).take(room).copied().collect();
    own.slots.extend(new);
    if own.task.is_none() {
        own.task = said.task;
        own.message.clone_from(&said.message);
    }
    let verdicts = own.verdict.into_iter().chain(said.verdict);
    own.verdict = verdicts.min_by_key(|verdict| (verdict.lamport, verdict.failed));
}

/// Does a verdict of the first report miss in what the node says of the same rollout now?
fn has_lost_verdict(before: &RolloutReport, now: Option<&RolloutReport>) -> bool {
    let now = now.filter(|now| now.of >= before.of);
    let is_lost = |before: &Failures, now: Option<&Failures>| {
        before.verdict.is_some() && now.is_none_or(|now| now.verdict.is_none())
    };
    match now {
        // It says something of a later update.
        Some(now) if now.of > before.of => false,
        now => {
            is_lost(&before.forward, now.map(|now| &now.forward))
                || is_lost(&before.back, now.map(|now| &now.back))
        }
    }
}

impl Reconciler {
    /// A task waits for something that is not there yet: that is no failure of its template.
    pub fn forgive(&mut self, task: TaskId) {
        self.tasks.forgive(task);
    }

    /// A node's record of its reports was read again; before, it said this.
    pub fn on_rollouts(&mut self, node: NodeId, before: &RolloutReports, catalog: &Catalog) {
        let now = catalog.rollouts.get(&node);
        if node == self.me {
            now.into_iter().for_each(|written| self.failures.take_back(written));
            return;
        }
        for (id, report) in before {
            let service = catalog.services.get(id);
            let is_current = service.is_some_and(|service| service.template_stamp == report.of);
            if is_current && has_lost_verdict(report, now.and_then(|now| now.get(id))) {
                self.failures.adopt(*id, report);
                self.failures.is_changed = true;
            }
        }
    }

    /// Reports which slots of a service failed here with its template, and whether that is too
    /// much. Returns when a slot that waits for a node counts as failed; `None`: it was too much
    /// just now, and what the service is has to be read again before anything is done for it.
    pub(super) fn judge(
        &mut self,
        time: StepTime,
        planner: &Planner,
        id: ServiceId,
    ) -> Option<Now> {
        let ended = self.tasks.take_ended(id);
        let Some(service) = planner.catalog().services.get(&id) else {
            self.failures.forget(id);
            return Some(Now::NEVER);
        };
        if self.failures.reports.get(&id).is_some_and(|said| said.of != service.template_stamp) {
            self.failures.forget(id);
        }
        let plan = planner.plan().services.get(&id);
        let is_wanted = |slot: &Slot| plan.is_some_and(|plan| plan.slots.contains_key(slot));
        for ended in ended {
            let counts = ended.version == service.template_version
                && is_wanted(&ended.slot)
                && planner.progress().counts(service, ended.slot);
            if counts {
                let why = if ended.message.is_empty() { "exited (0)" } else { &ended.message };
                self.failures.note(service, ended.slot, ended.task, why);
            }
        }
        let stuck_until = self.judge_stuck(time.now, planner, service);
        let verdict = plan.and_then(|plan| self.verdict(time, service, plan));
        if let Some(verdict) = verdict {
            self.failures.change(service, |failures| failures.verdict = Some(verdict));
            return None;
        }
        Some(stuck_until)
    }

    /// A slot of this node whose new task no node can take counts as failed after some time. Its
    /// old task goes on.
    fn judge_stuck(&mut self, now: Now, planner: &Planner, service: &Service) -> Now {
        let mut next = Now::NEVER;
        let (id, version) = (service.id, service.template_version);
        let slots: Vec<Slot> = self.tasks.slots_of(id).collect();
        for slot in slots {
            let is_outdated = self.tasks.has_outdated(id, slot, version);
            let progress = planner.progress();
            let until = progress.stuck_until(id, slot);
            match until.filter(|_| is_outdated && progress.counts(service, slot)) {
                Some(until) if until > now => next = next.min(until),
                Some(_) => {
                    let task = TaskId::of(id, slot, self.me, version);
                    self.failures.note(service, slot, task, "no node can take the new task");
                }
                None => {}
            }
        }
        next
    }

    /// The verdict that is due now, if one is.
    fn verdict(&self, time: StepTime, service: &Service, plan: &ServicePlan) -> Option<Verdict> {
        let policy = service.failure_policy();
        let is_given = service.rollout.failures.verdict.is_some();
        let own = self.failures.of(service)?;
        if is_given
            || own.verdict.is_some()
            || own.slots.is_empty()
            || policy.action == FailureAction::Continue
        {
            return None;
        }
        let all: BTreeSet<&Slot> =
            own.slots.iter().chain(&service.rollout.failures.slots).collect();
        let failed = all.into_iter().filter(|slot| plan.slots.contains_key(slot)).count() as u64;
        let of = desired(service.scale, Some(plan)) as u64;
        if failed * u64::from(RATIO_ONE) <= of * u64::from(policy.max_ratio) {
            return None;
        }
        let as_count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let (failed, of) = (as_count(failed), as_count(of));
        Some(Verdict { failed, of, lamport: time.lamport, wall_ms: time.wall_ms })
    }
}
