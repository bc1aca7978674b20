//! This node's part of the plan: each slot that it owns or has a task in is brought towards the
//! plan.
//!
//! The plan is enough to start a task. To end a healthy copy, the new owner has to answer, see
//! [`crate::handover`]. Slots whose turn in a rollout has not come run the last template that was
//! good, wherever they are started. This code must never write a record of another node.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::handover::Handovers;
use crdt_state::replica::Replica;
use crdt_state::spec::{Life, TemplateVersion};
use crdt_state::task::{AdoptedRun, Run, RunEvent, Slot, TaskRecord};
use crdt_state::{NodeId, RecordKey, ServiceId, TaskId};
use gossip::Now;

use crate::addressing::LiveTask;
use crate::catalog::Catalog;
use crate::event::Event;
use crate::handover::Handover;
use crate::leases::{Lease, Leases};
use crate::planner::Planner;
use completions::Completions;

use crate::tasks::{SlotTarget, StepTime, TaskOrder, Tasks, is_healthy};

mod completions;
pub(crate) mod dependencies;
mod failures;
mod leases;
mod room;
pub(crate) mod slot_order;
mod target;
mod task_events;

use failures::OwnFailures;

/// From the first member heard to the first start, in milliseconds: the time of one comparison.
pub const LOOK_AROUND_MS: u64 = 700;

/// How long tasks of unknown services are kept after the first member was heard, in milliseconds:
/// three comparisons on the default profile.
pub const ORPHAN_MS: u64 = 30_000;

/// The tasks of one node, and what it asks of and answers to other nodes about their slots.
pub struct Reconciler {
    me: NodeId,
    tasks: Tasks,
    handover: Handover,
    completions: Completions,
    /// Until this time, tasks of services that have no record go on: a node that lost its disk
    /// first receives what its peers know.
    orphans_until: Now,
    failures: OwnFailures,
    leases: Leases,
    /// When a service is due by itself: the next turn of a rollout, or the end of `orphans_until`.
    due_at: BTreeMap<ServiceId, Now>,
}

impl Reconciler {
    /// No tasks; nothing starts before `hold_until`.
    pub fn new(
        me: NodeId,
        hostname: String,
        (boot, hold_until): (u64, Now),
        replica: &Replica,
        catalog: &Catalog,
    ) -> Reconciler {
        let written = catalog.handovers.get(&me).cloned();
        let (store, granted) = (replica.writer().store, catalog.grants.get(&me).cloned());
        Reconciler {
            me,
            tasks: Tasks::new(me, hostname, hold_until),
            handover: Handover::restore(me, replica.writer().store, written),
            completions: Completions::new(me),
            failures: OwnFailures::restore(catalog.rollouts.get(&me)),
            leases: Leases::restore(me, store, boot, granted),
            orphans_until: Now::NEVER,
            due_at: BTreeMap::new(),
        }
    }

    /// Takes over the runs that were found on this machine.
    pub fn restore(&mut self, time: StepTime, adopted: Vec<AdoptedRun>, catalog: &Catalog) {
        let mine: Vec<TaskRecord> = catalog.tasks_of(self.me).cloned().collect();
        for (run, event) in self.tasks.restore(time, mine, adopted) {
            self.handle_run(time, run, event, catalog);
        }
    }

    /// The runtime reported what happened to a run.
    pub fn handle_run(&mut self, time: StepTime, run: Run, event: RunEvent, catalog: &Catalog) {
        let service = self.tasks.slot_of(run).and_then(|(id, _)| catalog.service(id));
        self.tasks.handle_run(time, run, event, service);
    }

    /// A member is up: what others know arrives with the next comparison.
    pub fn on_member_up(&mut self, now: Now) {
        self.tasks.release(now.plus(LOOK_AROUND_MS));
        self.orphans_until = self.orphans_until.min(now.plus(ORPHAN_MS));
    }

    /// Starts what is due, and orders again the stops that were not answered.
    pub fn handle_due(&mut self, time: StepTime, planner: &Planner) {
        self.hold_back(time.now, planner);
        self.tasks.handle_due(time, |id| planner.catalog().service(id));
    }

    /// Stops a task that lost a device. That of a service which cannot be read goes on.
    pub fn stop_lost(&mut self, time: StepTime, task: TaskId, why: String, catalog: &Catalog) {
        let service = self.tasks.service_of(task).and_then(|id| catalog.service(id));
        if let Some(service) = service {
            self.tasks.stop_lost(time, task, why, service);
        }
    }

    /// Stops every task.
    pub fn stop_all(&mut self, time: StepTime) {
        self.tasks.stop_all(time);
    }

    /// The next order for the runtime.
    pub fn poll_order(&mut self) -> Option<TaskOrder> {
        self.tasks.poll_order()
    }

    /// The tasks that have not ended.
    pub fn live_tasks(&self) -> impl Iterator<Item = LiveTask> {
        self.tasks.live()
    }

    /// The tasks of one service that have not ended.
    pub fn live_tasks_of(&self, service: ServiceId) -> Vec<LiveTask> {
        self.tasks.live_of(service)
    }

