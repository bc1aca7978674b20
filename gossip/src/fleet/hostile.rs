//! Bytes that no honest node sends, and records that no node can merge.

use super::*;
use crate::message::{Answer, Entry, Message};
use crate::{JunkReason, Traffic};
use crdt_state::Delta;
use proptest::prelude::*;

fn machine() -> (Gossip, Replica) {
    let mut fleet = Fleet::settled(3, 41);
    let node = fleet.nodes.remove(0);
    (node.gossip, node.replica)
}

#[test]
fn junk_is_counted_by_its_reason() {
    let (mut gossip, mut replica) = machine();
    let (now, from) = (Now(100_000), (NodeId([9; 16]), addr_of(9)));
    let me = gossip.me().node;
    let mine = Message::Rumour { from: me, delta: Delta::default() }.encode();
    gossip.handle_datagram(now, from, &[1, 250, 0], &mut replica);
    gossip.handle_datagram(now, from, &[1; 1_181], &mut replica);
    gossip.handle_datagram(now, (me, from.1), &mine, &mut replica);
    gossip.handle_message(now, NodeId([9; 16]), &mine, &mut replica);
    let counted = &gossip.counters().junk;
    for reason in [
        JunkReason::Undecodable,
        JunkReason::Oversize,
        JunkReason::FromMyself,
        JunkReason::WrongSender,
    ] {
        assert_eq!(counted.get(&reason), Some(&1), "{reason:?}");
    }
}

#[test]
fn a_record_that_nobody_can_merge_costs_no_more_than_an_idle_fleet() {
    let mut fleet = Fleet::settled(3, 42);
    // Signed with another kind of key: all other nodes reject the record.
    let signer = crdt_state::Ed25519Signer::from_secret(&[7; 32]);
    let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
    fleet.nodes[0].replica = Replica::new(writer, Box::new(signer), Arc::new(HashVerifier));
    fleet.write(0, 1, 100);
    fleet.run_ms(10_000);
    let count = |fleet: &Fleet, kind| -> u64 {
        let counters = fleet.nodes.iter().map(|node| node.gossip.counters());
        counters.filter_map(|counters| counters.sent.get(&kind)).map(|tally| tally.count).sum()
    };
    let before = count(&fleet, Traffic::Records);
    fleet.run_ms(100_000);
    assert!(!fleet.all_equal());
    // 3 nodes compare 10 times each; in two thirds of these comparisons the two nodes differ.
    let sent = count(&fleet, Traffic::Records) - before;
    assert!(sent <= 60, "{sent} messages of records in 100 s");
    let refused: u64 = fleet
        .nodes
        .iter()
        .filter_map(|node| node.gossip.counters().junk.get(&JunkReason::Record))
        .sum();
    assert!(refused > 0);
}

/// Node 1 sends this to all others as often as datagrams arrive in ten seconds.
fn attack(fleet: &mut Fleet, message: &Message) {
    let (sender, bytes) = ((fleet.id(1), addr_of(1)), message.encode());
    for _ in 0..100 {
        for index in (0..fleet.nodes.len()).filter(|index| *index != 1) {
            let node = &mut fleet.nodes[index];
            node.gossip.handle_datagram(fleet.now, sender, &bytes, &mut node.replica);
            fleet.drain(index);
        }
        fleet.run_ms(100);
    }
}

/// The others never took node 2 for gone, and see it as they did before.
fn is_unharmed(fleet: &mut Fleet) {
    let harmed = fleet.id(2);
    let is_harm = |event: &MemberEvent| {
        [MemberEvent::Left(harmed), MemberEvent::Unreachable(harmed)].contains(event)
    };
    let heard = fleet.nodes.iter().flat_map(|node| &node.events);
    assert_eq!(heard.filter(|(_, event)| is_harm(event)).count(), 0);
    assert!(fleet.all_agree());
    let mut others = (0..fleet.nodes.len()).filter(|index| *index != 2);
    assert!(others.all(|at| fleet.state(at, 2) == Some(MemberState::Alive)));
    // It can still restart, and is heard.
    fleet.restart(2, 1);
    assert!(fleet.runs_until(20_000, Fleet::all_agree));
}

fn listed(fleet: &Fleet, identity: Identity, state: MemberState) -> Message {
    let entry = Entry { identity, incarnation: u16::MAX, state, addr: None };
    Message::Members { from: fleet.id(1), entries: vec![entry], answer: Answer::NotWanted }
}

#[test]
fn a_member_cannot_say_good_bye_for_another() {
    let mut fleet = Fleet::settled(5, 45);
    let (from, who) = (fleet.id(1), fleet.nodes[2].gossip.me());
    attack(&mut fleet, &Message::Leaving { from, who });
    is_unharmed(&mut fleet);
}

