//! The conditions of a node, as the node itself reports them.

use crate::condition::{CONDITIONS_MAX, NodeConditions, TEXT_BYTES_MAX};
use crate::id::NodeId;
use crate::key::RecordKey;
use crate::replica::Replica;

/// The conditions that a node reports, within the limits of number and length.
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
