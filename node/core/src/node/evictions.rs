//! Nodes that operators removed from the fleet: refused at once, wherever that is heard.

use std::collections::BTreeSet;

use crdt_state::{Kind, NodeId, RecordKey, read};
use gossip::Now;

use super::Node;

impl Node {
    /// The nodes that were removed from the fleet, as far as this one knows.
    pub fn evicted(&self) -> BTreeSet<NodeId> {
        let all = self.replica.keys(Kind::EVICTION).map(|key| NodeId(key.id));
        all.filter(|node| read::is_evicted(&self.replica, *node)).collect()
    }

    /// The other nodes that are members by their records: described, not removed, and not left.
    pub fn members(&self) -> BTreeSet<NodeId> {
        let all = self.planner.catalog().nodes.iter();
        let others = all.filter(|(id, entry)| **id != self.me && entry.is_member());
        others.map(|(id, _)| *id).collect()
    }

    /// The members that were not given the newest key of the fleet yet.
    pub fn without_fleet_key(&self) -> BTreeSet<NodeId> {
        let Some(fact) = read::newest_fleet_key(&self.replica, Kind::FLEET_KEY) else {
            return BTreeSet::new();
        };
        let holders = self.planner.catalog().secrets.holders(fact.id());
        let all = self.members().into_iter().chain([self.me]);
        all.filter(|node| !holders.contains(node)).collect()
    }

    pub(super) fn on_eviction(&mut self, now: Now, node: NodeId) {
        if read::is_evicted(&self.replica, node) {
            let notice = self.replica.delta([RecordKey::eviction(node)]);
            self.gossip.evict(now, node, notice);
        } else {
            self.gossip.readmit(node);
        }
    }
}
