//! What nodes report of services that are scaled by their load.

use std::collections::BTreeSet;

use crdt_state::autoscale::ScalingReports;
use crdt_state::replica::Replica;
use crdt_state::{NodeId, ServiceId, read};

use super::{Catalog, Touched};

impl Catalog {
    /// A service is read again when another count of it was declared. Its load touches nothing.
    pub(super) fn update_scaling(
        &mut self,
        replica: &Replica,
        node: NodeId,
        touched: &mut Touched,
    ) {
        let before = self.scaling.remove(&node).unwrap_or_default();
        let after = read::scaling_of(replica, node);
        let both: BTreeSet<ServiceId> = before.keys().chain(after.keys()).copied().collect();
        let declared = |said: &ScalingReports, id: &ServiceId| said.get(id)?.declared;
        for id in both.iter().filter(|id| declared(&before, id) != declared(&after, id)) {
            self.update_service(replica, *id, touched);
        }
        if !after.is_empty() {
            self.scaling.insert(node, after);
        }
    }
}
