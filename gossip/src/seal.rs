//! The seal: authenticated encryption of datagrams between two nodes, which tells who sent them.
//!
//! ```text
//!  0      1        4            10            16                        n+16    n+32
//!  ┌──────┬────────┬────────────┬─────────────┬─────────────────────────┬───────┐
//!  │ 0x02 │ sender │ session id │ counter     │ ChaCha20 of the plain   │ tag   │
//!  └──────┴────────┴────────────┴─────────────┴─────────────────────────┴───────┘
//! ```
//! The first byte has QUIC's fixed bit (0x40) clear, so that one socket carries both. Each pair of
//! nodes has a key in common by their own keys ([`crdt_state::agreement`]), and no third one can
//! compute it. The key of a session is derived from that key, the sender, and the session id, which is
//! random and new whenever an agent starts. The counter is the nonce and never repeats in a session.
//! The first bytes of the sender's id show whose key a datagram needs.
//!
//! Datagrams that cannot be opened, and those of nodes that this one does not know, are counted and
//! dropped before anything parses them. There is no key that all nodes share, so none has to be
//! replaced when one of them is lost. Decision 33.

use std::collections::BTreeMap;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use crdt_state::agreement::common_key;
use crdt_state::{NodeId, PublicKey};

mod window;

use window::Window;

/// The first byte of a sealed datagram: the version of the seal.
const VERSION: u8 = 2;

/// QUIC sets this bit in the first byte of every packet (unless QUIC greases it, which is off).
const QUIC_FIXED_BIT: u8 = 0x40;

/// Version, start of the sender's id, session id, counter.
const HEADER_BYTES: usize = 16;

/// The bytes of the sender's id in a datagram: of 1,000 nodes two begin alike in one fleet of 33. Then
/// both keys are tried.
const SENDER_BYTES: usize = 3;

/// The bytes that the seal adds to a datagram: the header, and the tag behind the ciphertext.
pub const SEAL_BYTES: usize = HEADER_BYTES + 16;

/// Sessions that are tracked to detect replays. There is one for each start of an agent that is
/// heard: 200 nodes that each restarted five times. At about 250 bytes each, 256 KB. Beyond this
/// number the session that was not heard for longest is dropped. If it is heard again, it starts
/// anew at the counter of that datagram.
pub const SESSIONS_MAX: usize = 1_024;

/// A counter and a session id have 6 bytes. At 10,000 datagrams a second a counter lasts 890 years.
/// A thousand starts of one agent have two sessions alike with a chance of 2 in 10^9.
const NUMBER_MAX: u64 = (1 << 48) - 1;

/// Is this a sealed datagram, as opposed to a QUIC packet?
pub fn is_sealed(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & QUIC_FIXED_BIT == 0)
}

/// Why a datagram was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum SealJunk {
    /// Shorter than an empty sealed datagram.
    #[error("truncated")]
    Truncated,
    /// Sealed by a version that this agent does not know, or not sealed at all.
    #[error("unknown version")]
    UnknownVersion,
    /// Sent by a node that this one does not know.
    #[error("unknown sender")]
    UnknownSender,
    /// Changed in transit, meant for another node, or sealed by somebody without the sender's key.
    #[error("forged")]
    Forged,
    /// Opened before, or too old to tell whether it was.
    #[error("replayed")]
    Replayed,
}

impl SealJunk {
    /// The reason as the label of a counter.
    pub fn as_str(self) -> &'static str {
        match self {
            SealJunk::Truncated => "truncated",
            SealJunk::UnknownVersion => "unknown_version",
            SealJunk::UnknownSender => "unknown_sender",
            SealJunk::Forged => "forged",
            SealJunk::Replayed => "replayed",
        }
    }
}

/// A datagram that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The datagram before it was sealed.
    pub plain: Vec<u8>,
    /// The node that sealed it, proved by its key.
    pub sender: NodeId,
}

/// A node with which datagrams can be exchanged.
struct Peer {
    key: PublicKey,
    /// The key in common, computed when it is first needed: that costs as much as many datagrams.
    common: Option<[u8; 32]>,
}

struct SenderSession {
    cipher: ChaCha20Poly1305,
    window: Window,
    /// [`Seal::heard`] at this session's last datagram: orders sessions by when they were last heard.
    heard: u64,
}

/// Seals the datagrams that a node sends, and opens those that it receives.
///
/// After a start no session is known, and the first datagram of each session is taken as its
/// beginning. So datagrams recorded before can be replayed to it once, in order. The replay
/// contains only what the sender once sent; generations, incarnations and merges make it harmless.
pub struct Seal {
    me: NodeId,
    secret: [u8; 32],
    session: u64,
    counter: u64,
    /// As many as there are descriptions of nodes in the state, at some 120 bytes each.
    peers: BTreeMap<NodeId, Peer>,
    sessions: BTreeMap<(NodeId, u64), SenderSession>,
    heard: u64,
}

impl Seal {
    /// The seal of the node with this key, which knows no other node yet. `session` must be random and
    /// new whenever an agent starts: in two sessions of one id different texts would be sealed with the
    /// same nonce. Its lowest 48 bits are used.
    pub fn new(me: &PublicKey, secret: [u8; 32], session: u64) -> Seal {
        let (peers, sessions) = Default::default();
        let session = session & NUMBER_MAX;
        Seal { me: NodeId::of(me), secret, session, counter: 0, peers, sessions, heard: 0 }
    }

