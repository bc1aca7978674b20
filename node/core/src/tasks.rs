//! This node's own tasks: from the plan's targets to orders for the runtime, and back from the
//! runtime's reports to the node's task records.
//!
//! ```text
//!            due                Started              superseded, surplus, unhealthy
//! Waiting ─────────▶ Starting ─────────▶ Running ───────────────────────────────▶ Stopping
//!    ▲                   │ Refused          │ Exited                                  │ Exited
//!    └── next attempt ───┴──────────────────┘  (restart policy)          shutdown ◀───┘
//! ```
//! A task starts when this node owns the slot. A running task of a slot that another node owns
//! stops only when that node runs the slot and has answered that it keeps it, or when no node
//! should run the slot. This code must never write a record of another node.

use std::collections::{BTreeSet, VecDeque};

use crdt_state::service::Service;
use crdt_state::spec::{Runtime, TemplateVersion, UpdateOrder};
use crdt_state::task::{
    HISTORY_MAX, Health, Run, Slot, TaskRecord, TaskStart, TaskState, TaskStatus,
};
use crdt_state::{NodeId, ServiceId, TaskId};
use gossip::Now;

use crate::expand::{self, Names};

mod adopt;
mod ended;
mod holds;
mod job;
mod live;
mod local;
mod report;
mod slots;

pub use ended::Ended;
use local::{After, Live, Local, Phase};
use slots::{SlotKey, Slots};

/// Runs that may be starting at the same time; further ones wait. A node that boots with 50 tasks
/// does not start them all at once on two cores.
pub const STARTING_MAX: usize = 16;

/// A stop is ordered again if it was not reported after the grace and this long, in milliseconds.
pub const STOP_AGAIN_MS: u64 = 30_000;

/// What the runtime is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOrder {
    /// Start a run.
    Start(Box<TaskStart>),
    /// End a run.
    Stop {
        /// Which.
        run: Run,
        /// The signal; `None`: `SIGTERM`.
        signal: Option<String>,
        /// The grace period.
        grace_ms: u64,
    },
    /// The files of this run are no longer wanted.
    Forget(Run),
}

/// The time of a step, as everything here needs it.
#[derive(Debug, Clone, Copy)]
pub struct StepTime {
    /// Monotonic.
    pub now: Now,
    /// Time of day, display only.
    pub wall_ms: u64,
    /// The replica's counter, larger than every counter seen: it tells which task runs longest.
    pub lamport: u64,
}

/// What the plan says about one slot that this node owns, or has a task in.
#[derive(Debug, Clone, Copy)]
pub struct SlotTarget<'a> {
    /// The service, unless it is gone.
    pub service: Option<&'a Service>,
    /// Should anybody run the slot?
    pub wanted: bool,
    /// The node that should run it.
    pub owner: Option<NodeId>,
    /// Does the owner, if it is another node, report that it runs the slot healthy?
    pub owner_runs: bool,
    /// Has the owner, if it is another node, answered that it keeps the slot? See
    /// [`crate::handover`].
    pub is_kept: bool,
    /// The version of the template that the slot is to run.
    pub target: TemplateVersion,
    /// Is it this slot's turn to take a new template?
    pub may_update: bool,
    /// Why a task of a job ends here, if its slot says so.
    pub ends: Option<&'static str>,
}

impl SlotTarget<'_> {
    /// Should this node run the slot?
    fn is_for(&self, me: NodeId) -> bool {
        self.wanted && self.owner == Some(me)
    }
}

/// All tasks of this node.
#[derive(Debug)]
pub struct Tasks {
    me: NodeId,
    hostname: String,
    slots: Slots,
    orders: VecDeque<TaskOrder>,
    touched: BTreeSet<SlotKey>,
    /// Attempts that ended by themselves since somebody asked.
    ended: Vec<Ended>,
    /// Nothing starts before this time: a node that just booted first waits for its peers' records.
    hold_until: Now,
}

impl Tasks {
    /// No tasks; nothing starts before `hold_until`.
    pub fn new(me: NodeId, hostname: String, hold_until: Now) -> Tasks {
        Tasks {
            me,
            hostname,
            slots: Slots::default(),
            orders: VecDeque::new(),
            touched: BTreeSet::new(),
            ended: Vec::new(),
            hold_until,
        }
    }

    /// Tasks may start from now on.
    pub fn release(&mut self, now: Now) {
        self.hold_until = self.hold_until.min(now);
    }

    /// The services of which this node has a record of a slot.
    pub fn services(&self) -> impl Iterator<Item = ServiceId> {
        self.slots.iter().map(|((service, _), _)| *service)
    }

    /// The slots of one service for which this node has a record.
    pub fn slots_of(&self, service: ServiceId) -> impl Iterator<Item = Slot> {
        self.slots.of(service).map(|((_, slot), _)| *slot)
    }

