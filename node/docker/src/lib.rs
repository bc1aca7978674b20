//! The shapes of the Docker Engine API (1.44 and later), for the server and for `edgectl`.
//!
//! Field names, spellings and meanings are Docker's,
//! <https://docs.docker.com/reference/api/engine/>; features that Docker does not have are in an
//! `Edge` object, which Docker's own clients ignore. Nothing here accesses the fleet's state:
//! [`state`] turns specs into state types and back, and refuses what this version cannot do instead
//! of dropping it.

pub mod audit;
pub mod client;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod config;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod container;
pub mod container_id;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod container_spec;
pub mod dry_run;
pub mod edge;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod event;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod exec;
pub mod name;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod network;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod node;
pub mod path_stat;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod service;
pub mod stack;
pub mod standalone;
pub mod state;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod stats;
pub mod swarm_options;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod system;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod task;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod task_spec;
pub mod template;
pub mod time;
#[allow(missing_docs, reason = "the fields are Docker's own")]
pub mod volume;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use container_id::{CONTAINER_ID_CHARS, container_id, standalone_id};
pub use time::{Nanos, Timestamp};

/// The version of Docker's API that is implemented.
pub const API_VERSION: &str = "1.47";
/// The oldest accepted version: later versions only add to it.
pub const API_VERSION_MIN: &str = "1.24";

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What happened, why, and what to type.
    pub message: String,
}

/// The version of an object, sent back with an update so that no unseen change is overwritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    /// Grows with every change.
    #[serde(default)]
    pub index: u64,
}

/// Fields of a body that no shape here knows. They are checked before a spec is accepted, see
/// [`state`].
pub type Unknown = BTreeMap<String, Value>;

/// Reads a body from Docker's clients: Go writes `null` for an empty list or map, so every `null`
/// counts as an absent field.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    from_value(serde_json::from_slice(body)?)
}

/// The same for a body that is already taken apart.
fn from_value<T: DeserializeOwned>(mut value: Value) -> Result<T, serde_json::Error> {
    drop_nulls(&mut value);
    serde_json::from_value(value)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
