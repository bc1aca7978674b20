//! Ways through a peer that reaches both ends: two nodes behind routers cannot dial each other.
//!
//! ```text
//!          ┌ WireGuard with C ──────────┐          ┌ WireGuard with C ──────────┐
//!  A ────▶ │ IPv6, UDP 7947, from A to B │ ── C ──▶ │ the same, as C passes it on │ ────▶ B
//!          │  ┌ WireGuard with B ──────┐ │          │  ┌ WireGuard with A ──────┐ │
//!          │  │ the packet             │ │          │  │ the packet             │ │
//! ```
//! C can read nothing, and cannot pretend to be A: the inner keys are those of A and B. It passes on
//! only between its own peers, which are members of the fleet, and only what it was sent itself.

use std::net::{Ipv6Addr, SocketAddr};

use defguard_boringtun::noise::{Tunn, TunnResult};

use super::{Engine, Sink, UDP, addresses, udp_port};
use crate::peers::Way;

/// The port of what is passed on, inside the tunnel.
const RELAY_PORT: u16 = 7947;

/// What [`wrap`] adds: the headers of IPv6 and UDP.
pub(super) const WRAPPING: usize = super::IPV6_HEADER + super::UDP_HEADER;

/// A relay was heard this lately, in ticks: a minute. A way that is kept open has a packet every
/// 20 s from each end.
const HEARD_TICKS: u32 = 240;

/// A peer whose only way this is was not heard for so many ticks: 45 s, two packets that keep the
/// way open were lost.
const LOST_TICKS: u32 = 180;

/// After so many ticks without an answer another way is tried: 5 s.
const TRY_TICKS: u32 = 20;

/// After each round of all ways the pause doubles, this many times: to five minutes.
const ROUNDS_MAX: usize = 6;

/// A peer that is reached through a relay is greeted directly this often, in ticks: every two
/// minutes. It may have come nearer.
const DIRECT_TICKS: u32 = 480;

/// What a packet of a peer is.
pub(super) enum Inner {
    /// For this node's device, or for nobody.
    Other,
    /// For another peer, to be passed on.
    PassOn(Ipv6Addr),
    /// A datagram of another node that the peer passed on.
    PassedOn(Ipv6Addr),
}

impl Engine {
    /// Sends a datagram, if need be inside another one.
    pub(super) fn transmit(&mut self, way: Way, datagram: &[u8], sink: &mut impl Sink) {
        let (relay, end) = match way {
            Way::Direct(to) => return sink.send(to, datagram),
            Way::Via { relay, end } => (relay, end),
        };
        let mut wrapped = std::mem::take(&mut self.wrapped);
        wrap(self.address, end, datagram, &mut wrapped);
        self.pass(relay, &wrapped, sink);
        self.wrapped = wrapped;
    }

    /// Sends a packet to a peer that is heard directly; no packet waits for one that is not.
    fn pass(&mut self, to: Ipv6Addr, packet: &[u8], sink: &mut impl Sink) {
        let mut outer = std::mem::take(&mut self.outer);
        if let Some((endpoint, tunn)) = self.relay_to(to)
            && let TunnResult::WriteToNetwork(datagram) = tunn.encapsulate(packet, &mut outer)
        {
            sink.send(endpoint, datagram);
        }
        self.outer = outer;
    }

    /// The way to a peer that is heard directly.
    pub(super) fn relay_to(&mut self, address: Ipv6Addr) -> Option<(SocketAddr, &mut Tunn)> {
        let place = self.peers.with_address(address)?;
        let peer = self.peers.get(place)?;
        let Way::Direct(endpoint) = peer.way else { return None };
        peer.heard_ticks.filter(|ticks| *ticks <= HEARD_TICKS)?;
        peer.quiet_ticks = 0;
        Some((endpoint, &mut peer.tunn))
    }

    /// Can a datagram with this peer's keys have come this way?
    pub(super) fn is_from(&mut self, place: usize, from: Way) -> bool {
        let Some(peer) = self.peers.get(place) else { return false };
        match from {
            Way::Direct(_) => true,
            Way::Via { relay, end } => end == peer.state.address && relay != end,
        }
    }

