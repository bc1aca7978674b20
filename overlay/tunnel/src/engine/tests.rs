//! Tunnels that exchange packets in memory.

use std::collections::VecDeque;

use super::*;
use crate::control::PeerState;

pub(super) const PORT: u16 = 4789;

/// Takes everything in order.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) sent: VecDeque<(SocketAddr, Vec<u8>)>,
    pub(super) delivered: Vec<Vec<u8>>,
}

impl Sink for Taken {
    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.sent.push_back((to, datagram.to_vec()));
    }

    fn deliver(&mut self, packet: &[u8]) {
        self.delivered.push(packet.to_vec());
    }
}

pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) taken: Taken,
    pub(super) at: SocketAddr,
    pub(super) state: State,
}

fn describe(number: u8, life: u64) -> PeerState {
    PeerState {
        public_key: TunnelKey::derive(&[number; 32]).public(),
        address: address(number),
        endpoint: endpoint(number),
        life,
        is_only_way: false,
    }
}

pub(super) fn address(number: u8) -> Ipv6Addr {
    Ipv6Addr::from(0xfd00_u128 << 112 | u128::from(number))
}

pub(super) fn endpoint(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 7947))
}

pub(super) fn node(number: u8, peers: &[u8]) -> Node {
    let key = TunnelKey::derive(&[number; 32]);
    let (address, peers) = (address(number), peers.iter().map(|peer| describe(*peer, 0)).collect());
    let state = State { key: key.clone(), address, carried_ports: vec![PORT], peers };
    let engine = Engine::new(key, address, vec![PORT]);
    let mut node = Node { engine, taken: Taken::default(), at: endpoint(number), state };
    node.apply();
    node
}

impl Node {
    pub(super) fn apply(&mut self) {
        self.engine.apply(&self.state, &mut self.taken);
    }

    pub(super) fn send(&mut self, packet: &[u8]) {
        let mut room = vec![0; packet.len() + ROOM];
        if let Some((to, length)) = self.engine.outgoing(packet, &mut room) {
            self.taken.send(to, &room[..length]);
        }
    }

    /// Sends something to a peer that the device would not give to it.
    pub(super) fn send_to_peer(&mut self, number: u8, packet: &[u8]) {
        let place = self.engine.peers.with_address(address(number)).expect("a peer");
        let peer = self.engine.peers.get(place).expect("a peer");
        let mut room = vec![0; packet.len() + ROOM];
        match peer.tunn.encapsulate(packet, &mut room) {
            TunnResult::WriteToNetwork(datagram) => self.taken.send(endpoint(number), datagram),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn hear(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.engine.incoming(from, datagram, &mut self.taken);
    }
}

/// Lets datagrams travel until there are none.
pub(super) fn settle(one: &mut Node, other: &mut Node) {
    while let Some((from, (to, datagram))) = one
        .taken
        .sent
        .pop_front()
        .map(|sent| (one.at, sent))
        .or_else(|| other.taken.sent.pop_front().map(|sent| (other.at, sent)))
    {
        for node in [&mut *one, &mut *other] {
            if node.at == to {
                node.hear(from, &datagram);
            }
        }
    }
}

pub(super) fn packet(from: u8, to: u8, port: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + content.len()).expect("short");
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([UDP, 64]);
    packet.extend(address(from).octets());
    packet.extend(address(to).octets());
    packet.extend(1_u16.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(content);
    packet
}

#[test]
fn the_first_packet_waits_for_keys_and_none_travels_readable() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[1]));
    // The greeting of one side is lost: its packet waits until the other has begun.
    one.taken.sent.clear();
    let content = [0xab; 600];
    let sent = packet(1, 2, PORT, &content);
    one.send(&sent);
    let readable = |(_, datagram): &(_, Vec<u8>)| datagram.windows(20).any(|w| w == [0xab; 20]);
    assert!(!one.taken.sent.iter().any(readable));
    settle(&mut one, &mut two);
    assert_eq!(two.taken.delivered, std::slice::from_ref(&sent));
    one.send(&sent);
    assert!(one.taken.sent.len() == 1 && !one.taken.sent.iter().any(readable));
    settle(&mut one, &mut two);
    assert_eq!(two.taken.delivered.len(), 2);
    two.send(&packet(2, 1, PORT, &content));
    settle(&mut one, &mut two);
    assert_eq!(one.taken.delivered, [packet(2, 1, PORT, &content)]);
}

