//! The rollout of a service's template: which template counts, and what is known of it.

use super::Service;
use crate::read::AllFailures;
use crate::relation::SlotOrder;
use crate::rollout::{Direction, FailureAction, FailurePolicy, Steering, Verdict};
use crate::spec::{Template, TemplateVersion, UpdateOrder, UpdatePolicy};
use crate::task::Slot;

/// What is known of the rollout of a service's template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    /// Where it leads.
    pub direction: Direction,
    /// An operator paused it.
    pub is_held: bool,
    /// An operator lets the slots after the first ones follow.
    pub is_promoted: bool,
    /// The slots that failed with the template that counts.
    pub failures: AllFailures,
    /// The template that was written last, if it failed and does not count any more.
    pub failed_update: Option<Box<(TemplateVersion, Template)>>,
    /// Why it failed.
    pub update_failures: AllFailures,
}

impl Rollout {
    /// The verdicts on it.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.failures.verdict.into_iter().chain(self.update_failures.verdict)
    }
}

/// The templates of a service as they were written.
pub(super) struct Begun {
    pub(super) template: Template,
    pub(super) template_version: TemplateVersion,
    pub(super) last_good: Option<(TemplateVersion, Template)>,
}

impl Begun {
    /// The templates that count. An update on which there is a verdict, and which is to be rolled
    /// back then, does not: the last good template takes its place, if there is one.
    pub(super) fn counted(
        self,
        steering: Option<Steering>,
        action: FailureAction,
        (forward, back): (AllFailures, AllFailures),
    ) -> (Begun, Rollout) {
        let direction = steering.map_or(Direction::Forward, |said| said.direction);
        let is_condemned = direction == Direction::Forward
            && action == FailureAction::Rollback
            && forward.verdict.is_some();
        let steered = Rollout {
            direction,
            is_held: steering.is_some_and(|said| said.is_held),
            is_promoted: steering.is_some_and(|said| said.is_promoted),
            ..Rollout::default()
        };
        match self.last_good {
            Some((template_version, template)) if is_condemned => {
                let rollout = Rollout {
                    direction: Direction::Back,
                    failures: back,
                    failed_update: Some(Box::new((self.template_version, self.template))),
                    update_failures: forward,
                    ..steered
                };
                (Begun { template, template_version, last_good: None }, rollout)
            }
            last_good => (Begun { last_good, ..self }, Rollout { failures: forward, ..steered }),
        }
    }
}

impl Service {
    /// The pace of the rollout of its template.
    pub fn pace(&self) -> &UpdatePolicy {
        match self.rollout.direction {
            Direction::Forward => &self.update_policy,
            Direction::Back => &self.rollback_policy.pace,
        }
    }

    /// In which order the tasks of a slot are exchanged. Who goes forth side by side goes back so.
    pub fn order(&self) -> UpdateOrder {
        match self.update_policy.order {
            UpdateOrder::BlueGreen => UpdateOrder::BlueGreen,
            _ => self.pace().order,
        }
    }

    /// Do an operator's tests decide when connections go to the new template, and are they not over?
    pub fn awaits_operator(&self) -> bool {
        let is_forward = self.rollout.direction == Direction::Forward;
        is_forward && self.update_rules.canary > 0 && !self.rollout.is_promoted
    }

    /// Do its slots take a new template from the highest number to the lowest?
    pub fn is_last_first(&self) -> bool {
        self.relations.slot_order == SlotOrder::Ascending
    }

    /// What the rollout of its template tolerates.
    pub fn failure_policy(&self) -> FailurePolicy {
        match self.rollout.direction {
            Direction::Forward => self.update_rules.failure,
            Direction::Back => self.rollback_policy.failure,
        }
    }

    /// Did so many slots fail that the rollout of its template is paused? Also where it should be
    /// rolled back, and no earlier template ran healthy.
    pub fn is_stopped(&self) -> bool {
        let goes_on = self.failure_policy().action == FailureAction::Continue;
        self.rollout.failures.verdict.is_some() && !goes_on
    }

    /// The template by which nodes are chosen. While a rollout is paused because its template
    /// failed, which may be because it fits nowhere, it is the last good one.
    pub fn placed_template(&self) -> &Template {
        let good = self.last_good.as_ref().filter(|_| self.is_stopped());
        good.map_or(&self.template, |(_, good)| good)
    }

    /// Does no further slot take its template for now?
    pub fn is_halted(&self) -> bool {
        self.rollout.is_held || self.is_stopped()
    }

    /// Does the slot run the last good template again, because it failed in a rollout that is paused
    /// by that? A failed update never ends below what there was.
    pub fn is_returned(&self, slot: Slot) -> bool {
        self.is_stopped() && self.last_good.is_some() && self.rollout.failures.slots.contains(&slot)
    }
}
