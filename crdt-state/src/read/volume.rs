//! The named volumes of a node: those that it reports, and those that operators gave up.

use std::collections::BTreeMap;

use crate::id::NodeId;
use crate::key::RecordKey;
use crate::record::Record;
use crate::replica::Replica;
use crate::spec::Facet;
use crate::volume::{GivenUp, Holding, NodeVolumes, VolumeFact};
use crate::wire;

/// The volumes that a node reports.
pub fn volumes_of(replica: &Replica, id: NodeId) -> NodeVolumes {
    let said = replica.owned::<NodeVolumes>(&RecordKey::volumes(id));
    said.filter(|(owner, _)| *owner == id).map(|(_, volumes)| volumes).unwrap_or_default()
}

/// The volumes of a node that were given up on any side of a partition: giving up an id is final.
pub fn given_up(replica: &Replica, id: NodeId) -> GivenUp {
    let key = RecordKey::node_settings(id);
    let record = replica.record(&key).filter(|_| !replica.is_unfit(&key));
    let record = record.and_then(Record::as_shared);
    let writes = record.map_or(&[][..], |record| record.writes_of(Facet::VOLUMES_GIVEN_UP));
    let sides = writes.iter().filter_map(|write| wire::decode::<GivenUp>(&write.value).ok());
    sides.flatten().collect()
}

/// The volumes of a node by name, each with its state.
pub fn holdings(replica: &Replica, id: NodeId) -> BTreeMap<String, Holding> {
    let given_up = given_up(replica, id);
    let holding = |fact: &VolumeFact| match fact {
        fact if given_up.contains(&fact.id) => Holding::GivenUp,
        fact if fact.missing => Holding::Missing,
        _ => Holding::Here,
    };
    let said = volumes_of(replica, id).into_iter();
    said.map(|(name, fact)| (name, holding(&fact))).collect()
}
