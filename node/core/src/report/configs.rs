//! Configs, and who uses them.

use crdt_state::read::{self, Config};
use crdt_state::{ConfigId, ServiceId};

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

impl Node {
    /// All configs of the fleet, by id.
    pub fn config_rows(&self) -> Vec<ConfigRow> {
        let configs = &self.catalog().configs;
        let row = |config: &Config| {
            let names = |id: ConfigId| {
                self.services()
                    .filter(move |s| s.template.extension.configs.iter().any(|f| f.config == id))
            };
            ConfigRow {
                config: config.clone(),
                services: names(config.id).map(|service| service.id).collect(),
                is_here: configs.is_here(config.id),
            }
        };
        configs.configs.values().map(row).collect()
    }

    /// The data of a config, also of one that was removed; `None` unless all of it is here.
    pub fn config_data(&self, id: ConfigId) -> Option<Vec<u8>> {
        read::config_data(self.replica(), id)
    }
}
