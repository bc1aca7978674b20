//! What becomes of packets: those of the device are encrypted, those of the socket decrypted and
//! checked. No descriptor here; the clock is read by the WireGuard library.
//!
//! A handshake costs three multiplications on a curve. Nothing is computed for one before its
//! sender has shown that it knows this node's key, and beyond [`HANDSHAKES_PER_SECOND`] also that
//! it receives what is sent to its address.

mod relay;

use std::net::{Ipv6Addr, SocketAddr};

use defguard_boringtun::noise::errors::WireGuardError;
use defguard_boringtun::noise::handshake::parse_handshake_anon;
use defguard_boringtun::noise::rate_limiter::RateLimiter;
use defguard_boringtun::noise::{Packet, TunnResult};
use defguard_boringtun::x25519;

use crate::control::State;
use crate::key::TunnelKey;
use crate::peers::{Peers, RECENT_TICKS, Way};
use relay::Inner;

/// The largest packet of a TUN device.
pub const PACKET_BYTES_MAX: usize = 65_535;

/// A handshake, which is larger than what a WireGuard packet has besides its content: header of 16
/// bytes, tag of 16 bytes.
const HANDSHAKE: usize = 148;

/// What may have to be sent besides a packet, or in place of it: a handshake inside the packet of a
/// relay.
pub const ROOM: usize = HANDSHAKE + relay::WRAPPING + 32;

/// Handshakes in a second without asking the sender for a cookie. A node that starts among 100
/// peers hears from all of them at once.
const HANDSHAKES_PER_SECOND: u64 = 200;

/// A peer that packets have waited for this long is silent: 10 s of four ticks each. Keys are asked
/// for every five seconds.
const SILENT_TICKS: u32 = 40;

/// A way that is kept open is used at least this often: every 20 s. Routers forget flows of UDP
/// after 30 s and more.
const KEPT_TICKS: u32 = 80;

const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;

/// Takes what the engine hands out.
pub trait Sink {
    /// A datagram to another node.
    fn send(&mut self, to: SocketAddr, datagram: &[u8]);
    /// A packet for the device.
    fn deliver(&mut self, packet: &[u8]);
}

/// The tunnel without its descriptors.
pub struct Engine {
    key: TunnelKey,
    secret: x25519::StaticSecret,
    public: x25519::PublicKey,
    limiter: RateLimiter,
    address: Ipv6Addr,
    carried_ports: Vec<u16>,
    peers: Peers,
    scratch: Vec<u8>,
    /// A packet for a relay, and the datagram that carries it.
    wrapped: Vec<u8>,
    outer: Vec<u8>,
    /// A packet of a peer that is not for the device.
    copied: Vec<u8>,
}

impl Engine {
    /// A tunnel without peers.
    pub fn new(key: TunnelKey, address: Ipv6Addr, carried_ports: Vec<u16>) -> Engine {
        let public = x25519::PublicKey::from(key.public());
        Engine {
            secret: key.secret(),
            public,
            limiter: RateLimiter::new(&public, HANDSHAKES_PER_SECOND),
            address,
            carried_ports,
            peers: Peers::new(key.clone()),
            key,
            scratch: vec![0; PACKET_BYTES_MAX + ROOM],
            wrapped: Vec::new(),
            outer: vec![0; PACKET_BYTES_MAX + ROOM],
            copied: Vec::new(),
        }
    }

    /// Makes the tunnel what the agent says.
    pub fn apply(&mut self, state: &State, sink: &mut impl Sink) {
        if state.key != self.key {
            *self = Engine::new(state.key.clone(), state.address, state.carried_ports.clone());
        }
        self.address = state.address;
        self.carried_ports.clone_from(&state.carried_ports);
        // Whoever hears of the other later begins, and is answered: neither waits for a packet, or
        // for the repetition of a handshake that was not understood. Of whom nothing else reaches it
        // is known soon whether this does.
        for place in self.peers.replace(&state.peers) {
            self.greet(place, sink);
        }
    }

    /// The peers that packets wait for in vain.
    pub fn silent(&self) -> Vec<Ipv6Addr> {
        self.peers.waited_for(SILENT_TICKS)
    }

    /// Must [`Engine::tick`] be called again, though nothing happens?
    pub fn is_awake(&self) -> bool {
        self.peers.is_any_awake()
    }

    fn greet(&mut self, place: usize, sink: &mut impl Sink) {
        let Some(peer) = self.peers.get(place) else { return };
        if peer.state.is_only_way {
            peer.waited_ticks.get_or_insert(0);
        }
        let way = peer.way;
        self.greet_by(place, way, sink);
    }

    fn greet_by(&mut self, place: usize, way: Way, sink: &mut impl Sink) {
        let Some(peer) = self.peers.get(place) else { return };
        let mut scratch = std::mem::take(&mut self.scratch);
        let greeting = peer.tunn.format_handshake_initiation(&mut scratch, true);
        if let TunnResult::WriteToNetwork(datagram) = greeting {
            self.transmit(way, datagram, sink);
        }
        self.scratch = scratch;
    }

