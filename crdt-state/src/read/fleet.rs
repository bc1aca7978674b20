//! The settings of the fleet.

use crate::fleet::{FleetSettings, TaskHistory};
use crate::key::RecordKey;
use crate::record::Record;
use crate::replica::Replica;
use crate::spec::Facet;

/// The settings as they are in force; a missing or unreadable one has its default.
pub fn fleet_settings(replica: &Replica) -> FleetSettings {
    let key = RecordKey::fleet_settings();
    let mut settings = FleetSettings::default();
    if let Some((_, TaskHistory { limit })) = replica.facet(&key, Facet::TASK_HISTORY) {
        settings.task_history_limit = limit;
    }
    let record = replica.record(&key).and_then(Record::as_shared);
    let writes = record.into_iter().flat_map(|record| record.writes());
    if let Some((_, last)) = writes.max_by_key(|(_, write)| write.stamp) {
        (settings.version, settings.updated_wall_ms) = (last.stamp.lamport, last.wall_ms);
    }
    settings
}
