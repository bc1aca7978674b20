//! Partitions, and how they heal.

use super::*;

#[test]
fn halves_agree_again_soon_after_a_partition_heals() {
    let mut fleet = Fleet::settled(20, 21);
    fleet.cut_at(10);
    fleet.run_ms(60_000);
    assert_eq!(fleet.state(0, 15), Some(MemberState::Unreachable));
    assert_eq!(fleet.state(0, 5), Some(MemberState::Alive));
    fleet.heal();
    assert!(fleet.runs_until(15_000, Fleet::all_agree));
}

#[test]
fn a_heal_makes_nobody_unreachable_who_was_there_all_the_time() {
    for seed in 22..27 {
        let mut fleet = Fleet::settled(12, seed);
        fleet.cut_at(5);
        fleet.run_ms(40_000);
        fleet.nodes.iter_mut().for_each(|node| node.events.clear());
        fleet.heal();
        fleet.run_ms(30_000);
        assert!(fleet.all_agree());
        assert_eq!(fleet.verdicts(), [], "seed {seed}");
    }
}

#[test]
fn a_lonely_node_comes_back() {
    let mut fleet = Fleet::settled(3, 27);
    fleet.cut_at(1);
    fleet.run_ms(30_000);
    assert!((1..3).all(|of| fleet.state(0, of) == Some(MemberState::Unreachable)));
    fleet.heal();
    assert!(fleet.runs_until(12_000, Fleet::all_agree));
}

#[test]
fn a_fleet_of_islands_comes_together_though_nobody_has_anybody_left() {
    let mut fleet = Fleet::settled(6, 28);
    for index in 0..6 {
        fleet.hears_only(index, []);
    }
    fleet.run_ms(60_000);
    assert!((1..6).all(|of| fleet.state(0, of) == Some(MemberState::Unreachable)));
    fleet.heal();
    assert!(fleet.runs_until(20_000, Fleet::all_agree));
}

#[test]
fn what_both_sides_wrote_is_everywhere_soon_after_the_heal() {
    let mut fleet = Fleet::settled(6, 29);
    fleet.cut_at(3);
    fleet.run_ms(10_000);
    for number in 0..50 {
        fleet.write(number as usize % 6, number, 100);
    }
    fleet.run_ms(20_000);
    assert!(!fleet.all_equal());
    fleet.heal();
    assert!(fleet.runs_until(12_000, Fleet::all_equal));
}

#[test]
fn two_halves_that_first_met_their_neighbours_find_each_other_through_their_seeds() {
    let mut fleet = Fleet::new(4, GossipConfig::default(), 30);
    fleet.cut_at(2);
    fleet.join(0, 1);
    fleet.join(2, 3);
    fleet.join(3, 0);
    fleet.run_ms(20_000);
    fleet.heal();
    assert!(fleet.runs_until(60_000, Fleet::all_agree));
}

#[test]
fn a_member_that_is_back_is_compared_with_at_once() {
    let config = GossipConfig { rumours: crate::Rumours::Off, ..GossipConfig::default() };
    let mut fleet = Fleet::settled_with(2, config, 45);
    fleet.cut_at(1);
    fleet.run_ms(20_000);
    fleet.write(0, 1, 100);
    fleet.write(1, 2, 100);
    fleet.heal();
    assert!(fleet.runs_until(12_000, Fleet::all_agree));
    assert!(fleet.runs_until(200, Fleet::all_equal));
}
