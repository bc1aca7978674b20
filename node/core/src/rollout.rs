//! Rollout without a leader: each node decides for its own slots, from the reports of all owners.
//!
//! Slots have an order. A slot may take a new template when all but `parallelism - 1` of the wanted
//! slots before it run that template healthy. They must have done so for the monitor time and the
//! delay, as this node saw it. The rule does not depend on the node that began the rollout: that
//! node can be gone. A slot that failed is not waited for: the policy says whether the rollout goes
//! on ([`crate::reconciler`] reports failures).

use std::collections::btree_map::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crdt_state::service::Service;
use crdt_state::spec::{TemplateVersion, UpdateOrder};
use crdt_state::task::{Slot, TaskRecord};
use crdt_state::{NodeId, ServiceId, Stamp};
use gossip::Now;

use crate::plan::{Placed, ServicePlan, desired};
use crate::reason::Choice;
use crate::tasks::is_healthy;

mod side_by_side;

pub use side_by_side::SideBySide;

/// From this time on a slot of which no node can take the new task counts as failed, in
/// milliseconds.
pub const STUCK_MS: u64 = 600_000;

/// Since when this node has seen slots run a template healthy. These times begin again when the
/// agent restarts, which only makes a rollout slower.
#[derive(Debug, Clone, Default)]
pub struct RolloutProgress {
    since: BTreeMap<ServiceId, BTreeMap<Slot, (TemplateVersion, Now)>>,
    /// The version of each service that this node saw last, and whether its rollout was completed.
    reached: BTreeMap<ServiceId, (u64, bool)>,
    seen: BTreeMap<ServiceId, Seen>,
    side_by_side: BTreeMap<ServiceId, SideBySide>,
}

/// What this node saw of one rollout.
#[derive(Debug, Clone)]
struct Seen {
    /// The write of the template, and the template that counts since.
    of: (Stamp, TemplateVersion),
    /// Failures do not count any more.
    is_over: bool,
    /// Slots that ran the template healthy for the monitor time.
    passed: BTreeSet<Slot>,
    /// Since when no node can take the new task of a slot.
    stuck: BTreeMap<Slot, Now>,
}

impl RolloutProgress {
    /// Notes what the owners of a service's slots report now.
    pub fn note(
        &mut self,
        now: Now,
        service: &Service,
        plan: Option<&ServicePlan>,
        records: Option<&BTreeMap<(Slot, NodeId), TaskRecord>>,
        me: NodeId,
    ) {
        self.note_passed(now, service, plan, records, me);
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
        self.note_switch(service, plan);
        let was_known = self.reached.get(&service.id).is_some_and(|(of, _)| *of == service.version);
        let is_all = !was_known && self.runs_all(service, plan);
        self.reached.insert(service.id, (service.version, was_reached || is_all));
        if let Some(seen) = self.seen.get_mut(&service.id) {
            seen.is_over |= was_reached || is_all;
        }
    }

    /// Does every slot run the current template healthy, and go connections there?
    fn runs_all(&self, service: &Service, plan: Option<&ServicePlan>) -> bool {
        let slots = self.since.get(&service.id).into_iter().flat_map(BTreeMap::keys);
        is_full(service, plan, slots) && !self.waits_to_switch(service)
    }

    /// Notes which slots stayed for the monitor time, and which wait for a node. A rollout that this
    /// node sees for the first time is over if all others have completed it: a node that was away
    /// for days, or is new, must not call it failed.
    fn note_passed(
        &mut self,
        now: Now,
        service: &Service,
        plan: Option<&ServicePlan>,
        records: Option<&BTreeMap<(Slot, NodeId), TaskRecord>>,
        me: NodeId,
    ) {
        let of = (service.template_stamp, service.template_version);
        if self.seen.get(&service.id).is_none_or(|seen| seen.of != of) {
            let is_over = is_over_elsewhere(service, plan, records, me);
            let (passed, stuck) = (BTreeSet::new(), BTreeMap::new());
            self.seen.insert(service.id, Seen { of, is_over, passed, stuck });
        }
        let since = self.since.get(&service.id).map(BTreeMap::keys).into_iter().flatten();
        let passed: Vec<Slot> =
            since.filter(|slot| self.is_settled(now, service, **slot)).copied().collect();
        let Some(seen) = self.seen.get_mut(&service.id) else { return };
        seen.passed.extend(passed);
        let placed = plan.into_iter().flat_map(|plan| &plan.slots);
        let stuck = placed.filter(|(_, placed)| is_without_place(placed)).map(|(slot, _)| *slot);
        let stuck: BTreeSet<Slot> = stuck.collect();
        seen.stuck.retain(|slot, _| stuck.contains(slot));
        for slot in stuck {
            seen.stuck.entry(slot).or_insert(now);
        }
    }

    /// Does it count if the slot fails with the current template now? Where that is known to have
    /// failed, always: the slot is to go back as well.
    pub fn counts(&self, service: &Service, slot: Slot) -> bool {
        let is_open = |seen: &&Seen| !seen.is_over || service.is_stopped();
        let seen = self.seen.get(&service.id).filter(is_open);
        let is_rolled_out = service.is_template_updated() && !service.scale.is_job();
        is_rolled_out && seen.is_some_and(|seen| !seen.passed.contains(&slot))
    }

