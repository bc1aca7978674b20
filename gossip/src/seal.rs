//! The seal: authenticated encryption of datagrams between nodes that hold the fleet's gossip key.
//!
//! ```text
//!  0      1        2            10            16                        n+16    n+32
//!  ┌──────┬────────┬────────────┬─────────────┬─────────────────────────┬───────┐
//!  │ 0x01 │ key tag│ session id │ counter     │ ChaCha20 of the plain   │ tag   │
//!  └──────┴────────┴────────────┴─────────────┴─────────────────────────┴───────┘
//! ```
//! The first byte has QUIC's fixed bit (0x40) clear, so that one socket carries both. The key of a
//! session is derived from the fleet's key and the session id, which is random and new whenever an
//! agent starts. The counter is the nonce and never repeats in a session. A sender seals with the
//! first key of its ring, and a receiver opens with any key. So a key is rotated without a pause:
//! add the new key on all nodes, then move it to the front, then drop the old key.
//!
//! Datagrams that cannot be opened are counted and dropped before anything parses them.

use std::collections::BTreeMap;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};

mod window;

use window::Window;

/// The first byte of a sealed datagram: the version of the seal.
const VERSION: u8 = 1;

/// QUIC sets this bit in the first byte of every packet (unless QUIC greases it, which is off).
const QUIC_FIXED_BIT: u8 = 0x40;

/// Version, key tag, session id, counter.
const HEADER_BYTES: usize = 16;

/// The bytes that the seal adds to a datagram: the header, and the tag behind the ciphertext.
pub const SEAL_BYTES: usize = HEADER_BYTES + 16;

/// The maximum number of keys in a ring. A rotation needs two; with more than a few, rejecting a
/// forged datagram is expensive.
pub const KEYS_MAX: usize = 4;

/// Sessions that are tracked to detect replays. There is one for each start of an agent that is
/// heard: 200 nodes that each restarted five times. At about 250 bytes each, 256 KB. Beyond this
/// number the session that was not heard for longest is dropped. If it is heard again, it starts
/// anew at the counter of that datagram.
pub const SESSIONS_MAX: usize = 1_024;

/// A counter has 6 bytes: at 10,000 datagrams a second they last 890 years.
const COUNTER_MAX: u64 = (1 << 48) - 1;

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
    /// Sealed with a key that is not in the ring.
    #[error("unknown key")]
    UnknownKey,
    /// Changed in transit, or sealed by somebody without the key.
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
            SealJunk::UnknownKey => "unknown_key",
            SealJunk::Forged => "forged",
            SealJunk::Replayed => "replayed",
        }
    }
}

/// The fleet's gossip keys: the first one seals, any of them opens.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<[u8; 32]>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys.len())
    }
}

impl KeyRing {
    /// A ring of one key.
    pub fn new(key: [u8; 32]) -> KeyRing {
        KeyRing { keys: vec![key] }
    }

    /// The same ring with one more key for opening. If the key is already in the ring, or the ring
    /// has [`KEYS_MAX`] keys, nothing changes.
    pub fn with(mut self, key: [u8; 32]) -> KeyRing {
        if self.keys.len() < KEYS_MAX && !self.keys.contains(&key) {
            self.keys.push(key);
        }
        self
    }

    fn tagged(&self, tag: u8) -> impl Iterator<Item = &[u8; 32]> {
        self.keys.iter().filter(move |key| tag_of(key) == tag)
    }
}

/// One byte of a key's hash: shows which key of the ring a datagram may need.
fn tag_of(key: &[u8; 32]) -> u8 {
    blake3::derive_key("edgectl gossip key tag 1", key)[0]
}

fn cipher(key: &[u8; 32], session: u64) -> ChaCha20Poly1305 {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl gossip session key 1");
    hasher.update(key);
    hasher.update(&session.to_be_bytes());
    ChaCha20Poly1305::new(&(*hasher.finalize().as_bytes()).into())
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_be_bytes());
    bytes.into()
}

/// Seals the datagrams that this agent sends.
pub struct Sealer {
    tag: u8,
    session: u64,
    counter: u64,
    cipher: ChaCha20Poly1305,
}

impl Sealer {
    /// `session` must be random and new whenever an agent starts. Two agents that sealed with the
    /// same key and the same session would seal different texts with the same nonce.
    pub fn new(keys: &KeyRing, session: u64) -> Sealer {
        let first = &keys.keys[0];
        Sealer { tag: tag_of(first), session, counter: 0, cipher: cipher(first, session) }
    }