    /// Has the task not ended?
    pub fn is_live(&self, task: TaskId) -> bool {
        self.tasks.is_live(task)
    }

    /// Did the run begin, whatever it was told since?
    pub fn has_begun(&self, run: Run) -> bool {
        self.tasks.has_begun(run)
    }

    /// The services of which the tasks that have not ended changed since the last call.
    pub fn take_live_changed(&mut self) -> BTreeSet<ServiceId> {
        self.tasks.take_live_changed()
    }

    /// Does no task run or wait here?
    pub fn is_idle(&self) -> bool {
        self.tasks.is_idle()
    }

    /// Is there nothing left to write and nothing left to order?
    pub fn is_settled(&self) -> bool {
        self.tasks.is_settled() && self.failures.is_written() && self.leases.is_written()
    }

    /// When the next task that waits may start.
    pub fn start_at(&self) -> Now {
        self.tasks.start_at()
    }

    /// When the next stop that was not answered is ordered again.
    pub fn stop_again_at(&self) -> Now {
        self.tasks.stop_again_at()
    }

    /// When a service is due by itself.
    pub fn service_due_at(&self) -> Now {
        self.due_at.values().copied().fold(Now::NEVER, Now::min)
    }

    /// The services that are due by themselves.
    pub fn due_services(&self, now: Now) -> impl Iterator<Item = ServiceId> {
        self.due_at.iter().filter(move |(_, at)| **at <= now).map(|(id, _)| *id)
    }

    /// The services of which this node has tasks.
    pub fn services(&self) -> impl Iterator<Item = ServiceId> {
        self.tasks.services()
    }

    /// A task record in this node's name that differs from the node's own state is overwritten with
    /// that state.
    pub fn refute(&mut self, replica: &Replica, key: RecordKey) {
        self.completions.refute(replica, key);
        self.refute_leases(replica, key);
        let Some((owner, reported)) = replica.owned::<TaskRecord>(&key) else { return };
        let (service, slot) = (reported.service, reported.slot);
        if owner == self.me && self.tasks.record(service, slot) != Some(&reported) {
            self.tasks.refute(service, slot);
        }
    }

    /// Brings the slots of one service towards the plan.
    pub fn reconcile(
        &mut self,
        time: StepTime,
        planner: &mut Planner,
        replica: &Replica,
        id: ServiceId,
    ) {
        let due_at = match self.left_alone_until(time.now, replica, id) {
            Some(until) => {
                self.leases.on_unread(id);
                until
            }
            None => {
                planner.note_progress(time.now, id);
                match self.judge(time, planner, id) {
                    Some(stuck_until) => self.reconcile_slots(time, planner, id).min(stuck_until),
                    // The next round of this settling reads the verdict.
                    None => time.now,
                }
            }
        };
        match due_at {
            Now::NEVER => self.due_at.remove(&id),
            at => self.due_at.insert(id, at),
        };
    }

    /// If the record of a service cannot be read or has not arrived yet, none of its tasks is
    /// started or ended: until when, if this changes by itself.
    fn left_alone_until(&self, now: Now, replica: &Replica, id: ServiceId) -> Option<Now> {
        let key = RecordKey::service(id);
        // No record at all, not even of the removal.
        if replica.record(&key).is_none() && now < self.orphans_until {
            return Some(self.orphans_until);
        }
        replica.is_unfit(&key).then_some(Now::NEVER)
    }

    /// Returns when the next slot of the service may take its turn in a rollout.
    fn reconcile_slots(&mut self, time: StepTime, planner: &Planner, id: ServiceId) -> Now {
        let (plan, catalog) = (planner.plan(), planner.catalog());
        let service = catalog.service(id);
        let mut next_turn = Now::NEVER;
        let waits = dependencies::waits_for(planner, id).is_some();
        let beside = service.and_then(|service| planner.beside(time.now, service));
        if let Some((_, until)) = beside.filter(|(_, until)| *until > time.now) {
            next_turn = until;
        }
        for slot in self.concerned_slots(planner, id) {
            let owner = plan.owner(id, slot);
            let turn = self.turn(time.now, planner, id, slot);
            next_turn = next_turn.min(turn.err().unwrap_or(Now::NEVER));
            let owner_runs = owner.is_some_and(|node| runs(catalog, id, slot, node));
            let is_job = service.is_some_and(|service| service.scale.is_job());
            let lease = self.lease(time, (id, slot), service, owner);
            next_turn = next_turn.min(self.lease_due_at(time.now, (id, slot)));
            let keeper = owner.filter(|_| owner_runs && !is_job && lease == Lease::NotNeeded);
            let is_kept = self.hand_over(time, catalog, (id, slot), keeper);
            let target = match service {
                Some(service) => self.target(planner, service, slot, turn),
                None => TemplateVersion(0),
            };
            let makes_room = self.tasks.is_busy(id, slot)
                && !is_job
                && room::is_taken(planner, id, slot, self.me);
            let slot_target = SlotTarget {
                service,
                makes_room,
                lease,
                is_leased_here: planner.has_lease(id, slot, self.me),
                wanted: plan.wants(id, slot),
                waits_for_lower: self.tasks.record(id, slot).is_none()
                    && slot_order::lower(planner, id, slot).is_some(),
                waits_for_higher: slot_order::has_higher(planner, id, slot),
                owner,
                owner_runs,
                is_kept,
                target,
                may_update: turn.is_ok() && !waits || service.is_some_and(|s| s.is_returned(slot)),
                beside: beside.map(|(version, _)| version).filter(|version| {
                    owner == Some(self.me) || !has(catalog, (id, slot), owner, *version)
                }),
                ends: completions::ends(planner, id, slot, self.me),
            };
            self.tasks.reconcile(time, id, slot, slot_target);
        }
        let (tasks, me) = (&self.tasks, self.me);
        let keeps = |slot| plan.owner(id, slot) == Some(me) && tasks.keeps(id, slot);
        self.handover.answer(id, &catalog.handovers, keeps);
        next_turn.min(self.leases.collect(time.now, id, service))
    }

