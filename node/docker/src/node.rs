//! Nodes in Docker's form. All nodes of a fleet are equal and accept any command, so in Docker's
//! terms each is a reachable manager; none of them is the leader.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::system::TlsInfo;
use super::task_spec::{Platform, Resources};
use super::{Timestamp, Version};

/// A node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    #[serde(rename = "ID")]
    pub id: String,
    pub version: Version,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub spec: NodeSpec,
    pub description: NodeDescription,
    pub status: NodeStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager_status: Option<ManagerStatus>,
    pub edge: EdgeNode,
}

/// What operators set on a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeSpec {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// Always `manager`.
    pub role: String,
    /// `active`, `pause` or `drain`.
    pub availability: String,
}

/// The description that a node publishes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeDescription {
    pub hostname: String,
    pub platform: Platform,
    pub resources: Resources,
    pub engine: Engine,
    #[serde(rename = "TLSInfo", skip_serializing_if = "Option::is_none")]
    pub tls_info: Option<TlsInfo>,
}

/// The agent of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Engine {
    pub engine_version: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A node as the answering node sees it. `State` is Docker's word: `ready` (alive or suspected),
/// `disconnected` (unreachable: it may well run on its own), `down` (it left).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeStatus {
    pub state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    pub addr: String,
}

/// Whether it accepts commands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManagerStatus {
    /// Always false: there is no leader.
    pub leader: bool,
    /// `reachable` or `unreachable`.
    pub reachability: String,
    pub addr: String,
}

/// Fields that Docker does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EdgeNode {
    /// `alive`, `suspect`, `unreachable` or `left`.
    pub state: String,
    /// Why it is unreachable: `probe` (it answered no probe of the answering node), `others` (other
    /// nodes report it), or `island` (the answering node hears no other node).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub evidence: String,
    /// For how long it has been in this state.
    pub since_ms: u64,
    /// How long ago it was last heard.
    pub heard_ms: u64,
    /// The node that answers.
    pub is_me: bool,
}
