//! What a node says of conditions in which it cannot start tasks.
//!
//! A record of its own, written when a condition begins and when it ends: a node that never had one
//! has no such record. What is said must not change while a condition lasts.

use std::collections::BTreeMap;

use crate::id::NodeId;
use crate::key::{Kind, RecordKey};
use crate::replica::Replica;

/// Conditions of one node at a time, at most; what is more is not read.
pub const CONDITIONS_MAX: usize = 8;

/// Bytes of a word or a sentence, at most; the rest is not read.
pub const TEXT_BYTES_MAX: usize = 256;

/// The value of a node's record of conditions: a stable word for each, and a sentence for people.
/// Empty: it can start tasks.
pub type NodeConditions = BTreeMap<String, String>;

impl RecordKey {
    /// The key of what a node says of its conditions.
    pub fn conditions(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::CONDITIONS, id, &[])
    }
}

/// What a node says of itself, within bounds.
pub fn conditions_of(replica: &Replica, id: NodeId) -> NodeConditions {
    let said = replica.owned::<NodeConditions>(&RecordKey::conditions(id));
    let said = said.filter(|(owner, _)| *owner == id).map(|(_, said)| said).unwrap_or_default();
    said.into_iter().take(CONDITIONS_MAX).map(|(word, text)| (cut(word), cut(text))).collect()
}

fn cut(mut text: String) -> String {
    let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::StoreId;
    use crate::signature::{HashSigner, HashVerifier, Signer};
    use crate::stamp::Writer;

    #[test]
    fn what_a_node_says_is_read_within_bounds() {
        let signer = HashSigner::from_seed(1);
        let me = NodeId::of(&signer.public_key());
        let writer = Writer { node: me, store: StoreId(1) };
        let mut replica = Replica::new(writer, Box::new(signer), Arc::new(HashVerifier));
        assert!(conditions_of(&replica, me).is_empty());
        let said: NodeConditions =
            (0..20).map(|n| (format!("{n:03}"), "ä".repeat(1_000))).collect();
        replica.put_owned(RecordKey::conditions(me), &said, 0);
        let read = conditions_of(&replica, me);
        assert_eq!(read.len(), CONDITIONS_MAX);
        assert!(read.values().all(|text| text.len() == TEXT_BYTES_MAX));
    }
}
