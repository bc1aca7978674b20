//! The key of the fleet that counts: the one of the configuration or the data directory, or the one
//! that took its place, as the records of the fleet tell.

use crdt_state::fleet_key::FleetKeyFact;
use node_core::FleetKeyOffer;

use super::identity::NodeKey;
use super::shared::Shared;
use crate::config::FleetKey;

/// Takes the key that the records name, if it was wrapped for this node. Until it is, machines that show
/// an earlier one are refused: whoever rotated the key wants that.
pub(super) fn take(shared: &Shared, offer: &FleetKeyOffer, node: &NodeKey) {
    let mut held = shared.fleet_key.lock().expect("nothing panics while it holds the key");
    if FleetKeyFact::of(held.bytes()) == offer.fact {
        shared.transport.set_fleet_key(&held);
        return;
    }
    let Some(key) = offer.open(&node.secret()).map(|key| FleetKey::from_bytes(*key.bytes())) else {
        tracing::info!("the fleet has another key, which this node has not got yet");
        shared.transport.refuse_fleet_key();
        return;
    };
    // A copy for a start without the records. They have it too, so a full disk is no reason to refuse.
    if shared.config.fleet_key.is_none()
        && let Err(error) = shared.keyring().replace_fleet_key(&key)
    {
        tracing::warn!("the fleet has another key: {error}");
    }
    shared.transport.set_fleet_key(&key);
    *held = key;
    tracing::info!("the fleet has another key from now on");
}
