//! The handovers of a node: what it asks for and what it keeps.

use crate::handover::Handovers;
use crate::id::NodeId;
use crate::key::RecordKey;
use crate::replica::Replica;

/// The handovers of a node; `None` if it never wrote such a record, as agents before version 0.2
/// did not.
pub fn handovers_of(replica: &Replica, id: NodeId) -> Option<Handovers> {
    let said = replica.owned::<Handovers>(&RecordKey::handovers(id));
    said.filter(|(owner, _)| *owner == id).map(|(_, handovers)| handovers)
}
