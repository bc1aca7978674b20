//! Whole worlds: the same seed twice, seeds that once found a fault, and rules switched off.

use std::collections::BTreeSet;

use chaos::fault::Nemesis;
use chaos::profile::{Profile, RunOptions, Worlds};
use chaos::run::{Outcome, run};
use chaos::trace::Echo;

fn world(seed: u64, options: &RunOptions) -> Outcome {
    run(seed, options, u64::MAX, Echo::Silent)
}

fn known_seeds() -> Vec<u64> {
    let lines = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let first_word = |line: &str| line.split_whitespace().next().map(str::to_owned);
    lines.filter_map(first_word).map(|word| word.parse().expect("a line is a seed")).collect()
}

#[test]
fn one_seed_is_one_history() {
    let (first, second) = (world(3, &RunOptions::default()), world(3, &RunOptions::default()));
    assert_eq!((first.hash, first.events), (second.hash, second.events));
    assert_ne!(first.hash, world(4, &RunOptions::default()).hash);
}

#[test]
fn seeds_that_found_a_fault_stay_green() {
    let as_kept = RunOptions { worlds: Worlds::AsKept, ..RunOptions::default() };
    for seed in known_seeds() {
        let outcome = world(seed, &as_kept);
        let violation = outcome.failure.map(|failure| failure.violation.to_string());
        assert_eq!(
            violation, None,
            "seed {seed}: cargo xtask chaos --seeds 1 --from {seed} -- --as-kept"
        );
    }
}

/// The metamorphic test: whatever the clocks of the machines show, the fleet acts the same.
#[test]
fn clock_jumps_change_nothing_that_runs() {
    let mut seeds = (0..).filter(|seed| {
        let profile = Profile::of(*seed, &RunOptions::default());
        profile.nemeses.contains(&Nemesis::ClockJump)
    });
    let seed = seeds.next().expect("some seed has clock jumps");
    let still =
        RunOptions { without: BTreeSet::from([Nemesis::ClockJump]), ..RunOptions::default() };
    let (jumping, still) = (world(seed, &RunOptions::default()), world(seed, &still));
    assert_ne!(jumping.hash, still.hash, "the times of day in the records differ");
    assert_eq!(jumping.deeds, still.deeds, "seed {seed}");
}
