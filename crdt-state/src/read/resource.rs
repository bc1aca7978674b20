//! The named resources of a node, as the node itself reports them.

use crate::id::NodeId;
use crate::key::RecordKey;
use crate::replica::Replica;
use crate::resource::NamedResources;

/// The names of a node's resources that have names, by kind.
pub fn named_resources_of(replica: &Replica, id: NodeId) -> NamedResources {
    let said = replica.owned::<NamedResources>(&RecordKey::named_resources(id));
    said.filter(|(owner, _)| *owner == id).map(|(_, said)| said).unwrap_or_default()
}
