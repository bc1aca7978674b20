//! A small fleet for this crate's tests: machines joined by a network that can lose, delay, cut and
//! silence datagrams, under virtual time, from one seed.
//!
//! Its steps are whole milliseconds and a datagram takes one millisecond. `chaos` has the large
//! simulation; this fleet is for rules that a few nodes can show.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crdt_state::node::NodeDescription;
use crdt_state::stamp::Stamp;
use crdt_state::{HashSigner, HashVerifier, Kind, NodeId, RecordKey, Replica, Signer};
use crdt_state::{StoreId, Writer};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::{Gossip, GossipConfig, Identity, MemberEvent, MemberState, Now, Output};

mod bridge;
mod crowd;
mod heal;
mod hostile;
mod membership;
mod spread;

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) gossip: Gossip,
    pub(crate) replica: Replica,
    pub(crate) addr: SocketAddr,
    pub(crate) events: Vec<(Now, MemberEvent)>,
    pub(crate) datagram_bytes_sent: u64,
    pub(crate) datagram_bytes_max: usize,
    boots: u64,
    up: bool,
    /// The nodes that this node hears; `None`: all.
    hears: Option<BTreeSet<usize>>,
    slow_ms: u64,
}

enum Event {
    Datagram { to: SocketAddr, from: SocketAddr, bytes: Vec<u8> },
    Message { to: usize, bytes: Vec<u8> },
    Connected { to: usize },
}

pub(crate) struct Fleet {
    pub(crate) now: Now,
    pub(crate) nodes: Vec<Node>,
    pub(crate) loss_percent: u32,
    /// A hash of all datagrams and messages delivered.
    pub(crate) trace: blake3::Hasher,
    config: GossipConfig,
    rng: StdRng,
    queue: BTreeMap<(Now, u64), (usize, Event)>,
    next: u64,
}

pub(crate) fn addr_of(index: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, index as u8 + 1], 7946))
}

impl Fleet {
    /// A fleet of `count` nodes that know no other node.
    pub(crate) fn new(count: usize, config: GossipConfig, seed: u64) -> Fleet {
        let mut fleet = Fleet {
            now: Now(1_000),
            nodes: Vec::new(),
            loss_percent: 0,
            trace: blake3::Hasher::new(),
            config,
            rng: StdRng::seed_from_u64(seed),
            queue: BTreeMap::new(),
            next: 0,
        };
        for index in 0..count {
            let node = fleet.boot(index, 1);
            fleet.nodes.push(node);
        }
        fleet
    }

    /// The same with the default config (a LAN), joined through the first node, and idle.
    pub(crate) fn settled(count: usize, seed: u64) -> Fleet {
        Fleet::settled_with(count, GossipConfig::default(), seed)
    }

    pub(crate) fn settled_with(count: usize, config: GossipConfig, seed: u64) -> Fleet {
        let mut fleet = Fleet::new(count, config, seed);
        for index in 1..count {
            fleet.join(index, 0);
        }
        assert!(fleet.runs_until(120_000, Fleet::all_agree), "they find each other");
        fleet.run_ms(2 * config.profile.compare_interval_ms);
        fleet.nodes.iter_mut().for_each(|node| node.events.clear());
        fleet
    }

    fn boot(&mut self, index: usize, boots: u64) -> Node {
        let signer = HashSigner::from_seed(index as u64);
        let id = NodeId::of(&signer.public_key());
        let writer = Writer { node: id, store: StoreId(boots) };
        let me = Identity::at_boot(id, boots);
        Node {
            id,
            gossip: Gossip::new(self.config, me, self.rng.random(), self.now),
            replica: Replica::new(writer, Box::new(signer), Arc::new(HashVerifier)),
            addr: addr_of(index),
            events: Vec::new(),
            datagram_bytes_sent: 0,
            datagram_bytes_max: 0,
            boots,
            up: true,
            hears: None,
            slow_ms: 0,
        }
    }

    pub(crate) fn id(&self, index: usize) -> NodeId {
        self.nodes[index].id
    }

    pub(crate) fn join(&mut self, index: usize, seed: usize) {
        let addr = self.nodes[seed].addr;
        self.nodes[index].gossip.join(self.now, addr);
        self.drain(index);
    }

    /// Stops the node: it receives nothing, sends nothing, and its timers do not fire.
    pub(crate) fn stop(&mut self, index: usize) {
        self.nodes[index].up = false;
    }

    /// The node continues from the state in which it stopped.
    pub(crate) fn resume(&mut self, index: usize) {
        self.nodes[index].up = true;
    }

