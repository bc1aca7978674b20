//! Two nodes behind routers, and nodes that both can dial.

use defguard_boringtun::noise::TunnResult;

use crate::engine::is_handshake;
use crate::engine::tests::{Node, PORT, address, endpoint, node, packet, settle};
use crate::peers::Way;

/// What passes between nodes: those with a router are heard from elsewhere, and hear only whom they
/// have dialled.
struct World {
    nodes: Vec<Node>,
    /// The numbers of nodes that are behind routers.
    routed: Vec<u8>,
    /// Who is not there, by number.
    gone: Vec<u8>,
}

/// Where a node is heard from, behind its router.
fn outside(number: u8) -> u8 {
    100 + number
}

impl World {
    fn new(number: u8, routed: &[u8]) -> World {
        let others = |own: u8| (1..=number).filter(move |other| *other != own).collect::<Vec<_>>();
        let mut nodes: Vec<Node> = (1..=number).map(|own| node(own, &others(own))).collect();
        for own in &mut nodes {
            own.taken.sent.clear();
            for peer in &mut own.state.peers {
                peer.is_only_way = true;
            }
            own.apply();
        }
        World { nodes, routed: routed.to_vec(), gone: Vec::new() }
    }

    fn number_at(&self, to: std::net::SocketAddr, from: u8) -> Option<u8> {
        let numbers = 1..=u8::try_from(self.nodes.len()).unwrap();
        let is_there = |number: &u8| match self.routed.contains(number) {
            // A router lets in only answers, and nobody behind another one can be dialled.
            true => to == endpoint(outside(*number)) && !self.routed.contains(&from),
            false => to == endpoint(*number),
        };
        numbers.into_iter().find(is_there).filter(|number| !self.gone.contains(number))
    }

    /// Lets datagrams travel until there are none. Returns how many the relays passed on.
    fn settle(&mut self) {
        loop {
            let sent = self.nodes.iter_mut().enumerate().find_map(|(at, node)| {
                Some((u8::try_from(at + 1).unwrap(), node.taken.sent.pop_front()?))
            });
            let Some((from, (to, datagram))) = sent else { return };
            if self.gone.contains(&from) {
                continue;
            }
            let Some(number) = self.number_at(to, from) else { continue };
            let source = if self.routed.contains(&from) { outside(from) } else { from };
            self.nodes[usize::from(number) - 1].hear(endpoint(source), &datagram);
        }
    }

    /// Lets quarters of a second pass.
    fn tick(&mut self, ticks: u32) {
        for _ in 0..ticks {
            for node in &mut self.nodes {
                node.engine.tick(&mut node.taken);
            }
            self.settle();
        }
    }

    /// Does a packet from one arrive at another?
    fn passes(&mut self, from: u8, to: u8) -> bool {
        let content = packet(from, to, PORT, b"hello");
        self.nodes[usize::from(from) - 1].send(&content);
        self.settle();
        let taken = std::mem::take(&mut self.nodes[usize::from(to) - 1].taken.delivered);
        taken.contains(&content)
    }
}

#[test]
fn two_nodes_behind_routers_reach_each_other_through_a_third() {
    let mut world = World::new(3, &[1, 2]);
    world.settle();
    for (from, to) in [(1, 3), (2, 3), (3, 1), (3, 2)] {
        assert!(world.passes(from, to), "{from} to {to}");
    }
    assert!(!world.passes(1, 2));
    world.tick(60);
    assert!(world.passes(1, 2) && world.passes(2, 1));
    assert!(world.nodes[2].taken.delivered.is_empty(), "what is passed on is not for the relay");
    // It stays so, without a packet lost.
    world.tick(600);
    assert!(world.passes(1, 2) && world.passes(2, 1));
}

#[test]
fn a_relay_that_is_gone_is_replaced() {
    let mut world = World::new(4, &[1, 2]);
    world.tick(100);
    assert!(world.passes(1, 2));
    for gone in [3, 4] {
        world.gone = vec![gone];
        world.tick(400);
        assert!(world.passes(1, 2) && world.passes(2, 1), "without {gone}");
    }
}

