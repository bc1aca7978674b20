//! Fleets in which two sides reach each other only through one node.

use super::*;

/// A fleet of `side` nodes, one node that hears both sides, and `side` more nodes.
fn bridge(side: usize, seed: u64) -> Fleet {
    let count = 2 * side + 1;
    let mut fleet = Fleet::new(count, GossipConfig::default(), seed);
    for index in 0..side {
        fleet.hears_only(index, 0..=side);
        fleet.hears_only(side + 1 + index, side..count);
    }
    for index in (0..count).filter(|index| *index != side) {
        fleet.join(index, side);
    }
    assert!(fleet.runs_until(120_000, Fleet::all_agree), "they hear of each other");
    fleet.run_ms(30_000);
    fleet
}

/// How long each of many edits on one side took to reach all nodes, sorted, in milliseconds.
fn spreads(side: usize, loss_percent: u32, seeds: std::ops::Range<u64>) -> Vec<u64> {
    let mut took = Vec::new();
    for seed in seeds {
        let mut fleet = bridge(side, seed);
        fleet.loss_percent = loss_percent;
        for number in 0..4 {
            let began = fleet.now;
            fleet.write(0, number, 300);
            assert!(fleet.runs_until(200_000, Fleet::all_equal), "seed {seed}");
            took.push(fleet.now.since(began));
            fleet.run_ms(15_000 + 700 * u64::from(number));
        }
    }
    took.sort_unstable();
    took
}

#[test]
fn an_edit_crosses_a_bridge_at_once() {
    for side in [1, 2, 3] {
        let took = spreads(side, 0, 700..706);
        assert!(took[took.len() * 90 / 100] < 300, "{side} on each side: {took:?}");
        assert!(took.last().is_some_and(|ms| *ms < 10_000), "{side} on each side: {took:?}");
    }
}

#[test]
fn what_is_lost_on_a_bridge_is_made_up_for_within_seconds() {
    let took = spreads(2, 10, 720..732);
    assert!(took[took.len() * 90 / 100] < 5_000, "{took:?}");
    assert!(took.last().is_some_and(|ms| *ms < 20_000), "{took:?}");
}
