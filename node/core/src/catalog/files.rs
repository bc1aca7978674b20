//! Configs and secrets as the node reads them: what operators wrote, and whose data is here.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::read::{self, FleetFile};
use crdt_state::replica::Replica;
use crdt_state::service::Service;
use crdt_state::spec::{Life, Template};
use crdt_state::{FileClass, FileId, Kind, NodeId, RecordKey};

use super::{Catalog, Touched};

/// All records of configs and secrets, decoded, without their data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileCatalog {
    /// Living configs and secrets.
    pub files: BTreeMap<FileId, FleetFile>,
    /// Those that were removed.
    removed: BTreeSet<FileId>,
    /// Those, removed or not, of which all data is here.
    here: BTreeSet<FileId>,
    /// The parts that are here and not empty.
    parts: BTreeMap<RecordKey, (FileId, u16)>,
}

impl FileCatalog {
    /// Reads one record again. Returns the file that it is about if its data came or went.
    fn update(&mut self, replica: &Replica, key: RecordKey) -> Option<FileId> {
        let own = match key.kind {
            Kind::CONFIG => Some(FileClass::Config.id(key.id)),
            Kind::SECRET => Some(FileClass::Secret.id(key.id)),
            _ => None,
        };
        let id = match own {
            Some(id) => {
                self.files.remove(&id);
                self.files.extend(FleetFile::read(replica, id).map(|file| (id, file)));
                match replica.life(&key) {
                    Some(Life::Removed { .. }) => self.removed.insert(id),
                    _ => self.removed.remove(&id),
                };
                id
            }
            None => {
                let before = self.parts.remove(&key);
                let part = read::file_part(replica, &key);
                let part = part.filter(|(_, part)| !part.data.is_empty());
                let after = part.map(|(id, part)| (id, part.number));
                self.parts.extend(after.map(|after| (key, after)));
                after.or(before)?.0
            }
        };
        let was_here = self.here.contains(&id);
        // The data is never another one: it is read only when it was not all here.
        let is_here = match (own, was_here) {
            (Some(_), true) => true,
            // Whole data only: reading it takes longer than looking for its parts.
            _ => self.has_parts(replica, id) && read::file_data(replica, id).is_some(),
        };
        match is_here {
            true => self.here.insert(id),
            false => self.here.remove(&id),
        };
        (is_here != was_here).then_some(id)
    }

    fn has_parts(&self, replica: &Replica, id: FileId) -> bool {
        let parts = read::file_spec(replica, id).map_or(0, |spec| spec.parts());
        let is_here = |number| self.parts.contains_key(&RecordKey::file_part(id, number));
        parts > 0 && (0..parts).all(is_here)
    }

    /// Those that live, of one class.
    pub fn of_class(&self, class: FileClass) -> impl Iterator<Item = &FleetFile> {
        self.files.values().filter(move |file| file.id.class() == class)
    }

    /// The living file that owns a name: the one created first, by stamp, then by id.
    pub fn named(&self, class: FileClass, name: &str) -> Option<&FleetFile> {
        let named = self.of_class(class).filter(|file| file.name == name);
        named.min_by_key(|file| (file.created, file.id))
    }

    /// Is all data of the file here?
    pub fn is_here(&self, id: FileId) -> bool {
        self.here.contains(&id)
    }

    /// Was the file removed?
    pub fn is_removed(&self, id: FileId) -> bool {
        self.removed.contains(&id)
    }

    /// The parts of removed files that are not empty yet.
    pub fn removed_data(&self) -> impl Iterator<Item = (FileId, u16)> {
        self.parts.values().copied().filter(|(id, _)| self.removed.contains(id))
    }
}

impl Catalog {
    /// Reads a record of a config or a secret again. Services that name it are reconciled when its
    /// data came.
    pub(super) fn update_file(&mut self, replica: &Replica, key: RecordKey, touched: &mut Touched) {
        if let Some(id) = self.files.update(replica, key) {
            self.touch_users(id, touched);
        }
    }

    /// The services that name a file are reconciled again.
    pub(super) fn touch_users(&self, id: FileId, touched: &mut Touched) {
        let names = |service: &&Service| {
            let good = service.last_good.as_ref().map(|(_, template)| template);
            let templates = [Some(&service.template), good].into_iter().flatten();
            templates.flat_map(|t| t.extension.files()).any(|file| file.file == id)
        };
        let users = self.services.values().map(AsRef::as_ref).filter(names);
        touched.handovers.extend(users.map(|service| service.id));
    }

    /// Why a task with this template does not start on this node yet, if data of its configs and
    /// secrets is missing, or the key to it.
    pub fn missing_of(&self, me: NodeId, template: &Template) -> Option<String> {
        template.extension.files().find_map(|file| {
            let (id, name, class) = (file.file, file.name, file.file.class());
            if !self.files.is_here(id) {
                return Some(match self.files.is_removed(id) {
                    true => format!(
                        "its {class} {name} was removed, and its data is gone: edgectl service \
                         update --{class}-rm {name}"
                    ),
                    false => format!(
                        "waits for the data of the {class} {name}, which this node has not \
                         received yet"
                    ),
                });
            }
            match id {
                FileId::Secret(id) if !self.secrets.has_key(id, me) => Some(format!(
                    "waits for the key of the secret {name}, which no node that has it has given \
                     to this one yet: `edgectl secret inspect --pretty {name}` lists those that \
                     have it"
                )),
                FileId::Secret(_) | FileId::Config(_) => None,
            }
        })
    }
}

/// The files of all templates that a service has, or may go back to.
pub(crate) fn named_by(service: &Service) -> BTreeSet<FileId> {
    let good = service.last_good.as_ref().map(|(_, template)| template);
    let before = service.previous.as_ref().map(|previous| &previous.template);
    let templates = [Some(&service.template), good, before].into_iter().flatten();
    templates.flat_map(|template| template.extension.files()).map(|file| file.file).collect()
}
