//! Configs as the node reads them: what operators wrote, and whose data is here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crdt_state::config::ConfigSpec;
use crdt_state::read::{self, Config};
use crdt_state::replica::Replica;
use crdt_state::service::Service;
use crdt_state::spec::{Facet, Life, Template};
use crdt_state::{ConfigId, Kind, RecordKey};

use super::{Catalog, Touched};

/// All records of configs, decoded, without their data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigCatalog {
    /// Living configs.
    pub configs: BTreeMap<ConfigId, Config>,
    /// The configs that were removed.
    removed: BTreeSet<ConfigId>,
    /// The configs, removed or not, of which all data is here.
    here: BTreeSet<ConfigId>,
    /// The parts that are here and not empty.
    parts: BTreeMap<RecordKey, (ConfigId, u16)>,
}

impl ConfigCatalog {
    /// Reads one record again. Returns the config that it is about if its data came or went.
    fn update(&mut self, replica: &Replica, key: RecordKey) -> Option<ConfigId> {
        let id = match key.kind {
            Kind::CONFIG => {
                let id = ConfigId(key.id);
                self.configs.remove(&id);
                self.configs.extend(Config::read(replica, id).map(|config| (id, config)));
                match replica.life(&key) {
                    Some(Life::Removed { .. }) => self.removed.insert(id),
                    _ => self.removed.remove(&id),
                };
                id
            }
            _ => {
                let before = self.parts.remove(&key);
                let part = read::config_part(replica, &key);
                let part = part.filter(|part| !part.data.is_empty());
                let after = part.map(|part| (part.config, part.number));
                self.parts.extend(after.map(|after| (key, after)));
                after.or(before)?.0
            }
        };
        let was_here = self.here.contains(&id);
        // The data is never another one: it is read only when it was not all here.
        let is_here = match (key.kind, was_here) {
            (Kind::CONFIG, true) => true,
            // Whole data only: reading it takes longer than looking for its parts.
            _ => self.has_parts(replica, id) && read::config_data(replica, id).is_some(),
        };
        match is_here {
            true => self.here.insert(id),
            false => self.here.remove(&id),
        };
        (is_here != was_here).then_some(id)
    }

    fn has_parts(&self, replica: &Replica, id: ConfigId) -> bool {
        let spec = replica.facet::<ConfigSpec>(&RecordKey::config(id), Facet::CONFIG);
        let parts = spec.map_or(0, |(_, spec)| spec.parts());
        let is_here = |number| self.parts.contains_key(&RecordKey::config_part(id, number));
        parts > 0 && (0..parts).all(is_here)
    }

    /// The living config that owns a name: the one created first, by stamp, then by id.
    pub fn named(&self, name: &str) -> Option<&Config> {
        let named = self.configs.values().filter(|config| config.name == name);
        named.min_by_key(|config| (config.created, config.id))
    }

    /// Is all data of the config here?
    pub fn is_here(&self, id: ConfigId) -> bool {
        self.here.contains(&id)
    }

    /// Was the config removed?
    pub fn is_removed(&self, id: ConfigId) -> bool {
        self.removed.contains(&id)
    }

    /// The parts of removed configs that are not empty yet.
    pub fn removed_data(&self) -> impl Iterator<Item = (ConfigId, u16)> {
        self.parts.values().copied().filter(|(id, _)| self.removed.contains(id))
    }

    /// Why a task with this template does not start yet, if data of its configs is missing.
    pub fn missing_of(&self, template: &Template) -> Option<String> {
        let files = &template.extension.configs;
        let missing = files.iter().find(|file| !self.here.contains(&file.config))?;
        let name = &missing.name;
        Some(match self.removed.contains(&missing.config) {
            true => format!(
                "its config {name} was removed, and its data is gone: edgectl service update \
                 --config-rm {name}"
            ),
            false => format!(
                "waits for the data of the config {name}, which this node has not received yet"
            ),
        })
    }
}

impl Catalog {
    /// Reads a record of a config again. Services that name it are reconciled when its data came.
    pub(super) fn update_config(
        &mut self,
        replica: &Replica,
        key: RecordKey,
        touched: &mut Touched,
    ) {
        let Some(id) = self.configs.update(replica, key) else { return };
        let names = |service: &&Arc<Service>| {
            let good = service.last_good.as_ref().map(|(_, template)| template);
            let templates = [Some(&service.template), good].into_iter().flatten();
            templates.flat_map(|t| &t.extension.configs).any(|file| file.config == id)
        };
        let users = self.services.values().filter(names);
        touched.handovers.extend(users.map(|service| service.id));
    }
}