    /// Datagrams are exchanged with the node that has this key from now on.
    pub fn acquaint(&mut self, key: PublicKey) {
        self.peers.entry(NodeId::of(&key)).or_insert(Peer { key, common: None });
    }

    /// The sealed datagram for a node, [`SEAL_BYTES`] longer; `None`: the node is not known.
    pub fn seal(&mut self, to: NodeId, plain: &[u8]) -> Option<Vec<u8>> {
        assert!(self.counter < NUMBER_MAX, "a session outlives no counter");
        let common = self.peers.get_mut(&to)?.common(&self.secret)?;
        self.counter += 1;
        let header = header(self.me, self.session, self.counter);
        let payload = Payload { msg: plain, aad: &header };
        let text = cipher(&common, self.me, self.session).encrypt(&nonce(self.counter), payload);
        let mut sealed = Vec::with_capacity(plain.len() + SEAL_BYTES);
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(&text.expect("a datagram is far below the cipher's limit"));
        Some(sealed)
    }

    /// Opens a datagram; the same one a second time is [`SealJunk::Replayed`].
    pub fn open(&mut self, datagram: &[u8]) -> Result<Opened, SealJunk> {
        if datagram.len() < SEAL_BYTES {
            return Err(SealJunk::Truncated);
        }
        let (head, text) = datagram.split_at(HEADER_BYTES);
        if head[0] != VERSION {
            return Err(SealJunk::UnknownVersion);
        }
        let sealed = Sealed {
            session: number(&head[1 + SENDER_BYTES..10]),
            counter: number(&head[10..]),
            head,
            text,
        };
        let mut why = SealJunk::UnknownSender;
        for sender in self.begin_with(&head[1..=SENDER_BYTES]) {
            match self.open_from(sender, &sealed) {
                Ok(plain) => return Ok(Opened { plain, sender }),
                Err(junk) => why = junk,
            }
        }
        Err(why)
    }

    /// The nodes whose id begins with these bytes.
    fn begin_with(&self, start: &[u8]) -> Vec<NodeId> {
        let mut first = NodeId([0; 16]);
        first.0[..SENDER_BYTES].copy_from_slice(start);
        let from = self.peers.range(first..).map(|(node, _)| *node);
        from.take_while(|node| node.0.starts_with(start)).collect()
    }

    fn open_from(&mut self, sender: NodeId, sealed: &Sealed<'_>) -> Result<Vec<u8>, SealJunk> {
        self.heard += 1;
        if let Some(known) = self.sessions.get_mut(&(sender, sealed.session)) {
            if !known.window.is_new(sealed.counter) {
                return Err(SealJunk::Replayed);
            }
            let plain = sealed.open(&known.cipher).ok_or(SealJunk::Forged)?;
            known.window.mark(sealed.counter);
            known.heard = self.heard;
            return Ok(plain);
        }
        let peer = self.peers.get_mut(&sender).ok_or(SealJunk::UnknownSender)?;
        let common = peer.common(&self.secret).ok_or(SealJunk::Forged)?;
        let cipher = cipher(&common, sender, sealed.session);
        let plain = sealed.open(&cipher).ok_or(SealJunk::Forged)?;
        if self.sessions.len() >= SESSIONS_MAX {
            let silent = self.sessions.iter().min_by_key(|(_, s)| s.heard).map(|(id, _)| *id);
            self.sessions.remove(&silent.expect("the table is full"));
        }
        let window = Window::beginning_at(sealed.counter);
        let session = SenderSession { cipher, window, heard: self.heard };
        self.sessions.insert((sender, sealed.session), session);
        Ok(plain)
    }
}

impl Peer {
    fn common(&mut self, secret: &[u8; 32]) -> Option<[u8; 32]> {
        if self.common.is_none() {
            self.common = common_key(secret, &self.key);
        }
        self.common
    }
}

/// The parts of a sealed datagram.
struct Sealed<'a> {
    session: u64,
    counter: u64,
    head: &'a [u8],
    text: &'a [u8],
}

impl Sealed<'_> {
    fn open(&self, cipher: &ChaCha20Poly1305) -> Option<Vec<u8>> {
        let payload = Payload { msg: self.text, aad: self.head };
        cipher.decrypt(&nonce(self.counter), payload).ok()
    }
}

fn cipher(common: &[u8; 32], sender: NodeId, session: u64) -> ChaCha20Poly1305 {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl datagram session key 2");
    hasher.update(common).update(&sender.0).update(&session.to_be_bytes());
    ChaCha20Poly1305::new(&(*hasher.finalize().as_bytes()).into())
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_be_bytes());
    bytes.into()
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn header(sender: NodeId, session: u64, counter: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[0] = VERSION;
    header[1..=SENDER_BYTES].copy_from_slice(&sender.0[..SENDER_BYTES]);
    header[1 + SENDER_BYTES..10].copy_from_slice(&session.to_be_bytes()[2..]);
    header[10..].copy_from_slice(&counter.to_be_bytes()[2..]);
    header
}

#[cfg(test)]
mod tests;
