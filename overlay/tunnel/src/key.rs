//! The static key of a node's tunnel.
//!
//! It is derived from the node's identity, so it needs no file of its own, and is the same after a
//! restart. Nothing can be learned from it about the identity.

use std::fmt;

use defguard_boringtun::x25519;
use serde::{Deserialize, Serialize};

/// The public half of a tunnel's key, an x25519 point.
pub type PublicKey = [u8; 32];

/// The secret half of a tunnel's key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelKey([u8; 32]);

impl TunnelKey {
    /// The key of the node that has this secret identity.
    pub fn derive(identity: &[u8; 32]) -> TunnelKey {
        TunnelKey(blake3::derive_key("edgectl tunnel key 1", identity))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        x25519::PublicKey::from(&self.secret()).to_bytes()
    }

    pub(crate) fn secret(&self) -> x25519::StaticSecret {
        x25519::StaticSecret::from(self.0)
    }
}

/// Never shows the key.
impl fmt::Debug for TunnelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TunnelKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_for_the_same_identity_and_is_not_shown() {
        let key = TunnelKey::derive(&[7; 32]);
        assert_eq!(key.public(), TunnelKey::derive(&[7; 32]).public());
        assert_ne!(key.public(), TunnelKey::derive(&[8; 32]).public());
        assert_eq!(format!("{key:?}"), "TunnelKey(…)");
    }
}
