//! What was changed, and by whom: of this node, and of others by asking their agents.

use crdt_state::NodeId;

use super::audit_log::{AuditEntry, AuditLog};
use super::command::Unanswered;
use super::handle::Handle;
use crate::transport::{DialFailure, PeerRequest};

/// Why a node does not show its log.
#[derive(Debug, thiserror::Error)]
pub enum AuditUnsaid {
    /// This agent is ending.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The node is unreachable for the fleet, or no member.
    #[error("it cannot be reached")]
    Silent,
    /// It does not answer.
    #[error("{0}")]
    Peer(DialFailure),
}

impl Handle {
    /// The log of this node.
    pub fn audit(&self) -> &AuditLog {
        &self.shared.audit
    }

    /// What another node has in its log since this time of day of its own.
    pub async fn ask_audit(
        &self,
        node: NodeId,
        since_wall_ms: u64,
    ) -> Result<Vec<AuditEntry>, AuditUnsaid> {
        if self.is_silent(node).await? {
            return Err(AuditUnsaid::Silent);
        }
        let route = self.route(node).await?.ok_or(AuditUnsaid::Silent)?;
        let mut reply = self.shared.transport.request(route, PeerRequest::Audit { since_wall_ms });
        let mut entries = Vec::new();
        while let Some(frame) = reply.next().await {
            let frame = frame.map_err(AuditUnsaid::Peer)?;
            let lines = frame.split(|byte| *byte == b'\n');
            entries.extend(lines.filter_map(|line| serde_json::from_slice(line).ok()));
        }
        Ok(entries)
    }
}
