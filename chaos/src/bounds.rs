//! The bounds that the fleet must meet, each derived from the numbers of its `lan` profile.
//!
//! ```text
//! rejoin     5 s   announcements to members that are unreachable are that far apart
//! detect     8 s   p95 of the first verdict is 5 s; the last one to hear has 3 s of pushes
//! failover   1 s   after the verdict
//! spread    30 s   three comparisons with a random peer, 10 s apart: anti-entropy alone suffices
//! rollout   45 s   nine slots, one after the other: grace 3 s, start 0.4 s, monitor and delay 1.2 s
//! ```
//! They are bounds, not expectations: most worlds agree within five seconds.

/// From the last fault until all agree and everything runs as planned. The sum of the above,
/// rounded up.
pub const CONVERGE_MS: u64 = 90_000;

/// How long a part must be undisturbed before it is held to the bounds: detect, failover and
/// spread, with a reserve. No time for a rollout is included, because a judged service has none.
pub const CALM_MS: u64 = 50_000;

/// How long nothing may change once all agree: two comparisons and a reserve.
pub const REST_MS: u64 = 25_000;

/// After all agree, an anchor may still grant the lease that the holder of a slot asks it for, because
/// it promised that slot to another node before: the longest time and grace of a world's services,
/// with the reserve of the promise (10.3 s), and two questions (2 s each): the last one of the node that
/// had the slot, and the first one of that which gets it.
pub const VOTE_MS: u64 = 14_500;

/// After all agree, members may still reconnect to each other. So the idle traffic of a fleet is
/// counted from this long after the agreement. The first line of the table above.
pub const REJOIN_MS: u64 = 5_000;

/// How long cuts stay frozen: long enough to become calm, and then to rest.
pub const FROZEN_MS: u64 = CALM_MS + REST_MS;

/// How long after a fault ended a copy other nodes may still believe that its node runs it: detect
/// and failover, and a second because the world is inspected once a second.
pub const LOSS_UNKNOWN_MS: u64 = 10_000;

/// After no write for this long, everything under way has arrived.
pub const QUIET_MS: u64 = 3_000;

/// The same where links lose packets: what was pushed to a node may be lost, and a comparison brings
/// it. The line of the table above that says how it spreads.
pub const QUIET_WITH_LOSS_MS: u64 = 30_000;

/// The loss of a link that is still judged, in thousandths; worse links are not judged.
pub const FAIR_LOSS_PERMILLE: u32 = 20;

/// The same for delay and jitter together; a probe has 200 ms for the round trip.
pub const FAIR_DELAY_MS: u64 = 60;

/// The timeout of a reliable message or a handshake; after it the message counts as undelivered.
pub const RELIABLE_MS: u64 = 5_000;

/// The time between two attempts of a reliable message or a handshake.
pub const RETRY_MS: u64 = 300;
