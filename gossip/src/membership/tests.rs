//! One machine alone, with packets written by hand. These tests check rules whose absence a whole
//! fleet would hide, because other members make up for it.

use std::collections::BTreeMap;

use foca::{Header, State};

use super::packet::Packet;
use super::*;
use crate::Evidence;

const NODES: u8 = 6;

fn identity(n: u8) -> Identity {
    Identity::at_boot(NodeId([n; 16]), 2)
}

fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 7946))
}

/// Node 1, which has just heard of nodes 2 to 6.
fn node_1() -> Membership {
    let mut membership = Membership::new(Profile::LAN, identity(1), 1, Now(0));
    for n in 2..=NODES {
        hear(&mut membership, Now(0), n, Message::Gossip);
    }
    drain(&mut membership);
    membership
}

/// A packet without updates from node `n`, which knows of no suspicion.
fn hear(membership: &mut Membership, now: Now, n: u8, message: Message<Identity>) {
    let header = Header { src: identity(n), src_incarnation: 0, dst: identity(1), message };
    let bytes = Packet::new(header, None).encode();
    membership
        .handle_swim(now, (identity(n).node, addr(n)), &bytes, &[])
        .expect("an honest packet");
}

fn due(membership: &Membership) -> Now {
    membership.timers().next().map_or(Now::NEVER, |(_, at)| at)
}

fn drain(membership: &mut Membership) -> Vec<Effect> {
    std::iter::from_fn(|| membership.poll()).collect()
}

/// The results of a run.
type Sent = Vec<(Now, NodeId, Packet)>;
type Events = Vec<(Now, MemberEvent)>;

/// Runs to `until`; all nodes but `silent` answer its pings. Returns the packets sent, and the
/// events.
fn run(membership: &mut Membership, until: Now, silent: &[u8]) -> (Sent, Events) {
    let (mut sent, mut events) = (Vec::new(), Vec::new());
    while due(membership) <= until {
        let now = due(membership);
        membership.handle_timeout(now);
        for effect in drain(membership) {
            match effect {
                Effect::Swim { to, packet, .. } => {
                    let packet = Packet::decode(&packet).expect("our own packet");
                    let n = to.0[0];
                    if let Message::Ping(number) = packet.header.message
                        && !silent.contains(&n)
                    {
                        hear(membership, now, n, Message::Ack(number));
                    }
                    sent.push((now, to, packet));
                }
                Effect::Event(event) => events.push((now, event)),
                Effect::Leaving { .. } | Effect::Appeared(_) => {}
            }
        }
    }
    (sent, events)
}

fn claims(sent: &[(Now, NodeId, Packet)], n: u8, state: State) -> usize {
    let about = |packet: &Packet| {
        packet.header.message == Message::Ping(0)
            && packet.updates.iter().any(|u| *u.id() == identity(n) && u.state() == state)
    };
    sent.iter().filter(|(_, to, packet)| to.0[0] == n && about(packet)).count()
}

#[test]
fn what_is_said_of_an_earlier_self_never_reaches_foca() {
    let mut membership = node_1();
    let earlier = Identity::at_boot(NodeId([1; 16]), 1);
    for state in [State::Alive, State::Suspect, State::Down] {
        assert!(!membership.admit(Now(0), &foca::Member::new(earlier, 0, state)));
        assert!(membership.admit(Now(0), &foca::Member::new(identity(1), 0, state)));
    }
}

#[test]
fn a_suspect_is_told_itself_each_probe_interval() {
    let mut membership = node_1();
    let (sent, events) = run(&mut membership, Now(8_000), &[4]);
    let verdict = events.iter().find(|(_, e)| *e == MemberEvent::Unreachable(NodeId([4; 16])));
    assert!(verdict.is_some(), "{events:?}");
    let told = claims(&sent, 4, State::Suspect);
    assert!((5..=7).contains(&told), "2.5 s of suspicion, every 0.5 s: {told}");
}

