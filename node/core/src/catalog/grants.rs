//! The leases that nodes gave out as witnesses of `at-most-one` services.

use std::collections::BTreeSet;

use crdt_state::partition::{Grant, Grants};
use crdt_state::replica::Replica;
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, read};

use super::{Catalog, Touched};

impl Catalog {
    /// Reads the leases of one witness again. Only services of which a lease changed are touched.
    pub(super) fn update_grants(&mut self, replica: &Replica, node: NodeId, touched: &mut Touched) {
        let entries = |grants: Option<&Grants>| -> BTreeSet<(ServiceId, Slot, NodeId)> {
            let given = grants.into_iter().flat_map(|grants| &grants.given);
            let entry = |(key, grant): (&(ServiceId, Slot), &Grant)| (key.0, key.1, grant.node);
            given.map(entry).collect()
        };
        let before = self.grants.remove(&node);
        let after = read::grants_of(replica, node);
        let (was, is) = (entries(before.as_ref()), entries(after.as_ref()));
        touched.services.extend(was.symmetric_difference(&is).map(|(service, ..)| *service));
        self.grants.extend(after.map(|after| (node, after)));
    }
}
