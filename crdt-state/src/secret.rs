//! Secrets: how their data is sealed, and how nodes are given the key to it.
//!
//! ```text
//! plaintext ──K──▶ sealed data, in the records of every node
//!     K ──X25519 with one node's key──▶ a wrapped key for this node, in the record of who wrapped it
//! ```
//! Every secret has a content key K of its own, 32 random bytes, so that no nonce is ever used
//! twice. A node's ed25519 key, turned into its X25519 form, opens what was wrapped for it, and
//! nothing else does. Randomness is an argument, and what must not be seen hides itself in `Debug`
//! and is overwritten when it is dropped. Decision 30.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use curve25519_dalek::MontgomeryPoint;
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

pub use crate::file::TAG_BYTES;

use crate::file::FileSpec;
use crate::id::{NodeId, SecretId};
use crate::key::{Kind, RecordKey};
use crate::signature::PublicKey;

/// Nodes with a key in one record: at most 100 bytes each, if every one is a batch, within a value of
/// 64 KiB. A further node gets its key in the record of another node.
pub const RECIPIENTS_MAX: usize = 600;

const _: () = assert!(RECIPIENTS_MAX * 100 + 128 <= crate::wire::VALUE_BYTES_MAX);

/// What the seal of the data is bound to.
const DATA_CONTEXT: &[u8] = b"edgectl secret data 1";

/// What is in a secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Plaintext(pub Vec<u8>);

impl Drop for Plaintext {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext(hidden, {} bytes)", self.0.len())
    }
}

/// The key of one secret's data.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentKey([u8; 32]);

impl Drop for ContentKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(hidden)")
    }
}

impl ContentKey {
    /// From 32 bytes of the system's randomness: for one secret, and never used for another.
    pub fn from_random(bytes: [u8; 32]) -> ContentKey {
        ContentKey(bytes)
    }

    /// The key itself, for whoever it was wrapped for.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals the data of the secret.
    pub fn seal(&self, data: &Plaintext) -> Vec<u8> {
        let payload = Payload { msg: &data.0, aad: DATA_CONTEXT };
        cipher(&self.0).encrypt(&Nonce::default(), payload).expect("data has a small length")
    }

    /// Opens sealed data; `None`: it was sealed with another key, or is damaged.
    pub fn open(&self, sealed: &[u8]) -> Option<Plaintext> {
        let payload = Payload { msg: sealed, aad: DATA_CONTEXT };
        cipher(&self.0).decrypt(&Nonce::default(), payload).ok().map(Plaintext)
    }
}

/// Of each key one message is sealed: the nonce is always the same.
fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.into())
}

/// A content key that one node can open: 32 bytes and a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey(pub [u8; 32], pub [u8; TAG_BYTES]);

/// The keys of one secret that one node wrapped: the value of a record of
/// [`crate::Kind::SECRET_KEYS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretKeys {
    /// Who wrapped them: the owner of the record.
    pub node: NodeId,
    /// The secret.
    pub secret: SecretId,
    /// The hash of the sealed data that the key opens. Two sides of a partition may create one
    /// secret of a file that every node has, each with a key of its own.
    pub data: [u8; 32],
    /// The wrapped keys, in the order in which they were added.
    pub batches: Vec<Batch>,
}

/// Keys that were wrapped at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The public half of the key that was made for this writing.
    pub ephemeral: [u8; 32],
    /// A key for each of these nodes.
    pub keys: Vec<(NodeId, WrappedKey)>,
}

/// A key that is wrapped for a node, with what the node needs to open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFor {
    /// [`Batch::ephemeral`].
    pub ephemeral: [u8; 32],
    /// The key.
    pub wrapped: WrappedKey,
    /// [`SecretKeys::data`].
    pub data: [u8; 32],
}

impl SecretKeys {
    /// No key is wrapped yet.
    pub fn none(node: NodeId, secret: SecretId, data: [u8; 32]) -> SecretKeys {
        SecretKeys { node, secret, data, batches: Vec::new() }
    }

    /// The nodes that have a key in it.
    pub fn recipients(&self) -> impl Iterator<Item = NodeId> {
        self.batches.iter().flat_map(|batch| &batch.keys).map(|(node, _)| *node)
    }

    /// The key for a node.
    pub fn key_for(&self, node: NodeId) -> Option<KeyFor> {
        let mut all = self.batches.iter().flat_map(|batch| {
            batch.keys.iter().map(move |(node, wrapped)| (node, batch.ephemeral, *wrapped))
        });
        let (_, ephemeral, wrapped) = all.find(|(to, ..)| **to == node)?;
        Some(KeyFor { ephemeral, wrapped, data: self.data })
    }
}

impl Batch {
    /// Wraps a key for each of the nodes, but for those with a key that is none. `random` is of the
    /// system's randomness and never used again. `data` is the hash of the sealed data.
    pub fn wrap(key: &ContentKey, data: &[u8; 32], random: [u8; 32], nodes: &[PublicKey]) -> Batch {
        let ephemeral = MontgomeryPoint::mul_base_clamped(random).to_bytes();
        let wrapped = nodes.iter().filter_map(|node| {
            let theirs = VerifyingKey::from_bytes(&node.0).ok().filter(|key| !key.is_weak())?;
            let shared = theirs.to_montgomery().mul_clamped(random).to_bytes();
            let sealed = wrapping(&shared, &ephemeral, node, data)
                .encrypt(&Nonce::default(), key.0.as_slice())
                .expect("a key is short");
            let (first, tag) = sealed.split_at(32);
            let wrapped = WrappedKey(first.try_into().ok()?, tag.try_into().ok()?);
            Some((NodeId::of(node), wrapped))
        });
        let keys = wrapped.collect();
        let mut random = random;
        random.zeroize();
        Batch { ephemeral, keys }
    }
}