    /// A packet of the device, encrypted into `to`, which has [`ROOM`] more than the packet. Returns
    /// where it goes, and its length.
    pub fn outgoing(&mut self, packet: &[u8], to: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let (_, destination) = addresses(packet)?;
        let place = self.peers.with_address(destination)?;
        let peer = self.peers.get(place)?;
        peer.quiet_ticks = 0;
        let buffer = match peer.way {
            Way::Direct(_) => &mut *to,
            Way::Via { .. } => &mut self.scratch,
        };
        let length = match peer.tunn.encapsulate(packet, buffer) {
            TunnResult::WriteToNetwork(datagram) => {
                if is_handshake(datagram) {
                    peer.waited_ticks.get_or_insert(0);
                }
                datagram.len()
            }
            // It waits in the library until keys are exchanged, which were asked for before.
            _ => {
                peer.waited_ticks.get_or_insert(0);
                return None;
            }
        };
        let (relay, end) = match peer.way {
            Way::Direct(endpoint) => return Some((endpoint, length)),
            Way::Via { relay, end } => (relay, end),
        };
        let mut wrapped = std::mem::take(&mut self.wrapped);
        relay::wrap(self.address, end, &self.scratch[..length], &mut wrapped);
        let sent = self.relay_to(relay).and_then(|(endpoint, tunn)| {
            match tunn.encapsulate(&wrapped, to) {
                TunnResult::WriteToNetwork(datagram) => Some((endpoint, datagram.len())),
                _ => None,
            }
        });
        self.wrapped = wrapped;
        if sent.is_none()
            && let Some(peer) = self.peers.get(place)
        {
            peer.waited_ticks.get_or_insert(0);
        }
        sent
    }

    /// A datagram of the socket.
    pub fn incoming(&mut self, from: SocketAddr, datagram: &[u8], sink: &mut impl Sink) {
        self.take_in(Way::Direct(from), datagram, sink);
    }

    fn take_in(&mut self, from: Way, datagram: &[u8], sink: &mut impl Sink) {
        let mut reply = [0; HANDSHAKE];
        let packet = match self.limiter.verify_packet(Some(from.address()), datagram, &mut reply) {
            Ok(packet) => packet,
            Err(TunnResult::WriteToNetwork(cookie)) => return self.transmit(from, cookie, sink),
            Err(_) => return,
        };
        let place = match packet {
            Packet::HandshakeInit(init) => {
                match parse_handshake_anon(&self.secret, &self.public, &init) {
                    Ok(half) => self.peers.with_key(&half.peer_static_public),
                    Err(_) => None,
                }
            }
            Packet::HandshakeResponse(packet) => Some(place_in(packet.receiver_idx)),
            Packet::PacketCookieReply(packet) => Some(place_in(packet.receiver_idx)),
            Packet::PacketData(packet) => Some(place_in(packet.receiver_idx)),
        };
        let Some(place) = place.filter(|place| self.is_from(*place, from)) else { return };
        let result = self.decapsulate(place, from, datagram, sink);
        if let Err(WireGuardError::WrongTai64nTimestamp) = result
            && self.peers.get(place).is_some_and(|peer| peer.tunn_life != peer.state.life)
        {
            // A machine without a clock of its own came up in the past, and everything that it sends
            // looks like a repetition. Its record says that its process is another one.
            self.peers.renew(place);
            let _ = self.decapsulate(place, from, datagram, sink);
        } else if result.is_ok() && is_handshake(datagram) {
            // The keys are those of its new process: a recorded greeting must not end them.
            self.peers.note_life(place);
        }
    }

