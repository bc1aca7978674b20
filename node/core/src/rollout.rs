//! Rollout without a leader: each node decides for its own slots, from the reports of all owners.
//!
//! Slots have an order. A slot may take a new template when all but `parallelism - 1` of the wanted
//! slots before it run that template healthy. They must have done so for the monitor time and the
//! delay, as this node saw it. The rule does not depend on the node that began the rollout: that
//! node can be gone.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::service::Service;
use crdt_state::spec::TemplateVersion;
use crdt_state::task::{Slot, TaskRecord};
use crdt_state::{NodeId, ServiceId};
use gossip::Now;

use crate::plan::{Placed, ServicePlan, desired};
use crate::reason::Choice;
use crate::tasks::is_healthy;

/// Since when this node has seen slots run a template healthy. These times begin again when the
/// agent restarts, which only makes a rollout slower.
#[derive(Debug, Clone, Default)]
pub struct RolloutProgress {
    since: BTreeMap<ServiceId, BTreeMap<Slot, (TemplateVersion, Now)>>,
    /// The version of each service that this node saw last, and whether its rollout was completed.
    reached: BTreeMap<ServiceId, (u64, bool)>,
}

impl RolloutProgress {
    /// Notes what the owners of a service's slots report now.
    pub fn note(
        &mut self,
        now: Now,
        service: &Service,
        plan: Option<&ServicePlan>,
        records: Option<&BTreeMap<(Slot, NodeId), TaskRecord>>,
    ) {
        let was_reached = self.is_reached(now, service, plan);
        let mut healthy = BTreeSet::new();
        for ((slot, _), record) in records.into_iter().flatten() {
            let runs = |s: &&crdt_state::task::TaskStatus| {
                s.template == service.template_version && is_healthy(s)
            };
            if record.tasks.iter().any(|s| runs(&s)) {
                healthy.insert(*slot);
            }
        }
        let version = service.template_version;
        let seen = self.since.entry(service.id).or_default();
        seen.retain(|slot, (seen, _)| *seen == version && healthy.contains(slot));
        for slot in healthy {
            seen.entry(slot).or_insert((version, now));
        }
        let was_known = self.reached.get(&service.id).is_some_and(|(of, _)| *of == service.version);
        let is_all = !was_known && is_full(service, plan, seen.keys());
        self.reached.insert(service.id, (service.version, was_reached || is_all));
    }

    /// Since the last edit of a service, did all its slots run its template healthy for the monitor
    /// time? Once true, this stays true for that edit, whatever happens to its tasks later. If all
    /// slots run healthy when this node first sees the edit, for example because its agent started
    /// later, that is enough.
    pub fn is_reached(&self, now: Now, service: &Service, plan: Option<&ServicePlan>) -> bool {
        let Some((_, reached)) =
            self.reached.get(&service.id).filter(|(of, _)| *of == service.version)
        else {
            return false;
        };
        let seen = self.since.get(&service.id).map(BTreeMap::keys).into_iter().flatten();
        let settled = seen.filter(|slot| self.is_settled(now, service, **slot));
        *reached || is_full(service, plan, settled)
    }

    /// Has the slot run the current template healthy for the monitor time?
    pub fn is_settled(&self, now: Now, service: &Service, slot: Slot) -> bool {
        let seen = self.since.get(&service.id).and_then(|slots| slots.get(&slot));
        seen.is_some_and(|(version, since)| {
            *version == service.template_version
                && since.plus(service.update_policy.monitor_ms) <= now
        })
    }

    /// Forgets a service.
    pub fn forget(&mut self, service: ServiceId) {
        self.since.remove(&service);
        self.reached.remove(&service);
    }

    /// May the slot take the current template now? If not, when to ask again, unless something
    /// else happens first.
    pub fn may_update(
        &self,
        now: Now,
        service: &Service,
        plan: &ServicePlan,
        slot: Slot,
    ) -> Result<(), Now> {
        if matches!(plan.slots.get(&slot), Some(Placed::On(_, Choice::Stays))) {
            return Err(Now::NEVER);
        }
        let policy = &service.update_policy;
        if policy.parallelism == 0 {
            return Ok(());
        }
        let settle_ms = policy.monitor_ms.saturating_add(policy.delay_ms);
        let seen = self.since.get(&service.id);
        let mut ripe_at = Vec::new();
        for (before, placed) in plan.slots.range(..slot) {
            // A slot that has no place, or stays as it is until there is one, is not waited for.
            if matches!(placed, Placed::Nowhere(_) | Placed::On(_, Choice::Stays)) {
                continue;
            }
            let since = seen.and_then(|seen| seen.get(before));
            let at = since.map_or(Now::NEVER, |(_, since)| since.plus(settle_ms));
            if at > now {
                ripe_at.push(at);
            }
        }
        let allowed = usize::try_from(policy.parallelism - 1).unwrap_or(usize::MAX);
        if ripe_at.len() <= allowed {
            return Ok(());
        }
        ripe_at.sort_unstable();
        Err(ripe_at[ripe_at.len() - 1 - allowed])
    }
}

/// Do these slots include all slots that the service wants?
fn is_full<'a>(
    service: &Service,
    plan: Option<&ServicePlan>,
    slots: impl Iterator<Item = &'a Slot>,
) -> bool {
    let wanted = slots.filter(|slot| plan.is_some_and(|plan| plan.slots.contains_key(slot)));
    wanted.count() >= desired(service.scale, plan)
}
