//! More nodes than a fleet has members: nodes that were members once and are gone, and nodes that
//! only called.

use super::*;
use crate::message::{Answer, Entry, Message};

/// One and a half times the number of strangers whose addresses a node keeps.
const CROWD: usize = 1_536;

/// Less than the 1 s after which a joiner calls its seed again.
const FIRST_CALL_MS: u64 = 900;

fn passer_by(n: usize) -> (NodeId, SocketAddr) {
    let id = NodeId((1 << 64 | n as u128).to_be_bytes());
    (id, SocketAddr::from(([10, 7, (n >> 8) as u8, n as u8], 7946)))
}

/// Nodes 0 and 1 are a fleet, node 2 is new.
fn two_of_three(seed: u64) -> Fleet {
    let mut fleet = Fleet::new(3, GossipConfig::default(), seed);
    fleet.join(1, 0);
    fleet.run_ms(10_000);
    assert_eq!(fleet.state(0, 1), Some(MemberState::Alive));
    fleet
}

/// Node 2 joins with its first call, and node 1 stays an active member all the time.
fn let_in(mut fleet: Fleet) {
    fleet.join(2, 0);
    fleet.run_ms(FIRST_CALL_MS);
    let alive = Some(MemberState::Alive);
    assert_eq!((fleet.state(0, 2), fleet.state(2, 0), fleet.state(2, 1)), (alive, alive, alive));
    let addr_at_0 = |of: usize| fleet.nodes[0].gossip.member(fleet.id(of)).map(|m| m.addr);
    assert_eq!((addr_at_0(1), addr_at_0(2)), (Some(addr_of(1)), Some(addr_of(2))));
    fleet.run_ms(10_000);
    let lost = |event: &MemberEvent| {
        matches!(event, MemberEvent::Suspected(_) | MemberEvent::Unreachable(_))
    };
    assert_eq!(fleet.seen(lost), []);
}

#[test]
fn a_new_node_is_let_in_however_many_only_called() {
    let mut fleet = two_of_three(61);
    for n in 0..CROWD {
        let (id, addr) = passer_by(n);
        fleet.nodes[0].gossip.handle_connected(fleet.now, id, addr);
        fleet.drain(0);
    }
    let_in(fleet);
}

#[test]
fn a_new_node_is_let_in_however_many_members_left_or_are_unreachable() {
    let mut fleet = two_of_three(62);
    let gone = (0..CROWD).map(|n| {
        let (id, addr) = passer_by(n);
        let state = if n % 2 == 0 { MemberState::Left } else { MemberState::Unreachable };
        Entry { identity: Identity::at_boot(id, 1), incarnation: 0, state, addr: Some(addr) }
    });
    let from = fleet.id(1);
    let entries = gone.collect();
    let list = Message::Members { from, entries, answer: Answer::NotWanted }.encode();
    let node = &mut fleet.nodes[0];
    node.gossip.handle_message(fleet.now, from, &list, &mut node.replica);
    fleet.drain(0);
    assert_eq!(fleet.nodes[0].gossip.members().count(), CROWD + 1);
    let_in(fleet);
}
