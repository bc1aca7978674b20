//! Why a slot waits because of the partition policy of its service.

use crdt_state::service::Service;
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};

use super::NodeReport;
use crate::leases::promised_ms;
use crate::view::Presence;

impl NodeReport<'_> {
    /// The slot stays with a node that is unreachable.
    pub(super) fn why_stays(&self, node: NodeId) -> String {
        let node = self.shown(node);
        format!("it stays with {node}, which is unreachable and may still run it")
    }

    /// The owner of a slot does not run it, because it has no leases yet; `None`: it needs none.
    pub(super) fn why_unleased(
        &self,
        service: &Service,
        slot: Slot,
        owner: NodeId,
    ) -> Option<String> {
        if !service.partition.is_at_most_one() {
            return None;
        }
        let holder = self.view().services.get(&service.id)?.leases.get(&slot).copied();
        Some(match holder.filter(|holder| *holder != owner) {
            Some(holder) => {
                let lease_ms =
                    service.partition.fence_after_ms.saturating_add(service.template.stop_grace_ms);
                format!(
                    "it waits until {} has certainly stopped it: {} s after that was last granted it",
                    self.shown(holder),
                    promised_ms(lease_ms).div_ceil(1_000)
                )
            }
            None => format!("{} asks the anchors for it", self.shown(owner)),
        })
    }

    /// Too few anchors are in view.
    pub(super) fn why_no_majority(&self, id: ServiceId) -> String {
        let Some(service) = self.catalog().services.get(&id) else { return String::new() };
        let partition = &service.partition;
        let is_missing = |node: &&NodeId| {
            let known = self.view().nodes.get(node);
            known.is_none_or(|node| node.presence != Presence::Here)
        };
        let missing: Vec<String> =
            partition.anchors.iter().filter(is_missing).map(|node| self.shown(*node)).collect();
        format!(
            "{} of its {} anchors must be in view, and {} is not: another side of a partition may \
             run it",
            partition.majority(),
            partition.anchors.len(),
            missing.join(", ")
        )
    }
}
