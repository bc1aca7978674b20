//! The time of the machines: milliseconds since the agent started, passed in from outside.
//!
//! Never a time of day: a clock that starts in 1970, jumps or stands still changes nothing here.

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the agent started, monotonic.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Now(pub u64);

impl Now {
    /// The start of the agent.
    pub const START: Now = Now(0);
    /// A deadline that never comes.
    pub const NEVER: Now = Now(u64::MAX);

    /// The moment `ms` milliseconds later.
    pub fn plus(self, ms: u64) -> Now {
        Now(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`, 0 if that is later.
    pub fn since(self, earlier: Now) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