    /// The next order for the runtime.
    pub fn poll_order(&mut self) -> Option<TaskOrder> {
        self.orders.pop_front()
    }

    /// Slots whose record changed since the last call, with the record; `None`: the record is to be
    /// removed.
    pub fn drain_touched(&mut self) -> Vec<((ServiceId, Slot), Option<TaskRecord>)> {
        let touched = std::mem::take(&mut self.touched);
        touched
            .into_iter()
            .map(|key| (key, self.slots.get(key).map(|local| local.record.clone())))
            .collect()
    }

    /// This node's record of one slot.
    pub fn record(&self, service: ServiceId, slot: Slot) -> Option<&TaskRecord> {
        self.slots.get((service, slot)).map(|local| &local.record)
    }

    /// When the next task that waits may start.
    pub fn start_at(&self) -> Now {
        if self.slots.starting() >= STARTING_MAX {
            return Now::NEVER;
        }
        self.slots.first_waiting().max(self.hold_until)
    }

    /// When the next stop that was not answered is ordered again.
    pub fn stop_again_at(&self) -> Now {
        self.slots.first_stopping()
    }

    /// Brings one slot towards its target.
    pub fn reconcile(
        &mut self,
        time: StepTime,
        service: ServiceId,
        slot: Slot,
        slot_target: SlotTarget<'_>,
    ) {
        let key = (service, slot);
        let target =
            slot_target.service.map(|_| TaskId::of(service, slot, self.me, slot_target.target));
        let mine = slot_target.is_for(self.me);
        for (task, reason) in self.unwanted(key, target, slot_target) {
            self.stop(time, key, task, After::Shutdown(reason));
        }
        if let (true, Some(service), Some(target)) = (mine, slot_target.service, target) {
            self.ensure(time, key, service, target, slot_target);
        }
        self.retire_if_over(key, slot_target);
    }

