//! A draft of a replica: a copy in which an edit is tried out and thrown away.
//!
//! Its writes have no valid signature, so no other replica would take them, and nothing is told to
//! the witness of what is applied.

use std::collections::BTreeSet;

use super::{Replica, aside};
use crate::signature::{PublicKey, Signature, Signer};

struct Unsigned(PublicKey);

impl Signer for Unsigned {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, _: &[u8]) -> Signature {
        Signature([0; 64])
    }
}

impl Replica {
    /// A draft of this replica as it is now.
    pub fn draft(&self) -> Replica {
        Replica {
            writer: self.writer,
            signer: Box::new(Unsigned(self.signer.public_key())),
            verifier: self.verifier.clone(),
            lamport: self.lamport,
            records: self.records.clone(),
            tree: self.tree.clone(),
            changed: BTreeSet::new(),
            quarantined: self.quarantined.clone(),
            unfit: self.unfit.clone(),
            aside: aside::Aside::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::signature::{HashSigner, HashVerifier};
    use crate::spec::Facet;
    use crate::{NodeId, RecordKey, Replica, ServiceId, Signer, StoreId, Writer};

    fn replica(seed: u64) -> Replica {
        let signer = HashSigner::from_seed(seed);
        let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(seed) };
        Replica::new(writer, Box::new(signer), Arc::new(HashVerifier))
    }

    #[test]
    fn what_is_written_in_a_draft_changes_nothing_and_is_taken_by_nobody() {
        let mut held = replica(1);
        let key = RecordKey::service(ServiceId([1; 16]));
        held.edit(key, Facet::SCALE, &1u32, 0);
        held.drain_changed();
        let (digest, stamp) = (held.digest(), held.next_stamp());
        let mut draft = held.draft();
        assert_eq!(draft.digest(), digest);
        assert_eq!(draft.edit(key, Facet::SCALE, &2u32, 0), stamp, "as it would be");
        assert_eq!(draft.drain_changed(), [key].into());
        assert_eq!((held.digest(), held.next_stamp()), (digest, stamp));
        assert!(!held.has_changed());
        let mut other = replica(2);
        other.merge(&draft.delta([key]));
        assert!(other.record(&key).is_none(), "it has no signature");
    }
}
