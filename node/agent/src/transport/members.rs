//! The members that this node knows: they are let in by their own keys, whatever key of the fleet they
//! have. One that slept while the fleet got another key is a member still.

use std::collections::BTreeSet;
use std::sync::RwLock;

use crdt_state::NodeId;

/// What is known of the node at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is a member.
    Member,
    /// It has to prove that it knows the key of the fleet.
    Stranger,
}

/// The members, as the node knows them.
#[derive(Default)]
pub(super) struct Members(RwLock<BTreeSet<NodeId>>);

impl Members {
    pub(super) fn standing(&self, node: NodeId) -> Standing {
        match self.0.read().expect("nothing panics while it holds this").contains(&node) {
            true => Standing::Member,
            false => Standing::Stranger,
        }
    }

    /// Replaces all of them.
    pub(super) fn set(&self, nodes: BTreeSet<NodeId>) {
        if *self.0.read().expect("nothing panics while it holds this") != nodes {
            *self.0.write().expect("nothing panics while it holds this") = nodes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::FleetKey;
    use crate::transport::tests::{Peer, peer_with_timeout};
    use crate::transport::{Arrival, DialFailure};

    fn peer(seed: u8, fleet: u8) -> Peer {
        peer_with_timeout(seed, fleet, "127.0.0.1:0", Duration::from_secs(5))
    }

    async fn is_let_in(from: &mut Peer, to: &Peer) -> bool {
        from.transport.connect(to.addr());
        loop {
            match from.next().await {
                Arrival::Connected { node, addr } if addr == to.addr() => {
                    assert_eq!(node, to.node);
                    return true;
                }
                Arrival::NotConnected { why, .. } => {
                    assert_eq!(why, DialFailure::OtherFleet);
                    return false;
                }
                _ => {}
            }
        }
    }

    #[tokio::test]
    async fn a_member_that_slept_while_the_key_was_rotated_is_let_in() {
        let (awake, mut asleep) = (peer(1, 9), peer(2, 1));
        assert!(!is_let_in(&mut asleep, &awake).await, "strangers need the key");
        awake.transport.set_members([asleep.node].into());
        assert!(!is_let_in(&mut asleep, &awake).await, "it does not know who answers");
        asleep.transport.set_members([awake.node].into());
        assert!(is_let_in(&mut asleep, &awake).await);
    }

    #[tokio::test]
    async fn a_key_that_was_replaced_lets_nobody_in() {
        let (member, mut stranger) = (peer(1, 1), peer(2, 1));
        member.transport.refuse_fleet_key();
        assert!(!is_let_in(&mut stranger, &member).await, "another one is on its way");
        member.transport.set_fleet_key(&FleetKey::from_bytes([9; 32]));
        assert!(!is_let_in(&mut stranger, &member).await);
        stranger.transport.set_fleet_key(&FleetKey::from_bytes([9; 32]));
        assert!(is_let_in(&mut stranger, &member).await);
    }
}
