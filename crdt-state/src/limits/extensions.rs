//! Limits of what a template has beyond its frozen fields.

use super::files::check_files;
use super::{AMOUNT_MAX, Bounded, Unfit, at_most, number};
use crate::spec::extension::{EarlierExtensions, Properties};
use crate::spec::{Extension, StoredTemplate, Swap};
use crate::wire;

/// The kernel's highest swappiness of a group of version 1, and Docker's.
const SWAPPINESS_MAX: u64 = 100;
/// Commands before each start: each one takes a container.
const PRE_STARTS_MAX: usize = 16;
/// Bytes of their words: those of two earlier templates fit into one value, with 4 bytes more for
/// each of at most 8,000 words.
const PRE_START_BYTES_MAX: usize = 8 * 1024;

/// Bytes of an AppArmor profile's name: as long as that of a file.
const PROFILE_NAME_BYTES_MAX: usize = 255;
/// Bytes of all that a template with a security profile has beyond its frozen fields: those of two
/// earlier ones fit into one value. Docker's default profile has 14,000 without blanks. Without such
/// a profile the other bounds keep it below.
pub const EXTENSION_BYTES_MAX: usize = 31_000;

const _: () = assert!(2 * EXTENSION_BYTES_MAX + 128 <= wire::VALUE_BYTES_MAX);

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
        check_files(self)?;
        if self.seccomp.is_some() || self.apparmor.is_some() {
            let name = self.apparmor.as_deref().unwrap_or("x");
            if name.is_empty() || self.seccomp.as_deref() == Some("") {
                return Err(Unfit::NoSuch("a security profile without a name or content"));
            }
            at_most("the length of a profile's name", name.len(), PROFILE_NAME_BYTES_MAX)?;
            let bytes = wire::encode(&self.properties()).len();
            at_most("the length of the seccomp profile and its like", bytes, EXTENSION_BYTES_MAX)?;
        }
        Ok(())
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
