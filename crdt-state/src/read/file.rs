//! Configs and secrets, read from their records.

use crate::file::{FileClass, FileId, FilePart, FileSpec, TemplateDriver, TemplateFile};
use crate::key::{Kind, RecordKey};
use crate::labels::labels;
use crate::record::Record;
use crate::replica::Replica;
use crate::spec::{Facet, Labels, Life};
use crate::stamp::Stamp;

/// A living config or secret, as operators wrote it. Its data is read apart from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetFile {
    /// Its id.
    pub id: FileId,
    /// Its name; two sides of a partition may have created the same one.
    pub name: String,
    /// When it was created: defines its age among those of its class.
    pub created: Stamp,
    /// The writer's time of day at that time, milliseconds since 1970. Display only.
    pub created_wall_ms: u64,
    /// The time of day of the last change. Display only.
    pub updated_wall_ms: u64,
    /// What its data is.
    pub spec: FileSpec,
    /// What fills it in for each task; `None`: tasks get it as it is.
    pub template: Option<TemplateDriver>,
    /// Labels.
    pub labels: Labels,
    /// The highest Lamport counter over all facets: Docker's `Version.Index`.
    pub version: u64,
}

impl FleetFile {
    /// Reads a file; `None` if there is none, it was removed, a part of its record has not arrived
    /// yet, or it is unfit.
    pub fn read(replica: &Replica, id: FileId) -> Option<FleetFile> {
        let key = RecordKey::file(id);
        if replica.is_unfit(&key) {
            return None;
        }
        let record = replica.record(&key).and_then(Record::as_shared)?;
        let Some(Life::Present { name, created }) = replica.life(&key) else { return None };
        let spec = file_spec(replica, id)?;
        let life = record.winner(Facet::LIFE)?;
        let last = record.writes().map(|(_, write)| write).max_by_key(|write| write.stamp)?;
        Some(FleetFile {
            id,
            name,
            created,
            created_wall_ms: life.wall_ms,
            updated_wall_ms: last.wall_ms,
            spec,
            template: file_template(replica, id),
            labels: labels(replica, &key),
            version: last.stamp.lamport,
        })
    }
}

/// What the data of a file is, also of one that was removed.
pub fn file_spec(replica: &Replica, id: FileId) -> Option<FileSpec> {
    match replica.facet::<FileSpec>(&RecordKey::file(id), Facet::FILE) {
        Some((_, spec)) => Some(spec),
        None => Some(template_file(replica, id)?.spec),
    }
}

/// What fills a file in for each task, also one that was removed; `None`: tasks get it as it is.
pub fn file_template(replica: &Replica, id: FileId) -> Option<TemplateDriver> {
    Some(template_file(replica, id)?.driver)
}

fn template_file(replica: &Replica, id: FileId) -> Option<TemplateFile> {
    let (_, file) = replica.facet::<TemplateFile>(&RecordKey::file(id), Facet::TEMPLATE_FILE)?;
    Some(file)
}

/// The part of a file's data that a record holds, and whose it is.
pub fn file_part(replica: &Replica, key: &RecordKey) -> Option<(FileId, FilePart)> {
    let class = match key.kind {
        Kind::CONFIG_PART => FileClass::Config,
        Kind::SECRET_PART => FileClass::Secret,
        _ => return None,
    };
    let (_, part) = replica.facet::<FilePart>(key, Facet::FILE_PART)?;
    let id = class.id(part.file);
    (*key == RecordKey::file_part(id, part.number)).then_some((id, part))
}

/// The stored data of a file, also of one that was removed; `None` unless all of it is here, as it
/// was written.
pub fn file_data(replica: &Replica, id: FileId) -> Option<Vec<u8>> {
    let spec = file_spec(replica, id)?;
    let mut data = Vec::new();
    for number in 0..spec.parts() {
        let (_, part) = file_part(replica, &RecordKey::file_part(id, number))?;
        data.extend(part.data);
    }
    (FileSpec::of(&data) == spec).then_some(data)
}