    /// The live tasks of a slot that should stop now, with the reason.
    fn unwanted(
        &self,
        key: SlotKey,
        target: Option<TaskId>,
        slot_target: SlotTarget<'_>,
    ) -> Vec<(TaskId, &'static str)> {
        let mine = slot_target.is_for(self.me);
        let Some(local) = self.slots.get(key) else { return Vec::new() };
        if slot_target.service.is_some_and(|service| service.scale.is_job()) {
            return job::unwanted(local, target, slot_target, self.me);
        }
        let target_runs = target.is_some_and(|target| local.is_healthy(target));
        let order = slot_target.service.map(|s| s.pace().order).unwrap_or_default();
        let reason_for = |task: TaskId, live: &Live| -> Option<&'static str> {
            let runs = matches!(live.phase, Phase::Running { .. });
            match () {
                () if matches!(live.phase, Phase::Stopping { .. }) => None,
                () if !slot_target.wanted => Some("no longer wanted"),
                () if mine && Some(task) == target => None,
                () if mine && target_runs => Some("replaced by a new version"),
                () if mine && !runs => Some("superseded by a new version"),
                () if mine && order == UpdateOrder::StartFirst => None,
                () if mine => slot_target.may_update.then_some("replaced by a new version"),
                () if slot_target.owner.is_none() => (!runs).then_some("may not run on this node"),
                () if runs => (slot_target.owner_runs && slot_target.is_kept)
                    .then_some("runs on another node"),
                () if slot_target.owner_runs => Some("runs on another node"),
                () if !runs => Some("placed on another node"),
                () => None,
            }
        };
        local.live.iter().filter_map(|(t, live)| Some((*t, reason_for(*t, live)?))).collect()
    }

    /// Begins the target task, unless it lives, has ended, or must wait for another task of the
    /// slot.
    fn ensure(
        &mut self,
        time: StepTime,
        key: SlotKey,
        service: &Service,
        target: TaskId,
        slot_target: SlotTarget<'_>,
    ) {
        if let Some(local) = self.slots.get(key) {
            let start_first = service.pace().order == UpdateOrder::StartFirst;
            let others_live = local.live.keys().any(|task| *task != target);
            let ended = local
                .status(target)
                .is_some_and(|s| s.desired_running && s.current.state.is_terminal());
            let in_the_way = others_live && !(start_first && slot_target.may_update);
            if local.live.contains_key(&target) || ended || in_the_way {
                return;
            }
        }
        let mut local = self.slots.ensure(self.me, key);
        local.begin((target, slot_target.target), service, time);
        self.touched.insert(key);
    }

    /// Asks a task to end. A task that still waits for its start ends at once.
    fn stop(&mut self, time: StepTime, key: SlotKey, task: TaskId, after: After) {
        let Some(mut local) = self.slots.get_mut(key) else { return };
        let Some(live) = local.live.get_mut(&task) else { return };
        if let Phase::Waiting { .. } = live.phase {
            local.finish(time, task, &after);
            self.touched.insert(key);
            return;
        }
        let grace_ms = live.stop_grace_ms;
        live.phase = Phase::Stopping {
            again_at: time.now.plus(grace_ms.saturating_add(STOP_AGAIN_MS)),
            after: after.clone(),
        };
        let signal = live.stop_signal.clone();
        if let Some(status) = local.status_mut(task) {
            if matches!(after, After::Shutdown(_)) {
                status.desired_running = false;
                self.touched.insert(key);
            }
            let run = Run { task, attempt: status.current.number };
            self.orders.push_back(TaskOrder::Stop { run, signal, grace_ms });
        }
    }

    /// Removes the record of a slot that is not wanted and in which no task lives.
    fn retire_if_over(&mut self, key: SlotKey, slot_target: SlotTarget<'_>) {
        if slot_target.wanted || self.slots.get(key).is_none_or(|local| !local.live.is_empty()) {
            return;
        }
        if let Some(local) = self.slots.remove(key) {
            for status in &local.record.tasks {
                for attempt in std::iter::once(&status.current).chain(&status.history) {
                    let run = Run { task: status.id, attempt: attempt.number };
                    self.orders.push_back(TaskOrder::Forget(run));
                }
            }
            self.touched.insert(key);
        }
    }

    /// Starts the tasks that are due, and orders again the stops that were not answered.
    pub fn handle_due<'a>(
        &mut self,
        time: StepTime,
        service_of: impl Fn(ServiceId) -> Option<&'a Service>,
    ) {
        if cfg!(debug_assertions) {
            self.slots.check();
        }
        let mut room = STARTING_MAX.saturating_sub(self.slots.starting());
        for (key, task) in self.due(time.now, room) {
            match self.slots.phase(key, task).cloned() {
                Some(Phase::Waiting { .. }) if room > 0 => {
                    room -= usize::from(self.start(time, key, task, service_of(key.0)));
                }
                Some(Phase::Stopping { after, .. }) => self.stop(time, key, task, after),
                _ => {}
            }
        }
    }

    /// The tasks whose stop is ordered again and, if there is room, those that may start now; in
    /// the order of their slots.
    fn due(&self, now: Now, room: usize) -> Vec<(SlotKey, TaskId)> {
        let mut due: Vec<_> = self.slots.due_to_stop(now).collect();
        if room > 0 && self.hold_until <= now {
            due.extend(self.slots.due_to_start(now));
        }
        due.sort_unstable();
        due
    }

    /// Orders the start of a waiting task. Returns whether it did.
    fn start(
        &mut self,
        time: StepTime,
        key: SlotKey,
        task: TaskId,
        service: Option<&Service>,
    ) -> bool {
        let (me, hostname) = (self.me, self.hostname.clone());
        let Some(mut local) = self.slots.get_mut(key) else { return false };
        let version = local.status(task).map(|status| status.template);
        let known = service.zip(version).and_then(|(service, version)| {
            service.template_of(version).map(|template| (service, version, template))
        });
        let Some((service, template_version, template)) = known else {
            local.finish(time, task, &After::Shutdown("superseded by a new version"));
            self.touched.insert(key);
            return false;
        };
        let names = Names {
            service: service.id,
            service_name: &service.name,
            service_labels: &service.labels,
            node: me,
            hostname: &hostname,
            task,
            slot: key.1,
        };
        let runtime = template.runtime;
        let template =
            expand::expand_template(template, &names).unwrap_or_else(|_| template.clone());
        let Some(status) = local.status_mut(task) else { return false };
        let begins = match runtime {
            Runtime::Container => TaskState::Preparing,
            Runtime::Process => TaskState::Starting,
        };
        status.current.enter(begins, time.wall_ms);
        let run = Run { task, attempt: status.current.number };
        if let Some(live) = local.live.get_mut(&task) {
            live.phase = Phase::Starting { since: time.now };
        }
        self.orders.push_back(TaskOrder::Start(Box::new(TaskStart {
            run,
            service: service.id,
            service_name: service.name.clone(),
            slot: key.1,
            template_version,
            template,
            interfaces: Vec::new(),
        })));
        self.touched.insert(key);
        true
    }
}

/// Running and healthy, or running without a health check.
pub fn is_healthy(status: &TaskStatus) -> bool {
    status.current.state == TaskState::Running
        && matches!(status.current.health, Health::Unchecked | Health::Healthy)
}

/// The most tasks kept per slot: the current one and `HISTORY_MAX` past ones.
const TASKS_MAX: usize = HISTORY_MAX + 1;
