//! The clocks of a node. This is the only place where the wall clock is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gossip::Now;
use runtime::boot_clock;
use tokio::time::Instant;

/// The longest sleep, also when there is no deadline.
const SLEEP_MAX: Duration = Duration::from_secs(3_600);

/// The two clocks. The first one counts while the machine sleeps: what a node that wakes up is told
/// of leases must be as old as it is for the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeClock {
    /// By the boot clock.
    start_ms: u64,
}

impl NodeClock {
    pub(super) fn start() -> NodeClock {
        NodeClock { start_ms: boot_clock::now_ms() }
    }

    pub(super) fn now(&self) -> Now {
        Now(boot_clock::now_ms().saturating_sub(self.start_ms))
    }

    /// Milliseconds since 1970, 0 before. For display, and for schedules.
    pub(super) fn wall_ms() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant of a deadline, rounded up to the end of its millisecond.
    pub(super) fn instant(&self, deadline: Now) -> Instant {
        // One more: the rest of the current millisecond must not become a busy loop.
        let left_ms = deadline.since(self.now()).saturating_add(1);
        Instant::now() + Duration::from_millis(left_ms).min(SLEEP_MAX)
    }

    /// A moment by the boot clock; `None`: never.
    pub(super) fn boot_ms(&self, at: Now) -> Option<u64> {
        (at != Now::NEVER).then(|| self.start_ms.saturating_add(at.0))
    }
}
