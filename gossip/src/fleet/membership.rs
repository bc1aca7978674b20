//! A fleet's view of its members. Each test fails when the rule that it names is removed.

use crdt_state::RecordKey;
use crdt_state::spec::{Facet, Life};

use super::*;
use crate::Profile;

#[test]
fn nodes_that_join_through_one_of_them_know_each_other_within_seconds() {
    let mut fleet = Fleet::new(40, GossipConfig::default(), 1);
    for index in 1..40 {
        fleet.join(index, 0);
    }
    assert!(fleet.runs_until(10_000, Fleet::all_agree));
}

#[test]
fn a_silent_node_is_suspected_first_and_unreachable_within_six_seconds() {
    let mut fleet = Fleet::settled(8, 2);
    fleet.stop(3);
    let gone = fleet.id(3);
    assert!(fleet.runs_until(6_000, |fleet| {
        (0..8).all(|at| at == 3 || fleet.state(at, 3) == Some(MemberState::Unreachable))
    }));
    for node in fleet.nodes.iter().filter(|node| node.id != gone) {
        let about: Vec<MemberEvent> = node.events.iter().map(|(_, event)| *event).collect();
        assert_eq!(about.last(), Some(&MemberEvent::Unreachable(gone)));
        assert!(about.contains(&MemberEvent::Suspected(gone)), "{about:?}");
    }
}

#[test]
fn a_member_that_has_refuted_is_not_told_to_renew() {
    let mut fleet = Fleet::settled(12, 3);
    fleet.loss_percent = 25;
    fleet.run_ms(120_000);
    let suspected = fleet.seen(|event| matches!(event, MemberEvent::Suspected(_)));
    let renewed = fleet.seen(|event| matches!(event, MemberEvent::Renewed(_)));
    assert!(suspected.len() > 30, "the loss must lead to suspicions: {}", suspected.len());
    assert_eq!(renewed, []);
    let stale: u64 = fleet.nodes.iter().map(|node| node.gossip.counters().timers_stale).sum();
    assert!(stale > 10, "foca's stale verdicts must have been due: {stale}");
}

#[test]
fn loss_alone_leads_to_no_verdict() {
    let mut fleet = Fleet::settled(12, 4);
    fleet.loss_percent = 20;
    fleet.run_ms(120_000);
    assert_eq!(fleet.verdicts(), []);
}

#[test]
fn a_slow_node_neither_judges_nor_is_judged() {
    let mut fleet = Fleet::settled(12, 5);
    fleet.slow_down(4, 600);
    fleet.run_ms(120_000);
    assert_eq!(fleet.verdicts(), []);
}

#[test]
fn a_node_that_slept_blames_nobody_when_it_wakes() {
    let mut fleet = Fleet::settled(6, 6);
    fleet.stop(2);
    fleet.run_ms(30_000);
    assert_eq!(fleet.verdicts().len(), 5, "the others hold it for unreachable");
    fleet.resume(2);
    fleet.run_ms(20_000);
    let blamed: Vec<_> = fleet.verdicts().into_iter().filter(|(by, _)| *by == 2).collect();
    assert_eq!(blamed, [], "it distrusts itself");
    assert!(fleet.all_agree());
}

#[test]
fn a_deaf_node_gives_up_on_others_without_accusing_them() {
    let mut fleet = Fleet::settled(8, 7);
    fleet.hears_only(5, []);
    fleet.run_ms(60_000);
    let (deaf, gone) = (fleet.id(5), MemberState::Unreachable);
    assert!(
        fleet
            .verdicts()
            .iter()
            .all(|(by, event)| { *by == 5 || *event == MemberEvent::Unreachable(deaf) })
    );
    assert!((0..8).all(|of| of == 5 || fleet.state(5, of) == Some(gone)), "it is an island");
}

#[test]
fn a_verdict_about_a_superseded_identity_is_dropped() {
    let mut fleet = Fleet::settled(4, 8);
    let old = fleet.nodes[2].gossip.me();
    fleet.restart(2, 0);
    assert!(fleet.runs_until(10_000, |fleet| {
        fleet.nodes[0].gossip.member(old.node).is_some_and(|m| m.generation > old.generation)
    }));
    fleet.run_ms(5_000);
    fleet.nodes.iter_mut().for_each(|node| node.events.clear());
    let entries = vec![crate::message::Entry {
        identity: old,
        incarnation: 9,
        state: MemberState::Unreachable,
        addr: None,
    }];
    let (from, answer) = (fleet.id(1), crate::message::Answer::NotWanted);
    let list = crate::message::Message::Members { from, entries, answer }.encode();
    for index in [0, 2] {
        let node = &mut fleet.nodes[index];
        node.gossip.handle_message(fleet.now, from, &list, &mut node.replica);
        fleet.drain(index);
    }
    fleet.run_ms(10_000);
    assert_eq!(fleet.verdicts(), []);
    assert_eq!(fleet.nodes[2].gossip.member(old.node), None, "nobody is his own member");
}