    /// What a packet is that a peer sent, from `source` inside.
    pub(super) fn inner(
        &self,
        from: Way,
        packet: &[u8],
        source: Ipv6Addr,
        peer: Ipv6Addr,
    ) -> Inner {
        // What was passed on is not passed on again.
        let (Way::Direct(_), Some(RELAY_PORT)) = (from, udp_port(packet)) else {
            return Inner::Other;
        };
        match addresses(packet) {
            Some((_, to)) if to == self.address => Inner::PassedOn(source),
            Some((_, to)) if source == peer => Inner::PassOn(to),
            _ => Inner::Other,
        }
    }

    /// Takes a packet that is not for the device. `relay` is the peer that sent it.
    pub(super) fn take_inner(
        &mut self,
        inner: &Inner,
        relay: Ipv6Addr,
        packet: &[u8],
        sink: &mut impl Sink,
    ) {
        match inner {
            Inner::Other => {}
            Inner::PassOn(to) => self.pass(*to, packet, sink),
            Inner::PassedOn(end) => {
                self.take_in(Way::Via { relay, end: *end }, &packet[WRAPPING..], sink);
            }
        }
    }

    /// Lets a tick pass for the way to a peer.
    pub(super) fn tick_way(&mut self, place: usize, sink: &mut impl Sink) {
        let own = self.address;
        let Some(peer) = self.peers.get(place) else { return };
        peer.heard_ticks = peer.heard_ticks.map(|ticks| ticks.saturating_add(1));
        peer.direct_ticks = peer.direct_ticks.map(|ticks| ticks.saturating_add(1));
        if peer.is_kept() && peer.heard_ticks.is_some_and(|ticks| ticks >= LOST_TICKS) {
            peer.waited_ticks.get_or_insert(0);
        }
        // Of two greetings that cross neither is answered in a way that the other end takes.
        let turn = if own < peer.state.address { 0 } else { TRY_TICKS / 2 };
        if peer.waited_ticks.is_some_and(|ticks| ticks >= peer.try_at + TRY_TICKS + turn) {
            return self.try_next_way(place, sink);
        }
        let Way::Via { .. } = peer.way else {
            peer.via_ticks = 0;
            return;
        };
        peer.via_ticks += 1;
        if peer.via_ticks.is_multiple_of(DIRECT_TICKS) {
            let way = Way::Direct(peer.state.endpoint);
            self.greet_by(place, way, sink);
        }
    }

    fn try_next_way(&mut self, place: usize, sink: &mut impl Sink) {
        let Some(peer) = self.peers.get(place) else { return };
        peer.tries += 1;
        let (tries, state) = (peer.tries, peer.state.clone());
        let relays = self.relays(state.address);
        let Some(peer) = self.peers.get(place) else { return };
        let ways = relays.len() + 1;
        // A peer that is switched off costs less and less.
        let rounds = (tries / ways).min(ROUNDS_MAX);
        peer.try_at = peer.waited_ticks.unwrap_or(0) + TRY_TICKS * ((1 << rounds) - 1);
        peer.way = match tries % ways {
            0 => Way::Direct(state.endpoint),
            at => Way::Via { relay: relays[at - 1], end: state.address },
        };
        self.greet(place, sink);
    }

    /// Those that may reach a peer, in an order that is the same at both ends.
    fn relays(&self, peer: Ipv6Addr) -> Vec<Ipv6Addr> {
        let ends = [self.address.min(peer).octets(), self.address.max(peer).octets()].concat();
        let rank =
            |relay: &Ipv6Addr| *blake3::hash(&[&ends[..], &relay.octets()].concat()).as_bytes();
        let mut relays = self.peers.heard_directly(HEARD_TICKS, peer);
        relays.sort_by_cached_key(rank);
        relays
    }
}

/// Writes the packet that carries a datagram. It is read by tunnels only, so it needs no checksum.
pub(super) fn wrap(from: Ipv6Addr, to: Ipv6Addr, datagram: &[u8], packet: &mut Vec<u8>) {
    let length =
        u16::try_from(super::UDP_HEADER + datagram.len()).unwrap_or(u16::MAX).to_be_bytes();
    packet.clear();
    packet.extend([0x60, 0, 0, 0]);
    packet.extend(length);
    packet.extend([UDP, 1]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    for _ in 0..2 {
        packet.extend(RELAY_PORT.to_be_bytes());
    }
    packet.extend(length);
    packet.extend([0, 0]);
    packet.extend(datagram);
}

#[cfg(test)]
mod tests;
