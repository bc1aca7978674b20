//! `GET /edge/names/{name}`: what a name leads to, and why. Docker has no such request.

use serde::{Deserialize, Serialize};

/// A name as one node knows it, on each network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NameAnswers {
    /// As it was asked.
    pub name: String,
    /// Host name of the node that answers.
    pub node: String,
    /// The networks on which the name is known.
    pub networks: Vec<NameOnNetwork>,
}

/// A name on one network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NameOnNetwork {
    /// The network.
    pub network: String,
    /// Its id.
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// The name without that of the network.
    pub asked: String,
    /// `false`: this node does not know the name, and other name servers are asked.
    pub known: bool,
    /// What this node answers, in the order in which it should be tried.
    pub addresses: Vec<String>,
    /// The services that the name means.
    pub services: Vec<EdgeNameService>,
    /// What the name servers of each node answer, if that was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeNameAnswer>,
}

/// A service that a name means.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EdgeNameService {
    /// Its id.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// Its name.
    pub service: String,
    /// How the name means it: `service`, `alias`, `tasks` or `task`.
    pub meaning: String,
    /// The virtual addresses to which the name leads.
    #[serde(rename = "VirtualIPs")]
    pub virtual_ips: Vec<String>,
    /// The tasks that the name means, also those that are in no answer.
    pub tasks: Vec<EdgeNameTask>,
}

/// A task that a name means.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EdgeNameTask {
    /// `web.1`.
    pub name: String,
    /// Its id.
    #[serde(rename = "TaskID")]
    pub task_id: String,
    /// Host name of its node; empty: it has none.
    pub node: String,
    /// Its addresses on the network.
    pub addresses: Vec<String>,
    /// Docker's word for its state.
    pub state: String,
    /// `answered`, `balanced` (a virtual address leads to it), `last` or `absent`.
    pub standing: String,
    /// Why, for people.
    pub reason: String,
}

/// What the name servers of one node answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeNameAnswer {
    /// Its host name.
    pub node: String,
    /// Its id.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// `answers`, `unknown` (it has no such name), `unserved` (no container there is on the network)
    /// or `silent` (with the reason in `Error`).
    pub outcome: String,
    /// The addresses, in the order in which they should be tried.
    pub addresses: Vec<String>,
    /// Its answer is not that of the asked node.
    pub differs: bool,
    /// Why it does not say what it answers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
}
