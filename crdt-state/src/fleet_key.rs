//! Keys that every member is given, in two kinds of records:
//!
//! - [`Kind::FLEET_KEY`]: keys of the fleet that took the place of its first one. A machine that knows the
//!   newest may join, and members give it to who shows a token. Members are known by their own keys, and
//!   need it for nothing. Decision 34.
//! - [`Kind::UNLOCK_KEY`]: by which members seal what they keep on their disks. Without any, nothing is
//!   sealed. Decision 36.
//!
//! Each key is a shared record, which holds a hash of it. The key itself is wrapped for every member, as
//! the key of a secret is ([`crate::secret`]), in records of the same kind. The newest of its kind
//! that was not removed counts.

use serde::{Deserialize, Serialize};

use crate::id::SecretId;
use crate::key::{Kind, RecordKey};

/// The value of [`crate::spec::Facet::FLEET_KEY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetKeyFact {
    /// A hash of the key, by which whoever is given it sees that it is the one.
    pub check: [u8; 32],
}

impl FleetKeyFact {
    /// That of a key.
    pub fn of(key: &[u8; 32]) -> FleetKeyFact {
        FleetKeyFact { check: blake3::derive_key("edgectl fleet key check 1", key) }
    }

    /// By what its wrapped keys are found: they are in the records of wrapped keys of secrets.
    pub fn id(&self) -> SecretId {
        let (id, _) = self.check.split_at(16);
        SecretId(id.try_into().expect("16 bytes"))
    }
}

impl RecordKey {
    /// The key of the record of a key that every member is given: `kind` is one of the two.
    pub fn fleet_key(kind: Kind, id: SecretId) -> RecordKey {
        RecordKey { kind, id: id.0 }
    }
}
