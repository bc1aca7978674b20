//! Configs and secrets in Docker's shape, which is the same but for the names of a few fields.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Timestamp, Version};

/// A config.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    #[serde(rename = "ID")]
    pub id: String,
    pub version: Version,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub spec: ConfigSpec,
}

/// A config as an operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConfigSpec {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Data::is_empty")]
    pub data: Data,
    /// What fills the data in for each task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templating: Option<Driver>,
    /// What keeps a secret, if that is not the fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
}

/// A secret: as a config is, without its data, and who has the key to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Secret {
    #[serde(flatten)]
    pub secret: Config,
    /// Our own field: the nodes that can read it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Holder>,
    /// Our own field: the names of the services that use it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

/// A node that can read a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Holder {
    #[serde(rename = "ID")]
    pub id: String,
    pub hostname: String,
}

/// A driver and its options.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Driver {
    pub name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// The answer to the creation of a config.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConfigCreated {
    #[serde(rename = "ID")]
    pub id: String,
}

/// The answer to the rotation of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SecretRotated {
    #[serde(rename = "ID")]
    pub id: String,
    /// The services that are updated for it.
    pub services: Vec<String>,
}

/// A service's use of a config.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConfigReference {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileTarget>,
    #[serde(rename = "ConfigID")]
    pub config_id: String,
    pub config_name: String,
}

/// A service's use of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SecretReference {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileTarget>,
    #[serde(rename = "SecretID")]
    pub secret_id: String,
    pub secret_name: String,
}

impl From<SecretReference> for ConfigReference {
    fn from(one: SecretReference) -> ConfigReference {
        let SecretReference { file, secret_id: config_id, secret_name: config_name } = one;
        ConfigReference { file, config_id, config_name }
    }
}

impl From<ConfigReference> for SecretReference {
    fn from(one: ConfigReference) -> SecretReference {
        let ConfigReference { file, config_id: secret_id, config_name: secret_name } = one;
        SecretReference { file, secret_id, secret_name }
    }
}

/// The file that a task gets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FileTarget {
    /// Its path.
    pub name: String,
    #[serde(rename = "UID")]
    pub uid: String,
    #[serde(rename = "GID")]
    pub gid: String,
    pub mode: u32,
}

/// Bytes that travel as base64. They may be secret: `Debug` shows their number only.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Data(pub Vec<u8>);

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.0.len())
    }
}

impl Data {
    /// Are there no bytes?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Data, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(&text);
        bytes.map(Data).map_err(|error| D::Error::custom(format!("Data is no base64: {error}")))
    }
}
