//! Limits of join tokens.

use super::{Bounded, DURATION_MS_MAX, NAME_CHARS_MAX, Unfit, at_most, number};
use crate::token::{JoinToken, TokenUses, USES_KEPT_MAX, USES_MAX};

impl Bounded for JoinToken {
    fn check(&self) -> Result<(), Unfit> {
        number("the number of uses", u64::from(self.uses_max), u64::from(USES_MAX))?;
        at_most("the length of the site's name", self.site.len(), NAME_CHARS_MAX)?;
        number("the time after which it expires", self.expires_after_ms, DURATION_MS_MAX)
    }
}

impl Bounded for TokenUses {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of uses", self.0.len(), USES_KEPT_MAX)
    }
}
