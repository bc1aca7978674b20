//! The profile of a seed: how many machines, which nemeses, and how the operators behave.
//!
//! Swarm testing: each seed enables a random subset of all faults, because faults that are always
//! all present hide each other's effects. One seed in ten has none.

use std::collections::BTreeSet;

use gossip::Rumours;

use crate::dice::Dice;
use crate::fault::Nemesis;
use crate::network::LinkConditions;
use crate::sabotage::Sabotage;

/// Extra things that the operators of some worlds do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Habit {
    /// Operators rename services.
    Rename,
    /// Operators reuse names: on both sides of a cut, and after a removal.
    ReuseName,
    /// An operator puts more tasks on one node than it may start at once, and the node's power
    /// fails.
    Crowd,
    /// They put services on networks.
    Networks,
    /// They create jobs, and run them again.
    Jobs,
    /// They create services that stay with their nodes, or run at most once.
    Anchors,
}

impl Habit {
    /// All of them.
    pub const ALL: [Habit; 6] = [
        Habit::Rename,
        Habit::ReuseName,
        Habit::Crowd,
        Habit::Networks,
        Habit::Jobs,
        Habit::Anchors,
    ];
}

/// When the harm may begin. A fleet that has not formed yet is a separate case, which is covered by
/// machines that join late and by the conditions that are always there.
pub const HARM_FROM_MS: u64 = 5_000;

/// What a caller may set instead of the seed.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The number of machines.
    pub machines: Option<usize>,
    /// Nemeses that are switched off.
    pub without: BTreeSet<Nemesis>,
    /// A promise that the world breaks.
    pub sabotage: Option<Sabotage>,
    /// Which worlds the seeds stand for.
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

/// How active the operators are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorPace {
    /// The longest time between two edits.
    pub pause_ms_max: u64,
    /// The chance that another operator edits the same service elsewhere at the same time.
    pub twin_permille: u32,
    /// The most services that exist at the same time.
    pub services_max: usize,
}

/// The profile of a seed.
#[derive(Debug, Clone)]
pub struct Profile {
    /// How many machines.
    pub machines: usize,
    /// How many of them join after the harm has begun.
    pub late: usize,
    /// The nemeses that are on.
    pub nemeses: BTreeSet<Nemesis>,
    /// When the harm ends.
    pub harm_until: u64,
    /// The conditions that this network always has.
    pub conditions: LinkConditions,
    /// The operators.
    pub pace: OperatorPace,
    /// The habits of the operators.
    pub habits: BTreeSet<Habit>,
    /// Are rumours sent, or does anti-entropy work alone?
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
            // Nemeses that were added later draw from a stream of their own, so that the worlds of
            // old seeds do not change.
            let mut is_on = |nemesis: &Nemesis| match nemesis {
                Nemesis::Roam
                | Nemesis::Leave
                | Nemesis::Junk
                | Nemesis::Poison
                | Nemesis::Restore
                | Nemesis::Strangers
                | Nemesis::Lies => Dice::new(seed, &format!("is {nemesis:?} on")).happens(chance),
                _ => dice.happens(chance),
            };
            Nemesis::ALL.into_iter().filter(|nemesis| is_on(nemesis)).collect()
        };
        nemeses.retain(|nemesis| !options.without.contains(nemesis));
        let mut habits = BTreeSet::new();
        match options.worlds {
            Worlds::AsKept => {
                nemeses.retain(|it| {
                    !matches!(it, Nemesis::Restore | Nemesis::Strangers | Nemesis::Lies)
                });
            }
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
        // A witness that is given an older copy of its store does not know what it granted. One that
        // has a new store adds its vote only after all old leases have ended, which is no rest.
        if late > 0 || nemeses.contains(&Nemesis::Restore) || nemeses.contains(&Nemesis::DiskLost) {
            habits.remove(&Habit::Anchors);
        }
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