#[test]
fn a_node_takes_a_generation_above_what_others_remember_of_it() {
    let mut fleet = Fleet::settled(3, 9);
    let remembered = Identity { node: fleet.id(1), generation: 5 << 20 };
    let entries = vec![crate::message::Entry {
        identity: remembered,
        incarnation: 0,
        state: MemberState::Alive,
        addr: None,
    }];
    let (from, answer) = (fleet.id(0), crate::message::Answer::NotWanted);
    let list = crate::message::Message::Members { from, entries, answer }.encode();
    let node = &mut fleet.nodes[1];
    node.gossip.handle_message(fleet.now, from, &list, &mut node.replica);
    fleet.drain(1);
    assert!(fleet.nodes[1].gossip.me().generation > remembered.generation);
    fleet.run_ms(5_000);
    assert!(fleet.all_agree());
    assert_eq!(fleet.verdicts(), []);
}

#[test]
fn a_leave_is_seen_by_everybody_within_a_second() {
    let mut fleet = Fleet::settled(20, 10);
    fleet.loss_percent = 20;
    fleet.leave(7);
    let left =
        |fleet: &Fleet| (0..20).all(|at| at == 7 || fleet.state(at, 7) == Some(MemberState::Left));
    assert!(fleet.runs_until(1_000, left));
    fleet.run_ms(20_000);
    assert!(left(&fleet), "and stays seen");
    assert_eq!(fleet.verdicts(), []);
}

#[test]
fn a_forgotten_member_stays_away_until_it_comes_back_as_new() {
    let mut fleet = Fleet::settled(5, 11);
    fleet.stop(4);
    fleet.run_ms(8_000);
    let gone = fleet.id(4);
    for index in 0..3 {
        fleet.nodes[index].gossip.forget(fleet.now, gone);
    }
    fleet.run_ms(60_000);
    assert_eq!(fleet.state(3, 4), Some(MemberState::Unreachable), "one still lists it");
    assert!((0..3).all(|at| fleet.state(at, 4).is_none()), "and does not bring it back");
    fleet.restart(4, 0);
    assert!(fleet.runs_until(10_000, Fleet::all_agree));
}

#[test]
fn an_active_member_is_forgotten_when_it_goes() {
    let mut fleet = Fleet::settled(4, 12);
    let going = fleet.id(3);
    fleet.nodes[0].gossip.forget(fleet.now, going);
    assert_eq!(fleet.state(0, 3), Some(MemberState::Alive));
    fleet.leave(3);
    fleet.run_ms(2_000);
    assert_eq!(fleet.state(0, 3), None);
    assert_eq!(fleet.state(1, 3), Some(MemberState::Left));
}

/// All but the last node hear that the last one is evicted.
fn evict_the_last(fleet: &mut Fleet) -> NodeId {
    let last = fleet.nodes.len() - 1;
    let gone = fleet.id(last);
    let key = RecordKey::eviction(gone);
    let name = "gone".to_owned();
    let replica = &mut fleet.nodes[0].replica;
    let life = Life::Present { name, created: replica.next_stamp() };
    replica.edit(key, Facet::LIFE, &life, 1);
    let notice = replica.delta([key]);
    for node in &mut fleet.nodes[..last] {
        node.gossip.evict(fleet.now, gone, notice.clone());
    }
    gone
}

#[test]
fn an_evicted_node_is_refused_at_once_and_for_ever_and_told_so() {
    let mut fleet = Fleet::settled(5, 14);
    let gone = evict_the_last(&mut fleet);
    fleet.run_ms(1_000);
    assert!((0..4).all(|at| fleet.state(at, 4).is_none()), "it is gone at once");
    assert!(fleet.nodes[4].replica.record(&RecordKey::eviction(gone)).is_some(), "it was told");
    fleet.run_ms(60_000);
    fleet.restart(4, 0);
    fleet.run_ms(60_000);
    assert!((0..4).all(|at| fleet.state(at, 4).is_none()), "in no generation");
    let others = |at: usize| (0..4).all(|other| other == at || fleet.state(at, other).is_some());
    assert!((0..4).all(others), "the others have each other");
}

#[test]
fn nothing_that_an_evicted_node_writes_is_taken_and_one_that_may_come_back_does() {
    let mut fleet = Fleet::settled(4, 15);
    let gone = evict_the_last(&mut fleet);
    let key = RecordKey::node(gone);
    fleet.nodes[3].replica.put_owned(key, &7_u8, 1);
    let now = fleet.now;
    fleet.nodes[3].gossip.on_changed(now, &[key].into());
    fleet.run_ms(60_000);
    assert!((0..3).all(|at| fleet.nodes[at].replica.record(&key).is_none()));
    (0..3).for_each(|at| fleet.nodes[at].gossip.readmit(gone));
    fleet.restart(3, 0);
    assert!(fleet.runs_until(20_000, |fleet| (0..3).all(|at| fleet.state(at, 3).is_some())));
}

