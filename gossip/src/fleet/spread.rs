//! How records spread: rumours are fast, anti-entropy alone is enough.

use super::*;
use crate::output::DATAGRAM_BYTES_MAX;
use crate::{Rumours, Traffic};

fn without_rumours() -> GossipConfig {
    GossipConfig { rumours: Rumours::Off, ..GossipConfig::default() }
}

fn sent(fleet: &Fleet, kind: Traffic) -> (u64, u64) {
    let tallies = fleet.nodes.iter().filter_map(|node| node.gossip.counters().sent.get(&kind));
    tallies.fold((0, 0), |(count, bytes), t| (count + t.count, bytes + t.bytes))
}

#[test]
fn a_rumour_reaches_a_fleet_within_a_fraction_of_a_second() {
    for (count, seed) in [(3, 31), (6, 32), (30, 33)] {
        let mut fleet = Fleet::settled(count, seed);
        fleet.write(1, 7, 200);
        assert!(fleet.runs_until(200, Fleet::all_equal), "{count} nodes");
    }
}

#[test]
fn anti_entropy_alone_brings_everything_everywhere_through_loss() {
    let mut fleet = Fleet::settled_with(6, without_rumours(), 34);
    fleet.loss_percent = 30;
    for number in 0..300 {
        fleet.write(number as usize % 6, number, 100);
    }
    assert!(fleet.runs_until(60_000, Fleet::all_equal));
    assert_eq!(sent(&fleet, Traffic::Rumour), (0, 0));
}

#[test]
fn a_joiner_gets_everything_at_once() {
    let mut fleet = Fleet::new(3, without_rumours(), 35);
    fleet.join(1, 0);
    for number in 0..3_000 {
        fleet.write(0, number, 200);
    }
    fleet.runs_until(30_000, |fleet| {
        fleet.nodes[0].replica.digest() == fleet.nodes[1].replica.digest()
    });
    fleet.join(2, 0);
    assert!(fleet.runs_until(1_500, Fleet::all_equal));
}

#[test]
fn the_cost_of_a_session_is_that_of_the_difference() {
    let mut fleet = Fleet::settled_with(2, without_rumours(), 36);
    for number in 0..3_000 {
        fleet.write(0, number, 200);
    }
    assert!(fleet.runs_until(60_000, Fleet::all_equal));
    fleet.run_ms(30_000);
    let before = (sent(&fleet, Traffic::Tree).1, sent(&fleet, Traffic::Records).1);
    fleet.write(1, 9_999, 200);
    assert!(fleet.runs_until(15_000, Fleet::all_equal));
    let tree = sent(&fleet, Traffic::Tree).1 - before.0;
    let records = sent(&fleet, Traffic::Records).1 - before.1;
    // Two levels of 278 bytes and a list of at most 24 records; then the same from the other side.
    assert!(tree < 3_000, "{tree} bytes of digests for one record of 3,000");
    assert!(records < 1_500, "{records} bytes of records for one of 200 bytes");
}

#[test]
fn equal_replicas_say_nothing_but_their_digest() {
    let mut fleet = Fleet::settled(5, 37);
    fleet.write(0, 1, 100);
    fleet.run_ms(40_000);
    let before = [Traffic::Tree, Traffic::Records, Traffic::Rumour, Traffic::Members]
        .map(|kind| sent(&fleet, kind));
    let compared = sent(&fleet, Traffic::Compare).0;
    fleet.run_ms(100_000);
    let after = [Traffic::Tree, Traffic::Records, Traffic::Rumour, Traffic::Members]
        .map(|kind| sent(&fleet, kind));
    assert_eq!(before, after);
    assert_eq!(sent(&fleet, Traffic::Compare).0 - compared, 50, "5 nodes, every 10 s");
}

#[test]
fn a_record_that_fits_no_datagram_goes_by_message() {
    let mut fleet = Fleet::settled(5, 38);
    fleet.write(0, 1, 20_000);
    fleet.write(0, 2, 100);
    assert!(fleet.runs_until(200, Fleet::all_equal));
    assert!(fleet.nodes.iter().all(|node| node.datagram_bytes_max <= DATAGRAM_BYTES_MAX));
}

#[test]
fn too_many_rumours_are_given_up_and_anti_entropy_brings_them() {
    let mut fleet = Fleet::settled(5, 39);
    for number in 0..2_000u32 {
        let mut id = [1; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let key = RecordKey { kind: Kind::CONFIG, id };
        let facet = crdt_state::spec::Facet::TEMPLATE;
        fleet.nodes[0].replica.edit(key, facet, &number, 0);
    }
    fleet.tell_changed(0);
    assert_eq!(fleet.nodes[0].gossip.counters().rumours_dropped, 2_000);
    assert!(fleet.runs_until(15_000, Fleet::all_equal));
    assert_eq!(sent(&fleet, Traffic::Rumour), (0, 0));
}

#[test]
fn a_change_that_waits_is_told_once_with_its_last_value() {
    let mut fleet = Fleet::settled(2, 40);
    for _ in 0..10 {
        fleet.write(0, 1, 100);
    }
    fleet.run_ms(100);
    assert!(fleet.all_equal());
    let mut told = 0;
    if let Some(tally) = fleet.nodes[0].gossip.counters().sent.get(&Traffic::Rumour) {
        told = tally.count;
    }
    assert_eq!(told, 1);
}

/// The data of the largest config. Passed on like small records it crossed each uplink four times.
#[test]
fn large_records_cross_each_uplink_about_once() {
    for (count, seed) in [(5, 39), (12, 40)] {
        let mut fleet = Fleet::settled(count, seed);
        let records =
            |fleet: &Fleet| sent(fleet, Traffic::Rumour).1 + sent(fleet, Traffic::Records).1;
        let before = records(&fleet);
        for number in 0..16 {
            fleet.write(0, number, 60_000);
        }
        assert!(fleet.runs_until(20_000, Fleet::all_equal), "{count} nodes");
        fleet.run_ms(20_000);
        let sent = records(&fleet) - before;
        let needed = 16 * 60_000 * (count as u64 - 1);
        assert!(sent < 2 * needed, "{sent} bytes for {needed}");
    }
}
