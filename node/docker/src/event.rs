//! Events in Docker's form, one JSON object per line of `GET /events`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Something that happened, as the answering node learned it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Event {
    /// Of a container or image: what older clients read in place of the three fields behind, and do
    /// not do without.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub legacy: Option<LegacyEvent>,
    /// `node`, `service`, `network`, `config`, `volume`, `image`, `container` or `daemon`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// `create`, `update`, `remove`, `start`, `die`…
    pub action: String,
    pub actor: Actor,
    /// `swarm`, or `local` for events of this node only.
    #[serde(rename = "scope")]
    pub scope: String,
    /// Seconds since 1970.
    #[serde(rename = "time")]
    pub time: i64,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// The fields of events before version 1.22 of the API. Docker's client reads them up to version 24.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LegacyEvent {
    /// The action.
    pub status: String,
    /// The id of the container or image.
    pub id: String,
    /// The image of a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// The object of an event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Actor {
    #[serde(rename = "ID")]
    pub id: String,
    pub attributes: BTreeMap<String, String>,
}
