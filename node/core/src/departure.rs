//! The departure of this node from the fleet.
//!
//! ```text
//!            begin, evicted                 no task left, or the others took too long
//! Staying ────────────────▶ HandingOver ─────────────────────────────────────────────▶ Gone
//! ```
//! While the node hands over, its tasks go on until their new owners run them. When the time is
//! over, the node stops the tasks that are left.

use gossip::Now;

/// How long a node that leaves waits for others to take its tasks over, in milliseconds.
pub const LEAVE_MS: u64 = 15_000;

/// After the end of that time, how often the node looks whether its tasks have stopped, in
/// milliseconds.
const LOOK_AGAIN_MS: u64 = 1_000;

/// The stage of a departure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Staying,
    HandingOver { until: Now },
    Gone,
}

/// The departure of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    stage: Stage,
}

impl Departure {
    /// The node stays.
    pub fn none() -> Departure {
        Departure { stage: Stage::Staying }
    }

    /// Begins to hand over, unless it has begun. Returns whether it begins now.
    pub fn begin(&mut self, now: Now) -> bool {
        self.hand_over_until(now.plus(LEAVE_MS))
    }

    /// Operators removed this node from the fleet: it does not wait for others to take over.
    pub fn on_evicted(&mut self, now: Now) {
        self.hand_over_until(now);
    }

    fn hand_over_until(&mut self, until: Now) -> bool {
        let begins = self.stage == Stage::Staying;
        if begins {
            self.stage = Stage::HandingOver { until };
        }
        begins
    }

    /// Has it begun?
    pub fn has_begun(&self) -> bool {
        self.stage != Stage::Staying
    }

    /// Is it over?
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Gone
    }

    /// Begun, and not over: every step has to check whether it can end.
    pub fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::HandingOver { .. })
    }

    /// The node no longer waits for others: it is to stop what still runs.
    pub fn is_due(&self, now: Now) -> bool {
        self.deadline() <= now
    }

    /// When it is due.
    pub fn deadline(&self) -> Now {
        match self.stage {
            Stage::HandingOver { until } => until,
            Stage::Staying | Stage::Gone => Now::NEVER,
        }
    }

    /// No task is left here and nothing waits for the disk: the departure is over, if it is under
    /// way. Returns whether it ends now.
    pub fn finish(&mut self) -> bool {
        let ends = self.is_under_way();
        if ends {
            self.stage = Stage::Gone;
        }
        ends
    }

    /// Tasks that were told to stop have not ended yet: a departure that is due is checked again
    /// later.
    pub fn wait(&mut self, now: Now) {
        if self.is_due(now) {
            self.stage = Stage::HandingOver { until: now.plus(LOOK_AGAIN_MS) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_departure_ends_when_nothing_is_left_and_only_once() {
        let mut departure = Departure::none();
        assert!(!departure.finish(), "it has not begun");
        assert!(departure.begin(Now(0)) && !departure.begin(Now(9)));
        assert_eq!(departure.deadline(), Now(LEAVE_MS));
        departure.wait(Now(10));
        assert_eq!(departure.deadline(), Now(LEAVE_MS), "others still have time");
        departure.wait(Now(LEAVE_MS));
        assert!(departure.is_under_way() && !departure.is_due(Now(LEAVE_MS)));
        assert!(departure.finish() && departure.is_over());
        assert!(!departure.finish() && departure.deadline() == Now::NEVER);
    }

    #[test]
    fn an_evicted_node_waits_for_nobody() {
        let mut departure = Departure::none();
        departure.on_evicted(Now(5));
        assert!(departure.is_due(Now(5)));
        departure.on_evicted(Now(9));
        assert_eq!(departure.deadline(), Now(5));
    }
}
