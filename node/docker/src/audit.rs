//! What was changed, by whom: `/edge/audit`.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What all nodes wrote down that answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AuditAnswer {
    /// The oldest first, by the clocks of the nodes.
    pub entries: Vec<AuditRow>,
    /// Nodes that did not answer, each with the reason.
    pub missing: Vec<String>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AuditRow {
    /// When, as the node's clock said it.
    pub time: Timestamp,
    /// The host name of the node that was asked.
    pub node: String,
    /// Who asked.
    pub client: String,
    /// What was asked, in words or as the request.
    pub action: String,
    /// Method and path.
    pub request: String,
    /// The status of the answer.
    pub status: u16,
}
