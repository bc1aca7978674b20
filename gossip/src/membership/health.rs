//! Whether this node may trust what it sees of others (after Lifeguard).
//!
//! A node that is slow, paused or cut off misses answers just as if everybody else were gone. So it
//! looks at itself first: how its last probes went, whether its own timers come in time, when it
//! heard anybody, how many peers it suspects. It must never speak for others: it only holds back
//! this node's own verdicts.

use crate::{Now, Profile};

/// Probes remembered.
const SAMPLES: u32 = 8;

/// So many in a row without an answer, and nothing that this node believes of others counts.
const BLIND_AFTER: u32 = 4;

/// The most that probes are stretched: 4 times the interval. A link of 1.2 s round trip is probed
/// with success at 3 times the lan's 500 ms.
const STRETCH_MAX: u64 = 3;

/// How far this node believes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// Nobody was heard, or no probe answered, for a while: no suspicions, no verdicts.
    Blind,
    /// Too much went wrong at once to be others' fault: verdicts wait one suspicion longer.
    Doubtful,
    /// It accuses and judges.
    Full,
}

/// What this node sees around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Around {
    /// Active members.
    pub(crate) peers: usize,
    /// Those of them that are suspect.
    pub(crate) suspects: usize,
}

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    Missed,
}

/// The record of this node's own health.
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

    /// Somebody was heard, or is there from now on to be heard.
    pub(crate) fn on_heard(&mut self, now: Now) {
        self.heard_at = now;
    }

    /// A probe of a member that was not yet suspect has ended. (One that is suspect already says
    /// nothing new about this node.)
    pub(crate) fn on_probe(&mut self, outcome: Outcome) {
        let missed = outcome == Outcome::Missed;
        self.recent = (self.recent << 1 | u32::from(missed)) & ((1 << SAMPLES) - 1);
        self.samples = (self.samples + 1).min(SAMPLES);
        self.stretch = match outcome {
            Outcome::Answered => self.stretch.saturating_sub(1),
            Outcome::Missed => (self.stretch + 1).min(STRETCH_MAX),
        };
    }

    /// One of this node's own timers came late: it was busy, paused or asleep. That time says
    /// nothing about others.
    pub(crate) fn on_late_timer(&mut self, now: Now) {
        self.late_until = self.late_until.max(now.plus(self.profile.suspicion_ms));
        self.stretch = (self.stretch + 1).min(STRETCH_MAX);
        self.heard_at = now;
    }

    /// The time that a probe and its timeouts take, longer while this node is not well.
    pub(crate) fn stretched(&self, ms: u64) -> u64 {
        ms * (1 + self.stretch)
    }

    /// Is this node an island? It is if it heard nothing from anybody for three suspicions.
    pub(crate) fn is_island(&self, now: Now) -> bool {
        now.since(self.heard_at) >= self.profile.island_after_ms()
    }

    /// How far to trust this node.
    pub(crate) fn trust(&self, now: Now, around: Around) -> Trust {
        let Around { peers, suspects } = around;
        // With a single peer there is nobody to compare with.
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
