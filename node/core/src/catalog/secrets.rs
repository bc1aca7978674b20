//! Which node has the key of which secret.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::read;
use crdt_state::replica::Replica;
use crdt_state::secret::SecretKeys;
use crdt_state::{FileId, NodeId, RecordKey, SecretId};

use super::{Catalog, Touched};

/// The wrapped keys of all secrets, without the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyCatalog {
    /// By record: the secret, the hash of the data that the keys open, and who has one.
    records: BTreeMap<RecordKey, Wrapped>,
    /// Who has a key of the data that a secret has.
    holders: BTreeMap<SecretId, BTreeSet<NodeId>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wrapped {
    secret: SecretId,
    data: [u8; 32],
    recipients: BTreeSet<NodeId>,
}

impl KeyCatalog {
    /// The nodes that have a key of a secret.
    pub fn holders(&self, id: SecretId) -> &BTreeSet<NodeId> {
        static NONE: BTreeSet<NodeId> = BTreeSet::new();
        self.holders.get(&id).unwrap_or(&NONE)
    }

    /// Does the node have a key of the secret?
    pub fn has_key(&self, id: SecretId, node: NodeId) -> bool {
        self.holders(id).contains(&node)
    }

    /// The records of wrapped keys, and whose keys they are.
    pub fn wrapped(&self) -> impl Iterator<Item = (RecordKey, SecretId)> {
        self.records.iter().map(|(key, wrapped)| (*key, wrapped.secret))
    }

    /// Reads one record again. Returns the secret that it is about.
    fn update(&mut self, replica: &Replica, key: RecordKey) -> Option<SecretId> {
        let before = self.records.remove(&key);
        let said = read::secret_keys(replica, &key).map(|(_, said)| said);
        let after = said.map(|said: SecretKeys| Wrapped {
            secret: said.secret,
            data: said.data,
            recipients: said.recipients().collect(),
        });
        let secret = after.as_ref().or(before.as_ref()).map(|wrapped| wrapped.secret);
        self.records.extend(after.map(|after| (key, after)));
        secret
    }

    /// Counts again who has a key of a secret. Returns whether that changed.
    fn count(&mut self, replica: &Replica, id: SecretId) -> bool {
        let before = self.holders.remove(&id).unwrap_or_default();
        let mut after = BTreeSet::new();
        if let Some(data) = read::wrapped_data(replica, id) {
            let own = self.records.values().filter(|one| one.secret == id && one.data == data);
            after.extend(own.flat_map(|one| &one.recipients));
        }
        let is_changed = before != after;
        if !after.is_empty() {
            self.holders.insert(id, after);
        }
        is_changed
    }
}

impl Catalog {
    /// Reads a record of wrapped keys again. Services that name the secret are reconciled when
    /// somebody got a key.
    pub(super) fn update_keys(&mut self, replica: &Replica, key: RecordKey, touched: &mut Touched) {
        if let Some(id) = self.secrets.update(replica, key) {
            self.count_holders(replica, id, touched);
        }
    }

    /// The data of a secret decides which of its keys count.
    pub(super) fn count_holders(&mut self, replica: &Replica, id: SecretId, touched: &mut Touched) {
        if self.secrets.count(replica, id) {
            self.touch_users(FileId::Secret(id), touched);
        }
    }
}
