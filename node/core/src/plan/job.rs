//! The plan of a job: which of its slots run now.
//!
//! ```text
//! not due: the job has a schedule, and nothing of it begins before a run is declared
//!   │
//!   ▼
//! waits ──▶ has an owner ──▶ complete            (never again in this iteration)
//!   ▲            │  └──────▶ failed              (the restart policy gives up)
//!   └────────────┘ its node is gone, or drained and the task has ended there
//! ```
//! Nobody counts: the slots that have an owner follow from the view alone. First come those that
//! run, then the lowest ones that are not over, until as many as may run at a time. A task that has
//! begun stays where it is until it ends, unlike a task of a service: a second copy would do its
//! work twice. The two sides of a partition may each run a slot; after it the copies go on until one
//! of them has completed.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::NodeId;
use crdt_state::node::Availability;
use crdt_state::task::Slot;

use super::{Placed, ServicePlan};
use crate::assign;
use crate::ledger::Ledger;
use crate::reason::Unplaced;
use crate::view::{Holder, JobView, Presence, ServiceView, Standing, View};

/// Plans a job of `completions` slots, of which at most `max_concurrent` run at a time.
pub(super) fn replicated(
    view: &View,
    service: &ServiceView,
    (completions, max_concurrent): (u32, u32),
    ledger: &Ledger,
) -> ServicePlan {
    let live = Live::of(view, service);
    let mut rest = BTreeMap::new();
    let mut open: Vec<(bool, Option<Standing>, u32)> = Vec::new();
    for number in 1..=completions {
        let slot = Slot::Number(number);
        match over(&service.job, slot, || live.has(slot)) {
            Some(why) => {
                rest.insert(slot, Placed::Nowhere(why));
            }
            None => {
                let standing = live.standing(slot);
                open.push((standing.is_none(), standing, number));
            }
        }
    }
    open.sort_unstable();
    let split = usize::try_from(max_concurrent).unwrap_or(usize::MAX).min(open.len());
    let waiting = open.split_off(split);
    for (.., number) in waiting {
        let why = Unplaced::Concurrent(max_concurrent);
        rest.insert(Slot::Number(number), Placed::Nowhere(why));
    }
    let mut numbers: Vec<u32> = open.into_iter().map(|(.., number)| number).collect();
    numbers.sort_unstable();
    numbers.retain(|number| match live.leaving.get(&Slot::Number(*number)) {
        Some(node) => {
            rest.insert(Slot::Number(*number), Placed::Nowhere(Unplaced::Leaving(*node)));
            false
        }
        None => true,
    });
    let begun = ServiceView { holders: live.stay, ..service.clone() };
    let mut plan = assign::replicated(view, &begun, &numbers, ledger);
    plan.slots.extend(rest);
    plan
}

/// Takes out of the plan of a global service what is over.
pub(super) fn global(service: &ServiceView, mut plan: ServicePlan) -> ServicePlan {
    for (slot, placed) in &mut plan.slots {
        let has_live = || service.holders.iter().any(|holder| holder.slot == *slot);
        if let Some(why) = over(&service.job, *slot, has_live) {
            *placed = Placed::Nowhere(why);
        }
    }
    plan
}

/// How many slots of a job have not completed.
pub(super) fn open(plan: &ServicePlan) -> usize {
    let is_over = |why| matches!(why, Unplaced::Complete | Unplaced::NotDue);
    let is_open = |placed: &&Placed| !matches!(placed, Placed::Nowhere(why) if is_over(*why));
    plan.slots.values().filter(is_open).count()
}

/// Does a slot wait for a run of the schedule?
pub(super) fn is_not_due(plan: &ServicePlan) -> bool {
    plan.slots.values().any(|placed| *placed == Placed::Nowhere(Unplaced::NotDue))
}

fn over(job: &JobView, slot: Slot, has_live: impl FnOnce() -> bool) -> Option<Unplaced> {
    match () {
        () if job.completed.contains(&slot) => Some(Unplaced::Complete),
        // The other side of a partition may still have a copy that can complete.
        () if (job.failed.contains(&slot) || job.awaits_run) && !has_live() => {
            let has_failed = job.failed.contains(&slot);
            Some(if has_failed { Unplaced::Failed } else { Unplaced::NotDue })
        }
        () => None,
    }
}

/// The tasks that have begun, on nodes that are here.
struct Live {
    stay: Vec<Holder>,
    /// The slots whose only tasks are on drained nodes.
    leaving: BTreeMap<Slot, NodeId>,
    standings: BTreeMap<Slot, Standing>,
}

impl Live {
    fn of(view: &View, service: &ServiceView) -> Live {
        let mut live =
            Live { stay: Vec::new(), leaving: BTreeMap::new(), standings: BTreeMap::new() };
        for holder in &service.holders {
            let Some(node) = view.nodes.get(&holder.node) else { continue };
            if node.presence == Presence::Gone {
                continue;
            }
            let standing = live.standings.entry(holder.slot).or_insert(holder.standing);
            *standing = holder.standing.min(*standing);
            match node.availability {
                Availability::Drain => {
                    live.leaving.insert(holder.slot, holder.node);
                }
                Availability::Active | Availability::Pause => live.stay.push(*holder),
            }
        }
        let staying: BTreeSet<Slot> = live.stay.iter().map(|holder| holder.slot).collect();
        live.leaving.retain(|slot, _| !staying.contains(slot));
        live
    }

    fn has(&self, slot: Slot) -> bool {
        self.standings.contains_key(&slot)
    }

    fn standing(&self, slot: Slot) -> Option<Standing> {
        self.standings.get(&slot).copied()
    }
}

#[cfg(test)]
mod tests;