#[test]
fn a_member_that_changes_its_address_moves_and_nothing_else() {
    let mut fleet = Fleet::settled(6, 13);
    let (roamer, addr) = (fleet.id(2), "10.9.9.9:7946".parse().unwrap());
    fleet.nodes[2].addr = addr;
    fleet.run_ms(15_000);
    assert!(
        (0..6).all(|at| at == 2 || fleet.nodes[at].gossip.member(roamer).unwrap().addr == addr)
    );
    let moved = fleet.seen(|event| *event == MemberEvent::Moved(roamer, addr));
    assert_eq!(moved.len(), 5);
    assert_eq!(fleet.verdicts(), []);
}

#[test]
fn two_members_that_move_at_once_learn_from_others_where_they_are() {
    let mut fleet = Fleet::settled(6, 13);
    for (index, host) in [(2, "10.9.9.2:7946"), (4, "10.9.9.4:7946")] {
        fleet.nodes[index].addr = host.parse().unwrap();
    }
    fleet.run_ms(30_000);
    let knows_where = |at: usize, of: usize| {
        fleet.nodes[at].gossip.member(fleet.id(of)).unwrap().addr == fleet.nodes[of].addr
    };
    assert!(knows_where(2, 4) && knows_where(4, 2));
    assert_eq!(fleet.verdicts(), []);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let mut fleet = Fleet::settled(8, seed);
        fleet.loss_percent = 10;
        fleet.stop(3);
        fleet.write(1, 7, 100);
        fleet.run_ms(20_000);
        fleet.trace.finalize()
    };
    assert_eq!(trace(14), trace(14));
    assert_ne!(trace(14), trace(15));
}

/// The headers that the link carries in addition: seal, UDP, IPv4.
const HEADERS: u64 = 32 + 28;

fn link_bytes(fleet: &Fleet, index: usize) -> u64 {
    let node = &fleet.nodes[index];
    let datagrams: u64 = node.gossip.counters().sent.values().map(|tally| tally.count).sum();
    node.datagram_bytes_sent + HEADERS * datagrams
}

#[test]
fn an_idle_lan_costs_less_than_600_bytes_a_second() {
    let mut fleet = Fleet::settled(10, 16);
    let before: u64 = (0..10).map(|index| link_bytes(&fleet, index)).sum();
    fleet.run_ms(120_000);
    let after: u64 = (0..10).map(|index| link_bytes(&fleet, index)).sum();
    let rate = (after - before) / 120 / 10;
    assert!(rate < 460, "{rate} B/s, the arithmetic says 454");
}

#[test]
fn an_idle_metered_link_costs_less_than_a_megabyte_a_day() {
    let config = GossipConfig { profile: Profile::METERED, ..GossipConfig::default() };
    let mut fleet = Fleet::settled_with(4, config, 17);
    let before: u64 = (0..4).map(|index| link_bytes(&fleet, index)).sum();
    fleet.run_ms(24 * 3_600 * 1_000);
    let after: u64 = (0..4).map(|index| link_bytes(&fleet, index)).sum();
    // Each byte that one node sends is received by another: a link carries twice what its node
    // sends.
    let day = 2 * (after - before) / 4;
    assert!(day < 1_000_000, "{day} bytes a day");
    assert_eq!(fleet.verdicts(), []);
}

#[test]
fn who_slept_while_a_member_left_learns_that_it_left() {
    let mut fleet = Fleet::settled(5, 18);
    fleet.stop(1);
    fleet.leave(3);
    fleet.stop(3);
    fleet.run_ms(20_000);
    fleet.resume(1);
    assert!(fleet.runs_until(15_000, |fleet| fleet.state(1, 3) == Some(MemberState::Left)));
}

#[test]
fn a_good_bye_that_one_node_heard_reaches_the_others() {
    let mut fleet = Fleet::settled(12, 19);
    for index in 1..12 {
        let heard = (0..12).filter(|from| *from != 5 || index == 8);
        fleet.hears_only(index, heard);
    }
    fleet.hears_only(0, (0..12).filter(|from| *from != 5));
    fleet.hand_over(5, 60_000);
    fleet.leave(5);
    let aware =
        |fleet: &Fleet| (0..12).filter(|at| fleet.state(*at, 5) == Some(MemberState::Left)).count();
    assert!(fleet.runs_until(1_000, |fleet| aware(fleet) >= 8), "by word of mouth");
    assert!(fleet.runs_until(20_000, |fleet| aware(fleet) == 11), "by member lists");
}
