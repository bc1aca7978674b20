//! Whether this node may trust what it observes of others (after Lifeguard).
//!
//! A node that is slow, paused or cut off misses answers just as if all other nodes were gone. So
//! it first checks itself: the results of its last probes, whether its own timers fire on time,
//! when it last heard anybody, and how many peers it suspects. It must never decide for others: it
//! only holds back this node's own verdicts.

use crate::{Now, Profile};

/// Number of probes whose outcomes are remembered.
const SAMPLES: u32 = 8;

/// After this many missed probes in a row, this node's own suspicions and verdicts do not count.
const BLIND_AFTER: u32 = 4;

/// The maximum stretch: the probe interval becomes 4 times as long. A link with a round trip of 1.2
/// s is probed with success at 3 times the 500 ms of the `lan` profile.
const STRETCH_MAX: u64 = 3;

/// How far this node trusts its own observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// For a while nobody was heard, or no probe was answered: no suspicions, no verdicts.
    Blind,
    /// Too much failed at once to be the fault of others: verdicts wait one suspicion longer.
    Doubtful,
    /// Its suspicions and verdicts count.
    Full,
}

/// This node's peers, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Around {
    /// Active members.
    pub(crate) peers: usize,
    /// The active members that are suspect.
    pub(crate) suspects: usize,
}

/// The result of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    Missed,
}

/// The state of this node's own health.
#[derive(Debug, Clone)]
pub(crate) struct LocalHealth {
    profile: Profile,
    /// One bit per probe, the last one lowest; 1 is missed.
    recent: u32,
    samples: u32,
    stretch: u64,
    late_until: Now,
    /// When anybody at all was last heard.
    heard_at: Now,
}

impl LocalHealth {
    pub(crate) fn new(profile: Profile, now: Now) -> LocalHealth {
        LocalHealth {
            profile,
            recent: 0,
            samples: 0,
            stretch: 0,
            late_until: Now::START,
            heard_at: now,
        }
    }

    /// Somebody was heard, or a first member appeared that can be heard from now on.
    pub(crate) fn on_heard(&mut self, now: Now) {
        self.heard_at = now;
    }

    /// A probe of a member that was not yet suspect has ended. (A probe of a suspect shows nothing
    /// new about this node.)
    pub(crate) fn on_probe(&mut self, outcome: Outcome) {
        let missed = outcome == Outcome::Missed;
        self.recent = (self.recent << 1 | u32::from(missed)) & ((1 << SAMPLES) - 1);
        self.samples = (self.samples + 1).min(SAMPLES);
        self.stretch = match outcome {
            Outcome::Answered => self.stretch.saturating_sub(1),
            Outcome::Missed => (self.stretch + 1).min(STRETCH_MAX),
        };
    }

    /// One of this node's own timers fired late: the node was busy, paused or asleep. Silence
    /// during that time is no evidence about others.
    pub(crate) fn on_late_timer(&mut self, now: Now) {
        self.late_until = self.late_until.max(now.plus(self.profile.suspicion_ms));
        self.stretch = (self.stretch + 1).min(STRETCH_MAX);
        self.heard_at = now;
    }

    /// The time that a probe and its timeouts take; longer while this node's own probes miss or its
    /// timers fire late.
    pub(crate) fn stretched(&self, ms: u64) -> u64 {
        ms * (1 + self.stretch)
    }

    /// Is this node an island? It is if it heard nobody for three suspicion times.
    pub(crate) fn is_island(&self, now: Now) -> bool {
        now.since(self.heard_at) >= self.profile.island_after_ms()
    }

    /// How far to trust this node.
    pub(crate) fn trust(&self, now: Now, around: Around) -> Trust {
        let Around { peers, suspects } = around;
        // With a single peer there is no second one for comparison.
        let deaf = peers >= 2 && now.since(self.heard_at) >= self.profile.suspicion_ms;
        let last = (1 << BLIND_AFTER) - 1;
        if deaf || self.samples >= BLIND_AFTER && self.recent & last == last {
            return Trust::Blind;
        }
        let most_are_suspect = suspects >= 2 && suspects * 2 > peers;
        let most_were_missed =
            self.samples == SAMPLES && self.recent.count_ones() * 2 > self.samples;
        if now < self.late_until || most_are_suspect || most_were_missed {
            return Trust::Doubtful;
        }
        Trust::Full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(peers: usize, suspects: usize) -> Around {
        Around { peers, suspects }
    }

    fn well() -> LocalHealth {
        LocalHealth::new(Profile::LAN, Now(0))
    }

    #[test]
    fn who_hears_nobody_is_blind_unless_there_is_only_one_to_hear() {
        let mut health = well();
        assert_eq!(health.trust(Now(2_499), around(2, 1)), Trust::Full);
        assert_eq!(health.trust(Now(2_500), around(2, 1)), Trust::Blind);
        assert_eq!(health.trust(Now(2_500), around(1, 1)), Trust::Full);
        health.on_heard(Now(2_500));
        assert_eq!(health.trust(Now(2_500), around(2, 1)), Trust::Full);
    }

    #[test]
    fn four_probes_missed_in_a_row_make_blind_and_one_answer_heals() {
        let mut health = well();
        for _ in 0..3 {
            health.on_probe(Outcome::Missed);
        }
        assert_eq!(health.trust(Now(0), around(10, 3)), Trust::Full);
        health.on_probe(Outcome::Missed);
        assert_eq!(health.trust(Now(0), around(10, 4)), Trust::Blind);
        health.on_probe(Outcome::Answered);
        assert_eq!(health.trust(Now(0), around(10, 4)), Trust::Full);
    }

    #[test]
    fn suspecting_more_than_half_of_the_peers_is_doubtful() {
        let health = well();
        assert_eq!(health.trust(Now(0), around(4, 2)), Trust::Full);
        assert_eq!(health.trust(Now(0), around(4, 3)), Trust::Doubtful);
        assert_eq!(
            health.trust(Now(0), around(1, 1)),
            Trust::Full,
            "one peer: nothing to compare with"
        );
    }

    #[test]
    fn an_island_hears_nobody_for_three_suspicions_that_it_did_not_sleep() {
        let mut health = well();
        assert!(!health.is_island(Now(7_499)));
        assert!(health.is_island(Now(7_500)));
        health.on_late_timer(Now(7_000));
        assert!(!health.is_island(Now(7_500)));
    }

    #[test]
    fn a_late_timer_casts_doubt_for_a_while_and_stretches_probes() {
        let mut health = well();
        health.on_late_timer(Now(0));
        health.on_heard(Now(2_000));
        assert_eq!(health.trust(Now(2_499), around(10, 0)), Trust::Doubtful);
        assert_eq!(health.trust(Now(2_500), around(10, 0)), Trust::Full);
        assert_eq!(health.stretched(500), 1_000);
        health.on_probe(Outcome::Answered);
        assert_eq!(health.stretched(500), 500);
    }
}