    /// The node starts again with an empty store, and joins through another node.
    pub(crate) fn restart(&mut self, index: usize, seed: usize) {
        self.nodes[index] = self.boot(index, self.nodes[index].boots + 1);
        self.join(index, seed);
    }

    pub(crate) fn slow_down(&mut self, index: usize, each_way_ms: u64) {
        self.nodes[index].slow_ms = each_way_ms;
    }

    /// From now on the node hears only these.
    pub(crate) fn hears_only(&mut self, index: usize, heard: impl IntoIterator<Item = usize>) {
        self.nodes[index].hears = Some(heard.into_iter().collect());
    }

    /// Cuts the fleet in two at `first`.
    pub(crate) fn cut_at(&mut self, first: usize) {
        let count = self.nodes.len();
        for index in 0..count {
            let side = if index < first { 0..first } else { first..count };
            self.hears_only(index, side);
        }
    }

    pub(crate) fn heal(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.hears = None);
    }

    /// The node writes that it leaves.
    pub(crate) fn hand_over(&mut self, index: usize, ms: u64) {
        let key = RecordKey::node(self.id(index));
        self.nodes[index].replica.put_owned(key, &description_of_one_that_left(), 0);
        self.tell_changed(index);
        self.run_ms(ms);
    }

    /// The node writes that it leaves, and says good-bye once that could spread.
    pub(crate) fn leave(&mut self, index: usize) {
        self.hand_over(index, 500);
        self.nodes[index].gossip.leave(self.now);
        self.drain(index);
    }

    /// Writes a record of `bytes` bytes on this node, and tells its machine.
    pub(crate) fn write(&mut self, index: usize, number: u32, bytes: usize) -> RecordKey {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let key = RecordKey { kind: Kind::CONFIG, id };
        let node = &mut self.nodes[index];
        let value = vec![number as u8; bytes];
        node.replica.edit(key, crdt_state::spec::Facet::TEMPLATE, &value, 0);
        self.tell_changed(index);
        key
    }

    pub(crate) fn tell_changed(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let changed = node.replica.drain_changed();
        node.gossip.on_changed(self.now, &changed);
        self.drain(index);
    }

    /// Does every running node see every running node, and nobody else, as active?
    pub(crate) fn all_agree(&self) -> bool {
        let up: BTreeSet<NodeId> = self.nodes.iter().filter(|n| n.up).map(|n| n.id).collect();
        self.nodes.iter().filter(|node| node.up).all(|node| {
            let active = node.gossip.members().filter(|m| m.state.is_active()).map(|m| m.id);
            active.chain([node.id]).collect::<BTreeSet<NodeId>>() == up
        })
    }

    pub(crate) fn all_equal(&self) -> bool {
        let first = self.nodes[0].replica.digest();
        self.nodes.iter().all(|node| node.replica.digest() == first)
    }

    pub(crate) fn state(&self, at: usize, of: usize) -> Option<MemberState> {
        self.nodes[at].gossip.member(self.id(of)).map(|member| member.state)
    }

    /// All events of the wanted kind, each with the node that saw it.
    pub(crate) fn seen(&self, wanted: impl Fn(&MemberEvent) -> bool) -> Vec<(usize, MemberEvent)> {
        let all = self.nodes.iter().enumerate();
        all.flat_map(|(index, node)| node.events.iter().map(move |(_, event)| (index, *event)))
            .filter(|(_, event)| wanted(event))
            .collect()
    }

    pub(crate) fn verdicts(&self) -> Vec<(usize, MemberEvent)> {
        self.seen(|event| matches!(event, MemberEvent::Unreachable(_)))
    }

    pub(crate) fn run_ms(&mut self, ms: u64) {
        let until = self.now.plus(ms);
        while self.now < until {
            self.step(until);
        }
    }

    /// Runs until `holds` is true, for at most `limit_ms`.
    pub(crate) fn runs_until(&mut self, limit_ms: u64, holds: impl Fn(&Fleet) -> bool) -> bool {
        let until = self.now.plus(limit_ms);
        while !holds(self) {
            if self.now >= until {
                return false;
            }
            self.step(until);
        }
        true
    }

    /// Advances to the next moment at which something happens.
    fn step(&mut self, until: Now) {
        let running = self.nodes.iter().filter(|node| node.up);
        let timers = running.map(|node| node.gossip.deadline()).min().unwrap_or(Now::NEVER);
        let event = self.queue.first_key_value().map_or(Now::NEVER, |((at, _), _)| *at);
        self.now = timers.min(event).min(until).max(self.now.plus(1));
        while self.queue.first_key_value().is_some_and(|((at, _), _)| *at <= self.now) {
            let (_, (sender, event)) = self.queue.pop_first().expect("there is one");
            self.deliver(sender, event);
        }
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            if node.up && node.gossip.deadline() <= self.now {
                node.gossip.handle_timeout(self.now, &mut node.replica);
                self.drain(index);
            }
        }
    }

    fn hears(&self, to: usize, from: usize) -> bool {
        let node = &self.nodes[to];
        node.up && node.hears.as_ref().is_none_or(|heard| heard.contains(&from))
    }

    fn deliver(&mut self, sender: usize, event: Event) {
        let to = match &event {
            Event::Datagram { to, .. } => self.nodes.iter().position(|node| node.addr == *to),
            Event::Message { to, .. } | Event::Connected { to, .. } => Some(*to),
        };
        let Some(to) = to.filter(|to| self.hears(*to, sender)) else { return };
        let (peer, peer_addr) = (self.nodes[sender].id, self.nodes[sender].addr);
        let node = &mut self.nodes[to];
        match event {
            Event::Datagram { from, bytes, .. } => {
                self.trace.update(&self.now.0.to_be_bytes());
                self.trace.update(&bytes);
                node.gossip.handle_datagram(self.now, (peer, from), &bytes, &mut node.replica);
            }
            Event::Message { bytes, .. } => {
                self.trace.update(&bytes);
                node.gossip.handle_message(self.now, peer, &bytes, &mut node.replica);
            }
            Event::Connected { .. } => node.gossip.handle_connected(self.now, peer, peer_addr),
        }
        self.drain(to);
    }

    fn push(&mut self, after_ms: u64, sender: usize, event: Event) {
        self.queue.insert((self.now.plus(after_ms), self.next), (sender, event));
        self.next += 1;
    }

    fn delay(&self, from: usize, to: SocketAddr) -> u64 {
        let to = self.nodes.iter().find(|node| node.addr == to).map_or(0, |node| node.slow_ms);
        1 + self.nodes[from].slow_ms + to
    }

    /// Performs what a machine asked for.
    pub(crate) fn drain(&mut self, index: usize) {
        while let Some(output) = self.nodes[index].gossip.poll() {
            match output {
                Output::Swim { addr, bytes, .. } | Output::Datagram { addr, bytes, .. } => {
                    self.send_datagram(index, addr, bytes);
                }
                Output::Message { to, addr, bytes } => self.send_message(index, to, addr, bytes),
                Output::Connect { addr } => self.connect(index, addr),
                Output::Member(event) => {
                    let now = self.now;
                    self.nodes[index].events.push((now, event));
                }
                Output::Merged(_) => {
                    let node = &mut self.nodes[index];
                    let changed = node.replica.drain_changed();
                    node.gossip.on_changed(self.now, &changed);
                }
                Output::Junk(_) => {}
            }
        }
    }

    fn send_datagram(&mut self, index: usize, to: SocketAddr, bytes: Vec<u8>) {
        let node = &mut self.nodes[index];
        node.datagram_bytes_sent += bytes.len() as u64;
        node.datagram_bytes_max = node.datagram_bytes_max.max(bytes.len());
        let from = node.addr;
        if self.rng.random_range(0..100) >= self.loss_percent {
            let after_ms = self.delay(index, to);
            self.push(after_ms, index, Event::Datagram { to, from, bytes });
        }
    }

    fn connect(&mut self, index: usize, addr: SocketAddr) {
        let Some(to) = self.nodes.iter().position(|node| node.addr == addr) else { return };
        if self.hears(to, index) && self.hears(index, to) {
            let after_ms = 2 * self.delay(index, addr);
            self.push(after_ms, to, Event::Connected { to: index });
            self.push(after_ms, index, Event::Connected { to });
        }
    }

    fn send_message(&mut self, index: usize, id: NodeId, addr: SocketAddr, bytes: Vec<u8>) {
        let to = self.nodes.iter().position(|node| node.id == id && node.addr == addr);
        match to.filter(|to| self.hears(*to, index) && self.hears(index, *to)) {
            Some(to) => {
                let after_ms = 3 * self.delay(index, addr);
                self.push(after_ms, index, Event::Message { to, bytes });
            }
            None => self.nodes[index].gossip.handle_unreachable(self.now, id),
        }
    }
}

fn description_of_one_that_left() -> NodeDescription {
    NodeDescription {
        hostname: "gone".to_owned(),
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        resources: Default::default(),
        engine_labels: Default::default(),
        engine_version: String::new(),
        addresses: Vec::new(),
        joined: Stamp { lamport: 1, writer: Writer { node: NodeId([0; 16]), store: StoreId(1) } },
        left: true,
    }
}
