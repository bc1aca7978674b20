//! What nodes report of services that are scaled by their load.

use crate::autoscale::{DeclaredCount, ScalingReports};
use crate::id::{NodeId, ServiceId};
use crate::key::{Kind, RecordKey};
use crate::replica::Replica;

/// What one node reports; empty if it never wrote such a record.
pub fn scaling_of(replica: &Replica, id: NodeId) -> ScalingReports {
    let said = replica.owned::<ScalingReports>(&RecordKey::scaling(id));
    said.filter(|(owner, _)| *owner == id).map(|(_, said)| said).unwrap_or_default()
}

/// The count of a service that is in force, over what all nodes declared.
pub fn declared_count(replica: &Replica, service: ServiceId) -> Option<DeclaredCount> {
    let reports = replica.keys(Kind::SCALING).map(|key| scaling_of(replica, NodeId(key.id)));
    reports.filter_map(|reports| reports.get(&service)?.declared).max()
}
