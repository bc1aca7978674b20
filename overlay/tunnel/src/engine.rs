//! What becomes of packets: those of the device are encrypted, those of the socket decrypted and
//! checked. No descriptor here; the clock is read by the WireGuard library.
//!
//! A handshake costs three multiplications on a curve. Nothing is computed for one before its
//! sender has shown that it knows this node's key, and beyond [`HANDSHAKES_PER_SECOND`] also that
//! it receives what is sent to its address.

use std::net::{Ipv6Addr, SocketAddr};

use defguard_boringtun::noise::errors::WireGuardError;
use defguard_boringtun::noise::handshake::parse_handshake_anon;
use defguard_boringtun::noise::rate_limiter::RateLimiter;
use defguard_boringtun::noise::{Packet, TunnResult};
use defguard_boringtun::x25519;

use crate::control::State;
use crate::key::TunnelKey;
use crate::peers::Peers;

/// The largest packet of a TUN device.
pub const PACKET_BYTES_MAX: usize = 65_535;

/// What a WireGuard packet has besides its content: header of 16 bytes, tag of 16 bytes. A
/// handshake is 148 bytes.
pub const ROOM: usize = 148;

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
    carried_port: u16,
    peers: Peers,
    scratch: Vec<u8>,
}

impl Engine {
    /// A tunnel without peers.
    pub fn new(key: TunnelKey, address: Ipv6Addr, carried_port: u16) -> Engine {
        let public = x25519::PublicKey::from(key.public());
        Engine {
            secret: key.secret(),
            public,
            limiter: RateLimiter::new(&public, HANDSHAKES_PER_SECOND),
            address,
            carried_port,
            peers: Peers::new(key.clone()),
            key,
            scratch: vec![0; PACKET_BYTES_MAX + ROOM],
        }
    }

    /// Makes the tunnel what the agent says.
    pub fn apply(&mut self, state: &State, sink: &mut impl Sink) {
        if state.key != self.key {
            *self = Engine::new(state.key.clone(), state.address, state.carried_port);
        }
        (self.address, self.carried_port) = (state.address, state.carried_port);
        // Whoever hears of the other later begins, and is answered: neither waits for a packet, or
        // for the repetition of a handshake that was not understood.
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
        let greeting = peer.tunn.format_handshake_initiation(&mut self.scratch, true);
        if let TunnResult::WriteToNetwork(datagram) = greeting {
            sink.send(peer.endpoint, datagram);
        }
    }

    /// A packet of the device, encrypted into `to`, which has [`ROOM`] more than the packet. Returns
    /// where it goes, and its length.
    pub fn outgoing(&mut self, packet: &[u8], to: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let (_, destination) = addresses(packet)?;
        let place = self.peers.with_address(destination)?;
        let peer = self.peers.get(place)?;
        peer.quiet_ticks = 0;
        match peer.tunn.encapsulate(packet, to) {
            TunnResult::WriteToNetwork(datagram) => {
                if is_handshake(datagram) {
                    peer.waited_ticks.get_or_insert(0);
                }
                Some((peer.endpoint, datagram.len()))
            }
            // It waits in the library until keys are exchanged, which were asked for before.
            _ => {
                peer.waited_ticks.get_or_insert(0);
                None
            }
        }
    }

    /// A datagram of the socket.
    pub fn incoming(&mut self, from: SocketAddr, datagram: &[u8], sink: &mut impl Sink) {
        let mut reply = [0; ROOM];
        let packet = match self.limiter.verify_packet(Some(from.ip()), datagram, &mut reply) {
            Ok(packet) => packet,
            Err(TunnResult::WriteToNetwork(cookie)) => return sink.send(from, cookie),
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
        let Some(place) = place else { return };
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
        from: SocketAddr,
        datagram: &[u8],
        sink: &mut impl Sink,
    ) -> Result<(), WireGuardError> {
        let Some(peer) = self.peers.get(place) else { return Ok(()) };
        let mut may_send_more = false;
        match peer.tunn.decapsulate(Some(from.ip()), datagram, &mut self.scratch) {
            TunnResult::Err(error) => return Err(error),
            TunnResult::Done => may_send_more = true,
            TunnResult::WriteToNetwork(reply) => {
                sink.send(from, reply);
                may_send_more = true;
            }
            TunnResult::WriteToTunnelV6(packet, source) => {
                let is_from_peer = source == peer.state.address;
                if is_from_peer && is_carried(packet, self.address, self.carried_port) {
                    sink.deliver(packet);
                }
            }
            TunnResult::WriteToTunnelV4(..) => {}
        }
        // Whoever has the keys is where it sends from.
        peer.endpoint = from;
        // Who only asks for keys may not hear the answer.
        if !is_handshake(datagram) {
            peer.waited_ticks = None;
        }
        // An empty datagram asks for packets that waited for keys.
        while may_send_more
            && let TunnResult::WriteToNetwork(waiting) =
                peer.tunn.decapsulate(None, &[], &mut self.scratch)
        {
            sink.send(peer.endpoint, waiting);
        }
        Ok(())
    }

    /// Lets time pass: keys expire, handshakes are repeated. To be called a few times a second while
    /// [`Engine::is_awake`], and before anything else after a pause.
    pub fn tick(&mut self, sink: &mut impl Sink) {
        self.limiter.reset_count();
        for place in self.peers.places() {
            let Some(peer) = self.peers.get(place) else { continue };
            peer.waited_ticks = peer.waited_ticks.map(|ticks| ticks.saturating_add(1));
            if let TunnResult::WriteToNetwork(datagram) = peer.tunn.update_timers(&mut self.scratch)
            {
                sink.send(peer.endpoint, datagram);
            }
            peer.quiet_ticks += 1;
            if peer.is_kept() && peer.quiet_ticks >= KEPT_TICKS {
                peer.quiet_ticks = 0;
                // Without keys it asks for them.
                if let TunnResult::WriteToNetwork(datagram) =
                    peer.tunn.encapsulate(&[], &mut self.scratch)
                {
                    sink.send(peer.endpoint, datagram);
                }
            }
        }
    }
}

/// Does it ask for keys, in place of a packet that waits?
fn is_handshake(datagram: &[u8]) -> bool {
    datagram.first() == Some(&1)
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

/// Is it what the tunnel is for? A member of the fleet reaches no other service of this machine
/// through it.
fn is_carried(packet: &[u8], own: Ipv6Addr, port: u16) -> bool {
    let Some((_, destination)) = addresses(packet) else { return false };
    packet.len() >= IPV6_HEADER + UDP_HEADER
        && destination == own
        && packet[6] == UDP
        && packet[IPV6_HEADER + 2..IPV6_HEADER + 4] == port.to_be_bytes()
}

#[cfg(test)]
mod tests;
