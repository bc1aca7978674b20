//! Limits of rollouts, and of what they go back to.

use super::{Bounded, MESSAGE_BYTES_MAX, Unfit, at_most, duration, number};
use crate::previous::Previous;
use crate::rollout::{
    FailurePolicy, Failures, RATIO_ONE, RollbackPolicy, RolloutReports, UpdateRules,
};
use crate::spec::UpdatePolicy;

/// Slots that one node reports of one service: it reports 64.
const SLOTS_MAX: usize = 1_024;

/// Services that one node reports: it reports 64.
const SERVICES_MAX: usize = 1_024;

impl Bounded for UpdatePolicy {
    fn check(&self) -> Result<(), Unfit> {
        duration("the update delay", self.delay_ms)?;
        duration("the update monitor", self.monitor_ms)
    }
}

impl Bounded for Previous {
    fn check(&self) -> Result<(), Unfit> {
        self.template.check()?;
        self.scale.check()?;
        self.placement.check()?;
        self.update_policy.check()?;
        self.endpoint.check()
    }
}

impl Bounded for Option<Previous> {
    fn check(&self) -> Result<(), Unfit> {
        self.as_ref().map_or(Ok(()), Previous::check)
    }
}

impl Bounded for FailurePolicy {
    fn check(&self) -> Result<(), Unfit> {
        number("the ratio of failures", u64::from(self.max_ratio), u64::from(RATIO_ONE))
    }
}

impl Bounded for UpdateRules {
    fn check(&self) -> Result<(), Unfit> {
        self.failure.check()
    }
}

impl Bounded for RollbackPolicy {
    fn check(&self) -> Result<(), Unfit> {
        self.pace.check()?;
        self.failure.check()
    }
}

impl Bounded for RolloutReports {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of rollouts", self.len(), SERVICES_MAX)?;
        let failures = |said: &Failures| {
            at_most("the number of slots", said.slots.len(), SLOTS_MAX)?;
            at_most("the length of a message", said.message.len(), MESSAGE_BYTES_MAX)
        };
        self.values().try_for_each(|report| {
            failures(&report.forward)?;
            failures(&report.back)
        })
    }
}
