//! A network of `gossip` machines under virtual time.
//!
//! One queue holds the events, ordered by time and then by age. Datagrams take 0.2 to 2 ms and may
//! be lost. Reliable messages begin with a handshake, are slower, and arrive unless there is no
//! route. It must take random numbers from its seed alone.

mod network;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};

use crdt_state::spec::Facet;
use crdt_state::{HashSigner, Kind, NodeId, RecordKey, Replica, Signer, StoreId, Writer};
use gossip::{Gossip, GossipConfig, Identity, MemberEvent, Now, Output};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::meter::{Meter, Signatures, SigningCost};

/// Delay of a datagram, in microseconds.
const DELAY_US: std::ops::RangeInclusive<u64> = 200..=2_000;

/// The timeout of a reliable message without a route, in microseconds.
const GIVE_UP_US: u64 = 3_000_000;

/// The content of a changed record: a small service's.
const CHANGE_BYTES: usize = 300;

/// Thousandths.
pub(super) type PerMille = u32;

/// What the network does to datagrams.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DatagramLoss {
    pub(super) loss: PerMille,
}

/// A node: its machine, and its conditions in the world.
pub(super) struct SimNode {
    pub(super) id: NodeId,
    pub(super) gossip: Gossip,
    replica: Replica,
    boots: u64,
    alive: bool,
    /// Nodes on different sides cannot reach each other.
    side: u8,
    /// Added to the delay of everything it sends and receives, in microseconds.
    slow_us: u64,
    /// The earliest wake-up already in the queue, in microseconds.
    wake_at: u64,
    /// It computes until then, in microseconds.
    busy_until: u64,
    /// What has arrived meanwhile.
    waiting: VecDeque<Event>,
}

/// A verdict or a similar event, as it was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sighting {
    pub(super) at_us: u64,
    pub(super) event: MemberEvent,
}

enum Event {
    Wake {
        to: usize,
    },
    /// It has computed, and takes what waits.
    Free {
        to: usize,
    },
    Datagram {
        to: usize,
        peer: usize,
        bytes: Vec<u8>,
    },
    Message {
        to: usize,
        from: usize,
        bytes: Vec<u8>,
    },
    Connected {
        to: usize,
        peer: usize,
    },
    Undelivered {
        to: usize,
        peer: NodeId,
    },
}

impl Event {
    fn to(&self) -> usize {
        match self {
            Event::Wake { to }
            | Event::Free { to }
            | Event::Datagram { to, .. }
            | Event::Message { to, .. }
            | Event::Connected { to, .. }
            | Event::Undelivered { to, .. } => *to,
        }
    }
}

/// The world.
pub(super) struct World {
    pub(super) now_us: u64,
    pub(super) nodes: Vec<SimNode>,
    pub(super) sightings: Vec<Sighting>,
    loss: DatagramLoss,
    rng: StdRng,
    queue: BTreeMap<(u64, u64), Event>,
    next: u64,
    connections: BTreeSet<(usize, usize)>,
    by_addr: BTreeMap<SocketAddr, usize>,
    signatures: Signatures,
}

fn addr_of(index: usize) -> SocketAddr {
    let [_, _, high, low] = (index as u32).to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10, 0, high, low), 7946))
}

impl World {
    /// `count` nodes that know no other node.
    pub(super) fn new(count: usize, loss: DatagramLoss, seed: u64) -> World {
        let mut world = World {
            now_us: 0,
            nodes: Vec::new(),
            sightings: Vec::new(),
            loss,
            rng: StdRng::seed_from_u64(seed),
            queue: BTreeMap::new(),
            next: 0,
            connections: BTreeSet::new(),
            by_addr: (0..count).map(|index| (addr_of(index), index)).collect(),
            signatures: Signatures::default(),
        };
        for index in 0..count {
            let node = world.boot(index, 1);
            world.nodes.push(node);
        }
        world
    }

