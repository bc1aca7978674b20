//! The key that two nodes have in common by their own keys alone: X25519 between their ed25519 keys,
//! in their Montgomery form. Nobody else can compute it, and nothing is sent for it.

use ed25519_dalek::{SigningKey, VerifyingKey};
use zeroize::Zeroize;

use crate::signature::PublicKey;

/// The key that the node with these 32 secret bytes has in common with another one: the same on both.
/// `None`: that node's key is no key, or one that everybody could compute the result for.
pub fn common_key(own: &[u8; 32], other: &PublicKey) -> Option<[u8; 32]> {
    let own = SigningKey::from_bytes(own);
    let theirs = VerifyingKey::from_bytes(&other.0).ok().filter(|key| !key.is_weak())?;
    let mut scalar = own.to_scalar_bytes();
    let mut shared = theirs.to_montgomery().mul_clamped(scalar).to_bytes();
    scalar.zeroize();
    let mut ends = [PublicKey(own.verifying_key().to_bytes()), *other];
    ends.sort();
    let mut hasher = blake3::Hasher::new_derive_key("edgectl common key of two nodes 1");
    hasher.update(&shared);
    for end in ends {
        hasher.update(&end.0);
    }
    shared.zeroize();
    Some(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{Ed25519Signer, Signer};

    fn public(seed: u8) -> PublicKey {
        Ed25519Signer::from_secret(&[seed; 32]).public_key()
    }

    #[test]
    fn both_have_the_same_key_and_each_pair_another_one() {
        let key = common_key(&[1; 32], &public(2));
        assert_eq!(key, common_key(&[2; 32], &public(1)));
        assert_ne!(key, common_key(&[1; 32], &public(3)));
        assert!(key.is_some());
    }

    #[test]
    fn a_weak_key_has_none() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(common_key(&[1; 32], &PublicKey(identity)), None);
    }
}
