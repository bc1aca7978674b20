//! Limits of what services mean to each other.

use super::{Bounded, IMAGE_NAME_BYTES_MAX, Unfit, at_most};
use crate::relation::{Affinities, DependsOn};

/// Rules or names of one service: a plan looks at every node once per rule.
const RELATIONS_MAX: usize = 64;

/// Bytes of one of them: the name of an image, and what is before it.
const RELATION_BYTES_MAX: usize = IMAGE_NAME_BYTES_MAX + 64;

/// The planner leaves alone what it cannot parse.
impl Bounded for Affinities {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of affinities", self.rules.len(), RELATIONS_MAX)?;
        let texts = self.rules.iter().map(String::len);
        texts.into_iter().try_for_each(|len| at_most("an affinity", len, RELATION_BYTES_MAX))
    }
}

impl Bounded for DependsOn {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of services to depend on", self.services.len(), RELATIONS_MAX)?;
        let names = self.services.iter().map(String::len);
        names.into_iter().try_for_each(|len| at_most("a service's name", len, RELATION_BYTES_MAX))
    }
}