    /// When the slot counts as failed because no node can take its new task; `None`: some can.
    pub fn stuck_until(&self, service: ServiceId, slot: Slot) -> Option<Now> {
        let since = self.seen.get(&service)?.stuck.get(&slot)?;
        Some(since.plus(STUCK_MS))
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
        if self.waits_to_switch(service) {
            return false;
        }
        let since = self.since.get(&service.id).map(BTreeMap::keys).into_iter().flatten();
        let settled = since.filter(|slot| self.is_settled(now, service, **slot));
        let mut done: BTreeSet<&Slot> = settled.collect();
        // Failures that are tolerated.
        done.extend(service.rollout.failures.slots.iter().filter(|_| !service.is_stopped()));
        done.extend(self.passed(service));
        *reached || is_full(service, plan, done.into_iter())
    }

    /// The slots that ran the current template healthy for the monitor time.
    fn passed(&self, service: &Service) -> impl Iterator<Item = &Slot> {
        let of = (service.template_stamp, service.template_version);
        let seen = self.seen.get(&service.id).filter(|seen| seen.of == of);
        seen.into_iter().flat_map(|seen| &seen.passed)
    }

    /// Has the slot run the current template healthy for the monitor time?
    pub fn is_settled(&self, now: Now, service: &Service, slot: Slot) -> bool {
        let seen = self.since.get(&service.id).and_then(|slots| slots.get(&slot));
        seen.is_some_and(|(version, since)| {
            *version == service.template_version && since.plus(service.pace().monitor_ms) <= now
        })
    }

    /// Did the first slots of a rollout stay, and do the others wait to be promoted?
    pub fn awaits_promotion(&self, now: Now, service: &Service, plan: &ServicePlan) -> bool {
        let placed = plan.slots.iter().filter(|(_, placed)| !is_without_place(placed));
        let mut slots: Vec<Slot> = placed.map(|(slot, _)| *slot).collect();
        if service.is_last_first() {
            slots.reverse();
        }
        let waits = slots.last().is_some_and(|slot| is_behind_the_canaries(service, plan, *slot))
            || service.awaits_operator() && service.order() == UpdateOrder::BlueGreen;
        let first = slots.iter().take(service.update_rules.canary as usize);
        waits && first.into_iter().all(|slot| self.is_settled(now, service, *slot))
    }

    /// Forgets a service.
    pub fn forget(&mut self, service: ServiceId) {
        self.since.remove(&service);
        self.reached.remove(&service);
        self.seen.remove(&service);
        self.side_by_side.remove(&service);
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
        if service.is_halted() || is_behind_the_canaries(service, plan, slot) {
            return Err(Now::NEVER);
        }
        let policy = service.pace();
        if policy.parallelism == 0 || service.order() == UpdateOrder::BlueGreen {
            return Ok(());
        }
        let settle_ms = policy.monitor_ms.saturating_add(policy.delay_ms);
        let seen = self.since.get(&service.id);
        let passed: BTreeSet<&Slot> = self.passed(service).collect();
        let mut ripe_at = Vec::new();
        for (before, placed) in before(service, plan, slot) {
            let has_failed = service.rollout.failures.slots.contains(before);
            if is_without_place(placed) || has_failed {
                continue;
            }
            // It stayed long enough, whatever became of it since.
            if passed.contains(before) && !seen.is_some_and(|seen| seen.contains_key(before)) {
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

/// A slot that has no place, or stays as it is until there is one, is not waited for.
fn is_without_place(placed: &Placed) -> bool {
    matches!(placed, Placed::Nowhere(_) | Placed::On(_, Choice::Stays))
}

/// The slots of which the turn comes before that of this one.
fn before<'a>(service: &Service, plan: &'a ServicePlan, slot: Slot) -> Range<'a, Slot, Placed> {
    match service.is_last_first() {
        false => plan.slots.range(..slot),
        true => plan.slots.range((Bound::Excluded(slot), Bound::Unbounded)),
    }
}

/// Does the slot wait until an operator has seen the first ones?
fn is_behind_the_canaries(service: &Service, plan: &ServicePlan, slot: Slot) -> bool {
    let canary = usize::try_from(service.update_rules.canary).unwrap_or(usize::MAX);
    let before = || before(service, plan, slot).filter(|(_, placed)| !is_without_place(placed));
    service.awaits_operator() && service.is_template_updated() && before().count() >= canary
}

/// Do the other nodes that run the service all run its template healthy? Where no other runs it:
/// does this node, in all its slots?
fn is_over_elsewhere(
    service: &Service,
    plan: Option<&ServicePlan>,
    records: Option<&BTreeMap<(Slot, NodeId), TaskRecord>>,
    me: NodeId,
) -> bool {
    let owns = |slot: Slot, node: NodeId| {
        let placed = plan.and_then(|plan| plan.slots.get(&slot));
        matches!(placed, Some(Placed::On(owner, _)) if *owner == node)
    };
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for ((slot, node), record) in records.into_iter().flatten() {
        for task in record.tasks.iter().filter(|task| task.desired_running) {
            let is_current = task.template == service.template_version && is_healthy(task);
            match *node == me {
                true => own.push(is_current),
                false if owns(*slot, *node) => others.push(is_current),
                false => {}
            }
        }
    }
    let seen = if others.is_empty() { own } else { others };
    !seen.is_empty() && seen.into_iter().all(|is_current| is_current)
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
