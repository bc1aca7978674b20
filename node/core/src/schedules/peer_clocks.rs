//! How this node's clock compares with those of other nodes.
//!
//! A clock is kept as the time of day that it shows at the start of this node's monotonic time. So a
//! clock of this node that is set is noticed at once, without asking anybody again.

use std::collections::BTreeMap;

use crdt_state::NodeId;
use gossip::Now;

use super::AHEAD_S_MAX;

const AHEAD_MS_MAX: u64 = AHEAD_S_MAX * 1_000;

/// Why this node does not go by its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockFault {
    /// It is so many milliseconds behind those of the other nodes.
    Behind(u64),
    /// It is so many milliseconds ahead of those of the other nodes.
    Ahead(u64),
    /// No other node's clock is known, and something was written so many milliseconds later than it
    /// shows.
    BeforeRecords(u64),
}

/// The clocks of other nodes.
#[derive(Debug, Clone, Default)]
pub struct PeerClocks {
    /// What each shows at the start of this node's time, in milliseconds since 1970.
    at_start: BTreeMap<NodeId, i64>,
}

impl PeerClocks {
    /// The times of day of other nodes, as they are now.
    pub(super) fn note(&mut self, now: Now, found: &BTreeMap<NodeId, u64>) {
        let at_start = |wall_ms: u64| signed(wall_ms).saturating_sub(signed(now.0));
        self.at_start.extend(found.iter().map(|(node, wall_ms)| (*node, at_start(*wall_ms))));
    }

    /// How many are known.
    pub(super) fn count(&self) -> usize {
        self.at_start.len()
    }

    /// Forgets the clocks of nodes that are gone.
    pub(super) fn keep(&mut self, is_here: impl Fn(NodeId) -> bool) {
        self.at_start.retain(|node, _| is_here(*node));
    }

    /// What is wrong with this node's clock. The middle one of all clocks is right, this node's among
    /// them; of two the later one, because a clock that starts in 1970 is the usual fault. A node
    /// that knows no other clock goes by what was written last, `last_s`.
    pub(super) fn fault(&self, now: Now, wall_ms: u64, last_s: u64) -> Option<ClockFault> {
        let own = signed(wall_ms).saturating_sub(signed(now.0));
        if self.at_start.is_empty() {
            let behind = (last_s * 1_000).saturating_sub(wall_ms);
            return (behind > AHEAD_MS_MAX).then_some(ClockFault::BeforeRecords(behind));
        }
        let mut all: Vec<i64> = self.at_start.values().copied().chain([own]).collect();
        all.sort_unstable();
        let middle = all[all.len() / 2];
        let differs = middle.abs_diff(own);
        match differs > AHEAD_MS_MAX {
            false => None,
            true if middle > own => Some(ClockFault::Behind(differs)),
            true => Some(ClockFault::Ahead(differs)),
        }
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    /// The fault of a clock that shows 100 hours, among others.
    fn fault(hours: &[u64]) -> Option<ClockFault> {
        let mut clocks = PeerClocks::default();
        let found = hours.iter().zip(0u8..);
        let found = found.map(|(hours, no)| (NodeId([no; 16]), hours * HOUR_MS)).collect();
        clocks.note(Now(7), &found);
        clocks.fault(Now(7), 100 * HOUR_MS, 0)
    }

    #[test]
    fn the_middle_clock_is_right_and_the_later_one_of_two() {
        assert_eq!(fault(&[100, 100, 0]), None);
        assert_eq!(fault(&[100, 9_000, 0]), None);
        assert_eq!(fault(&[102, 102, 0]), Some(ClockFault::Behind(2 * HOUR_MS)));
        assert_eq!(fault(&[98, 98, 98]), Some(ClockFault::Ahead(2 * HOUR_MS)));
        assert_eq!(fault(&[1]), None);
        assert_eq!(fault(&[103]), Some(ClockFault::Behind(3 * HOUR_MS)));
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_without_asking_again() {
        let mut clocks = PeerClocks::default();
        let others = [1, 2].map(|no| (NodeId([no; 16]), 100 * HOUR_MS));
        clocks.note(Now(0), &others.into());
        assert_eq!(clocks.fault(Now(HOUR_MS), 101 * HOUR_MS, 0), None);
        let ahead = clocks.fault(Now(HOUR_MS), 104 * HOUR_MS, 0);
        assert_eq!(ahead, Some(ClockFault::Ahead(3 * HOUR_MS)));
    }

    #[test]
    fn a_node_alone_does_not_go_by_a_clock_that_is_behind_what_was_written() {
        let clocks = PeerClocks::default();
        assert_eq!(clocks.fault(Now(0), HOUR_MS, 3_600), None);
        assert_eq!(clocks.fault(Now(0), 0, 3_600), Some(ClockFault::BeforeRecords(HOUR_MS)));
    }
}
