//! Rollout without a leader: each node decides for its own slots, from what all owners say.
//!
//! Slots have an order. A slot may take a new template when, of the wanted slots before it, all
//! but `parallelism - 1` run it healthy, and have done so for the monitor time and the delay, as
//! this node saw it. It knows nothing of who began the rollout: that node can be gone.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::service::Service;
use crdt_state::spec::TemplateVersion;
use crdt_state::task::{Slot, TaskRecord};
use crdt_state::{NodeId, ServiceId};
use gossip::Now;

use crate::plan::{Placed, ServicePlan};
use crate::reason::Choice;
use crate::tasks::is_healthy;

/// Since when this node has seen slots run a template healthy. Late after a restart of the agent,
/// which only makes a rollout slower.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    since: BTreeMap<ServiceId, BTreeMap<Slot, (TemplateVersion, Now)>>,
}

impl Seen {
    /// Notes what the owners of a service's slots say now.
    pub fn note(
        &mut self,
        now: Now,
        service: &Service,
        records: Option<&BTreeMap<(Slot, NodeId), TaskRecord>>,
    ) {
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
    }

    /// Forgets a service.
    pub fn forget(&mut self, service: ServiceId) {
        self.since.remove(&service);
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
            // What has no place, or stays as it is until it has one, is not waited for.
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
