//! The checkers can fail: if the world breaks one promise, the right invariant breaks within a few
//! seeds.

use chaos::invariant::Invariant;
use chaos::profile::RunOptions;
use chaos::run::run;
use chaos::sabotage::Sabotage;
use chaos::trace::Echo;

/// The number of seeds within which a broken promise must be found.
const SEEDS: u64 = 12;

fn breaks(sabotage: Sabotage, invariant: Invariant) -> bool {
    let options = RunOptions { sabotage: Some(sabotage), ..RunOptions::default() };
    (0..SEEDS).any(|seed| {
        let failure = run(seed, &options, u64::MAX, Echo::Silent).failure;
        failure.is_some_and(|failure| failure.violation.invariant == invariant)
    })
}

#[test]
fn a_disk_that_lies_breaks_durability() {
    assert!(breaks(Sabotage::LyingDisk, Invariant::I12Durability));
}

#[test]
fn a_store_that_comes_back_as_it_was_brings_services_back() {
    assert!(breaks(Sabotage::StaleStore, Invariant::I3Resurrection));
}

#[test]
fn programs_that_cannot_be_stopped_are_too_many() {
    assert!(breaks(Sabotage::DeafPrograms, Invariant::I5Replicas));
}

#[test]
fn a_fleet_without_reliable_messages_does_not_agree() {
    assert!(breaks(Sabotage::LostMessages, Invariant::I1Convergence));
}

#[test]
fn an_operator_who_does_not_stop_is_no_rest() {
    assert!(breaks(Sabotage::RestlessOperator, Invariant::I10Rest));
}

#[test]
fn a_fleet_that_says_everything_three_times_is_over_its_budget() {
    assert!(breaks(Sabotage::Chatter, Invariant::I11Budgets));
}

#[test]
fn a_removal_that_hides_what_it_did_not_see_breaks_the_keeping_of_writes() {
    assert!(breaks(Sabotage::SilentRemovals, Invariant::I2Writes));
}
