//! The leases that a witness gave out.

use crate::id::NodeId;
use crate::key::RecordKey;
use crate::partition::Grants;
use crate::replica::Replica;

/// What a witness gave out; `None` if it never wrote such a record.
pub fn grants_of(replica: &Replica, id: NodeId) -> Option<Grants> {
    let said = replica.owned::<Grants>(&RecordKey::grants(id));
    said.filter(|(owner, _)| *owner == id).map(|(_, grants)| grants)
}