    /// Seals with the first key of another ring from now on. The counter continues.
    pub fn set_keys(&mut self, keys: &KeyRing) {
        let first = &keys.keys[0];
        (self.tag, self.cipher) = (tag_of(first), cipher(first, self.session));
    }

    /// The sealed datagram, [`SEAL_BYTES`] longer.
    pub fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        assert!(self.counter < COUNTER_MAX, "a session outlives no counter");
        self.counter += 1;
        let header = header(self.tag, self.session, self.counter);
        let payload = Payload { msg: plain, aad: &header };
        let text = self.cipher.encrypt(&nonce(self.counter), payload);
        let mut sealed = Vec::with_capacity(plain.len() + SEAL_BYTES);
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(&text.expect("a datagram is far below the cipher's limit"));
        sealed
    }
}

fn header(tag: u8, session: u64, counter: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[0] = VERSION;
    header[1] = tag;
    header[2..10].copy_from_slice(&session.to_be_bytes());
    header[10..].copy_from_slice(&counter.to_be_bytes()[2..]);
    header
}

/// A datagram that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The datagram before it was sealed.
    pub plain: Vec<u8>,
    /// The session id of its sender, which stands for one start of one agent.
    pub session: u64,
}

struct SenderSession {
    tag: u8,
    cipher: ChaCha20Poly1305,
    window: Window,
    /// The opener's `heard` number at this session's last datagram: orders sessions by when they
    /// were last heard.
    heard: u64,
}

/// Opens the datagrams that this agent receives.
///
/// After a start the opener knows no session, and takes the first datagram of each session as its
/// beginning. So datagrams recorded before can be replayed to it once, in order. The replay
/// contains only what the sender once sent; generations, incarnations and merges make it harmless.
pub struct Opener {
    keys: KeyRing,
    sessions: BTreeMap<u64, SenderSession>,
    heard: u64,
}

impl Opener {
    /// An opener that knows no session yet.
    pub fn new(keys: KeyRing) -> Opener {
        Opener { keys, sessions: BTreeMap::new(), heard: 0 }
    }

    /// Opens with the keys of another ring from now on.
    pub fn set_keys(&mut self, keys: KeyRing) {
        self.sessions.retain(|_, session| keys.tagged(session.tag).next().is_some());
        self.keys = keys;
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
        let tag = head[1];
        let session = u64::from_be_bytes(head[2..10].try_into().expect("8 bytes"));
        let counter = head[10..].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        if self.sessions.get(&session).is_some_and(|s| !s.window.is_new(counter)) {
            return Err(SealJunk::Replayed);
        }
        let payload = || Payload { msg: text, aad: head };
        self.heard += 1;
        if let Some(known) = self.sessions.get_mut(&session).filter(|known| known.tag == tag)
            && let Ok(plain) = known.cipher.decrypt(&nonce(counter), payload())
        {
            known.window.mark(counter);
            known.heard = self.heard;
            return Ok(Opened { plain, session });
        }
        if self.keys.tagged(tag).next().is_none() {
            return Err(SealJunk::UnknownKey);
        }
        let opened = self.keys.tagged(tag).find_map(|key| {
            let cipher = cipher(key, session);
            let plain = cipher.decrypt(&nonce(counter), payload()).ok()?;
            Some((cipher, plain))
        });
        let (cipher, plain) = opened.ok_or(SealJunk::Forged)?;
        self.remember(session, tag, cipher, counter);
        Ok(Opened { plain, session })
    }

    /// Records a session that is new, or sealed with another key than before.
    fn remember(&mut self, session: u64, tag: u8, cipher: ChaCha20Poly1305, counter: u64) {
        if let Some(known) = self.sessions.get_mut(&session) {
            known.window.mark(counter);
            (known.tag, known.cipher, known.heard) = (tag, cipher, self.heard);
            return;
        }
        if self.sessions.len() >= SESSIONS_MAX {
            let silent = self.sessions.iter().min_by_key(|(_, s)| s.heard).map(|(id, _)| *id);
            self.sessions.remove(&silent.expect("the table is full"));
        }
        let window = Window::beginning_at(counter);
        self.sessions.insert(session, SenderSession { tag, cipher, window, heard: self.heard });
    }
}

#[cfg(test)]
mod tests;
