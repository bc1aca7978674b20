//! Edits of configs, and which of them services may name.
//!
//! The data of a removed config stays for services that were given it before the removal reached
//! their side of a partition, and for templates that a service may go back to. It is emptied with a
//! later edit of a config, when nobody is silent who could have written such a service.

use std::collections::BTreeSet;
use std::sync::Arc;

use crdt_state::config::{ConfigFile, ConfigPart, ConfigSpec, PART_BYTES};
use crdt_state::service::Service;
use crdt_state::spec::{Facet, Labels, Life, Template};
use crdt_state::{ConfigId, Kind, RecordKey};
use gossip::MemberState;

use super::{Editor, check_version};
use crate::edit::config::{BadConfig, ConfigRequest};
use crate::edit::{Edited, Refusal, check_size};

impl Editor<'_> {
    pub(super) fn create_config(&mut self, request: &ConfigRequest) -> Result<Edited, Refusal> {
        request.check()?;
        check_size("the labels", &request.labels)?;
        if let Some(held) = self.catalog().configs.named(&request.name) {
            let (name, id) = (request.name.clone(), held.id);
            return Err(BadConfig::NameTaken { name, id }.into());
        }
        let key = |id| RecordKey::config(ConfigId(id));
        let id = ConfigId(self.new_id("edgectl config id 1", &request.name, key));
        // The parts come first: who has the record can soon read the data.
        for (number, data) in (0..).zip(request.data.chunks(PART_BYTES)) {
            self.write_part(ConfigPart { config: id, number, data: data.to_vec() });
        }
        let key = RecordKey::config(id);
        let created = self.replica.next_stamp();
        let life = Life::Present { name: request.name.clone(), created };
        self.replica.edit(key, Facet::LIFE, &life, self.wall_ms);
        self.replica.edit(key, Facet::CONFIG, &ConfigSpec::of(&request.data), self.wall_ms);
        if !request.labels.is_empty() {
            self.replica.edit_labels(key, &request.labels, self.wall_ms);
        }
        self.empty_removed();
        Ok(Edited::Config(id))
    }

    pub(super) fn update_config(
        &mut self,
        id: ConfigId,
        version: Option<u64>,
        labels: &Labels,
    ) -> Result<Edited, Refusal> {
        let held = self.catalog().configs.configs.get(&id);
        let held = held.ok_or_else(|| BadConfig::Missing(id.to_string()))?;
        check_version(version, held.version)?;
        check_size("the labels", labels)?;
        if held.labels != *labels {
            self.replica.edit_labels(RecordKey::config(id), labels, self.wall_ms);
        }
        Ok(Edited::Config(id))
    }

    pub(super) fn remove_config(&mut self, id: ConfigId) -> Result<Edited, Refusal> {
        let held = self.catalog().configs.configs.get(&id);
        let name = held.ok_or_else(|| BadConfig::Missing(id.to_string()))?.name.clone();
        let names =
            |service: &&Arc<Service>| files(&service.template).any(|file| file.config == id);
        let users = self.catalog().services.values().filter(names);
        let mut services: Vec<String> = users.map(|service| service.name.clone()).collect();
        services.sort();
        if !services.is_empty() {
            return Err(BadConfig::InUse { name, services }.into());
        }
        self.empty_removed();
        self.replica.remove(RecordKey::config(id), self.wall_ms).expect("it was just read");
        Ok(Edited::Done)
    }

    /// The configs of a service exist under their names, or it `held` them before they were removed.
    pub(super) fn check_configs(
        &self,
        template: &Template,
        held: Option<&Service>,
    ) -> Result<(), BadConfig> {
        let had: BTreeSet<ConfigId> = held.map(named_by).unwrap_or_default();
        for file in files(template) {
            match self.catalog().configs.configs.get(&file.config) {
                Some(config) if config.name != file.name => {
                    return Err(BadConfig::Mismatch {
                        id: config.id,
                        name: config.name.clone(),
                        said: file.name.clone(),
                    });
                }
                None if !had.contains(&file.config) => {
                    return Err(BadConfig::Missing(file.name.clone()));
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Empties the parts of configs that were removed before this edit and that nobody can need.
    fn empty_removed(&mut self) {
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
        let needed: BTreeSet<ConfigId> =
            catalog.services.values().flat_map(|service| named_by(service)).collect();
        let is_needless = |id: &&ConfigId| !needed.contains(id);
        let parts = catalog.configs.removed_data().filter(|(id, _)| is_needless(&id));
        let parts: Vec<(ConfigId, u16)> = parts.collect();
        for (config, number) in parts {
            self.write_part(ConfigPart { config, number, data: Vec::new() });
        }
    }

    fn write_part(&mut self, part: ConfigPart) {
        let key = RecordKey::config_part(part.config, part.number);
        self.replica.edit(key, Facet::CONFIG_PART, &part, self.wall_ms);
    }
}

fn files(template: &Template) -> impl Iterator<Item = &ConfigFile> {
    template.extension.configs.iter()
}

/// The configs of all templates that a service has, or may go back to.
fn named_by(service: &Service) -> BTreeSet<ConfigId> {
    let good = service.last_good.as_ref().map(|(_, template)| template);
    let before = service.previous.as_ref().map(|previous| &previous.template);
    let templates = [Some(&service.template), good, before].into_iter().flatten();
    templates.flat_map(files).map(|file| file.config).collect()
}
