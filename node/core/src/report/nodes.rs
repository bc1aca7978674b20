//! Nodes for operators: what each reports about itself, and how this node sees it.

use std::net::SocketAddr;

use crdt_state::NodeId;
use crdt_state::condition::NodeConditions;
use crdt_state::node::{Availability, NodeDescription};
use crdt_state::resource::NamedResources;
use crdt_state::spec::Labels;
use gossip::{Evidence, MemberState, Now};

use super::NodeReport;
use crate::catalog::NodeEntry;

/// A node as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its id.
    pub id: NodeId,
    /// Its own description.
    pub description: Option<NodeDescription>,
    /// Its availability, set by operators.
    pub availability: Availability,
    /// Its labels, set by operators.
    pub labels: Labels,
    /// Its state, as this node sees it.
    pub state: MemberState,
    /// Why it counts as unreachable, if it does; `None` if it was not heard since the agent
    /// started.
    pub evidence: Option<Evidence>,
    /// For how long it has been in this state, in milliseconds.
    pub since_ms: u64,
    /// For how long it has not been heard, in milliseconds; 0 for this node.
    pub heard_ms: u64,
    /// The address at which it was last heard.
    pub addr: Option<SocketAddr>,
    /// Docker's `Version.Index`.
    pub version: u64,
    /// Why it cannot start tasks, as the node itself reports.
    pub conditions: NodeConditions,
    /// The names of its generic resources that have names, by kind.
    pub named_resources: NamedResources,
    /// Is it this node?
    pub is_me: bool,
}

impl NodeReport<'_> {
    /// Members and known nodes that are not evicted, this one first, then by id.
    pub fn nodes(&self) -> Vec<NodeRow> {
        let mut rows: Vec<NodeRow> = self
            .catalog()
            .nodes
            .iter()
            .filter(|(_, node)| !node.evicted)
            .map(|(id, node)| {
                let member = self.gossip.member(*id);
                let is_me = *id == self.me;
                let left = node.description.as_ref().is_some_and(|d| d.left);
                let (state, since_ms, heard_ms) = match member {
                    _ if left => (MemberState::Left, 0, 0),
                    _ if is_me => (MemberState::Alive, self.now.since(Now::START), 0),
                    Some(member) => {
                        (member.state, self.now.since(member.since), self.now.since(member.heard))
                    }
                    None => (MemberState::Unreachable, self.now.0, self.now.0),
                };
                NodeRow {
                    id: *id,
                    description: node.description.clone(),
                    availability: node.availability,
                    labels: node.labels.clone(),
                    state,
                    evidence: member
                        .and_then(|member| member.evidence)
                        .filter(|_| state == MemberState::Unreachable),
                    since_ms,
                    heard_ms,
                    addr: member.map(|member| member.addr),
                    version: node.version,
                    named_resources: node.named_resources.clone(),
                    conditions: node.conditions.clone(),
                    is_me,
                }
            })
            .collect();
        rows.sort_by_key(|row| (!row.is_me, row.id));
        rows
    }

    /// For how long a node has been silent, if it counts as unreachable.
    pub(super) fn unreachable_ms(&self, id: NodeId) -> Option<u64> {
        if id == self.me {
            return None;
        }
        match self.gossip.member(id) {
            Some(member) if member.state.is_active() => None,
            Some(member) => Some(self.now.since(member.since)),
            None => Some(self.now.since(Now::START)),
        }
    }

    /// Has the node left, or did operators remove it? Then its last report no longer holds.
    pub(super) fn has_left(&self, id: NodeId) -> bool {
        let gone = |node: &NodeEntry| {
            node.evicted || node.description.as_ref().is_some_and(|said| said.left)
        };
        // A node that leaves runs its tasks until others took them over, and still reports them.
        id != self.me
            && self.catalog().nodes.get(&id).is_some_and(gone)
            && self.gossip.member(id).is_none_or(|member| !member.state.is_active())
    }
}
