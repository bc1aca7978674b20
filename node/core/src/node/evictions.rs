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

    pub(super) fn on_eviction(&mut self, now: Now, node: NodeId) {
        if read::is_evicted(&self.replica, node) {
            let notice = self.replica.delta([RecordKey::eviction(node)]);
            self.gossip.evict(now, node, notice);
        } else {
            self.gossip.readmit(node);
        }
    }
}
