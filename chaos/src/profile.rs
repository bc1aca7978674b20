//! The profile of a seed: how many machines, which nemeses, what the operators are like.
//!
//! Swarm testing: each seed has a random part of everything that can go wrong on, because faults
//! that are always all present hide each other's effects. One seed in ten has none at all.

use std::collections::BTreeSet;

use gossip::Rumours;

use crate::dice::Dice;
use crate::fault::Nemesis;
use crate::network::LinkConditions;
use crate::sabotage::Sabotage;

/// What the operators of some worlds do beside what all operators do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Habit {
    /// They give services other names.
    Rename,
    /// They use names again: on both sides of a cut, and after a removal.
    ReuseName,
    /// They put more tasks on one node than it may start at once, and its power fails.
    Crowd,
}

impl Habit {
    /// All of them.
    pub const ALL: [Habit; 3] = [Habit::Rename, Habit::ReuseName, Habit::Crowd];
}

/// When the harm may begin: a fleet that has not formed yet is a case of its own, which the
/// machines that come late and the storm that is always there cover.
pub const HARM_FROM_MS: u64 = 5_000;

/// What a caller may decide instead of the seed.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// So many machines.
    pub machines: Option<usize>,
    /// These nemeses are off.
    pub without: BTreeSet<Nemesis>,
    /// A promise that the world breaks.
    pub sabotage: Option<Sabotage>,
    /// Which worlds.
    pub worlds: Worlds,
}

/// Which worlds the seeds stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Worlds {
    /// With everything that can happen.
    #[default]
    Whole,
    /// As they were when the first seeds were kept: without habits and restored stores.
    AsKept,
}

/// How lively the operators are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorPace {
    /// Between two edits, at most.
    pub pause_ms_max: u64,
    /// Chance that an edit is joined by one of the same service elsewhere, at the same time.
    pub twin_permille: u32,
    /// Services that exist at the same time, at most.
    pub services_max: usize,
}

/// The profile of a seed.
#[derive(Debug, Clone)]
pub struct Profile {
    /// How many machines.
    pub machines: usize,
    /// How many of them come after the harm has begun.
    pub late: usize,
    /// What goes wrong.
    pub nemeses: BTreeSet<Nemesis>,
    /// When it stops.
    pub harm_until: u64,
    /// The conditions that this network always has.
    pub conditions: LinkConditions,
    /// The operators.
    pub pace: OperatorPace,
    /// What some of them do beside.
    pub habits: BTreeSet<Habit>,
    /// Are rumours spread, or is it left to anti-entropy?
    pub rumours: Rumours,
    /// A promise that the world breaks.
    pub sabotage: Option<Sabotage>,
    /// Do the last cuts stay for a while, so that each part must come to rest by itself?
    pub is_frozen: bool,
}

impl Profile {
    /// The profile of a seed, unless the options say otherwise.
    pub fn of(seed: u64, options: &RunOptions) -> Profile {
        let mut dice = Dice::new(seed, "profile");
        let drawn = dice.between(3, 7) as usize;
        let machines = options.machines.unwrap_or(drawn);
        let mut nemeses: BTreeSet<Nemesis> = if dice.happens(100) {
            BTreeSet::new()
        } else {
            let chance = *dice.pick(&[150, 300, 500]);
            // Those that came later draw from a stream of their own: the worlds of old seeds stay.
            let mut is_on = |nemesis: &Nemesis| match nemesis {
                Nemesis::Roam
                | Nemesis::Leave
                | Nemesis::Junk
                | Nemesis::Poison
                | Nemesis::Restore => {
                    Dice::new(seed, &format!("is {nemesis:?} on")).happens(chance)
                }
                _ => dice.happens(chance),
            };
            Nemesis::ALL.into_iter().filter(|nemesis| is_on(nemesis)).collect()
        };
        nemeses.retain(|nemesis| !options.without.contains(nemesis));
        let mut habits = BTreeSet::new();
        match options.worlds {
            Worlds::AsKept => drop(nemeses.remove(&Nemesis::Restore)),
            Worlds::Whole => {
                let has = |habit: &Habit| Dice::new(seed, &format!("has {habit:?}")).happens(250);
                habits.extend(Habit::ALL.into_iter().filter(has));
            }
        }
        let conditions = LinkConditions {
            loss_permille: *dice.pick(&[0, 0, 0, 5, 20]),
            duplicate_permille: *dice.pick(&[0, 0, 10]),
            delay_ms: *dice.pick(&[0, 0, 5, 20]),
            jitter_ms: *dice.pick(&[0, 0, 5, 20]),
        };
        let pace = OperatorPace {
            pause_ms_max: *dice.pick(&[4_000, 15_000, 60_000]),
            twin_permille: *dice.pick(&[0, 150, 500]),
            services_max: *dice.pick(&[1, 3, 6]),
        };
        let late = if dice.happens(250) { dice.index(machines.div_ceil(2)) } else { 0 };
        let harm_until = HARM_FROM_MS + dice.between(60_000, 180_000);
        let rumours = if dice.happens(150) { Rumours::Off } else { Rumours::On };
        let is_frozen = dice.happens(200);
        let sabotage = options.sabotage;
        Profile {
            machines,
            late,
            nemeses,
            harm_until,
            conditions,
            pace,
            habits,
            rumours,
            sabotage,
            is_frozen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nemesis_that_is_switched_off_changes_nothing_else() {
        for seed in 0..50 {
            let with = Profile::of(seed, &RunOptions::default());
            let options = RunOptions {
                without: BTreeSet::from([Nemesis::ClockJump]),
                ..RunOptions::default()
            };
            let without = Profile::of(seed, &options);
            assert_eq!(with.machines, without.machines);
            assert_eq!(with.harm_until, without.harm_until);
            assert!(!without.nemeses.contains(&Nemesis::ClockJump));
        }
    }

    #[test]
    fn every_nemesis_is_in_some_seed_and_none_in_some() {
        let profiles: Vec<Profile> =
            (0..200).map(|seed| Profile::of(seed, &RunOptions::default())).collect();
        assert!(profiles.iter().any(|profile| profile.nemeses.is_empty()));
        for nemesis in Nemesis::ALL {
            assert!(profiles.iter().any(|profile| profile.nemeses.contains(&nemesis)));
        }
    }
}
