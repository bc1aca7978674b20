//! Seals and opens the datagrams of this node; the theory is in [`gossip::seal`].

use std::sync::Mutex;

use crdt_state::{NodeId, PublicKey};
use gossip::seal::{Opened, Seal, SealJunk};

use crate::identity::NodeKey;

/// The seal behind a lock that is held for the microseconds that a datagram takes.
pub(super) struct Seals(Mutex<Seal>);

impl Seals {
    /// A new session: random, so that no two starts of an agent share one.
    pub(super) fn new(key: &NodeKey) -> Seals {
        let mut session = [0; 8];
        getrandom::fill(&mut session).expect("random bytes made the node's key a moment ago");
        let public = PublicKey(key.public_key());
        Seals(Mutex::new(Seal::new(&public, key.secret(), u64::from_le_bytes(session))))
    }

    pub(super) fn acquaint(&self, key: PublicKey) {
        self.lock().acquaint(key);
    }

    /// `None`: the node is not known.
    pub(super) fn seal(&self, to: NodeId, plain: &[u8]) -> Option<Vec<u8>> {
        self.lock().seal(to, plain)
    }

    pub(super) fn open(&self, sealed: &[u8]) -> Result<Opened, SealJunk> {
        self.lock().open(sealed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seal> {
        self.0.lock().expect("nothing panics while it seals or opens")
    }
}
