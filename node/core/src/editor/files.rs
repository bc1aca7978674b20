//! Edits of configs and secrets, and which of them services may name.
//!
//! The data of a removed file stays for services that were given it before the removal reached
//! their side of a partition, and for templates that a service may go back to. It is emptied with a
//! later edit of a file, when nobody is silent who could have written such a service.

use std::collections::BTreeSet;

use crdt_state::file::{
    FileClass, FileId, FilePart, FileSpec, PART_BYTES, TemplateDriver, TemplateFile,
};
use crdt_state::service::Service;
use crdt_state::spec::{Facet, Labels, Life, Template};
use crdt_state::{ConfigId, Kind, RecordKey};
use gossip::MemberState;

use super::{Editor, check_version};
use crate::catalog::named_by;
use crate::edit::file::{BadFile, ConfigRequest};
use crate::edit::{Edited, Refusal, check_size};

/// A file that is written.
pub(super) struct NewFile<'a> {
    pub(super) name: &'a str,
    pub(super) labels: &'a Labels,
    /// As it is stored: of a secret sealed.
    pub(super) data: &'a [u8],
    pub(super) template: Option<TemplateDriver>,
}

impl Editor<'_> {
    pub(super) fn create_config(&mut self, request: &ConfigRequest) -> Result<Edited, Refusal> {
        request.check()?;
        self.check_new(FileClass::Config, &request.name, &request.labels)?;
        let key = |id| RecordKey::config(ConfigId(id));
        let id = ConfigId(self.new_id("edgectl config id 1", &request.name, key));
        let ConfigRequest { name, labels, data, template } = request;
        self.write_file(id.into(), &NewFile { name, labels, data, template: *template });
        self.empty_removed();
        Ok(Edited::Config(id))
    }

    /// May there be a further file of this name?
    pub(super) fn check_new(
        &self,
        class: FileClass,
        name: &str,
        labels: &Labels,
    ) -> Result<(), Refusal> {
        check_size("the labels", labels)?;
        match self.catalog().files.named(class, name) {
            Some(held) => Err(BadFile::NameTaken { name: name.to_owned(), id: held.id }.into()),
            None => Ok(()),
        }
    }

    /// Writes a new file.
    pub(super) fn write_file(&mut self, id: FileId, file: &NewFile<'_>) {
        let NewFile { name, labels, data, template } = *file;
        // The parts come first: who has the record can soon read the data.
        for (number, data) in (0..).zip(data.chunks(PART_BYTES)) {
            self.write_part(id, number, data.to_vec());
        }
        let key = RecordKey::file(id);
        let created = self.replica.next_stamp();
        let life = Life::Present { name: name.to_owned(), created };
        self.replica.edit(key, Facet::LIFE, &life, self.wall_ms);
        let spec = FileSpec::of(data);
        match template {
            None => self.replica.edit(key, Facet::FILE, &spec, self.wall_ms),
            Some(driver) => {
                let file = TemplateFile { spec, driver };
                self.replica.edit(key, Facet::TEMPLATE_FILE, &file, self.wall_ms)
            }
        };
        if !labels.is_empty() {
            self.replica.edit_labels(key, labels, self.wall_ms);
        }
    }

    pub(super) fn update_file(
        &mut self,
        id: FileId,
        version: Option<u64>,
        labels: &Labels,
    ) -> Result<Edited, Refusal> {
        let held = self.catalog().files.files.get(&id).ok_or_else(|| missing(id))?;
        check_version(version, held.version)?;
        check_size("the labels", labels)?;
        if held.labels != *labels {
            self.replica.edit_labels(RecordKey::file(id), labels, self.wall_ms);
        }
        Ok(match id {
            FileId::Config(id) => Edited::Config(id),
            FileId::Secret(id) => Edited::Secret(id),
        })
    }

    pub(super) fn remove_file(&mut self, id: FileId) -> Result<Edited, Refusal> {
        let held = self.catalog().files.files.get(&id).ok_or_else(|| missing(id))?;
        let (class, name) = (id.class(), held.name.clone());
        let mut services: Vec<String> =
            self.users(id).map(|service| service.name.clone()).collect();
        services.sort();
        if !services.is_empty() {
            return Err(BadFile::InUse { class, name, services }.into());
        }
        self.empty_removed();
        self.replica.remove(RecordKey::file(id), self.wall_ms).expect("it was just read");
        Ok(Edited::Done)
    }

    /// The services whose current template names a file.
    pub(super) fn users(&self, id: FileId) -> impl Iterator<Item = &Service> {
        let names = move |service: &&Service| files(&service.template).any(|file| file == id);
        self.catalog().services.values().map(AsRef::as_ref).filter(names)
    }

    /// The files of a service exist under their names, or it `held` them before they were removed.
    pub(super) fn check_files(
        &self,
        template: &Template,
        held: Option<&Service>,
    ) -> Result<(), BadFile> {
        let had: BTreeSet<FileId> = held.map(named_by).unwrap_or_default();
        for file in template.extension.files() {
            match self.catalog().files.files.get(&file.file) {
                Some(known) if known.name != file.name => {
                    return Err(BadFile::Mismatch {
                        id: known.id,
                        name: known.name.clone(),
                        said: file.name.to_owned(),
                    });
                }
                None if !had.contains(&file.file) => {
                    let (class, wanted) = (file.file.class(), file.name.to_owned());
                    return Err(BadFile::Missing { class, wanted });
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Empties the parts of files that were removed before this edit and that nobody can need.
    pub(super) fn empty_removed(&mut self) {
        let catalog = self.planner.catalog();
        let mut others =
            catalog.nodes.iter().filter(|(id, node)| **id != self.me && node.is_member());
        let is_heard = |id| self.gossip.member(id).is_some_and(|m| m.state == MemberState::Alive);
        if !others.all(|(id, _)| is_heard(*id)) {
            return;
        }
        // What a service of another version names is not known.
        if self.replica.unfit().any(|(key, ..)| key.kind == Kind::SERVICE) {
            return;
        }
        let needed: BTreeSet<FileId> =
            catalog.services.values().flat_map(|one| named_by(one)).collect();
        let is_needless = |id: &&FileId| !needed.contains(id);
        let parts = catalog.files.removed_data().filter(|(id, _)| is_needless(&id));
        let parts: Vec<(FileId, u16)> = parts.collect();
        for (id, number) in parts {
            self.write_part(id, number, Vec::new());
        }
    }

    fn write_part(&mut self, id: FileId, number: u16, data: Vec<u8>) {
        let part = FilePart { file: id.bytes(), number, data };
        self.replica.edit(RecordKey::file_part(id, number), Facet::FILE_PART, &part, self.wall_ms);
    }
}

/// What is said of an id that no living file has.
pub(super) fn missing(id: FileId) -> BadFile {
    BadFile::Missing { class: id.class(), wanted: id.to_string() }
}

fn files(template: &Template) -> impl Iterator<Item = FileId> {
    template.extension.files().map(|file| file.file)
}
