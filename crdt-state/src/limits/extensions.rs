//! Limits of what a template has beyond its frozen fields.

use super::files::check_files;
use super::{AMOUNT_MAX, Bounded, Unfit, at_most, number};
use crate::spec::extension::{EarlierExtensions, Properties};
use crate::spec::{Extension, StoredTemplate, Swap};

/// The kernel's highest swappiness of a group of version 1, and Docker's.
const SWAPPINESS_MAX: u64 = 100;
/// Commands before each start: each one takes a container.
const PRE_STARTS_MAX: usize = 16;
/// Bytes of their words: those of two earlier templates fit into one value, with 4 bytes more for
/// each of at most 8,000 words.
const PRE_START_BYTES_MAX: usize = 8 * 1024;

impl Bounded for StoredTemplate {
    fn check(&self) -> Result<(), Unfit> {
        self.0.check()
    }
}

impl Bounded for Extension {
    fn check(&self) -> Result<(), Unfit> {
        match self.swap {
            Some(Swap::Bytes(0)) => return Err(Unfit::NoSuch("a limit of swap of 0")),
            Some(Swap::Bytes(bytes)) => number("the limit of swap", bytes, AMOUNT_MAX)?,
            Some(Swap::Unlimited) | None => {}
        }
        number("the swappiness", u64::from(self.swappiness.unwrap_or(0)), SWAPPINESS_MAX)?;
        if self.pre_start.iter().any(|words| words.first().is_none_or(String::is_empty)) {
            return Err(Unfit::NoSuch("a pre-start command without a program"));
        }
        at_most("the number of pre-start commands", self.pre_start.len(), PRE_STARTS_MAX)?;
        let bytes = self.pre_start.iter().flatten().map(String::len).sum();
        at_most("the length of the pre-start commands", bytes, PRE_START_BYTES_MAX)?;
        check_files(self)
    }
}

/// What is there twice, or in another order, no edit wrote: two encodings of one extension would be
/// two templates of one version.
impl Bounded for Properties {
    fn check(&self) -> Result<(), Unfit> {
        let extension = Extension::of(self);
        extension.check()?;
        let is_own = extension.properties() == *self;
        is_own.then_some(()).ok_or(Unfit::NoSuch("the order of a template's properties"))
    }
}

impl Bounded for EarlierExtensions {
    fn check(&self) -> Result<(), Unfit> {
        let both = [&self.last_good, &self.previous];
        both.into_iter().flatten().try_for_each(|one| one.properties.check())
    }
}