#[test]
fn it_is_kept_by_what_evidence_a_member_is_unreachable() {
    let evidence = |membership: &Membership, n: u8| {
        membership.member(NodeId([n; 16])).and_then(|member| member.evidence)
    };
    let mut membership = node_1();
    run(&mut membership, Now(8_000), &[4]);
    assert_eq!(evidence(&membership, 4), Some(Evidence::Probe));
    assert_eq!(evidence(&membership, 5), None);

    let mut membership = node_1();
    let said = Entry {
        identity: identity(4),
        incarnation: 0,
        state: MemberState::Unreachable,
        addr: None,
    };
    membership.merge_entries(Now(1), &[said], &|_| false);
    run(&mut membership, Now(1_500), &[4]);
    assert_eq!(evidence(&membership, 4), Some(Evidence::Others));

    let mut membership = node_1();
    run(&mut membership, Now(60_000), &[2, 3, 4, 5, 6]);
    assert_eq!(evidence(&membership, 4), Some(Evidence::Island));
}

#[test]
fn a_suspect_that_is_heard_is_not_judged_until_it_is_silent_again() {
    let mut membership = node_1();
    let mut suspected_at = None;
    for ms in (100..5_000).step_by(100) {
        let (_, events) = run(&mut membership, Now(ms), &[4]);
        suspected_at = events
            .iter()
            .find(|(_, e)| *e == MemberEvent::Suspected(NodeId([4; 16])))
            .map(|(at, _)| *at)
            .or(suspected_at);
        if suspected_at.is_some_and(|at| Now(ms).since(at) >= 2_000) {
            break;
        }
    }
    let suspected_at = suspected_at.expect("it did not answer");
    // A datagram from the suspect itself arrives. It does not refute, because the suspect knows of
    // no suspicion.
    hear(&mut membership, suspected_at.plus(2_100), 4, Message::Gossip);
    let (_, events) = run(&mut membership, suspected_at.plus(4_900), &[4]);
    assert_eq!(events, [], "foca alone would have judged after 2.5 s");
    let (_, events) = run(&mut membership, suspected_at.plus(8_000), &[4]);
    assert!(events.iter().any(|(_, e)| *e == MemberEvent::Unreachable(NodeId([4; 16]))));
}

#[test]
fn a_suspect_that_is_heard_is_told_at_once() {
    let mut membership = node_1();
    membership.apply(Now(100), vec![foca::Member::new(identity(4), 0, State::Suspect)]);
    drain(&mut membership);
    hear(&mut membership, Now(200), 4, Message::Gossip);
    let sent = drain(&mut membership);
    let told = sent.iter().any(|effect| match effect {
        Effect::Swim { to, packet, .. } => {
            let packet = Packet::decode(packet).expect("our own packet");
            claims(&[(Now(200), *to, packet)], 4, State::Suspect) == 1
        }
        _ => false,
    });
    assert!(told, "{sent:?}");
}

#[test]
fn an_island_keeps_its_verdicts_to_itself() {
    let mut membership = node_1();
    let everybody: Vec<u8> = (2..=NODES).collect();
    let (_, events) = run(&mut membership, Now(20_000), &everybody);
    let gone = events.iter().filter(|(_, e)| matches!(e, MemberEvent::Unreachable(_)));
    assert_eq!(gone.count(), 5);
    // The first member that comes back is told nothing about the others.
    let back = Identity { generation: identity(2).generation + 1, ..identity(2) };
    let header =
        Header { src: back, src_incarnation: 0, dst: identity(1), message: Message::Ping(1) };
    let bytes = Packet::new(header, None).encode();
    let from = (back.node, addr(2));
    membership.handle_swim(Now(20_001), from, &bytes, &[]).expect("an honest packet");
    let (sent, _) = run(&mut membership, Now(21_000), &[]);
    let accused: Vec<_> = sent
        .iter()
        .flat_map(|(_, _, packet)| packet.updates.iter())
        .filter(|update| update.state() == State::Down)
        .collect();
    assert_eq!(accused, Vec::<&foca::Member<Identity>>::new());
}

#[test]
fn a_node_that_is_cut_off_as_it_renews_learns_that_it_is_alone() {
    let mut membership = node_1();
    hear(&mut membership, Now(100), 2, Message::TurnUndead);
    let everybody: Vec<u8> = (2..=NODES).collect();
    let (_, events) = run(&mut membership, Now(30_000), &everybody);
    let gone = events.iter().filter(|(_, e)| matches!(e, MemberEvent::Unreachable(_)));
    assert_eq!(gone.count(), 5);
}

