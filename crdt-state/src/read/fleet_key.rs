//! The keys that every member is given, read from their records.

use crate::file::FileId;
use crate::fleet_key::FleetKeyFact;
use crate::id::SecretId;
use crate::key::{Kind, RecordKey};
use crate::read::file_spec;
use crate::replica::Replica;
use crate::spec::{Facet, Life};
use crate::stamp::Stamp;

/// The keys of a kind that were not removed, the newest last.
pub fn fleet_keys(replica: &Replica, kind: Kind) -> Vec<(Stamp, FleetKeyFact)> {
    let read = |key: RecordKey| {
        let Some(Life::Present { created, .. }) = replica.life(&key) else { return None };
        let (_, fact) = replica.facet::<FleetKeyFact>(&key, Facet::FLEET_KEY)?;
        (fact.id().0 == key.id).then_some((created, fact))
    };
    let mut found: Vec<(Stamp, FleetKeyFact)> = replica.keys(kind).filter_map(read).collect();
    found.sort_by_key(|(created, _)| *created);
    found
}

/// The key of a kind that counts; `None`: the fleet has the one with which it began, or nothing is sealed.
pub fn newest_fleet_key(replica: &Replica, kind: Kind) -> Option<FleetKeyFact> {
    fleet_keys(replica, kind).last().map(|(_, fact)| *fact)
}

/// What the wrapped keys of this id are bound to: the data of a secret, or a key for every member. `None`:
/// there is neither any more.
pub fn wrapped_data(replica: &Replica, id: SecretId) -> Option<[u8; 32]> {
    if let Some(spec) = file_spec(replica, FileId::Secret(id)) {
        return Some(spec.hash);
    }
    let of_kind = |kind| fleet_keys(replica, kind);
    let living = Kind::FOR_EVERY_MEMBER.into_iter().flat_map(of_kind).collect::<Vec<_>>();
    living.iter().find(|(_, fact)| fact.id() == id).map(|(_, fact)| fact.check)
}
