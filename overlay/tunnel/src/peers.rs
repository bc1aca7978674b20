//! The peers of a tunnel, found by address, by key and by the number in their packets.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use defguard_boringtun::noise::Tunn;
use defguard_boringtun::noise::rate_limiter::RateLimiter;
use defguard_boringtun::x25519;

use crate::control::PeerState;
use crate::key::{PublicKey, TunnelKey};

/// Peers at most: as many as a state of the largest size has.
pub const PEERS_MAX: usize = 4096;

/// A peer was heard so lately that it is still there: 5 s.
pub const RECENT_TICKS: u32 = 20;

/// How datagrams come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To and from this address.
    Direct(SocketAddr),
    /// Inside of what is exchanged with a peer that reaches both ends.
    Via {
        /// The relaying peer, by its address in the tunnel.
        relay: Ipv6Addr,
        /// The other end.
        end: Ipv6Addr,
    },
}

impl Way {
    /// Who is to be thought the sender.
    pub fn address(self) -> IpAddr {
        match self {
            Way::Direct(endpoint) => endpoint.ip(),
            Way::Via { end, .. } => end.into(),
        }
    }
}

/// Another node.
pub struct Peer {
    /// As the agent described it last.
    pub state: PeerState,
    /// How it was heard last.
    pub way: Way,
    /// How many other ways were tried since it was heard.
    pub tries: usize,
    /// The next way is tried some ticks after this many of waiting.
    pub try_at: u32,
    /// How many ticks ago it was heard, if it was.
    pub heard_ticks: Option<u32>,
    /// How many ticks ago it was heard directly, if it was.
    pub direct_ticks: Option<u32>,
    /// For how many ticks it was reached by way of a relay.
    pub via_ticks: u32,
    /// The keys that are shared with it.
    pub tunn: Tunn,
    /// The life of its process when `tunn` was made, or when it greeted last.
    pub tunn_life: u64,
    /// How many ticks ago something was sent to it.
    pub quiet_ticks: u32,
    /// How many ticks ago a packet for it had to wait for keys, if nothing was heard since.
    pub waited_ticks: Option<u32>,
}

impl Peer {
    /// It has sent something this way that only it could.
    pub fn note_heard(&mut self, from: Way) {
        // What is still on its way through a relay moves nobody away from the direct way.
        let is_direct = matches!(from, Way::Direct(_));
        if is_direct || self.direct_ticks.is_none_or(|ticks| ticks >= RECENT_TICKS) {
            self.way = from;
        }
        if is_direct {
            self.direct_ticks = Some(0);
        }
        (self.waited_ticks, self.heard_ticks) = (None, Some(0));
        (self.tries, self.try_at) = (0, 0);
    }

    /// Is the way to it kept open, whether or not there are packets? One that is heard from
    /// elsewhere than its agent says is behind a router that forgets it.
    pub fn is_kept(&self) -> bool {
        self.state.is_only_way || self.way != Way::Direct(self.state.endpoint)
    }
}

/// The peers of this node.
pub struct Peers {
    key: TunnelKey,
    /// Checks handshakes that were checked before; it never refuses one for its number.
    limiter: Arc<RateLimiter>,
    /// A peer keeps its place: the place is in the packets that the peer sends.
    places: Vec<Option<Peer>>,
    by_address: HashMap<Ipv6Addr, usize>,
    by_key: HashMap<PublicKey, usize>,
}

impl Peers {
    /// No peers yet, of the node that has this key.
    pub fn new(key: TunnelKey) -> Peers {
        let public = x25519::PublicKey::from(key.public());
        Peers {
            key,
            limiter: Arc::new(RateLimiter::new(&public, u64::MAX)),
            places: Vec::new(),
            by_address: HashMap::new(),
            by_key: HashMap::new(),
        }
    }

