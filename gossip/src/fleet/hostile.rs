//! Bytes that no honest node sends, and records that no node can merge.

use super::*;
use crate::message::Message;
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
    let (now, from) = (Now(100_000), addr_of(9));
    let mine = Message::Rumour { from: gossip.me().node, delta: Delta::default() }.encode();
    gossip.handle_datagram(now, from, &[1, 250, 0], &mut replica);
    gossip.handle_datagram(now, from, &[1; 1_181], &mut replica);
    gossip.handle_datagram(now, from, &mine, &mut replica);
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
            gossip.handle_datagram(Now(ms), addr_of(9), bytes, &mut replica);
            gossip.handle_message(Now(ms), NodeId([9; 16]), bytes, &mut replica);
            let mut versioned = bytes.clone();
            versioned.insert(0, 1);
            gossip.handle_datagram(Now(ms), addr_of(9), &versioned, &mut replica);
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
            gossip.handle_datagram(Now(ms), addr_of(1), &bytes, &mut replica);
            gossip.handle_message(Now(ms), sender, &bytes, &mut replica);
            if gossip.deadline() <= Now(ms) {
                gossip.handle_timeout(Now(ms), &mut replica);
            }
            while gossip.poll().is_some() {}
        }
    }
}