#[test]
fn a_member_cannot_list_another_as_gone_by_its_own_will() {
    let mut fleet = Fleet::settled(5, 48);
    let list = listed(&fleet, fleet.nodes[2].gossip.me(), MemberState::Left);
    attack(&mut fleet, &list);
    is_unharmed(&mut fleet);
}

#[test]
fn a_member_cannot_give_another_a_generation_that_it_cannot_exceed() {
    let mut fleet = Fleet::settled(5, 46);
    for generation in [1 << 63, u64::MAX - 1, u64::MAX] {
        let who = Identity { node: fleet.id(2), generation };
        for state in [MemberState::Alive, MemberState::Unreachable, MemberState::Left] {
            let list = listed(&fleet, who, state);
            attack(&mut fleet, &list);
        }
        let from = fleet.id(1);
        attack(&mut fleet, &Message::Leaving { from, who });
    }
    is_unharmed(&mut fleet);
}

#[test]
fn a_member_cannot_declare_another_gone() {
    let mut fleet = Fleet::settled(5, 47);
    let who = fleet.nodes[2].gossip.me();
    let list = listed(&fleet, who, MemberState::Unreachable);
    attack(&mut fleet, &list);
    is_unharmed(&mut fleet);
}

#[test]
fn a_member_cannot_declare_another_gone_in_a_generation_that_it_never_had() {
    let mut fleet = Fleet::settled(5, 49);
    let me = fleet.nodes[2].gossip.me();
    let who = Identity { generation: me.generation + (1 << 20), ..me };
    let list = listed(&fleet, who, MemberState::Unreachable);
    attack(&mut fleet, &list);
    is_unharmed(&mut fleet);
}

#[test]
fn a_node_hears_of_a_generation_that_others_have_seen_end_and_exceeds_it() {
    let mut fleet = Fleet::settled(5, 50);
    fleet.hears_only(2, []);
    fleet.hears_only(0, [1, 3, 4]);
    fleet.run_ms(20_000);
    let me = fleet.nodes[2].gossip.me();
    let who = Identity { generation: me.generation + (1 << 20), ..me };
    let bytes = listed(&fleet, who, MemberState::Unreachable).encode();
    let sender = fleet.id(1);
    let node = &mut fleet.nodes[0];
    node.gossip.handle_message(fleet.now, sender, &bytes, &mut node.replica);
    fleet.drain(0);
    fleet.heal();
    assert!(fleet.runs_until(30_000, Fleet::all_agree));
    assert!(fleet.nodes[2].gossip.me().generation > who.generation);
}

#[test]
fn a_superseded_node_that_others_look_for_elsewhere_is_answered_where_it_speaks() {
    let mut fleet = Fleet::settled(5, 51);
    let others = [0, 1, 3, 4];
    fleet.hears_only(2, []);
    others.into_iter().for_each(|other| fleet.hears_only(other, others));
    fleet.run_ms(20_000);
    let me = fleet.nodes[2].gossip.me();
    let who = Identity { generation: me.generation + (1 << 20), ..me };
    let elsewhere = |sender| {
        let state = MemberState::Unreachable;
        let entry = Entry { identity: who, incarnation: u16::MAX, state, addr: Some(addr_of(9)) };
        Message::Members { from: sender, entries: vec![entry], answer: Answer::NotWanted }
    };
    for other in others {
        let sender = if other == 1 { fleet.id(0) } else { fleet.id(1) };
        let bytes = elsewhere(sender).encode();
        let node = &mut fleet.nodes[other];
        node.gossip.handle_message(fleet.now, sender, &bytes, &mut node.replica);
        fleet.drain(other);
    }
    fleet.heal();
    assert!(fleet.runs_until(30_000, Fleet::all_agree));
    assert!(fleet.nodes[2].gossip.me().generation > who.generation);
}

#[test]
fn a_member_that_named_a_generation_out_of_its_reach_is_not_argued_with_and_heard_again() {
    let mut fleet = Fleet::settled(5, 52);
    let me = fleet.nodes[1].gossip.me();
    let packet = |dst| {
        let (src, message) = (Identity { generation: 1 << 63, ..me }, foca::Message::Gossip);
        let header = foca::Header { src, src_incarnation: 0, dst, message };
        let packet = crate::membership::Packet::new(header, None).encode();
        crate::message::swim(packet, Vec::new()).encode()
    };
    let sent = |fleet: &Fleet| -> u64 {
        let counters = fleet.nodes.iter().map(|node| node.gossip.counters());
        counters.flat_map(|counters| counters.sent.values()).map(|tally| tally.count).sum()
    };
    let before = sent(&fleet);
    let node = &mut fleet.nodes[2];
    let bytes = packet(node.gossip.me());
    node.gossip.handle_datagram(fleet.now, (me.node, addr_of(1)), &bytes, &mut node.replica);
    fleet.drain(2);
    for second in 1..=30 {
        fleet.run_ms(1_000);
        // Some ten are probes and their answers.
        let each_second = (sent(&fleet) - before) / second;
        assert!(each_second <= 50, "{each_second} packets a second");
    }
    assert!(fleet.all_agree());
    assert!(fleet.nodes[1].gossip.me().generation < 1 << 40, "it did not follow");
}