impl KeyFor {
    /// Opens it with the 32 secret bytes of the node's ed25519 key; `None`: it is for another node,
    /// or damaged.
    pub fn open(&self, node: &[u8; 32]) -> Option<ContentKey> {
        let own = SigningKey::from_bytes(node);
        let mut scalar = own.to_scalar_bytes();
        let shared = MontgomeryPoint(self.ephemeral).mul_clamped(scalar).to_bytes();
        scalar.zeroize();
        let public = PublicKey(own.verifying_key().to_bytes());
        let sealed = [self.wrapped.0.as_slice(), &self.wrapped.1].concat();
        let cipher = wrapping(&shared, &self.ephemeral, &public, &self.data);
        let mut opened = cipher.decrypt(&Nonce::default(), sealed.as_slice()).ok()?;
        let key = opened.as_slice().try_into().ok().map(ContentKey);
        opened.zeroize();
        key
    }
}

/// The cipher that wraps one key: of its key one message is sealed as well, as the ephemeral key is
/// new for each writing.
fn wrapping(
    shared: &[u8; 32],
    ephemeral: &[u8; 32],
    node: &PublicKey,
    data: &[u8; 32],
) -> ChaCha20Poly1305 {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl secret key wrap 1");
    for part in [shared, ephemeral, &node.0, data] {
        hasher.update(part);
    }
    cipher(hasher.finalize().as_bytes())
}

impl FileSpec {
    /// Opens the data of a secret with the first of the keys that can.
    pub fn open(&self, sealed: &[u8], keys: &[KeyFor], node: &[u8; 32]) -> Option<Plaintext> {
        let own = keys.iter().filter(|key| key.data == self.hash);
        own.filter_map(|key| key.open(node)).find_map(|key| key.open(sealed))
    }
}

impl RecordKey {
    /// The keys of a secret that a node wrapped.
    pub fn secret_keys(node: NodeId, secret: SecretId) -> RecordKey {
        RecordKey::owned(Kind::SECRET_KEYS, node, &secret.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{Ed25519Signer, Signer};

    fn public(seed: u8) -> PublicKey {
        Ed25519Signer::from_secret(&[seed; 32]).public_key()
    }

    fn sealed() -> (ContentKey, Vec<u8>, FileSpec) {
        let key = ContentKey::from_random([3; 32]);
        let sealed = key.seal(&Plaintext(b"hunter2".to_vec()));
        let spec = FileSpec::of(&sealed);
        (key, sealed, spec)
    }

    fn keys(spec: &FileSpec, batch: Batch) -> SecretKeys {
        let (node, secret) = (NodeId([1; 16]), SecretId([2; 16]));
        SecretKeys { batches: vec![batch], ..SecretKeys::none(node, secret, spec.hash) }
    }

    #[test]
    fn a_wrapped_key_opens_the_data_for_its_node_alone() {
        let (key, sealed, spec) = sealed();
        assert_eq!(sealed.len(), 7 + TAG_BYTES);
        let wrapped = Batch::wrap(&key, &spec.hash, [5; 32], &[public(1), public(2)]);
        let all = keys(&spec, wrapped);
        assert_eq!(all.recipients().collect::<Vec<_>>(), [1, 2].map(|n| NodeId::of(&public(n))));
        for node in [1, 2] {
            let own = all.key_for(NodeId::of(&public(node))).expect("a key");
            assert_eq!(own.open(&[node; 32]), Some(key.clone()));
            let opened = spec.open(&sealed, std::slice::from_ref(&own), &[node; 32]);
            assert_eq!(opened.expect("opened").0, b"hunter2");
            assert_eq!(own.open(&[3 - node; 32]), None, "the key of another node");
        }
        assert_eq!(all.key_for(NodeId::of(&public(3))), None);
    }

    #[test]
    fn what_was_changed_on_the_way_opens_nothing() {
        let (key, mut sealed, spec) = sealed();
        let wrapped = Batch::wrap(&key, &spec.hash, [5; 32], &[public(1)]);
        let own = keys(&spec, wrapped).key_for(NodeId::of(&public(1))).expect("a key");
        let other = KeyFor { data: [0; 32], ..own.clone() };
        assert_eq!(other.open(&[1; 32]), None, "a key belongs to the data it was made for");
        assert_eq!(spec.open(&sealed, &[other], &[1; 32]), None);
        let mut damaged = own.clone();
        damaged.wrapped.0[0] ^= 1;
        assert_eq!(damaged.open(&[1; 32]), None);
        // A key that somebody made up does not hide the right one.
        assert!(spec.open(&sealed, &[damaged, own.clone()], &[1; 32]).is_some());
        sealed[0] ^= 1;
        assert_eq!(spec.open(&sealed, &[own], &[1; 32]), None);
    }

    #[test]
    fn a_node_whose_key_is_weak_gets_none() {
        let (key, _, spec) = sealed();
        let mut identity = [0; 32];
        identity[0] = 1;
        let wrapped = Batch::wrap(&key, &spec.hash, [5; 32], &[PublicKey(identity), public(1)]);
        assert_eq!(wrapped.keys.len(), 1, "everybody could open it");
    }

    #[test]
    fn nothing_of_a_secret_is_shown_for_debugging() {
        let (key, ..) = sealed();
        assert_eq!(format!("{key:?}"), "ContentKey(hidden)");
        assert_eq!(format!("{:?}", Plaintext(b"abc".to_vec())), "Plaintext(hidden, 3 bytes)");
    }
}
