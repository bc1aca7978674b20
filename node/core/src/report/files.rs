//! Configs and secrets, who uses them, and what two sides of a partition did to them.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::file::TemplateDriver;
use crdt_state::read::{self, FleetFile};
use crdt_state::secret::KeyFor;
use crdt_state::{FileClass, FileId, NodeId, RecordKey, SecretId, ServiceId};

use crate::node::Node;

/// A config or a secret, and its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// As operators wrote it.
    pub file: FleetFile,
    /// The services that name it.
    pub services: Vec<ServiceId>,
    /// Is all of its data on this node?
    pub is_here: bool,
    /// Of a secret: the nodes that can read it, also those that were removed since, with their host names
    /// as far as they are known.
    pub holders: BTreeMap<NodeId, String>,
}

/// What does not fit together since a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConflict {
    /// The key of the service or file that lost.
    pub key: RecordKey,
    /// How it is called.
    pub name: String,
    /// What it lost: `configs`, `secrets` or `name`.
    pub what: &'static str,
    /// To whom, and what to do.
    pub detail: String,
}

/// A secret as its records have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// The sealed data.
    pub sealed: Vec<u8>,
    /// What the data is.
    pub spec: crdt_state::file::FileSpec,
    /// What fills it in for each task.
    pub template: Option<TemplateDriver>,
    /// The keys that were wrapped for this node: one of them opens it.
    pub keys: Vec<KeyFor>,
}

impl Node {
    /// All configs or secrets of the fleet, by id.
    pub fn file_rows(&self, class: FileClass) -> Vec<FileRow> {
        let catalog = self.catalog();
        let mut users: BTreeMap<FileId, Vec<ServiceId>> = BTreeMap::new();
        for service in self.services() {
            let ids: BTreeSet<FileId> =
                service.template.extension.files().map(|file| file.file).collect();
            ids.into_iter().for_each(|id| users.entry(id).or_default().push(service.id));
        }
        let row = |file: &FleetFile| FileRow {
            file: file.clone(),
            services: users.remove(&file.id).unwrap_or_default(),
            is_here: catalog.files.is_here(file.id),
            holders: match file.id {
                FileId::Secret(id) => {
                    let holders = catalog.secrets.holders(id).iter();
                    holders.map(|node| (*node, catalog.hostname(*node))).collect()
                }
                FileId::Config(_) => BTreeMap::new(),
            },
        };
        catalog.files.of_class(class).map(row).collect()
    }

    /// The stored data of a file, also of one that was removed; `None` unless all of it is here.
    pub fn file_data(&self, id: FileId) -> Option<Vec<u8>> {
        read::file_data(self.replica(), id)
    }

    /// A secret, also one that was removed, with what this node needs to open it; `None` unless all
    /// of its data is here.
    pub fn sealed_secret(&self, id: SecretId) -> Option<SealedSecret> {
        let spec = read::file_spec(self.replica(), FileId::Secret(id))?;
        let sealed = self.file_data(FileId::Secret(id))?;
        let keys = read::keys_for(self.replica(), id, self.replica().me());
        let template = read::file_template(self.replica(), FileId::Secret(id));
        Some(SealedSecret { sealed, spec, template, keys })
    }

    /// What fills a file in for each task, also one that was removed.
    pub fn file_template(&self, id: FileId) -> Option<TemplateDriver> {
        read::file_template(self.replica(), id)
    }

    /// What two sides of a partition did to configs and secrets: one that was removed under a
    /// service, and a name that two of them have.
    pub fn file_conflicts(&self) -> Vec<FileConflict> {
        let files = &self.catalog().files;
        let mut found = Vec::new();
        for service in self.services() {
            let mut removed = service.template.extension.files();
            if let Some(file) = removed.find(|file| files.is_removed(file.file)) {
                let class = file.file.class();
                let detail = format!(
                    "its {class} {0} was removed, and its tasks still get the data: edgectl \
                     service update --{class}-rm {0} {1}",
                    file.name, service.name
                );
                let (key, name) = (RecordKey::service(service.id), service.name.clone());
                let what = match class {
                    FileClass::Config => "configs",
                    FileClass::Secret => "secrets",
                };
                found.push(FileConflict { key, name, what, detail });
            }
        }
        for file in files.files.values() {
            let owner = files.named(file.id.class(), &file.name);
            if let Some(owner) = owner.filter(|owner| owner.id != file.id) {
                let detail = format!(
                    "the name means {}, which is older; this one is named by its id {}",
                    owner.id, file.id
                );
                let (key, name) = (RecordKey::file(file.id), file.name.clone());
                found.push(FileConflict { key, name, what: "name", detail });
            }
        }
        found
    }
}
