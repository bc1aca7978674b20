//! The bounds that the fleet is held to, each derived from the numbers of its `lan` profile.
//!
//! ```text
//! rejoin     5 s   announcements to members that are unreachable are that far apart
//! detect     8 s   p95 of the first verdict is 5 s; the last one to hear has 3 s of pushes
//! failover   1 s   after the verdict
//! spread    30 s   three comparisons with a random peer, 10 s apart: anti-entropy alone suffices
//! rollout   45 s   nine slots, one after the other: grace 3 s, start 0.4 s, monitor and delay 1.2 s
//! ```
//! They are bounds, not expectations: most worlds agree within five seconds.

/// From the last fault until all agree and everything runs as planned. The sum of the above.
pub const CONVERGE_MS: u64 = 90_000;

/// How long a part must have been left in peace before it is held to the bounds: detect, failover,
/// spread and the slots of a rollout that starts meanwhile, of which a judged service has none.
pub const CALM_MS: u64 = 50_000;

/// How long nothing may move once all agree: two comparisons, and some.
pub const REST_MS: u64 = 25_000;

/// All may agree while members still call each other back: what a fleet sends at rest is counted
/// from so long after the agreement. The first line of the table above.
pub const REJOIN_MS: u64 = 5_000;

/// With the cuts frozen: long enough to calm down, and then to rest.
pub const FROZEN_MS: u64 = CALM_MS + REST_MS;

/// So long after a copy is lost to a fault its node may still be heard to run it: detect and
/// failover, and a second because this is looked at once a second.
pub const LOSS_UNKNOWN_MS: u64 = 10_000;

/// Nothing was written for so long: what is on its way arrives in less.
pub const QUIET_MS: u64 = 3_000;

/// Links with conditions worse than these are not judged: loss in thousandths.
pub const FAIR_LOSS_PERMILLE: u32 = 20;

/// The same: delay and jitter together; a probe has 200 ms there and back.
pub const FAIR_DELAY_MS: u64 = 60;

/// A reliable message that has not arrived by then is undelivered, a handshake failed.
pub const RELIABLE_MS: u64 = 5_000;

/// Between two attempts of something reliable.
pub const RETRY_MS: u64 = 300;