#[test]
fn greetings_that_cross_while_packets_wait_lead_to_few_more() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[1]));
    one.send(&packet(1, 2, PORT, b"to two"));
    two.send(&packet(2, 1, PORT, b"to one"));
    let mut greetings = 0;
    while let Some((to, datagram)) =
        one.taken.sent.pop_front().or_else(|| two.taken.sent.pop_front())
    {
        greetings += u32::from(is_handshake(&datagram));
        match to == one.at {
            true => one.hear(two.at, &datagram),
            false => two.hear(one.at, &datagram),
        }
    }
    assert!(greetings <= 3, "{greetings}");
    assert_eq!(one.taken.delivered, [packet(2, 1, PORT, b"to one")]);
    assert_eq!(two.taken.delivered, [packet(1, 2, PORT, b"to two")]);
}

#[test]
fn a_stranger_is_not_answered_until_it_is_a_peer_and_then_at_once() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[]));
    one.send(&packet(1, 2, PORT, b"early"));
    settle(&mut one, &mut two);
    assert!(two.taken.delivered.is_empty() && one.taken.sent.is_empty());
    two.state.peers = vec![describe(1, 0)];
    two.apply();
    settle(&mut one, &mut two);
    assert_eq!(two.taken.delivered, [packet(1, 2, PORT, b"early")]);
}

#[test]
fn a_peer_that_is_one_no_more_is_not_heard() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[1]));
    settle(&mut one, &mut two);
    two.state.peers.clear();
    two.apply();
    one.send(&packet(1, 2, PORT, b"late"));
    settle(&mut one, &mut two);
    assert!(two.taken.delivered.is_empty());
}

#[test]
fn only_what_the_tunnel_carries_passes_from_the_address_of_the_peer_to_ours() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[1]));
    settle(&mut one, &mut two);
    let place = one.engine.peers.with_address(address(2)).expect("a peer");
    // What a peer could send if it wanted to.
    let mut inject = |bad: &[u8]| {
        let mut room = vec![0; bad.len() + ROOM];
        let peer = one.engine.peers.get(place).expect("a peer");
        if let TunnResult::WriteToNetwork(datagram) = peer.tunn.encapsulate(bad, &mut room) {
            two.hear(endpoint(1), datagram);
        }
    };
    let good = packet(1, 2, PORT, b"x");
    let mut tcp = good.clone();
    tcp[6] = 6;
    let mut ipv4 = good.clone();
    ipv4[0] = 0x45;
    for bad in [
        &packet(3, 2, PORT, b"x"),
        &packet(1, 3, PORT, b"x"),
        &packet(1, 2, 22, b"x"),
        &tcp,
        &ipv4,
        &good[..44].to_vec(),
        &good[..7].to_vec(),
    ] {
        inject(bad);
    }
    inject(&good);
    assert_eq!(two.taken.delivered, [good]);
}

#[test]
fn a_peer_is_answered_where_it_was_heard_last() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[1]));
    settle(&mut one, &mut two);
    one.at = endpoint(77);
    one.send(&packet(1, 2, PORT, b"moved"));
    settle(&mut one, &mut two);
    two.send(&packet(2, 1, PORT, b"found"));
    assert_eq!(two.taken.sent[0].0, endpoint(77));
    settle(&mut one, &mut two);
    assert_eq!(one.taken.delivered, [packet(2, 1, PORT, b"found")]);
    // Somebody who has no keys moves nobody.
    two.hear(
        endpoint(66),
        &[
            4, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5,
            6, 7, 8,
        ],
    );
    two.send(&packet(2, 1, PORT, b"found"));
    assert_eq!(two.taken.sent[0].0, endpoint(77));
}

#[test]
fn a_new_process_is_understood_at_once() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[1]));
    settle(&mut one, &mut two);
    two.send(&packet(2, 1, PORT, b"before"));
    settle(&mut one, &mut two);
    one = node(1, &[2]);
    settle(&mut one, &mut two);
    two.send(&packet(2, 1, PORT, b"after"));
    settle(&mut one, &mut two);
    assert_eq!(one.taken.delivered, [packet(2, 1, PORT, b"after")]);
}

#[test]
fn a_process_whose_clock_stands_in_the_past_is_understood_once_its_record_is_there() {
    // The engine that was made first is heard last: as if its clock had been set back.
    let (mut past, mut two) = (node(1, &[2]), node(2, &[1]));
    let mut one = node(1, &[2]);
    two.taken.sent.clear();
    settle(&mut one, &mut two);
    let (_, greeting) = past.taken.sent[0].clone();
    settle(&mut past, &mut two);
    past.send(&packet(1, 2, PORT, b"x"));
    assert!(past.taken.sent.is_empty() && two.taken.delivered.is_empty(), "it was answered");
    two.state.peers = vec![describe(1, 5)];
    two.apply();
    two.hear(endpoint(1), &greeting);
    settle(&mut past, &mut two);
    assert_eq!(two.taken.delivered, [packet(1, 2, PORT, b"x")]);
    // From now on a repetition is one again.
    two.hear(endpoint(1), &greeting);
    assert!(two.taken.sent.is_empty());
}

