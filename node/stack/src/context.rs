//! What the parts of a reading share: the stack's name, what its files name, and the findings.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::fields::{Fields, truth};
use crate::interpolate::Variables;
use crate::log::Log;
use crate::tree::Value;

/// The files beside a Compose file, as whoever reads it can open them.
pub trait Files {
    /// The text of a file; an error is one sentence.
    fn read(&self, path: &Path) -> Result<String, String>;

    /// What a file holds, text or not; an error is one sentence.
    fn read_bytes(&self, path: &Path) -> Result<Vec<u8>, String>;
}

/// A volume or a network of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Its name in the fleet.
    pub name: String,
    /// Its labels; none of an external one, which others made.
    pub labels: BTreeMap<String, String>,
    /// Was it there before, and stays it?
    pub is_external: bool,
    /// The driver, if one is named.
    pub driver: Option<String>,
}

impl Declared {
    /// Is it external (`external: true`)? And the name that the older `external: {name: x}` gives.
    pub fn external(fields: &mut Fields<'_>) -> Option<Option<String>> {
        let node = fields.take("external")?;
        match node.value {
            Value::Map(map) => Some(match map.get("name").map(|node| &node.value) {
                Some(Value::Text(text)) => Some(text.clone()),
                _ => None,
            }),
            Value::Text(text) => {
                let is_external = fields.log().ok(&node.place, truth(&text)).unwrap_or_default();
                is_external.then_some(None)
            }
            _ => {
                fields.log().refuse(&node.place, "`external` is true or false");
                None
            }
        }
    }
}

/// What the parts of a reading share.
pub struct Context<'a> {
    /// The stack's name.
    pub stack: String,
    /// The variables of whoever deploys.
    pub variables: &'a Variables,
    /// The files beside it.
    pub files: &'a dyn Files,
    /// The names of all services that are deployed.
    pub services: BTreeSet<String>,
    /// The services that are left out because of their profile.
    pub left_out: BTreeSet<String>,
    /// The networks by their name in the file.
    pub networks: BTreeMap<String, Declared>,
    /// The volumes by their name in the file.
    pub volumes: BTreeMap<String, Declared>,
    /// The configs by their name in the file.
    pub configs: BTreeMap<String, Declared>,
    /// The secrets by their name in the file.
    pub secrets: BTreeMap<String, Declared>,
    /// The networks that a service is on.
    pub used: RefCell<BTreeSet<String>>,
    /// The configs that a service uses.
    pub used_configs: RefCell<BTreeSet<String>>,
    /// The secrets that a service uses.
    pub used_secrets: RefCell<BTreeSet<String>>,
    /// The findings.
    pub log: &'a Log,
}

impl Context<'_> {
    /// A name of the file as a name in the fleet.
    pub fn full_name(&self, name: &str) -> String {
        format!("{}_{name}", self.stack)
    }
}
