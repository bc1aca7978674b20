//! Anchors: which nodes a service may name, and when it may name others.

use std::collections::BTreeSet;

use crdt_state::NodeId;
use crdt_state::partition::Partition;
use crdt_state::service::Service;

use super::Editor;
use crate::edit::partition::{BadPartition, check_anchors};

impl Editor<'_> {
    /// Checks the anchors that a service is to have.
    pub(super) fn check_anchors(
        &self,
        wanted: &Partition,
        held: Option<&Service>,
    ) -> Result<(), BadPartition> {
        let nodes = self.catalog().nodes.iter();
        let members: BTreeSet<NodeId> =
            nodes.filter(|(_, node)| node.is_member()).map(|(id, _)| *id).collect();
        let none = Partition::default();
        let (before, name) = held.map_or((&none, ""), |held| (&held.partition, &held.name));
        check_anchors(wanted, before, name, &members)
    }
}
