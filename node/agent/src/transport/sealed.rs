//! Seals and opens datagrams with the fleet's key; the theory is in [`gossip::seal`].

use std::sync::Mutex;

use gossip::seal::{KeyRing, Opener, SealJunk, Sealer};

use crate::config::FleetKey;

/// Both directions; locks are held for the microseconds that a datagram takes.
pub(super) struct Seals {
    sealer: Mutex<Sealer>,
    opener: Mutex<Opener>,
}

impl Seals {
    /// A new session: random, so that no two starts of an agent share one.
    pub(super) fn new(fleet_key: &FleetKey) -> Seals {
        let keys = KeyRing::new(*fleet_key.bytes());
        let mut session = [0; 8];
        getrandom::fill(&mut session).expect("random bytes made the node's key a moment ago");
        let sealer = Sealer::new(&keys, u64::from_le_bytes(session));
        Seals { sealer: Mutex::new(sealer), opener: Mutex::new(Opener::new(keys)) }
    }

    /// From now on seals and opens with the key of another fleet.
    pub(super) fn set_key(&self, fleet_key: &FleetKey) {
        let keys = KeyRing::new(*fleet_key.bytes());
        self.sealer.lock().expect("nothing panics while it seals").set_keys(&keys);
        self.opener.lock().expect("nothing panics while it opens").set_keys(keys);
    }

    pub(super) fn seal(&self, plain: &[u8]) -> Vec<u8> {
        self.sealer.lock().expect("nothing panics while it seals").seal(plain)
    }

    pub(super) fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, SealJunk> {
        let mut opener = self.opener.lock().expect("nothing panics while it opens");
        opener.open(sealed).map(|opened| opened.plain)
    }
}
