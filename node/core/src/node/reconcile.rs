//! One service on this node: each of its slots is brought towards the plan.
//!
//! What the plan says is believed for starting; for ending a healthy copy the keeper has to answer,
//! see [`crate::handover`]. Slots whose turn in a rollout has not come run the last template that
//! was good, wherever they are started.

use crdt_state::handover::Handovers;
use crdt_state::service::Service;
use crdt_state::spec::TemplateVersion;
use crdt_state::task::{Slot, TaskState, TaskStatus};
use crdt_state::{NodeId, RecordKey, ServiceId};
use gossip::Now;

use super::Node;
use crate::plan::ServicePlan;
use crate::tasks::{SlotTarget, is_healthy};
use crate::view::Presence;

impl Node {
    pub(super) fn reconcile(&mut self, now: Now, wall_ms: u64, id: ServiceId) {
        if self.is_orphan(id) && now < self.orphans_until {
            self.due_at.insert(id, self.orphans_until);
            return;
        }
        // Its record is there and nobody can read it: nothing of it is begun, and nothing ended.
        if self.replica.is_unfit(&RecordKey::service(id)) {
            self.due_at.remove(&id);
            return;
        }
        if let Some(service) = self.catalog.services.get(&id) {
            let plan = self.plan.services.get(&id);
            self.seen.note(now, service, plan, self.catalog.tasks.get(&id));
        } else {
            self.seen.forget(id);
        }
        let mut next_turn = Now::NEVER;
        for slot in self.concerned_slots(id) {
            let owner = self.plan.owner(id, slot);
            let turn = self.turn(now, id, slot);
            next_turn = next_turn.min(turn.err().unwrap_or(Now::NEVER));
            let owner_runs = owner.is_some_and(|node| self.runs(id, slot, node));
            let is_kept = self.hand_over(id, slot, owner.filter(|_| owner_runs));
            let service = self.catalog.services.get(&id);
            let slot_target = SlotTarget {
                service,
                wanted: self.plan.wants(id, slot),
                owner,
                owner_runs,
                is_kept,
                target: service.map_or(TemplateVersion(0), |s| self.target(s, slot, turn)),
                may_update: turn.is_ok(),
            };
            let time = self.step_time(now, wall_ms);
            self.tasks.reconcile(time, id, slot, slot_target);
        }
        let (plan, tasks, me) = (&self.plan, &self.tasks, self.me);
        let keeps = |slot| plan.owner(id, slot) == Some(me) && tasks.keeps(id, slot);
        self.handover.answer(id, &self.catalog.handovers, keeps);
        match next_turn {
            Now::NEVER => self.due_at.remove(&id),
            at => self.due_at.insert(id, at),
        };
    }

    /// The slots that this node owns, has something in, or asks about.
    fn concerned_slots(&self, id: ServiceId) -> Vec<Slot> {
        let mut slots: Vec<Slot> =
            self.tasks.slots().filter(|(of, _)| *of == id).map(|(_, slot)| slot).collect();
        let planned = self.plan.services.get(&id);
        let owned = planned.into_iter().flat_map(|plan| plan.slots.keys()).copied();
        slots.extend(owned.filter(|slot| self.plan.owner(id, *slot) == Some(self.me)));
        slots.extend(self.handover.asked(id));
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// May the slot take the current template now? Looking at all slots before it is for those
    /// that wait for their turn only.
    fn turn(&self, now: Now, id: ServiceId, slot: Slot) -> Result<(), Now> {
        let planned: Option<&ServicePlan> = self.plan.services.get(&id);
        let (Some(service), Some(plan)) = (self.catalog.services.get(&id), planned) else {
            return Ok(());
        };
        let current = service.template_version;
        let waits = self.tasks.has_outdated(id, slot, current)
            || (service.last_good.is_some() && !self.tasks.has_version(id, slot, current));
        if waits { self.seen.may_update(now, service, plan, slot) } else { Ok(()) }
    }

    /// The version that a slot is to run. Before its turn that is what it ran last: an update that
    /// fails in its first slots is not spread by replacements, moves and new slots.
    fn target(&self, service: &Service, slot: Slot, turn: Result<(), Now>) -> TemplateVersion {
        let current = service.template_version;
        let Some((good, _)) = service.last_good.as_ref() else { return current };
        if turn.is_ok() || self.tasks.has_version(service.id, slot, current) {
            return current;
        }
        let records = self.catalog.tasks.get(&service.id).into_iter().flatten();
        let wanted = |((of, node), record): (&(Slot, NodeId), _)| (*of, *node, record);
        let (mut has_any, mut has_good, mut others_have_good) = (false, false, false);
        for (of, node, record) in records.map(wanted) {
            let tasks: &Vec<TaskStatus> = &record.tasks;
            for task in tasks.iter().filter(|task| task.desired_running) {
                let is_good = task.template == *good;
                if of != slot {
                    others_have_good |= is_good && self.is_here(node);
                    continue;
                }
                if task.template == current && task.current.state == TaskState::Running {
                    return current;
                }
                has_any = true;
                has_good |= is_good;
            }
        }
        if has_good || (!has_any && others_have_good) { *good } else { current }
    }

    pub(super) fn is_here(&self, node: NodeId) -> bool {
        self.view.nodes.get(&node).is_some_and(|view| view.presence == Presence::Here)
    }

    /// Asks the owner of a slot that this node runs as well whether it keeps it, if it says that it
    /// runs it; whether it has answered so. `keeper` is that owner.
    fn hand_over(&mut self, id: ServiceId, slot: Slot, keeper: Option<NodeId>) -> bool {
        let keeper = keeper.filter(|node| *node != self.me && self.tasks.runs(id, slot));
        let Some(keeper) = keeper else {
            self.handover.withdraw(id, slot);
            return false;
        };
        // An agent from before there were handovers neither asks nor answers.
        let Some(theirs) = self.catalog.handovers.get(&keeper) else { return true };
        let number = self.replica.lamport().saturating_add(1);
        self.handover.ask(number, id, slot, keeper);
        self.handover.is_kept_by(keeper, theirs, id, slot)
    }

    /// Writes what this node asks and keeps, if that differs from what it last said.
    pub(super) fn say_handovers(&mut self, wall_ms: u64) -> bool {
        let key = RecordKey::handovers(self.me);
        let said = self.replica.owned::<Handovers>(&key);
        if said.is_some_and(|(_, said)| said == *self.handover.said()) {
            return false;
        }
        self.replica.put_owned(key, self.handover.said(), wall_ms);
        true
    }

    /// Does no record speak of the service, not even of its removal?
    fn is_orphan(&self, id: ServiceId) -> bool {
        self.replica.record(&RecordKey::service(id)).is_none()
    }

    /// Does the node say that the slot runs on it, healthy, and that it is to go on?
    fn runs(&self, id: ServiceId, slot: Slot, node: NodeId) -> bool {
        let goes_on = |task: &TaskStatus| task.desired_running && is_healthy(task);
        self.catalog.said(id, slot, node).is_some_and(|record| record.tasks.iter().any(goes_on))
    }
}
