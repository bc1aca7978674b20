//! Limits of autoscaling, and of what nodes report of it.

use super::{Bounded, REPLICAS_MAX, Unfit, at_most, number};
use crate::autoscale::{Autoscale, PERCENT_MAX, ScalingReports};

/// Services that one node reports, of 34 bytes each at most: half of what a record may have.
pub const SCALED_SERVICES_MAX: usize = 1_024;

impl Bounded for Option<Autoscale> {
    fn check(&self) -> Result<(), Unfit> {
        let Some(Autoscale { min, max, cpu, memory }) = self else { return Ok(()) };
        number("the highest number of tasks", u64::from(*max), u64::from(REPLICAS_MAX))?;
        if *min == 0 || min > max {
            return Err(Unfit::NoSuch("the range of the number of tasks"));
        }
        let targets = [("the target of CPU", cpu), ("the target of memory", memory)];
        if targets.iter().all(|(_, target)| target.is_none()) {
            return Err(Unfit::NoSuch("autoscaling without a target"));
        }
        for (what, percent) in targets.into_iter().filter_map(|(what, t)| Some((what, (*t)?))) {
            number(what, u64::from(percent), u64::from(PERCENT_MAX))?;
            if percent == 0 {
                return Err(Unfit::NoSuch("a target of 0 percent"));
            }
        }
        Ok(())
    }
}

impl Bounded for ScalingReports {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of services", self.len(), SCALED_SERVICES_MAX)?;
        let most = u64::from(REPLICAS_MAX);
        let used = most * u64::from(PERCENT_MAX);
        self.values().try_for_each(|said| {
            number("the number of tasks", u64::from(said.tasks), most)?;
            number("the CPU that tasks use", u64::from(said.cpu), used)?;
            number("the memory that tasks use", u64::from(said.memory), used)?;
            let count = said.declared.map_or(0, |declared| declared.count);
            number("the number of replicas", u64::from(count), most)
        })
    }
}
