//! Nodes as Docker writes them. Every node of a fleet is equal and takes any command, which in
//! Docker's words is a reachable manager; none of them is the leader.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeDescription {
    pub hostname: String,
    pub platform: Platform,
    pub resources: Resources,
    pub engine: Engine,
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

/// Whether it takes commands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManagerStatus {
    /// Never: there is none.
    pub leader: bool,
    /// `reachable` or `unreachable`.
    pub reachability: String,
    pub addr: String,
}

/// What Docker has no word for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EdgeNode {
    /// `alive`, `suspect`, `unreachable` or `left`.
    pub state: String,
    /// Why it is unreachable: `probe` (it answered none of the answering node's), `others` (they
    /// say so), or `island` (the answering node hears nobody).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub evidence: String,
    /// In this state for so long.
    pub since_ms: u64,
    /// Last heard of so long ago.
    pub heard_ms: u64,
    /// The node that answers.
    pub is_me: bool,
}