    fn boot(&mut self, index: usize, boots: u64) -> SimNode {
        let signer = HashSigner::from_seed(index as u64);
        let id = NodeId::of(&signer.public_key());
        let writer = Writer { node: id, store: StoreId(boots) };
        let identity = Identity::at_boot(id, boots);
        let config = GossipConfig::default();
        let gossip = Gossip::new(config, identity, self.rng.random(), self.now());
        let (signer, verifier) = self.signatures.counted(signer);
        let replica = Replica::new(writer, signer, verifier);
        SimNode {
            id,
            gossip,
            replica,
            boots,
            alive: true,
            side: 0,
            slow_us: 0,
            wake_at: u64::MAX,
            busy_until: 0,
            waiting: VecDeque::new(),
        }
    }

    fn now(&self) -> Now {
        Now(self.now_us / 1_000)
    }

    /// All nodes join through the first one, now.
    pub(super) fn join_all(&mut self) {
        for index in 1..self.nodes.len() {
            self.join(index, 0);
        }
    }

    pub(super) fn join(&mut self, index: usize, seed: usize) {
        let now = self.now();
        self.nodes[index].gossip.join(now, addr_of(seed));
        self.drain(index);
    }

    /// A node falls silent.
    pub(super) fn kill(&mut self, index: usize) {
        self.nodes[index].alive = false;
        self.connections.retain(|(a, b)| *a != index && *b != index);
    }

    /// It comes back with a new boot number, and joins through another node.
    pub(super) fn restart(&mut self, index: usize, seed: usize) {
        let boots = self.nodes[index].boots + 1;
        self.nodes[index] = self.boot(index, boots);
        self.join(index, seed);
    }

    pub(super) fn slow_down(&mut self, index: usize, each_way_ms: u64) {
        self.nodes[index].slow_us = each_way_ms * 1_000;
    }

