//! The keys of the fleet, read from their records.

use crate::file::FileId;
use crate::fleet_key::FleetKeyFact;
use crate::id::SecretId;
use crate::key::{Kind, RecordKey};
use crate::read::file_spec;
use crate::replica::Replica;
use crate::spec::{Facet, Life};
use crate::stamp::Stamp;

/// The keys that were not removed, the newest last.
pub fn fleet_keys(replica: &Replica) -> Vec<(Stamp, FleetKeyFact)> {
    let read = |key: RecordKey| {
        let Some(Life::Present { created, .. }) = replica.life(&key) else { return None };
        let (_, fact) = replica.facet::<FleetKeyFact>(&key, Facet::FLEET_KEY)?;
        (fact.id().0 == key.id).then_some((created, fact))
    };
    let mut found: Vec<(Stamp, FleetKeyFact)> =
        replica.keys(Kind::FLEET_KEY).filter_map(read).collect();
    found.sort_by_key(|(created, _)| *created);
    found
}

/// The key that counts; `None`: the fleet has the one with which it began.
pub fn newest_fleet_key(replica: &Replica) -> Option<FleetKeyFact> {
    fleet_keys(replica).last().map(|(_, fact)| *fact)
}

/// What the wrapped keys of this id are bound to: the data of a secret, or a key of the fleet. `None`:
/// there is neither any more.
pub fn wrapped_data(replica: &Replica, id: SecretId) -> Option<[u8; 32]> {
    if let Some(spec) = file_spec(replica, FileId::Secret(id)) {
        return Some(spec.hash);
    }
    let living = fleet_keys(replica);
    living.iter().find(|(_, fact)| fact.id() == id).map(|(_, fact)| fact.check)
}
