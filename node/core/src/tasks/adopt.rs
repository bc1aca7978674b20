//! The start of an agent: the records of its tasks are compared with the runs that it finds.
//!
//! A recorded run that is found and wanted goes on. A recorded run that is gone becomes an ended
//! attempt. A run without a record (the disk was lost) gets a record again. Nothing healthy is
//! touched.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::ServiceId;
use crdt_state::task::{
    AdoptedRun, Attempt, Run, RunEvent, Slot, TaskRecord, TaskState, TaskStatus,
};

use super::{After, Live, Local, Phase, StepTime, TaskOrder, Tasks};
use crate::backoff::Restarts;

/// Reports that are to be handled once the services are known.
pub type Pending = Vec<(Run, RunEvent)>;

impl Tasks {
    /// Takes over the runs of the last agent; returns the reports about runs that ended meanwhile.
    pub fn restore(
        &mut self,
        time: StepTime,
        records: Vec<TaskRecord>,
        adopted: Vec<AdoptedRun>,
    ) -> Pending {
        let mut runs: BTreeMap<Run, AdoptedRun> =
            adopted.into_iter().map(|run| (run.start.run, run)).collect();
        let mut pending = Pending::new();
        for record in records {
            self.restore_record(time, record, &mut runs, &mut pending);
        }
        let known: BTreeSet<Run> = self.known_runs();
        for (run, adopted) in runs {
            match adopted.event {
                RunEvent::Started { pid } => self.restore_unrecorded(time, adopted.start, pid),
                _ if known.contains(&run) => {}
                _ => self.orders.push_back(TaskOrder::Forget(run)),
            }
        }
        pending
    }

    fn known_runs(&self) -> BTreeSet<Run> {
        let statuses = self.slots.iter().flat_map(|(_, local)| &local.record.tasks);
        statuses.flat_map(TaskStatus::runs).collect()
    }

    fn restore_record(
        &mut self,
        time: StepTime,
        record: TaskRecord,
        runs: &mut BTreeMap<Run, AdoptedRun>,
        pending: &mut Pending,
    ) {
        let key = (record.service, record.slot);
        let mut local = Local { record, live: BTreeMap::new() };
        let mut lost = Vec::new();
        for status in local.record.tasks.iter_mut().filter(|s| !s.current.state.is_terminal()) {
            let run = Run { task: status.id, attempt: status.current.number };
            let (phase, stop) = match runs.remove(&run) {
                Some(AdoptedRun { start, event: RunEvent::Started { pid } }) => {
                    if status.current.state != TaskState::Running {
                        status.current.enter(TaskState::Running, time.wall_ms);
                        status.running_since = time.lamport;
                    }
                    if status.current.pid != Some(pid) {
                        status.current.pid = Some(pid);
                        self.touched.insert(key);
                    }
                    let stop = (start.template.stop_signal, start.template.stop_grace_ms);
                    (Phase::Running { since: time.now }, stop)
                }
                Some(AdoptedRun { start, event }) => {
                    pending.push((run, event));
                    let stop = (start.template.stop_signal, start.template.stop_grace_ms);
                    (Phase::Running { since: time.now }, stop)
                }
                None if status.current.state == TaskState::Assigned => {
                    (Phase::Waiting { until: time.now }, (None, 0))
                }
                None => {
                    lost.push(status.id);
                    (Phase::Waiting { until: time.now }, (None, 0))
                }
            };
            let live = Live {
                phase,
                restarts: Restarts::default(),
                stop_signal: stop.0,
                stop_grace_ms: stop.1,
            };
            local.live.insert(status.id, live);
        }
        for task in lost {
            let Some(status) = local.status_mut(task) else { continue };
            status.current.enter(TaskState::Failed, time.wall_ms);
            status.current.pid = None;
            "the machine went down".clone_into(&mut status.current.message);
            status.next_attempt(time.wall_ms, "the machine went down");
            self.touched.insert(key);
        }
        *self.slots.ensure(self.me, key) = local;
        self.stop_if_unwanted(time, key);
    }

    /// A stop that the last agent had ordered is ordered again.
    fn stop_if_unwanted(&mut self, time: StepTime, key: (ServiceId, Slot)) {
        let Some(local) = self.slots.get(key) else { return };
        let unwanted: Vec<_> = local
            .record
            .tasks
            .iter()
            .filter(|s| !s.desired_running && local.live.contains_key(&s.id))
            .map(|s| s.id)
            .collect();
        for task in unwanted {
            self.stop(time, key, task, After::Shutdown("no longer wanted".into()));
        }
    }

    /// A run that no record expects: its record was lost, or reports that the run is over.
    fn restore_unrecorded(&mut self, time: StepTime, start: crdt_state::task::TaskStart, pid: u32) {
        let key: (ServiceId, Slot) = (start.service, start.slot);
        let mut local = self.slots.ensure(self.me, key);
        let (signal, grace_ms) = (start.template.stop_signal.clone(), start.template.stop_grace_ms);
        if local.status(start.run.task).is_some() {
            self.orders.push_back(TaskOrder::Stop { run: start.run, signal, grace_ms });
            return;
        }
        let mut attempt = Attempt::first(time.wall_ms);
        attempt.number = start.run.attempt;
        attempt.enter(TaskState::Running, time.wall_ms);
        attempt.pid = Some(pid);
        local.record.tasks.push(TaskStatus {
            id: start.run.task,
            template: start.template_version,
            desired_running: true,
            running_since: time.lamport,
            created_wall_ms: time.wall_ms,
            current: attempt,
            history: Vec::new(),
        });
        let live = Live {
            phase: Phase::Running { since: time.now },
            restarts: Restarts::default(),
            stop_signal: signal,
            stop_grace_ms: grace_ms,
        };
        local.live.insert(start.run.task, live);
        self.touched.insert(key);
    }

    /// Peers hold a record of this node that differs from its own state: it writes the record
    /// again.
    pub fn refute(&mut self, service: ServiceId, slot: Slot) {
        self.touched.insert((service, slot));
    }

    /// Stops every task: the node leaves the fleet.
    pub fn stop_all(&mut self, time: StepTime) {
        let live = self.slots.iter().flat_map(|(key, local)| {
            let goes_on = |live: &Live| !matches!(live.phase, Phase::Stopping { .. });
            let tasks = local.live.iter().filter(move |(_, live)| goes_on(live));
            tasks.map(|(task, _)| (*key, *task))
        });
        for (key, task) in live.collect::<Vec<_>>() {
            self.stop(time, key, task, After::Shutdown("the node leaves the fleet".into()));
        }
    }
}
