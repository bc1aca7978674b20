//! Limits of stacks from files.

use super::{Bounded, NAME_CHARS_MAX, Unfit, at_most};
use crate::stack::{EARLIER_MAX, StackFile};

impl Bounded for StackFile {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the name of a stack", self.stack.len(), NAME_CHARS_MAX)?;
        at_most("the earlier versions of a stack", self.earlier.len(), EARLIER_MAX)
    }
}