#[test]
fn a_member_speaks_for_itself_alone() {
    let (mut gossip, mut replica) = machine();
    let fleet = Fleet::settled(3, 41);
    let (sender, other) = (fleet.id(1), fleet.nodes[2].gossip.me());
    let header = foca::Header {
        src: Identity { generation: other.generation + 1, ..other },
        src_incarnation: 0,
        dst: gossip.me(),
        message: foca::Message::Ping(1),
    };
    let packet = crate::membership::Packet::new(header, None).encode();
    let forged = [
        crate::message::swim(packet, Vec::new()),
        Message::Leaving { from: other.node, who: other },
        Message::Rumour { from: other.node, delta: Delta::default() },
    ];
    for message in &forged {
        let bytes = message.encode();
        gossip.handle_datagram(Now(100_000), (sender, addr_of(1)), &bytes, &mut replica);
        gossip.handle_message(Now(100_000), sender, &bytes, &mut replica);
    }
    let counted = &gossip.counters().junk;
    assert_eq!(counted.get(&JunkReason::WrongSender), Some(&5));
    assert_eq!(counted.get(&JunkReason::Swim), Some(&1), "those are datagrams only");
    assert_eq!(gossip.member(other.node).map(|m| m.generation), Some(other.generation));
}

/// Honest bytes of every kind that a small fleet sends.
fn honest() -> Vec<Vec<u8>> {
    let mut fleet = Fleet::settled(3, 43);
    fleet.write(1, 5, 50);
    fleet.stop(2);
    let mut bytes = Vec::new();
    for _ in 0..40 {
        fleet.run_ms(100);
        for (_, event) in fleet.queue.values() {
            match event {
                Event::Datagram { bytes: sent, .. } | Event::Message { bytes: sent, .. } => {
                    bytes.push(sent.clone());
                }
                Event::Connected { .. } => {}
            }
        }
    }
    let (path, from) = (crdt_state::TreePath::ROOT, fleet.id(1));
    let digests = fleet.nodes[0].replica.children(path);
    let records = fleet.nodes[0].replica.leaf(path);
    let level = crate::message::Level { path, digests };
    let leaf = crate::message::Leaf { path, records };
    bytes.push(Message::Tree { from, levels: vec![level] }.encode());
    bytes.push(Message::Leaves { from, leaves: vec![leaf] }.encode());
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_never_panic(
        inputs in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..40),
    ) {
        let (mut gossip, mut replica) = machine();
        for (ms, bytes) in (100_000..).zip(&inputs) {
            let stranger = NodeId([9; 16]);
            gossip.handle_datagram(Now(ms), (stranger, addr_of(9)), bytes, &mut replica);
            gossip.handle_message(Now(ms), stranger, bytes, &mut replica);
            let mut versioned = bytes.clone();
            versioned.insert(0, 1);
            gossip.handle_datagram(Now(ms), (stranger, addr_of(9)), &versioned, &mut replica);
            while gossip.poll().is_some() {}
        }
        gossip.handle_timeout(Now(200_000), &mut replica);
    }

    #[test]
    fn damaged_honest_bytes_never_panic(
        flips in proptest::collection::vec((any::<u16>(), any::<u16>(), any::<u8>()), 1..200),
    ) {
        let honest = honest();
        let (mut gossip, mut replica) = machine();
        let sender = Fleet::new(3, GossipConfig::default(), 44).id(1);
        for (ms, (which, at, with)) in (100_000..).step_by(37).zip(flips) {
            let mut bytes = honest[usize::from(which) % honest.len()].clone();
            let at = usize::from(at) % bytes.len();
            bytes[at] ^= with;
            gossip.handle_datagram(Now(ms), (sender, addr_of(1)), &bytes, &mut replica);
            gossip.handle_message(Now(ms), sender, &bytes, &mut replica);
            if gossip.deadline() <= Now(ms) {
                gossip.handle_timeout(Now(ms), &mut replica);
            }
            while gossip.poll().is_some() {}
        }
    }
}
