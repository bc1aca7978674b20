//! Configs, who uses them, and what two sides of a partition did to them.

use std::collections::BTreeMap;

use crdt_state::config::ConfigFile;
use crdt_state::read::{self, Config};
use crdt_state::{ConfigId, RecordKey, ServiceId};

use crate::node::Node;

/// A config and its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigRow {
    /// As operators wrote it.
    pub config: Config,
    /// The services that name it.
    pub services: Vec<ServiceId>,
    /// Is all of its data on this node?
    pub is_here: bool,
}

/// What does not fit together since a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigConflict {
    /// The key of the service or config that lost.
    pub key: RecordKey,
    /// How it is called.
    pub name: String,
    /// What it lost: `configs` or `name`.
    pub what: &'static str,
    /// To whom, and what to do.
    pub detail: String,
}

impl Node {
    /// All configs of the fleet, by id.
    pub fn config_rows(&self) -> Vec<ConfigRow> {
        let configs = &self.catalog().configs;
        let mut users: BTreeMap<ConfigId, Vec<ServiceId>> = BTreeMap::new();
        for service in self.services() {
            let mut ids: Vec<ConfigId> =
                service.template.extension.configs.iter().map(|file| file.config).collect();
            ids.sort_unstable();
            ids.dedup();
            ids.into_iter().for_each(|id| users.entry(id).or_default().push(service.id));
        }
        let row = |config: &Config| ConfigRow {
            config: config.clone(),
            services: users.remove(&config.id).unwrap_or_default(),
            is_here: configs.is_here(config.id),
        };
        configs.configs.values().map(row).collect()
    }

    /// The data of a config, also of one that was removed; `None` unless all of it is here.
    pub fn config_data(&self, id: ConfigId) -> Option<Vec<u8>> {
        read::config_data(self.replica(), id)
    }

    /// What two sides of a partition did to configs: one that was removed under a service, and a
    /// name that two configs have.
    pub fn config_conflicts(&self) -> Vec<ConfigConflict> {
        let configs = &self.catalog().configs;
        let mut found = Vec::new();
        for service in self.services() {
            let files = &service.template.extension.configs;
            let is_removed = |file: &&ConfigFile| configs.is_removed(file.config);
            if let Some(file) = files.iter().find(is_removed) {
                let detail = format!(
                    "its config {0} was removed, and its tasks still get the data: edgectl service \
                     update --config-rm {0} {1}",
                    file.name, service.name
                );
                let (key, name) = (RecordKey::service(service.id), service.name.clone());
                found.push(ConfigConflict { key, name, what: "configs", detail });
            }
        }
        for config in configs.configs.values() {
            let owner = configs.named(&config.name);
            if let Some(owner) = owner.filter(|owner| owner.id != config.id) {
                let detail = format!(
                    "the name means {}, which is older; this one is named by its id {}",
                    owner.id, config.id
                );
                let (key, name) = (RecordKey::config(config.id), config.name.clone());
                found.push(ConfigConflict { key, name, what: "name", detail });
            }
        }
        found
    }
}
