//! Edits of nodes: what operators set on them, and their removal.

use crdt_state::node::Availability;
use crdt_state::spec::{Facet, Labels, Life};
use crdt_state::{NodeId, RecordKey};
use gossip::MemberState;

use super::{Editor, check_size, check_version};
use crate::edit::{Edited, Refusal, Removal};

impl Editor<'_> {
    pub(super) fn check_node_version(
        &self,
        id: NodeId,
        version: Option<u64>,
    ) -> Result<(), Refusal> {
        let node = self.planner.catalog().nodes.get(&id).filter(|node| !node.evicted);
        check_version(version, node.ok_or(Refusal::NoSuchNode(id))?.version)
    }

    pub(super) fn update_node(
        &mut self,
        id: NodeId,
        availability: Option<Availability>,
        labels: Option<Labels>,
    ) {
        let key = RecordKey::node_settings(id);
        let held = self.planner.catalog().nodes.get(&id).cloned().unwrap_or_default();
        if let Some(availability) = availability.filter(|wanted| *wanted != held.availability) {
            self.replica.edit(key, Facet::AVAILABILITY, &availability, self.wall_ms);
        }
        if let Some(labels) = labels.filter(|wanted| *wanted != held.labels) {
            self.replica.edit_labels(key, &labels, self.wall_ms);
        }
    }

    pub(super) fn remove_node(&mut self, id: NodeId, removal: Removal) -> Result<Edited, Refusal> {
        self.check_removable(id, removal)?;
        self.evict(id);
        Ok(Edited::Done)
    }

    /// Labels of the node that goes count more than those that the other one has, for example from the
    /// token by which it joined.
    pub(super) fn replace_node(
        &mut self,
        id: NodeId,
        by: NodeId,
        removal: Removal,
    ) -> Result<Edited, Refusal> {
        let name = |node| self.planner.catalog().hostname(node);
        if id == by {
            return Err(Refusal::SameNode(name(id)));
        }
        self.check_node_version(by, None)?;
        let is_heard = |node| self.gossip.member(node).is_some_and(|held| held.state.is_active());
        if by != self.me && !is_heard(by) {
            return Err(Refusal::NodeSilent(name(by)));
        }
        self.check_removable(id, removal)?;
        let nodes = &self.planner.catalog().nodes;
        let (old, new) = (nodes[&id].clone(), &nodes[&by]);
        let mut labels = new.labels.clone();
        labels.extend(old.labels);
        check_size("the labels", &Some(&labels))?;
        self.update_node(by, Some(old.availability), Some(labels));
        self.evict(id);
        Ok(Edited::Done)
    }

    fn check_removable(&self, id: NodeId, removal: Removal) -> Result<(), Refusal> {
        self.check_node_version(id, None)?;
        let gone = match self.gossip.member(id) {
            Some(member) => {
                matches!(member.state, MemberState::Unreachable | MemberState::Left)
            }
            None => id != self.me,
        };
        if !gone && removal == Removal::IfGone {
            return Err(Refusal::NodeReachable { name: self.planner.catalog().hostname(id) });
        }
        Ok(())
    }

    fn evict(&mut self, id: NodeId) {
        let created = self.replica.next_stamp();
        let fact = Life::Present { name: self.planner.catalog().hostname(id), created };
        self.replica.edit(RecordKey::eviction(id), Facet::LIFE, &fact, self.wall_ms);
    }
}