#[test]
fn a_node_that_has_left_its_router_is_reached_directly_again() {
    let mut world = World::new(3, &[1, 2]);
    world.tick(100);
    assert!(world.passes(1, 2));
    world.routed = vec![1];
    world.tick(600);
    world.gone = vec![3];
    assert!(world.passes(1, 2) && world.passes(2, 1));
}

#[test]
fn a_relay_passes_on_only_what_its_peer_sent_itself_and_only_to_its_peers() {
    let mut world = World::new(3, &[]);
    world.tick(10);
    let wrapped = |from: u8, to: u8| packet(from, to, super::RELAY_PORT, b"junk");
    let sent_by_3 = |world: &mut World, content: &[u8]| {
        world.nodes[0].send_to_peer(3, content);
        let (to, datagram) = world.nodes[0].taken.sent.pop_front().unwrap();
        assert_eq!(to, endpoint(3));
        world.nodes[2].hear(endpoint(1), &datagram);
        world.nodes[2].taken.sent.drain(..).map(|(to, _)| to).collect::<Vec<_>>()
    };
    assert_eq!(sent_by_3(&mut world, &wrapped(1, 2)), [endpoint(2)]);
    assert_eq!(sent_by_3(&mut world, &wrapped(2, 1)), [], "from somebody else");
    assert_eq!(sent_by_3(&mut world, &wrapped(1, 9)), [], "to a stranger");
    assert!(world.nodes.iter().all(|node| node.taken.delivered.is_empty()));
}

#[test]
fn what_was_passed_on_is_not_passed_on_again() {
    let mut world = World::new(4, &[1, 2]);
    world.tick(200);
    assert!(world.passes(1, 2), "through another");
    // Inside of what only the two can read: a packet for the fourth node, to be passed on.
    let inner = packet(1, 4, super::RELAY_PORT, b"junk");
    let peers = &mut world.nodes[0].engine.peers;
    let place = peers.with_address(address(2)).expect("a peer");
    let peer = peers.get(place).expect("a peer");
    let Way::Via { relay, .. } = peer.way else { panic!("{:?}", peer.way) };
    let mut room = vec![0; 500];
    let TunnResult::WriteToNetwork(datagram) = peer.tunn.encapsulate(&inner, &mut room) else {
        panic!("there are keys");
    };
    let two = &mut world.nodes[1];
    two.engine.take_in(Way::Via { relay, end: address(1) }, datagram, &mut two.taken);
    assert!(two.taken.sent.is_empty() && two.taken.delivered.is_empty());
}

impl Node {
    /// How many datagrams leave while nobody has anything to send, in 25 s.
    fn quiet_datagrams(&mut self) -> usize {
        self.taken.sent.clear();
        for _ in 0..100 {
            self.engine.tick(&mut self.taken);
        }
        self.taken.sent.len()
    }
}

#[test]
fn the_only_way_to_a_peer_is_kept_open_and_so_is_one_through_a_router() {
    let (mut one, mut two) = (node(1, &[2]), node(2, &[1]));
    settle(&mut one, &mut two);
    assert_eq!(one.quiet_datagrams(), 0, "a peer that is reached otherwise costs nothing");
    two.send(&packet(2, 1, PORT, b"x"));
    settle(&mut one, &mut two);
    one.state.peers[0].is_only_way = true;
    one.apply();
    settle(&mut one, &mut two);
    assert_eq!(one.quiet_datagrams(), 2, "at once, and 20 s later");
    assert!(one.engine.is_awake());
    // It comes through a router: the other side cannot know that the way is its only one.
    assert_eq!(two.quiet_datagrams(), 0);
    one.at = endpoint(99);
    one.send(&packet(1, 2, PORT, b"x"));
    settle(&mut one, &mut two);
    assert_eq!(two.quiet_datagrams(), 2);
    assert_eq!(two.taken.sent[0].0, endpoint(99));
}

#[test]
fn the_only_way_is_asked_for_keys_again_and_again() {
    let mut one = node(1, &[2]);
    one.state.peers[0].is_only_way = true;
    one.apply();
    // The library gives an unanswered greeting up after 90 s.
    let place = one.engine.peers.with_address(address(2)).expect("a peer");
    one.engine.peers.renew(place);
    assert!((2..=4).contains(&one.quiet_datagrams()), "ever more rarely");
    assert!(one.taken.sent.iter().all(|(_, datagram)| is_handshake(datagram)));
}
