//! Who wrote a record: keys, signatures, and the node id that a key proves.
//!
//! A node id is the hash of its public key, so a write that carries its key proves its writer
//! without a directory. Keys are passed in from outside; nothing here makes or stores one.

use std::fmt;

use ed25519_dalek::Signer as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{NodeId, first_16};

/// An ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublicKey(pub [u8; 32]);

/// An ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

/// Signs as one node.
pub trait Signer: Send {
    /// The key that verifies what this signs.
    fn public_key(&self) -> PublicKey;
    /// The signature of a message.
    fn sign(&self, message: &[u8]) -> Signature;
}

/// Verifies signatures of any node.
pub trait Verifier: Send + Sync {
    /// Is this the signature of the message by that key?
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool;
}

impl NodeId {
    /// The node whose public key this is.
    pub fn of(key: &PublicKey) -> NodeId {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl node id 1");
        hasher.update(&key.0);
        NodeId(first_16(&hasher.finalize()))
    }
}

/// Signs with an ed25519 key.
pub struct Ed25519Signer(ed25519_dalek::SigningKey);

impl Ed25519Signer {
    /// From the 32 secret bytes, which come from the system's randomness or a key file.
    pub fn from_secret(secret: &[u8; 32]) -> Ed25519Signer {
        Ed25519Signer(ed25519_dalek::SigningKey::from_bytes(secret))
    }
}

impl Signer for Ed25519Signer {
    fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

/// Verifies ed25519 strictly: for one message and key only one signature is valid, and none for
/// weak keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ed25519Verifier;

impl Verifier for Ed25519Verifier {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(&key.0) else { return false };
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(message, &signature).is_ok()
    }
}

/// Signs with a hash that anybody can compute: it detects damage but no forgery. For the simulator
/// and for tests, which would otherwise spend their time in ed25519.
pub struct HashSigner(PublicKey);

impl HashSigner {
    /// A key that is different for every seed.
    pub fn from_seed(seed: u64) -> HashSigner {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl simulated key 1");
        hasher.update(&seed.to_be_bytes());
        HashSigner(PublicKey(*hasher.finalize().as_bytes()))
    }
}

impl Signer for HashSigner {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, message: &[u8]) -> Signature {
        hash_signature(&self.0, message)
    }
}

/// Verifies the signatures of [`HashSigner`].
#[derive(Debug, Clone, Copy, Default)]
pub struct HashVerifier;

impl Verifier for HashVerifier {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        hash_signature(key, message) == *signature
    }
}

fn hash_signature(key: &PublicKey, message: &[u8]) -> Signature {
    let mut bytes = [0; 64];
    blake3::Hasher::new_keyed(&key.0).update(message).finalize_xof().fill(&mut bytes);
    Signature(bytes)
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        write_hex(&self.0, f)?;
        f.write_str(")")
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(")?;
        write_hex(&self.0[..8], f)?;
        f.write_str("…)")
    }
}

/// Encoded as two halves: serde supports arrays of up to 32 elements.
impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut halves = [[0; 32]; 2];
        halves[0].copy_from_slice(&self.0[..32]);
        halves[1].copy_from_slice(&self.0[32..]);
        halves.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Signature, D::Error> {
        let halves = <[[u8; 32]; 2]>::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&halves[0]);
        bytes[32..].copy_from_slice(&halves[1]);
        Ok(Signature(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs_and_verifies(signer: &dyn Signer, verifier: &dyn Verifier) {
        let key = signer.public_key();
        let signature = signer.sign(b"message");
        assert!(verifier.verify(&key, b"message", &signature));
        assert!(!verifier.verify(&key, b"massage", &signature));
        for bit in (0..512).step_by(31) {
            let mut flipped = signature;
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!verifier.verify(&key, b"message", &flipped));
        }
    }

    #[test]
    fn a_signature_holds_for_its_message_alone() {
        signs_and_verifies(&Ed25519Signer::from_secret(&[7; 32]), &Ed25519Verifier);
        signs_and_verifies(&HashSigner::from_seed(7), &HashVerifier);
    }

    #[test]
    fn a_weak_key_verifies_nothing() {
        // The identity point is a valid signer of every message unless verification is strict.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let signature = Signature(signature);
        assert!(!Ed25519Verifier.verify(&PublicKey(identity), b"message", &signature));
    }

    #[test]
    fn the_id_of_a_key_stays_what_it_is() {
        let id = NodeId::of(&PublicKey([0; 32]));
        assert_eq!(id.to_string(), "cwnfv1e0365hslbnwho79s1sp");
    }
}
