//! Conditions of this node: from what is seen of the machine to what the node reports.
//!
//! ```text
//!  seen ──SAY_AFTER──▶ reported ──not seen for keep_ms──▶ over ──FORGIVEN──▶ forgotten
//!    ▲                                                      │
//!    └─────────── seen again: keep_ms is doubled ───────────┘
//! ```
//! A reported condition moves tasks, so reports must not flap. A short problem is not reported, and
//! a problem that returns is reported for longer each time. A node without changes reports nothing.

use std::collections::BTreeMap;

use crdt_state::condition::NodeConditions;
use gossip::Now;

/// A condition is reported once it was seen for this long, in milliseconds.
pub const SAY_AFTER_MS: u64 = 10_000;

/// The first time, a condition is reported for this long after it was last seen, in milliseconds.
pub const KEEP_MS: u64 = 60_000;

/// However often a condition came back, it is reported no longer than this after it was last seen.
pub const KEEP_MS_MAX: u64 = 16 * KEEP_MS;

/// A condition that did not come back for this long, in milliseconds, counts as new.
pub const FORGIVEN_MS: u64 = 60 * 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Seen since this time, and not reported yet.
    Seen(Now),
    /// Reported, and still seen.
    Said,
    /// No longer seen; reported until this time, unless it is seen again.
    Ending(Now),
    /// It ended at this time.
    Over(Now),
}

#[derive(Debug, Clone)]
struct TrackedCondition {
    stage: Stage,
    text: String,
    keep_ms: u64,
}

/// All conditions that this node has or recently had.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    tracked: BTreeMap<String, TrackedCondition>,
}

impl Conditions {
    /// Takes everything that was found on the machine now.
    pub fn observe(&mut self, now: Now, found: &NodeConditions) {
        for (word, text) in found {
            let fresh =
                TrackedCondition { stage: Stage::Seen(now), text: text.clone(), keep_ms: KEEP_MS };
            match self.tracked.get_mut(word) {
                None => {
                    self.tracked.insert(word.clone(), fresh);
                }
                Some(tracked) => match tracked.stage {
                    Stage::Seen(_) | Stage::Said => {}
                    Stage::Ending(_) => tracked.stage = Stage::Said,
                    Stage::Over(_) => {
                        let keep_ms = (2 * tracked.keep_ms).min(KEEP_MS_MAX);
                        *tracked = TrackedCondition { keep_ms, ..fresh };
                    }
                },
            }
        }
        for (word, tracked) in &mut self.tracked {
            if found.contains_key(word) {
                continue;
            }
            match tracked.stage {
                Stage::Seen(_) => tracked.stage = Stage::Over(now),
                Stage::Said => tracked.stage = Stage::Ending(now.plus(tracked.keep_ms)),
                Stage::Ending(_) | Stage::Over(_) => {}
            }
        }
        // A condition that ended before it was ever reported is forgotten.
        self.tracked.retain(|_, c| !(c.stage == Stage::Over(now) && c.keep_ms == KEEP_MS));
    }

    /// The deadline has passed.
    pub fn handle_due(&mut self, now: Now) {
        self.tracked.retain(|_, tracked| {
            match tracked.stage {
                Stage::Seen(since) if since.plus(SAY_AFTER_MS) <= now => {
                    tracked.stage = Stage::Said
                }
                Stage::Ending(at) if at <= now => tracked.stage = Stage::Over(now),
                _ => {}
            }
            !matches!(tracked.stage, Stage::Over(since) if since.plus(FORGIVEN_MS) <= now)
        });
    }

    /// When a condition changes without a new observation.
    pub fn deadline(&self) -> Now {
        let due = self.tracked.values().map(|tracked| match tracked.stage {
            Stage::Seen(since) => since.plus(SAY_AFTER_MS),
            Stage::Said => Now::NEVER,
            Stage::Ending(at) => at,
            Stage::Over(since) => since.plus(FORGIVEN_MS),
        });
        due.min().unwrap_or(Now::NEVER)
    }

    /// The conditions that the node reports.
    pub fn said(&self) -> NodeConditions {
        let said =
            |tracked: &TrackedCondition| matches!(tracked.stage, Stage::Said | Stage::Ending(_));
        let tracked = self.tracked.iter().filter(|(_, tracked)| said(tracked));
        tracked.map(|(word, tracked)| (word.clone(), tracked.text.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> NodeConditions {
        NodeConditions::from([("files".to_owned(), "none is left".to_owned())])
    }

    /// How long the condition is still reported after it was last seen.
    fn said_for(conditions: &mut Conditions, mut now: Now) -> u64 {
        let began = now;
        conditions.observe(now, &NodeConditions::new());
        while !conditions.said().is_empty() {
            now = now.max(conditions.deadline());
            conditions.handle_due(now);
        }
        now.since(began)
    }

    #[test]
    fn a_moments_trouble_is_not_said() {
        let mut conditions = Conditions::default();
        for second in 0..60 {
            let now = Now(1_000 * second);
            let found = if second % 5 == 0 { files() } else { NodeConditions::new() };
            conditions.observe(now, &found);
            conditions.handle_due(now);
            assert!(conditions.said().is_empty());
        }
        assert_eq!(conditions.deadline(), Now::NEVER, "and then it is at rest");
    }

    #[test]
    fn what_comes_back_again_and_again_is_said_for_longer() {
        let mut conditions = Conditions::default();
        let mut now = Now(0);
        let mut kept = Vec::new();
        for _ in 0..7 {
            conditions.observe(now, &files());
            now = now.plus(SAY_AFTER_MS);
            conditions.handle_due(now);
            assert_eq!(conditions.said(), files());
            let ms = said_for(&mut conditions, now);
            kept.push(ms / 60_000);
            now = now.plus(ms + 1_000);
        }
        assert_eq!(kept, [1, 2, 4, 8, 16, 16, 16]);
        now = now.plus(FORGIVEN_MS);
        conditions.handle_due(now);
        assert_eq!(conditions.deadline(), Now::NEVER);
        conditions.observe(now, &files());
        now = now.plus(SAY_AFTER_MS);
        conditions.handle_due(now);
        assert_eq!(said_for(&mut conditions, now), KEEP_MS, "after an hour it is as good as new");
    }

    #[test]
    fn what_comes_back_while_it_is_said_changes_nothing() {
        let mut conditions = Conditions::default();
        conditions.observe(Now(0), &files());
        conditions.handle_due(Now(SAY_AFTER_MS));
        for round in 1..100 {
            let now = Now(SAY_AFTER_MS + round * 30_000);
            let found = if round % 2 == 0 { files() } else { NodeConditions::new() };
            conditions.observe(now, &found);
            conditions.handle_due(now);
            assert_eq!(conditions.said(), files());
        }
    }
}