#[test]
fn a_recorded_greeting_ends_no_keys_of_a_process_that_was_started_again() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[1]));
    two.taken.sent.clear();
    let (_, greeting) = one.taken.sent[0].clone();
    settle(&mut one, &mut two);
    two.state.peers = vec![describe(1, 5)];
    two.apply();
    let mut one = node(1, &[2]);
    settle(&mut one, &mut two);
    two.hear(endpoint(1), &greeting);
    assert!(two.taken.sent.is_empty(), "the recorded greeting was answered");
    one.send(&packet(1, 2, PORT, b"x"));
    settle(&mut one, &mut two);
    assert_eq!(two.taken.delivered, [packet(1, 2, PORT, b"x")]);
}

#[test]
fn a_peer_that_packets_wait_for_is_silent_until_it_is_heard() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[1]));
    one.taken.sent.clear();
    let tick = |node: &mut Node| (0..SILENT_TICKS).for_each(|_| node.engine.tick(&mut node.taken));
    tick(&mut one);
    assert!(one.engine.silent().is_empty(), "nobody wanted anything of it");
    one.send(&packet(1, 2, PORT, b"x"));
    assert!(one.engine.silent().is_empty(), "it has just been asked");
    tick(&mut one);
    assert_eq!(one.engine.silent(), [address(2)]);
    // What it sends arrives, and what is sent to it does not.
    let (_, asks) = two.taken.sent.pop_front().expect("it greets too");
    one.hear(endpoint(2), &asks);
    assert_eq!(one.engine.silent().len(), 1);
    one.taken.sent.clear();
    // It comes back.
    one.engine.peers.renew(0);
    one.send(&packet(1, 2, PORT, b"x"));
    assert_eq!(one.engine.silent().len(), 1);
    settle(&mut one, &mut two);
    assert!(one.engine.silent().is_empty());
    one.send(&packet(1, 2, PORT, b"x"));
    tick(&mut one);
    assert!(one.engine.silent().is_empty());
}

#[test]
fn a_state_that_is_told_again_changes_nothing() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[1]));
    settle(&mut one, &mut two);
    one.apply();
    assert!(one.taken.sent.is_empty());
    one.send(&packet(1, 2, PORT, b"x"));
    assert_eq!(one.taken.sent.len(), 1);
    assert_eq!(one.taken.sent[0].1.len(), packet(1, 2, PORT, b"x").len() + 32);
}

#[test]
fn junk_is_dropped() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[1]));
    let mut seen = one.taken.sent.clone();
    settle(&mut one, &mut two);
    one.send(&packet(1, 2, PORT, b"x"));
    seen.extend(one.taken.sent.iter().cloned());
    let mut junk: Vec<Vec<u8>> = vec![Vec::new(), vec![0], vec![1, 0, 0, 0], vec![4; 32]];
    for (_, datagram) in &seen {
        for at in 0..datagram.len() {
            let mut changed = datagram.clone();
            changed[at] ^= 0x55;
            junk.push(changed);
            junk.push(datagram[..at].to_vec());
        }
    }
    for kind in 0..6 {
        for length in [16, 31, 32, 33, 64, 92, 148, 1500, 65_000] {
            let mut datagram = vec![0xff; length];
            datagram[..4].copy_from_slice(&[kind, 0, 0, 0]);
            junk.push(datagram);
        }
    }
    two.taken.delivered.clear();
    for datagram in &junk {
        two.hear(endpoint(9), datagram);
    }
    assert!(two.taken.delivered.is_empty());
    settle(&mut one, &mut two);
    assert_eq!(two.taken.delivered.len(), 1, "and the peer is still understood");
}

#[test]
fn packets_of_the_device_that_lead_nowhere_are_dropped() {
    let mut one = node(1, &[2]);
    one.taken.sent.clear();
    for bad in [&[][..], &[0x60], &[0x45; 60], &packet(1, 3, PORT, b"x"), &[0x60; 39]] {
        one.send(bad);
    }
    assert!(one.taken.sent.is_empty());
}

#[test]
fn a_peer_that_nothing_else_reaches_any_more_is_greeted_though_there_are_keys() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[1]));
    settle(&mut one, &mut two);
    one.taken.sent.clear();
    one.state.peers[0].is_only_way = true;
    one.apply();
    assert!(one.taken.sent.iter().any(|(_, datagram)| is_handshake(datagram)));
    (0..SILENT_TICKS).for_each(|_| one.engine.tick(&mut one.taken));
    assert_eq!(one.engine.silent(), [address(2)]);
    one.taken.sent.clear();
    one.apply();
    assert!(one.taken.sent.is_empty(), "it was told before");
}