    /// Cuts the fleet in two; the second part begins at `first`.
    pub(super) fn cut_at(&mut self, first: usize) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.side = u8::from(index >= first);
        }
    }

    pub(super) fn heal(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.side = 0);
    }

    /// Does every living node see every other living node, and nobody else, as active?
    pub(super) fn all_agree(&self) -> bool {
        let living = self.nodes.iter().filter(|node| node.alive).count();
        self.nodes.iter().filter(|node| node.alive).all(|node| {
            node.gossip.members().filter(|member| member.state.is_active()).count() + 1 == living
        })
    }

    /// Runs until `until_us`.
    pub(super) fn run_until(&mut self, until_us: u64) {
        while let Some(entry) = self.queue.first_entry() {
            let (at, _) = *entry.key();
            if at > until_us {
                break;
            }
            let event = entry.remove();
            self.now_us = at;
            self.take(event);
        }
        self.now_us = until_us;
    }

    pub(super) fn run_for_s(&mut self, seconds: u64) {
        self.run_until(self.now_us + seconds * 1_000_000);
    }

    /// Runs until all agree, at most `limit_s`; returns the seconds that it took.
    pub(super) fn run_until_all_agree(&mut self, limit_s: u64) -> f64 {
        let started = self.now_us;
        while !self.all_agree() && self.now_us < started + limit_s * 1_000_000 {
            self.run_until(self.now_us + 50_000);
        }
        (self.now_us - started) as f64 / 1e6
    }

    /// A node that computes takes an event afterwards, in the order of arrival.
    fn take(&mut self, event: Event) {
        let to = event.to();
        let node = &mut self.nodes[to];
        let event = match event {
            Event::Free { .. } => node.waiting.pop_front(),
            event if node.busy_until > self.now_us || !node.waiting.is_empty() => {
                node.waiting.push_back(event);
                let is_first = node.waiting.len() == 1;
                if is_first {
                    self.push(self.nodes[to].busy_until, Event::Free { to });
                }
                return;
            }
            event => Some(event),
        };
        if let Some(event) = event {
            self.perform(event);
        }
        let node = &self.nodes[to];
        if !node.waiting.is_empty() {
            self.push(node.busy_until.max(self.now_us), Event::Free { to });
        }
    }

    fn perform(&mut self, event: Event) {
        let now = self.now();
        let to = event.to();
        let meter = self.signatures.meter();
        let peer = match &event {
            Event::Message { from, .. } => Some(*from),
            Event::Datagram { peer, .. } => Some(*peer),
            Event::Connected { peer, .. } => Some(*peer),
            _ => None,
        };
        let peer = peer.map(|peer| (self.nodes[peer].id, addr_of(peer)));
        let node = &mut self.nodes[to];
        if !node.alive {
            return;
        }
        match (event, peer) {
            (Event::Wake { .. }, _) => {
                node.wake_at = u64::MAX;
                node.gossip.handle_timeout(now, &mut node.replica);
            }
            (Event::Datagram { bytes, .. }, Some(from)) => {
                node.gossip.handle_datagram(now, from, &bytes, &mut node.replica);
            }
            (Event::Message { bytes, .. }, Some((id, _))) => {
                node.gossip.handle_message(now, id, &bytes, &mut node.replica);
            }
            (Event::Connected { .. }, Some((id, addr))) => {
                node.gossip.handle_connected(now, id, addr);
            }
            (Event::Undelivered { peer, .. }, _) => node.gossip.handle_unreachable(now, peer),
            (Event::Free { .. }, _) => unreachable!("it only lets another one in"),
            (Event::Datagram { .. } | Event::Message { .. } | Event::Connected { .. }, None) => {
                unreachable!("these events name a peer")
            }
        }
        self.work(to, &meter);
    }

    /// A node has computed what was spent since then, and sends what came of it afterwards.
    fn work(&mut self, index: usize, meter: &Meter) {
        let began = self.now_us;
        self.now_us += self.signatures.spent_us(meter);
        self.nodes[index].busy_until = self.now_us;
        self.drain(index);
        self.now_us = began;
    }

    /// From now on what a node computes takes its time, and signatures cost this.
    pub(super) fn charge(&mut self, cost: SigningCost) {
        self.signatures.charge(cost);
    }

    /// A node changes as many records as that, at once.
    pub(super) fn change(&mut self, index: usize, count: u16) {
        let (now, meter) = (self.now(), self.signatures.meter());
        let node = &mut self.nodes[index];
        let content = "x".repeat(CHANGE_BYTES);
        for number in 0..count {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&(index as u64).to_be_bytes());
            id[8..10].copy_from_slice(&number.to_be_bytes());
            let key = RecordKey { kind: Kind::CONFIG, id };
            node.replica.edit(key, Facet::TEMPLATE, &content, 0);
        }
        let changed = node.replica.drain_changed();
        node.gossip.on_changed(now, &changed);
        self.work(index, &meter);
    }

    /// Do all nodes have the same records?
    pub(super) fn all_equal(&self) -> bool {
        let mut digests = self.nodes.iter().map(|node| node.replica.digest());
        let first = digests.next();
        digests.all(|digest| Some(digest) == first)
    }

    /// Performs the outputs of a machine, and makes sure that it is woken in time.
    fn drain(&mut self, index: usize) {
        while let Some(output) = self.nodes[index].gossip.poll() {
            match output {
                Output::Swim { addr, bytes, .. } | Output::Datagram { addr, bytes, .. } => {
                    self.send_datagram(index, addr, bytes);
                }
                Output::Message { to, addr, bytes } => self.send_message(index, to, addr, bytes),
                Output::Connect { addr } => self.connect(index, addr),
                Output::Member(event) => {
                    self.sightings.push(Sighting { at_us: self.now_us, event });
                }
                Output::Merged(keys) => {
                    let (now, keys) = (self.now(), keys.into_iter().collect());
                    self.nodes[index].gossip.on_changed(now, &keys);
                }
                Output::Junk(reason) => panic!("honest nodes send no junk: {reason:?}"),
            }
        }
        let deadline = self.nodes[index].gossip.deadline().0.saturating_mul(1_000);
        if deadline < self.nodes[index].wake_at {
            let at = deadline.max(self.now_us);
            self.nodes[index].wake_at = at;
            self.push(at, Event::Wake { to: index });
        }
    }

    fn push(&mut self, at_us: u64, event: Event) {
        self.queue.insert((at_us, self.next), event);
        self.next += 1;
    }
}
