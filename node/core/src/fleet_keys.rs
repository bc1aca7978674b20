//! The key of the fleet that counts, as this node is told of it.

use crdt_state::fleet_key::FleetKeyFact;
use crdt_state::replica::Replica;
use crdt_state::secret::KeyFor;
use crdt_state::{Kind, read};

/// The newest key of the fleet, wrapped for this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetKeyOffer {
    /// Which one it is.
    pub fact: FleetKeyFact,
    /// What was wrapped for this node: any of them is the key. Empty: nobody has wrapped it yet.
    pub keys: Vec<KeyFor>,
}

/// What the agent was offered.
#[derive(Debug)]
pub struct FleetKeys {
    is_due: bool,
    offered: Option<FleetKeyOffer>,
}

impl FleetKeys {
    /// Everything is to be looked at.
    pub fn new() -> FleetKeys {
        FleetKeys { is_due: true, offered: None }
    }

    /// A record changed: a key of the fleet, or who has it.
    pub fn on_record(&mut self, kind: Kind) {
        self.is_due |= [Kind::FLEET_KEY, Kind::SECRET_KEYS].contains(&kind);
    }

    /// The key that the agent is to take now; `None`: it has been offered, or there is none but the
    /// first.
    pub fn take_due(&mut self, replica: &Replica) -> Option<FleetKeyOffer> {
        if !std::mem::take(&mut self.is_due) {
            return None;
        }
        let fact = read::newest_fleet_key(replica)?;
        let keys = read::keys_for(replica, fact.id(), replica.me());
        let offer = FleetKeyOffer { fact, keys };
        if self.offered.as_ref() == Some(&offer) {
            return None;
        }
        self.offered = Some(offer.clone());
        Some(offer)
    }
}