    /// Makes these the peers. Keys that are shared with a peer that stays are kept. Returns the
    /// places of those to greet: new peers, and those that nothing else reaches from now on, whose
    /// way may be as closed as the others.
    pub fn replace(&mut self, wanted: &[PeerState]) -> Vec<usize> {
        let wanted = &wanted[..wanted.len().min(PEERS_MAX)];
        let by_key: HashMap<PublicKey, &PeerState> =
            wanted.iter().map(|peer| (peer.public_key, peer)).collect();
        self.by_key.retain(|key, place| {
            let stays = by_key.contains_key(key);
            if !stays {
                self.places[*place] = None;
            }
            stays
        });
        let mut new = Vec::new();
        for (key, state) in by_key {
            match self.by_key.get(&key) {
                // A process that was started anew has forgotten the keys.
                Some(place) if self.is_other_life(*place, state) => {
                    let place = *place;
                    self.update(place, state);
                    new.push(place);
                }
                Some(place) => {
                    let place = *place;
                    let before = self.get(place).is_some_and(|peer| peer.state.is_only_way);
                    self.update(place, state);
                    if state.is_only_way && !before {
                        new.push(place);
                    }
                }
                None => new.push(self.add(state.clone())),
            }
        }
        let address = |(place, peer): (usize, &Option<Peer>)| {
            peer.as_ref().map(|peer| (peer.state.address, place))
        };
        self.by_address = self.places.iter().enumerate().filter_map(address).collect();
        new
    }

    fn is_other_life(&self, place: usize, state: &PeerState) -> bool {
        let peer = self.places[place].as_ref();
        peer.is_some_and(|peer| ![0, peer.state.life, peer.tunn_life].contains(&state.life))
    }

    fn update(&mut self, place: usize, state: &PeerState) {
        let Some(peer) = &mut self.places[place] else { return };
        // It may be heard from elsewhere than its agent says, behind a router for example.
        // Then its agent, which knew it earlier, does not know better.
        let is_recent = peer.heard_ticks.is_some_and(|ticks| ticks < RECENT_TICKS);
        let was_there = peer.way == Way::Direct(peer.state.endpoint);
        if peer.state.endpoint != state.endpoint && (was_there || !is_recent) {
            peer.way = Way::Direct(state.endpoint);
        }
        peer.state = state.clone();
    }

    fn add(&mut self, state: PeerState) -> usize {
        let place = self.places.iter().position(Option::is_none).unwrap_or(self.places.len());
        let (key, way, life) = (state.public_key, Way::Direct(state.endpoint), state.life);
        let tunn = self.tunn(key, place);
        let peer = Peer {
            state,
            way,
            tries: 0,
            try_at: 0,
            heard_ticks: None,
            direct_ticks: None,
            via_ticks: 0,
            tunn,
            tunn_life: life,
            quiet_ticks: 0,
            waited_ticks: None,
        };
        match self.places.get_mut(place) {
            Some(free) => *free = Some(peer),
            None => self.places.push(Some(peer)),
        }
        self.by_key.insert(key, place);
        place
    }

    /// Forgets the keys that are shared with a peer, whose process has forgotten them too.
    pub fn renew(&mut self, place: usize) {
        let Some(key) = self.get(place).map(|peer| peer.state.public_key) else { return };
        let tunn = self.tunn(key, place);
        if let Some(peer) = self.get(place) {
            peer.tunn = tunn;
            peer.tunn_life = peer.state.life;
        }
    }

    /// The process that the peer's record names has greeted.
    pub fn note_life(&mut self, place: usize) {
        if let Some(peer) = self.get(place) {
            peer.tunn_life = peer.state.life;
        }
    }

    fn tunn(&self, key: PublicKey, place: usize) -> Tunn {
        let index = u32::try_from(place).expect("a place is below the number of peers");
        let limiter = Some(self.limiter.clone());
        Tunn::new(self.key.secret(), x25519::PublicKey::from(key), None, None, index, limiter)
    }

    /// The peers that are heard directly, by their addresses, but for one.
    pub fn heard_directly(&self, within: u32, but: Ipv6Addr) -> Vec<Ipv6Addr> {
        let is_heard = |peer: &&Peer| {
            matches!(peer.way, Way::Direct(_))
                && peer.heard_ticks.is_some_and(|ticks| ticks <= within)
                && peer.state.address != but
        };
        self.places.iter().flatten().filter(is_heard).map(|peer| peer.state.address).collect()
    }