#[test]
fn a_blind_node_accuses_nobody_more() {
    let mut membership = Membership::new(Profile::LAN, identity(1), 1, Now(0));
    for n in 2..=40 {
        hear(&mut membership, Now(0), n, Message::Gossip);
    }
    drain(&mut membership);
    let everybody: Vec<u8> = (2..=40).collect();
    let (_, events) = run(&mut membership, Now(7_000), &everybody);
    let accused = events.iter().filter(|(_, e)| matches!(e, MemberEvent::Suspected(_))).count();
    assert!(accused <= 4, "{accused} accusations by a node that nobody answers");
    assert!(!events.iter().any(|(_, e)| matches!(e, MemberEvent::Unreachable(_))));
}

#[test]
fn a_node_that_suspects_most_of_its_peers_waits_twice_as_long() {
    let verdict_after = |silent: &[u8]| {
        let mut membership = node_1();
        let suspected = silent.iter().map(|n| foca::Member::new(identity(*n), 0, State::Suspect));
        membership.apply(Now(50), suspected.collect());
        drain(&mut membership);
        let mut told_at = BTreeMap::new();
        for ms in (100..20_000).step_by(100) {
            hear(&mut membership, Now(ms), 2, Message::Gossip);
            let (sent, events) = run(&mut membership, Now(ms), silent);
            for (at, to, _) in sent.iter().filter(|(_, _, p)| p.header.message == Message::Ping(0))
            {
                told_at.entry(*to).or_insert(*at);
            }
            for (at, event) in events {
                if let MemberEvent::Unreachable(node) = event {
                    return at.since(told_at[&node]);
                }
            }
        }
        0
    };
    assert_eq!(verdict_after(&[4]), 2_500);
    assert_eq!(verdict_after(&[3, 4, 5]), 5_000);
}

#[test]
fn an_unreachable_member_that_is_heard_by_other_means_is_called() {
    let mut membership = node_1();
    run(&mut membership, Now(8_000), &[4]);
    drain(&mut membership);
    membership.on_heard(Now(8_100), NodeId([4; 16]), None);
    assert_eq!(called(&mut membership), [identity(4)]);
}

/// Who was sent an announcement.
fn called(membership: &mut Membership) -> Vec<Identity> {
    let sent = drain(membership).into_iter().filter_map(|effect| match effect {
        Effect::Swim { packet, .. } => {
            Some(Packet::decode(&packet).expect("our own packet").header)
        }
        _ => None,
    });
    sent.filter(|header| header.message == Message::Announce).map(|header| header.dst).collect()
}

#[test]
fn a_superseded_member_is_told_at_once_what_to_exceed_and_once_a_probe_interval() {
    let mut membership = node_1();
    let later = Identity::at_boot(NodeId([4; 16]), 9);
    membership.apply(Now(10), vec![foca::Member::down(later)]);
    drain(&mut membership);
    for ms in 0..100 {
        hear(&mut membership, Now(8_000 + ms), 4, Message::Gossip);
    }
    assert_eq!(called(&mut membership), [later]);
}

#[test]
fn a_member_whose_address_nobody_told_is_not_accused_of_silence() {
    let mut membership = node_1();
    membership.apply(Now(10), vec![foca::Member::alive(identity(9))]);
    let (sent, events) = run(&mut membership, Now(20_000), &[9]);
    assert!(sent.iter().any(|(_, to, _)| to.0[0] == 9), "it was its turn");
    assert!(events.iter().all(|(_, e)| *e == MemberEvent::Up(NodeId([9; 16]))), "{events:?}");
}

#[test]
fn nothing_is_due_but_probes_while_nothing_changes() {
    let mut membership = node_1();
    run(&mut membership, Now(10_000), &[]);
    let mut wakes = 0;
    while due(&membership) <= Now(20_000) {
        let now = due(&membership);
        run(&mut membership, now, &[]);
        wakes += 1;
    }
    // 20 probes with a timeout each, and 2 announce timers.
    assert!(wakes <= 44, "{wakes} wake-ups in 10 s");
}
