//! Limits of partition policies, and of the leases that witnesses give out.

use super::{Bounded, Unfit, at_most, number};
use crate::partition::{ANCHORS_MAX, FENCE_AFTER_MS_MAX, Grants, Partition};

/// Leases of one witness: it gives out 1,000.
const GRANTS_MAX: usize = 1_024;

impl Bounded for Partition {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of anchors", self.anchors.len(), ANCHORS_MAX)?;
        number("the time after which tasks are fenced", self.fence_after_ms, FENCE_AFTER_MS_MAX)
    }
}

impl Bounded for Grants {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of leases", self.given.len(), GRANTS_MAX)
    }
}
