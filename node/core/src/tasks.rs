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
use crdt_state::task::{Health, Run, Slot, TaskRecord, TaskStart, TaskState, TaskStatus};
use crdt_state::{NodeId, ServiceId, TaskId};
use gossip::Now;

use crate::expand::{self, Names};
use crate::leases::Lease;

mod adopt;
mod anchored;
mod due;
mod ended;
mod holds;
mod job;
mod live;
mod local;
mod lost;
mod past;
mod report;
mod slots;
mod standalone;
mod unwanted;
mod waits;

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
    /// Does it wait for slots of lower numbers before it starts for the first time here?
    pub waits_for_lower: bool,
    /// Do slots of higher numbers, which should not run either, end first?
    pub waits_for_higher: bool,
    /// Is it this slot's turn to take a new template?
    pub may_update: bool,
    /// The version of which a task goes on beside the one that the slot is to run, also if another
    /// node should run that.
    pub beside: Option<TemplateVersion>,
    /// Why a task of a job ends here, if its slot says so.
    pub ends: Option<&'static str>,
    /// Does a service of higher priority take the room that its task has here?
    pub makes_room: bool,
    /// May a task of it run here, if its service needs leases for that?
    pub lease: Lease,
    /// Does this node have the leases of a majority, as the plan knows?
    pub is_leased_here: bool,
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
            self.stop(time, key, task, After::Shutdown(reason.into()));
        }
        let starts = mine && slot_target.lease.lets_start() && !slot_target.waits_for_lower;
        if let (true, Some(service), Some(target)) = (starts, slot_target.service, target) {
            self.ensure(time, key, service, target, slot_target);
        }
        self.retire_if_over(key, slot_target);
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
            let start_first =
                service.order() != UpdateOrder::StopFirst && slot_target.lease == Lease::NotNeeded;
            let others_live = local.live.keys().any(|task| *task != target);
            let ended = local
                .status(target)
                .is_some_and(|s| s.desired_running && s.current.state.is_terminal());
            let in_the_way = others_live && !(start_first && slot_target.may_update);
            if local.live.get(&target).is_some_and(Live::waits_for_its_service) {
                let mut local = self.slots.ensure(self.me, key);
                local.wait(target, time.now);
                return;
            }
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
            if !matches!(after, After::Failed(_)) {
                status.desired_running = false;
                self.touched.insert(key);
            }
            let run = Run { task, attempt: status.current.number };
            self.orders.push_back(TaskOrder::Stop { run, signal, grace_ms });
        }
    }

    /// Removes the record of a slot that is not wanted and in which no task lives. A container that
    /// was made by hand has its record as long as it exists.
    fn retire_if_over(&mut self, key: SlotKey, slot_target: SlotTarget<'_>) {
        if slot_target.wanted || self.slots.get(key).is_none_or(|local| !local.live.is_empty()) {
            return;
        }
        if slot_target.service.is_some_and(|service| service.template.is_standalone()) {
            return self.set_down(key);
        }
        if let Some(local) = self.slots.remove(key) {
            let runs = local.record.tasks.iter().flat_map(TaskStatus::runs);
            self.orders.extend(runs.map(TaskOrder::Forget));
            self.touched.insert(key);
        }
    }

    /// Orders the start of a waiting task. Returns whether it did. While its service cannot be read
    /// the task waits; [`Tasks::ensure`] starts it afterwards.
    fn start(
        &mut self,
        time: StepTime,
        key: SlotKey,
        task: TaskId,
        service: Option<&Service>,
    ) -> bool {
        let (me, hostname) = (self.me, self.hostname.clone());
        let Some(mut local) = self.slots.get_mut(key) else { return false };
        let Some(service) = service else {
            local.wait(task, Now::NEVER);
            return false;
        };
        let version = local.status(task).map(|status| status.template);
        let known = version.and_then(|version| Some((version, service.template_of(version)?)));
        let Some((template_version, template)) = known else {
            local.finish(time, task, &After::Shutdown("superseded by a new version".into()));
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
