//! The leases of this node's slots: when to ask for them, and when to give them back.

use std::collections::BTreeMap;

use crdt_state::partition::{Grants, Partition};
use crdt_state::replica::Replica;
use crdt_state::service::Service;
use crdt_state::task::{Run, Slot};
use crdt_state::{NodeId, RecordKey, ServiceId};
use gossip::Now;

use super::Reconciler;
use crate::catalog::Catalog;
use crate::leases::{Lease, LeaseKey, LeaseMessage, Leases, Wanted};
use crate::tasks::StepTime;

/// Does a task of the service run only with leases?
pub(super) fn needs_leases(service: &Service) -> bool {
    service.partition.is_at_most_one() && !service.scale.is_job()
}

impl Reconciler {
    /// This node's leases.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// When leases are asked for again.
    pub fn leases_due_at(&self) -> Now {
        self.leases.deadline()
    }

    /// Asks for the leases that are due. Returns the services whose slots may start now.
    pub fn ask_for_leases(&mut self, now: Now) -> Vec<ServiceId> {
        self.leases.handle_due(now)
    }

    /// A message about leases. Returns the service whose slots may start now, if there is one.
    pub fn handle_lease(
        &mut self,
        now: Now,
        from: NodeId,
        message: LeaseMessage,
        catalog: &Catalog,
    ) -> Option<ServiceId> {
        let policy = anchored(catalog, self.me, from, message.key());
        self.leases.handle(now, from, message, policy)
    }

    /// The next message about leases.
    pub fn poll_lease_message(&mut self) -> Option<(NodeId, LeaseMessage)> {
        self.leases.poll_message()
    }

    /// The runs whose end changed since the last call, and until when they may live.
    pub fn take_extended_runs(&mut self) -> Vec<(Run, Now)> {
        let extended: BTreeMap<_, _> = self.leases.take_extended();
        let runs = extended.into_iter().flat_map(|((service, slot), at)| {
            self.tasks.begun_runs(service, slot).into_iter().map(move |run| (run, at))
        });
        runs.collect()
    }

    /// Until when a run that is to start now may live; `None`: without an end.
    pub fn ends_at(&self, service: ServiceId, slot: Slot) -> Option<Now> {
        Some(self.leases.kill_at((service, slot))).filter(|at| *at != Now::NEVER)
    }

    /// What is known of the leases of a slot. Asks for them if the slot is to run here or still
    /// does, and gives them back if not.
    pub(super) fn lease(
        &mut self,
        time: StepTime,
        (id, slot): (ServiceId, Slot),
        service: Option<&Service>,
        owner: Option<NodeId>,
    ) -> Lease {
        let key = (id, slot);
        let is_live = self.tasks.is_busy(id, slot);
        let Some(service) = service.filter(|service| needs_leases(service)) else {
            // A service that is removed has its tasks stopped first.
            if !is_live || service.is_some() {
                self.leases.release(key);
            }
            return Lease::NotNeeded;
        };
        if owner != Some(self.me) && !is_live {
            self.leases.release(key);
            return Lease::Missing;
        }
        let of_live = self.tasks.stop_grace_ms(id, slot);
        let grace_ms = of_live.max(service.template.stop_grace_ms);
        let want = Wanted { partition: &service.partition, grace_ms, is_live };
        self.leases.want(time.now, key, &want)
    }

    /// When the slot must be looked at again because its leases end.
    pub(super) fn lease_due_at(&self, now: Now, key: (ServiceId, Slot)) -> Now {
        let fence_at = self.leases.fence_at(key);
        if fence_at > now { fence_at } else { Now::NEVER }
    }

    /// This node's record of leases differs from its own state.
    pub(super) fn refute_leases(&mut self, replica: &Replica, key: RecordKey) {
        if key != RecordKey::grants(self.me) {
            return;
        }
        if let Some((_, written)) = replica.owned::<Grants>(&key) {
            self.leases.on_own_record(&written);
        }
    }

    /// Writes what this node gave out. Returns whether that changed.
    pub(super) fn write_leases(&mut self, replica: &mut Replica, wall_ms: u64) -> bool {
        let Some(said) = self.leases.take_unwritten() else { return false };
        let key = RecordKey::grants(self.me);
        if replica.owned::<Grants>(&key).is_some_and(|(_, written)| written == *said) {
            return false;
        }
        replica.put_owned(key, said, wall_ms);
        true
    }
}

/// The policy by which `me` may grant a lease; `None`: it is no anchor, or the other no member.
fn anchored(catalog: &Catalog, me: NodeId, from: NodeId, key: LeaseKey) -> Option<&Partition> {
    let partition = &catalog.services.get(&key.0)?.partition;
    let is_member = catalog.nodes.get(&from).is_some_and(|node| !node.evicted);
    let is_anchor = partition.is_at_most_one() && partition.anchors.contains(&me);
    (is_anchor && is_member).then_some(partition)
}
