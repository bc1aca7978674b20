//! Configs, read from their records.

use crate::config::{ConfigPart, ConfigSpec};
use crate::id::ConfigId;
use crate::key::RecordKey;
use crate::labels::labels;
use crate::record::Record;
use crate::replica::Replica;
use crate::spec::{Facet, Labels, Life};
use crate::stamp::Stamp;

/// A living config, as operators wrote it. Its data is read apart from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its id.
    pub id: ConfigId,
    /// Its name; two sides of a partition may have created the same one.
    pub name: String,
    /// When it was created: defines its age among configs.
    pub created: Stamp,
    /// The writer's time of day at that time, milliseconds since 1970. Display only.
    pub created_wall_ms: u64,
    /// The time of day of the last change. Display only.
    pub updated_wall_ms: u64,
    /// What its data is.
    pub spec: ConfigSpec,
    /// Labels.
    pub labels: Labels,
    /// The highest Lamport counter over all facets: Docker's `Version.Index`.
    pub version: u64,
}

impl Config {
    /// Reads a config; `None` if there is none, it was removed, a part of its record has not
    /// arrived yet, or it is unfit.
    pub fn read(replica: &Replica, id: ConfigId) -> Option<Config> {
        let key = RecordKey::config(id);
        if replica.is_unfit(&key) {
            return None;
        }
        let record = replica.record(&key).and_then(Record::as_shared)?;
        let Some(Life::Present { name, created }) = replica.life(&key) else { return None };
        let spec = spec_of(replica, id)?;
        let life = record.winner(Facet::LIFE)?;
        let last = record.writes().map(|(_, write)| write).max_by_key(|write| write.stamp)?;
        Some(Config {
            id,
            name,
            created,
            created_wall_ms: life.wall_ms,
            updated_wall_ms: last.wall_ms,
            spec,
            labels: labels(replica, &key),
            version: last.stamp.lamport,
        })
    }
}

/// What the data of a config is, also of one that was removed.
fn spec_of(replica: &Replica, id: ConfigId) -> Option<ConfigSpec> {
    let (_, spec) = replica.facet::<ConfigSpec>(&RecordKey::config(id), Facet::CONFIG)?;
    Some(spec)
}

/// The part of a config's data that a record holds.
pub fn config_part(replica: &Replica, key: &RecordKey) -> Option<ConfigPart> {
    let (_, part) = replica.facet::<ConfigPart>(key, Facet::CONFIG_PART)?;
    (*key == RecordKey::config_part(part.config, part.number)).then_some(part)
}

/// The data of a config, also of one that was removed; `None` unless all of it is here, as it was
/// written.
pub fn config_data(replica: &Replica, id: ConfigId) -> Option<Vec<u8>> {
    let spec = spec_of(replica, id)?;
    let mut data = Vec::new();
    for number in 0..spec.parts() {
        data.extend(config_part(replica, &RecordKey::config_part(id, number))?.data);
    }
    (ConfigSpec::of(&data) == spec).then_some(data)
}
