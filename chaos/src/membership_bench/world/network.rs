//! What the network does with what a node sends.

use std::net::SocketAddr;

use crdt_state::NodeId;
use rand::RngExt;

use super::{DELAY_US, Event, GIVE_UP_US, World};

impl World {
    fn one_way_us(&mut self, from: usize, to: usize) -> u64 {
        self.rng.random_range(DELAY_US) + self.nodes[from].slow_us + self.nodes[to].slow_us
    }

    fn reachable(&self, from: usize, to: usize) -> bool {
        self.nodes[to].alive && self.nodes[from].side == self.nodes[to].side
    }

    pub(super) fn send_datagram(&mut self, from: usize, addr: SocketAddr, bytes: Vec<u8>) {
        let Some(to) = self.by_addr.get(&addr).copied() else { return };
        if self.rng.random_range(0..1_000) < self.loss.loss || !self.reachable(from, to) {
            return;
        }
        let at = self.now_us + self.one_way_us(from, to);
        self.push(at, Event::Datagram { to, peer: from, bytes });
    }

    /// The time of a trip that is repeated every 200 ms until it is not lost.
    fn reliable_trip_us(&mut self, from: usize, to: usize) -> u64 {
        let mut trip = self.one_way_us(from, to);
        while self.rng.random_range(0..1_000) < self.loss.loss {
            trip += 200_000;
        }
        trip
    }

    pub(super) fn connect(&mut self, from: usize, addr: SocketAddr) {
        let Some(to) = self.by_addr.get(&addr).copied() else { return };
        if !self.reachable(from, to) {
            return;
        }
        self.handshake(from, to);
    }

    /// A trip there and one back: then both have the connection.
    fn handshake(&mut self, from: usize, to: usize) {
        let there = self.now_us + self.reliable_trip_us(from, to);
        let back = there + self.reliable_trip_us(to, from);
        self.connections.insert((from.min(to), from.max(to)));
        self.push(back, Event::Connected { to: from, peer: to });
        self.push(back, Event::Connected { to, peer: from });
    }

    pub(super) fn send_message(
        &mut self,
        from: usize,
        id: NodeId,
        addr: SocketAddr,
        bytes: Vec<u8>,
    ) {
        let to = self.by_addr.get(&addr).copied().filter(|to| self.reachable(from, *to));
        let Some(to) = to else {
            self.push(self.now_us + GIVE_UP_US, Event::Undelivered { to: from, peer: id });
            return;
        };
        if !self.connections.contains(&(from.min(to), from.max(to))) {
            self.handshake(from, to);
        }
        let at = self.now_us + 3 * self.reliable_trip_us(from, to);
        self.push(at, Event::Message { to, from, bytes });
    }
}
