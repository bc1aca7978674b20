//! The nodes whose keys are known, by which datagrams of theirs are opened: all that ever described
//! themselves, removed ones too, so that these can be told so.

use std::collections::BTreeSet;

use crdt_state::replica::Replica;
use crdt_state::{Kind, NodeId, PublicKey, RecordKey, read};

/// Those that the agent was told of, and those that it is to be told of.
#[derive(Debug, Default)]
pub struct Acquaintances {
    told: BTreeSet<NodeId>,
    new: Vec<PublicKey>,
}

impl Acquaintances {
    /// The nodes that the store knows.
    pub fn at_boot(replica: &Replica) -> Acquaintances {
        let mut all = Acquaintances::default();
        replica.keys(Kind::NODE).for_each(|key| all.on_record(replica, key));
        all
    }

    /// A record changed.
    pub fn on_record(&mut self, replica: &Replica, key: RecordKey) {
        let node = NodeId(key.id);
        if key.kind != Kind::NODE || node == replica.me() || self.told.contains(&node) {
            return;
        }
        if let Some(key) = read::public_key_of(replica, node) {
            self.told.insert(node);
            self.new.push(key);
        }
    }

    /// The next one that the agent is to be told of.
    pub fn take(&mut self) -> Option<PublicKey> {
        self.new.pop()
    }
}
