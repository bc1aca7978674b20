//! Closing and opening datagrams with the fleet's key; the theory is in `gossip::seal`.

use std::sync::Mutex;

use super::counters::Dropped;
use crate::config::FleetKey;

pub(super) struct Seals {
    key: [u8; 32],
    session: u64,
    counter: Mutex<u64>,
    seen: Mutex<std::collections::BTreeSet<(u64, u64)>>,
}

impl Seals {
    pub(super) fn new(fleet_key: &FleetKey) -> Seals {
        let mut session = [0; 8];
        getrandom::fill(&mut session).expect("random bytes made the node's key a moment ago");
        Seals {
            key: *fleet_key.bytes(),
            session: u64::from_le_bytes(session),
            counter: Mutex::new(0),
            seen: Mutex::default(),
        }
    }

    pub(super) fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut counter = self.counter.lock().expect("nothing panics while it seals");
        *counter += 1;
        let mut sealed = vec![0];
        sealed.extend_from_slice(&self.session.to_be_bytes());
        sealed.extend_from_slice(&counter.to_be_bytes());
        sealed.extend_from_slice(plain);
        let tag = blake3::keyed_hash(&self.key, &sealed);
        sealed.extend_from_slice(&tag.as_bytes()[..16]);
        sealed
    }

    pub(super) fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Dropped> {
        if sealed.len() < 33 {
            return Err(Dropped::Unsealed);
        }
        let (body, tag) = sealed.split_at(sealed.len() - 16);
        if blake3::keyed_hash(&self.key, body).as_bytes()[..16] != *tag {
            return Err(Dropped::Unsealed);
        }
        let number = |at: usize| {
            u64::from_be_bytes(body[at..at + 8].try_into().expect("8 bytes of at least 17"))
        };
        let mut seen = self.seen.lock().expect("nothing panics while it opens");
        if !seen.insert((number(1), number(9))) {
            return Err(Dropped::Replayed);
        }
        Ok(body[17..].to_vec())
    }
}
