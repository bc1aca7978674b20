//! The keys for every member that count, as this node is told of them: the key of the fleet, and the
//! unlock key.

use crdt_state::fleet_key::FleetKeyFact;
use crdt_state::replica::Replica;
use crdt_state::secret::{ContentKey, KeyFor};
use crdt_state::{Kind, read};

/// The newest key of its kind, wrapped for this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetKeyOffer {
    /// Which one it is.
    pub fact: FleetKeyFact,
    /// What was wrapped for this node: any of them is the key. Empty: nobody has wrapped it yet.
    pub keys: Vec<KeyFor>,
}

impl FleetKeyOffer {
    /// The newest key of a kind that was not removed.
    pub fn newest(replica: &Replica, kind: Kind) -> Option<FleetKeyOffer> {
        let fact = read::newest_fleet_key(replica, kind)?;
        Some(FleetKeyOffer { fact, keys: read::keys_for(replica, fact.id(), replica.me()) })
    }

    /// The key, opened with the 32 secret bytes of the node's own; `None`: nobody has wrapped it yet.
    pub fn open(&self, node: &[u8; 32]) -> Option<ContentKey> {
        let mut opened = self.keys.iter().filter_map(|key| key.open(node));
        opened.find(|key| FleetKeyFact::of(key.bytes()) == self.fact)
    }
}

/// What became of the keys of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetKeyNews {
    /// This one counts from now on.
    Newest(FleetKeyOffer),
    /// All that there were have been removed. It is never said where no key is known: a node that lost
    /// its records knows none.
    Ended,
}

/// What the agent was told of the keys of one kind.
#[derive(Debug)]
pub struct FleetKeys {
    kind: Kind,
    is_due: bool,
    told: Option<FleetKeyNews>,
}

impl FleetKeys {
    /// Everything is to be looked at.
    pub fn new(kind: Kind) -> FleetKeys {
        FleetKeys { kind, is_due: true, told: None }
    }

    /// A record changed: a key, or who has it.
    pub fn on_record(&mut self, kind: Kind) {
        self.is_due |= [self.kind, Kind::SECRET_KEYS].contains(&kind);
    }

    /// What the agent is to be told now; `None`: it knows, or there never was a key of this kind.
    pub fn take_due(&mut self, replica: &Replica) -> Option<FleetKeyNews> {
        if !std::mem::take(&mut self.is_due) {
            return None;
        }
        let news = match FleetKeyOffer::newest(replica, self.kind) {
            Some(offer) => FleetKeyNews::Newest(offer),
            None => replica.keys(self.kind).next().map(|_| FleetKeyNews::Ended)?,
        };
        if self.told.as_ref() == Some(&news) {
            return None;
        }
        self.told = Some(news.clone());
        Some(news)
    }
}
