//! Who has the keys of secrets.

use crate::id::{NodeId, SecretId};
use crate::key::{Kind, RecordKey};
use crate::read::wrapped_data;
use crate::record::Record;
use crate::replica::Replica;
use crate::secret::{KeyFor, SecretKeys};
use crate::signature::PublicKey;

/// The wrapped keys that a record holds, and who wrote them.
pub fn secret_keys(replica: &Replica, key: &RecordKey) -> Option<(NodeId, SecretKeys)> {
    replica.owned::<SecretKeys>(key).filter(|(owner, said)| *owner == said.node)
}

/// The wrapped keys of a secret, or of the fleet, for one node, from all who wrapped one: the node tries
/// each. Keys of other data than the secret has now are left out.
pub fn keys_for(replica: &Replica, id: SecretId, node: NodeId) -> Vec<KeyFor> {
    let Some(data) = wrapped_data(replica, id) else { return Vec::new() };
    let keys = replica.keys(Kind::SECRET_KEYS).filter_map(|key| {
        let (_, said) = secret_keys(replica, &key)?;
        (said.secret == id && said.data == data).then(|| said.key_for(node)).flatten()
    });
    keys.collect()
}

/// The public key of a node; `None` if its description is not here.
pub fn public_key_of(replica: &Replica, node: NodeId) -> Option<PublicKey> {
    let record = replica.record(&RecordKey::node(node)).and_then(Record::as_owned)?;
    (record.owner() == node).then_some(record.key)
}
