//! The identity by which foca knows a member: the node's id and a generation, nothing else.
//!
//! Addresses change while a node lives, so they are never part of the identity: a node whose
//! address changes is the same member. The generation only grows and never comes from a clock.

use crdt_state::NodeId;
use serde::{Deserialize, Serialize};

/// Bits for the renewals within one boot: the counter of boots begins at this bit.
pub(crate) const RENEWAL_BITS: u32 = 20;

/// How many boots ahead of what is known of a node another one may say that it is: a machine that
/// restarts every five minutes for ten years. Only the node itself may say more.
pub(crate) const BOOTS_AHEAD_MAX: u64 = 1 << 20;

/// One generation of a node as a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The node.
    pub node: NodeId,
    /// Higher wins. The persisted counter of boots, shifted, plus the renewals since the boot.
    pub generation: u64,
}

impl Identity {
    /// The first identity after a boot. `boots` is persisted and raised before it is used: a node
    /// that presented the same generation twice would lose the conflict with its own earlier
    /// identity.
    pub fn at_boot(node: NodeId, boots: u64) -> Identity {
        Identity { node, generation: boots.min(u64::MAX >> RENEWAL_BITS) << RENEWAL_BITS }
    }

    /// The number of the boot to which this identity belongs; the least that must be persisted
    /// after a renewal.
    pub fn boots(&self) -> u64 {
        self.generation >> RENEWAL_BITS
    }

    /// The identity after this one.
    pub fn renewed(&self) -> Identity {
        Identity { node: self.node, generation: self.generation.saturating_add(1) }
    }
}

impl foca::Identity for Identity {
    type Addr = NodeId;

    fn renew(&self) -> Option<Identity> {
        Some(self.renewed())
    }

    fn addr(&self) -> NodeId {
        self.node
    }

    fn win_addr_conflict(&self, adversary: &Identity) -> bool {
        self.generation > adversary.generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foca::Identity as _;

    #[test]
    fn a_renewed_identity_wins_and_a_later_boot_wins_over_every_renewal() {
        let first = Identity::at_boot(NodeId([1; 16]), 7);
        let mut renewed = first;
        for _ in 0..1_000 {
            let next = renewed.renewed();
            assert!(next.win_addr_conflict(&renewed));
            renewed = next;
        }
        assert_eq!(renewed.boots(), 7);
        assert!(Identity::at_boot(NodeId([1; 16]), 8).win_addr_conflict(&renewed));
    }
}