    fn decapsulate(
        &mut self,
        place: usize,
        from: Way,
        datagram: &[u8],
        sink: &mut impl Sink,
    ) -> Result<(), WireGuardError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = self.decapsulate_into(&mut scratch, place, (from, datagram), sink);
        self.scratch = scratch;
        let (inner, peer) = result?;
        let copied = std::mem::take(&mut self.copied);
        self.take_inner(&inner, peer, &copied, sink);
        self.copied = copied;
        Ok(())
    }

    /// Returns what else is to be done with the packet that was copied, and the address of the peer
    /// that sent it.
    fn decapsulate_into(
        &mut self,
        scratch: &mut [u8],
        place: usize,
        (from, datagram): (Way, &[u8]),
        sink: &mut impl Sink,
    ) -> Result<(Inner, Ipv6Addr), WireGuardError> {
        let (mut may_send_more, mut inner) = (false, Inner::Other);
        let Some(peer) = self.peers.get(place) else { return Ok((inner, self.address)) };
        let address = peer.state.address;
        match peer.tunn.decapsulate(Some(from.address()), datagram, scratch) {
            TunnResult::Err(error) => return Err(error),
            TunnResult::Done => may_send_more = true,
            TunnResult::WriteToNetwork(reply) => {
                self.transmit(from, reply, sink);
                // Who answers a greeting may not use the keys yet, and would greet again for a
                // packet that waits: findings/boringtun-asks-to-repeat-a-call-that-greets-again.sh
                may_send_more = !is_handshake(datagram);
            }
            TunnResult::WriteToTunnelV6(packet, source) => {
                inner = self.inner(from, packet, source, address);
                if !matches!(inner, Inner::Other) {
                    self.copied.clear();
                    self.copied.extend_from_slice(packet);
                } else if source == address && is_carried(packet, self.address, &self.carried_ports)
                {
                    sink.deliver(packet);
                }
            }
            TunnResult::WriteToTunnelV4(..) => {}
        }
        let Some(peer) = self.peers.get(place) else { return Ok((inner, address)) };
        match datagram[0] {
            // Who only asks for keys may not hear the answer, and what is exchanged with it goes on
            // as before until it does.
            GREETING if peer.heard_ticks.is_some_and(|ticks| ticks < RECENT_TICKS) => {}
            GREETING => peer.way = from,
            // Whoever is on the way can send it.
            COOKIE => {}
            // Whoever has the keys is where it sends from.
            _ => peer.note_heard(from),
        }
        // An empty datagram asks for packets that waited for keys.
        while may_send_more
            && let Some(peer) = self.peers.get(place)
            && let TunnResult::WriteToNetwork(waiting) = peer.tunn.decapsulate(None, &[], scratch)
        {
            self.transmit(from, waiting, sink);
        }
        Ok((inner, address))
    }

    /// Lets time pass: keys expire, handshakes are repeated. To be called a few times a second while
    /// [`Engine::is_awake`], and before anything else after a pause.
    pub fn tick(&mut self, sink: &mut impl Sink) {
        self.limiter.reset_count();
        for place in self.peers.places() {
            self.tick_keys(place, sink);
            self.tick_way(place, sink);
        }
    }

    fn tick_keys(&mut self, place: usize, sink: &mut impl Sink) {
        let Some(peer) = self.peers.get(place) else { return };
        peer.waited_ticks = peer.waited_ticks.map(|ticks| ticks.saturating_add(1));
        peer.quiet_ticks = peer.quiet_ticks.saturating_add(1);
        let way = peer.way;
        let mut scratch = std::mem::take(&mut self.scratch);
        if let TunnResult::WriteToNetwork(datagram) = peer.tunn.update_timers(&mut scratch) {
            // Its keys are old, or what was sent with them found no answer for a while.
            if is_handshake(datagram) {
                peer.waited_ticks.get_or_insert(0);
            }
            self.transmit(way, datagram, sink);
        }
        if let Some(peer) = self.peers.get(place)
            && peer.is_kept()
            && peer.quiet_ticks >= KEPT_TICKS
        {
            peer.quiet_ticks = 0;
            // Without keys it asks for them, and waits.
            let sent = peer.tunn.encapsulate(&[], &mut scratch);
            if !matches!(&sent, TunnResult::WriteToNetwork(datagram) if !is_handshake(datagram)) {
                peer.waited_ticks.get_or_insert(0);
            }
            if let TunnResult::WriteToNetwork(datagram) = sent {
                self.transmit(way, datagram, sink);
            }
        }
        self.scratch = scratch;
    }
}

/// The first byte of what asks for keys, and of what asks its sender to prove its address.
const GREETING: u8 = 1;
const COOKIE: u8 = 3;

/// Does it ask for keys, in place of a packet that waits?
fn is_handshake(datagram: &[u8]) -> bool {
    datagram.first() == Some(&GREETING)
}

/// The upper 24 bits of a number in a packet are the place of the peer that it was given to.
fn place_in(index: u32) -> usize {
    (index >> 8) as usize
}

/// Source and destination of an IPv6 packet.
fn addresses(packet: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr)> {
    if packet.len() < IPV6_HEADER || packet[0] >> 4 != 6 {
        return None;
    }
    let address = |at: usize| {
        let bytes: [u8; 16] = packet[at..at + 16].try_into().expect("16 bytes of the header");
        Ipv6Addr::from(bytes)
    };
    Some((address(8), address(24)))
}

/// The port that a packet of UDP goes to.
fn udp_port(packet: &[u8]) -> Option<u16> {
    let is_udp = packet.len() >= IPV6_HEADER + UDP_HEADER && packet[6] == UDP;
    is_udp.then(|| u16::from_be_bytes([packet[IPV6_HEADER + 2], packet[IPV6_HEADER + 3]]))
}

/// Is it what the tunnel is for? A member of the fleet reaches no other service of this machine
/// through it.
fn is_carried(packet: &[u8], own: Ipv6Addr, ports: &[u16]) -> bool {
    addresses(packet).is_some_and(|(_, destination)| destination == own)
        && udp_port(packet).is_some_and(|port| ports.contains(&port))
}

#[cfg(test)]
mod tests;