    /// The peer in a place.
    pub fn get(&mut self, place: usize) -> Option<&mut Peer> {
        self.places.get_mut(place)?.as_mut()
    }

    /// The place of the peer with this address in the tunnel.
    pub fn with_address(&self, address: Ipv6Addr) -> Option<usize> {
        self.by_address.get(&address).copied()
    }

    /// The place of the peer with this key.
    pub fn with_key(&self, key: &PublicKey) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// All places, of which some are empty.
    pub fn places(&self) -> std::ops::Range<usize> {
        0..self.places.len()
    }

    /// The peers that packets have waited for this long.
    pub fn waited_for(&self, ticks: u32) -> Vec<Ipv6Addr> {
        let waits = |peer: &&Peer| peer.waited_ticks.is_some_and(|waited| waited >= ticks);
        self.places.iter().flatten().filter(waits).map(|peer| peer.state.address).collect()
    }

    /// Is there a peer whose keys change with time?
    pub fn is_any_awake(&self) -> bool {
        self.places.iter().flatten().any(|peer| peer.is_kept() || !peer.tunn.is_expired())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerState {
        PeerState {
            public_key: TunnelKey::derive(&[number; 32]).public(),
            address: Ipv6Addr::from(u128::from(number)),
            endpoint: SocketAddr::from(([10, 0, 0, number], 7947)),
            life: 1,
            is_only_way: false,
        }
    }

    #[test]
    fn a_peer_keeps_its_place_while_others_come_and_go() {
        let mut peers = Peers::new(TunnelKey::derive(&[9; 32]));
        assert_eq!(peers.replace(&[peer(1)]).len(), 1);
        assert_eq!(peers.replace(&[peer(2), peer(1), peer(3)]).len(), 2);
        let (one, two) = (peer(1), peer(2));
        let place = peers.with_key(&one.public_key).expect("a peer");
        assert!(peers.replace(&[peer(3), peer(1)]).is_empty());
        assert_eq!(peers.with_key(&one.public_key), Some(place));
        assert_eq!(peers.with_address(one.address), Some(place));
        assert_eq!(
            (peers.with_key(&two.public_key), peers.with_address(two.address)),
            (None, None)
        );
        assert_eq!((peers.by_key.len(), peers.places().len()), (2, 3));
        peers.replace(&[peer(3), peer(1), peer(4)]);
        assert_eq!(peers.places().len(), 3);
    }

    #[test]
    fn where_a_peer_was_heard_counts_until_its_agent_says_otherwise() {
        let mut peers = Peers::new(TunnelKey::derive(&[9; 32]));
        let place = peers.replace(&[peer(1)])[0];
        let heard = Way::Direct(SocketAddr::from(([10, 9, 9, 9], 999)));
        peers.get(place).expect("a peer").way = heard;
        peers.replace(&[peer(1)]);
        assert_eq!(peers.get(place).expect("a peer").way, heard);
        let moved = PeerState { endpoint: SocketAddr::from(([10, 0, 0, 77], 7947)), ..peer(1) };
        peers.replace(std::slice::from_ref(&moved));
        assert_eq!(peers.get(place).expect("a peer").way, Way::Direct(moved.endpoint));
    }

    #[test]
    fn one_key_is_one_peer_and_there_are_not_more_than_the_limit() {
        let mut peers = Peers::new(TunnelKey::derive(&[9; 32]));
        peers.replace(&[peer(1), peer(1)]);
        assert_eq!(peers.by_key.len(), 1);
        let many = (0..PEERS_MAX + 10).map(|number| PeerState {
            public_key: blake3::derive_key("test", &number.to_be_bytes()),
            ..peer(1)
        });
        peers.replace(&many.collect::<Vec<_>>());
        assert_eq!(peers.by_key.len(), PEERS_MAX);
    }
}
