//! Blue-green rollouts: all tasks of the new template run beside all of the old one, and connections
//! go to those of one of the two.
//!
//! ```text
//! old  ■■■■ connections ──┐                                 ┌── end
//! new  □□□□ start         └▶ ■■■■ connections, monitor time ┘
//!                  all healthy                           stayed
//! ```
//! Nobody decides when to switch: every node does it when it knows that all new tasks run healthy,
//! and does not take it back when one of them fails after that, unless the rollout fails as a whole.
//! The old tasks run until then, so going back is one step as well.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::ServiceId;
use crdt_state::rollout::Direction;
use crdt_state::service::Service;
use crdt_state::spec::{TemplateVersion, UpdateOrder};
use crdt_state::task::Slot;
use gossip::Now;

use super::{RolloutProgress, is_full};
use crate::plan::ServicePlan;

/// To whom connections go in a blue-green rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SideBySide {
    /// The template that counts.
    current: TemplateVersion,
    /// All its tasks ran healthy at one time.
    has_switched: bool,
    /// Too many of its tasks failed.
    is_stopped: bool,
}

impl SideBySide {
    /// Do connections go to the tasks of the template that counts?
    pub fn is_switched(&self) -> bool {
        self.has_switched && !self.is_stopped
    }

    /// Do connections go to tasks of this version?
    pub fn serves(&self, version: TemplateVersion) -> bool {
        (version == self.current) == self.is_switched()
    }
}

impl RolloutProgress {
    /// To whom connections to a service go; `None`: to all its tasks.
    pub fn side_by_side(&self, service: ServiceId) -> Option<SideBySide> {
        self.side_by_side.get(&service).copied()
    }

    /// The version of which tasks go on beside those of the current one: the last good one, until
    /// all tasks of the current one stayed for the monitor time.
    pub fn beside(
        &self,
        now: Now,
        service: &Service,
        plan: Option<&ServicePlan>,
    ) -> Option<TemplateVersion> {
        let (good, _) = service.last_good.as_ref()?;
        let is_beside = is_blue_green(service) && !self.is_reached(now, service, plan);
        is_beside.then_some(*good)
    }

    /// When the old tasks may end, if all new ones go on: after the monitor time.
    pub fn beside_until(&self, service: &Service) -> Now {
        match self.waits_to_switch(service) {
            true => Now::NEVER,
            false => {
                let since = self.since.get(&service.id).into_iter().flat_map(BTreeMap::values);
                let last = since.map(|(_, since)| *since).max();
                last.map_or(Now::NEVER, |since| since.plus(service.pace().monitor_ms))
            }
        }
    }

    /// Do connections still go to the old tasks of a blue-green rollout?
    pub(super) fn waits_to_switch(&self, service: &Service) -> bool {
        let both = self.side_by_side(service.id);
        both.is_some_and(|both| both.current == service.template_version && !both.has_switched)
    }

    /// Notes whether connections go to the tasks of the current template from now on.
    pub(super) fn note_switch(&mut self, service: &Service, plan: Option<&ServicePlan>) {
        if !is_blue_green(service) {
            self.side_by_side.remove(&service.id);
            return;
        }
        let current = service.template_version;
        let before = self.side_by_side(service.id).filter(|before| before.current == current);
        let is_free = !service.is_halted() && !service.awaits_operator();
        // Who goes back from an update that was not over returns to tasks that run.
        let returns = service.last_good.is_none();
        let has_switched = before.is_some_and(|before| before.has_switched)
            || returns
            || is_free && self.runs_or_failed(service, plan);
        let is_stopped = service.is_stopped();
        self.side_by_side.insert(service.id, SideBySide { current, has_switched, is_stopped });
    }

    /// Does every slot run the current template healthy, but for those whose failure is tolerated?
    fn runs_or_failed(&self, service: &Service, plan: Option<&ServicePlan>) -> bool {
        let runs = self.since.get(&service.id).into_iter().flat_map(BTreeMap::keys);
        let failed = service.rollout.failures.slots.iter();
        let runs: BTreeSet<&Slot> = runs.chain(failed).collect();
        is_full(service, plan, runs.into_iter())
    }
}

/// Are there, or were there, tasks of another template that ran well? Without them the tasks are
/// exchanged one by one.
fn is_blue_green(service: &Service) -> bool {
    let has_others = service.last_good.is_some() || service.rollout.direction == Direction::Back;
    let is_rolled_out = service.is_template_updated() && !service.scale.is_job();
    service.order() == UpdateOrder::BlueGreen && is_rolled_out && has_others
}