    /// The slots that this node owns, has a task in, or asks about.
    fn concerned_slots(&self, planner: &Planner, id: ServiceId) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.tasks.slots_of(id).collect();
        let planned = planner.plan().services.get(&id);
        let owned = planned.into_iter().flat_map(|plan| plan.slots.keys()).copied();
        slots.extend(owned.filter(|slot| planner.plan().owner(id, *slot) == Some(self.me)));
        slots.extend(self.handover.asked(id));
        slots.extend(self.leases.slots_of(id));
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Asks the keeper whether it keeps a slot that this node runs as well. `keeper` is the slot's
    /// owner, if that owner reports that it runs the slot. Returns whether it has answered that it
    /// keeps it.
    fn hand_over(
        &mut self,
        time: StepTime,
        catalog: &Catalog,
        (id, slot): (ServiceId, Slot),
        keeper: Option<NodeId>,
    ) -> bool {
        let keeper = keeper.filter(|node| *node != self.me && self.tasks.runs(id, slot));
        let Some(keeper) = keeper else {
            self.handover.withdraw(id, slot);
            return false;
        };
        // An agent of a version before handovers neither asks nor answers.
        let Some(theirs) = catalog.handovers.get(&keeper) else { return true };
        self.handover.ask(time.lamport, id, slot, keeper);
        self.handover.is_kept_by(keeper, theirs, id, slot)
    }

    /// Writes what changed in this node's slots and handovers, and adds what became of its tasks to
    /// `events`. Returns whether anything changed.
    pub fn write(
        &mut self,
        replica: &mut Replica,
        catalog: &Catalog,
        wall_ms: u64,
        events: &mut Vec<Event>,
    ) -> bool {
        let touched = self.tasks.drain_touched();
        let has_touched = !touched.is_empty();
        for ((service, slot), record) in touched {
            let key = RecordKey::task(self.me, service, slot);
            let before = replica.owned::<TaskRecord>(&key).map(|(_, before)| before);
            let called = replica.life(&RecordKey::service(service)).map(Life::into_name);
            let of = task_events::SlotService {
                name: called.as_deref(),
                service: catalog.service(service),
            };
            self.completions.note(of.service, record.as_ref());
            events.extend(task_events::between(before.as_ref(), record.as_ref(), of, wall_ms));
            let kept = self.tasks.forget_past(service, slot, catalog.past_max(service));
            if kept.is_some() {
                events.extend(task_events::between(record.as_ref(), kept.as_ref(), of, wall_ms));
            }
            match kept.or(record) {
                Some(record) => replica.put_owned(key, &record, wall_ms),
                None if replica.record(&key).is_some() => {
                    replica.retire_owned(key, wall_ms);
                }
                None => {}
            }
        }
        let has_completed = self.completions.write(replica, wall_ms);
        let has_failed = self.failures.write(self.me, replica, wall_ms);
        let has_granted = self.write_leases(replica, wall_ms);
        let wrote = has_completed || has_failed || has_granted || has_touched;
        self.write_handovers(replica, wall_ms) || wrote
    }

    fn write_handovers(&self, replica: &mut Replica, wall_ms: u64) -> bool {
        let key = RecordKey::handovers(self.me);
        let written = replica.owned::<Handovers>(&key);
        if written.is_some_and(|(_, written)| written == *self.handover.said()) {
            return false;
        }
        replica.put_owned(key, self.handover.said(), wall_ms);
        true
    }
}

/// Does the owner of a slot report a task of this version that is to go on?
fn has(
    catalog: &Catalog,
    (id, slot): (ServiceId, Slot),
    owner: Option<NodeId>,
    version: TemplateVersion,
) -> bool {
    let record = owner.and_then(|owner| catalog.said(id, slot, owner));
    record.is_some_and(|r| r.tasks.iter().any(|s| s.desired_running && s.template == version))
}

/// Does the node report that it runs the slot healthy, and that the slot is to go on?
fn runs(catalog: &Catalog, id: ServiceId, slot: Slot, node: NodeId) -> bool {
    let record = catalog.said(id, slot, node);
    record.is_some_and(|record| record.tasks.iter().any(|s| s.desired_running && is_healthy(s)))
}
