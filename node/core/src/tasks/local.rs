//! One slot of one service on this node: its record, and its live tasks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crdt_state::service::Service;
use crdt_state::spec::TemplateVersion;
use crdt_state::task::{Attempt, Slot, TaskRecord, TaskState, TaskStatus};
use crdt_state::{NodeId, ServiceId, TaskId};
use gossip::Now;

use super::{StepTime, is_healthy};
use crate::addressing::LiveTask;
use crate::backoff::Restarts;

#[derive(Debug, Clone)]
pub(super) struct Local {
    pub(super) record: TaskRecord,
    pub(super) live: BTreeMap<TaskId, Live>,
}

#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) phase: Phase,
    pub(super) restarts: Restarts,
    pub(super) stop_signal: Option<String>,
    pub(super) stop_grace_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting { until: Now },
    Starting { since: Now },
    Running { since: Now },
    Stopping { again_at: Now, after: After },
}

/// What a stopped task becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    Shutdown(Cow<'static, str>),
    Failed(Cow<'static, str>),
    /// It failed without a fault of its own: its slot is placed again, as if it was new.
    Lost(String),
}

impl Live {
    /// Was it due to start when its service could not be read?
    pub(super) fn waits_for_its_service(&self) -> bool {
        self.phase == Phase::Waiting { until: Now::NEVER }
    }
}

impl Local {
    pub(super) fn empty(node: NodeId, (service, slot): (ServiceId, Slot)) -> Local {
        let record = TaskRecord { service, slot, node, tasks: Vec::new() };
        Local { record, live: BTreeMap::new() }
    }

    pub(super) fn status(&self, task: TaskId) -> Option<&TaskStatus> {
        self.record.tasks.iter().find(|status| status.id == task)
    }

    pub(super) fn status_mut(&mut self, task: TaskId) -> Option<&mut TaskStatus> {
        self.record.tasks.iter_mut().find(|status| status.id == task)
    }

    pub(super) fn is_healthy(&self, task: TaskId) -> bool {
        self.status(task).is_some_and(is_healthy)
    }

    /// The tasks that have not ended.
    pub(super) fn live_tasks(&self) -> impl Iterator<Item = LiveTask> {
        self.live.iter().map(|(task, live)| LiveTask {
            service: self.record.service,
            slot: self.record.slot,
            task: *task,
            template: self.status(*task).map_or(TemplateVersion(0), |status| status.template),
            attempt: self.status(*task).map_or(1, |status| status.current.number),
            has_begun: !matches!(live.phase, Phase::Waiting { .. }),
        })
    }

    /// Begins a new task, or a further attempt of a task that had been stopped.
    pub(super) fn begin(
        &mut self,
        (task, version): (TaskId, TemplateVersion),
        service: &Service,
        time: StepTime,
    ) {
        let attempt = Attempt::first(time.wall_ms);
        // What ended for good was the slot's task until now. It is none that is to run any more:
        // nobody goes by it, so that it does not matter when it is forgotten.
        for ended in self.record.tasks.iter_mut().filter(|s| s.current.state.is_terminal()) {
            ended.desired_running = false;
        }
        if let Some(at) = self.record.tasks.iter().position(|status| status.id == task) {
            let mut status = self.record.tasks.remove(at);
            status.next_attempt(time.wall_ms, "");
            status.desired_running = true;
            self.record.tasks.insert(0, status);
        } else {
            let status = TaskStatus {
                id: task,
                template: version,
                desired_running: true,
                running_since: u64::MAX,
                created_wall_ms: time.wall_ms,
                current: attempt,
                history: Vec::new(),
            };
            self.record.tasks.insert(0, status);
        }
        let template = service.template_of(version).unwrap_or(&service.template);
        let live = Live {
            phase: Phase::Waiting { until: time.now },
            restarts: Restarts::default(),
            stop_signal: template.stop_signal.clone(),
            stop_grace_ms: template.stop_grace_ms,
        };
        self.live.insert(task, live);
    }

    /// Has a task that was not started wait for longer.
    pub(super) fn wait(&mut self, task: TaskId, until: Now) {
        if let Some(live) = self.live.get_mut(&task) {
            live.phase = Phase::Waiting { until };
        }
    }

    /// Ends a task.
    pub(super) fn finish(&mut self, time: StepTime, task: TaskId, after: &After) {
        self.live.remove(&task);
        if let Some(status) = self.status_mut(task) {
            let (state, message) = match after {
                After::Shutdown(why) => (TaskState::Shutdown, why.as_ref()),
                After::Failed(why) => (TaskState::Failed, why.as_ref()),
                After::Lost(why) => (TaskState::Failed, why.as_str()),
            };
            status.desired_running = matches!(after, After::Failed(_));
            status.current.enter(state, time.wall_ms);
            message.clone_into(&mut status.current.message);
        }
    }
}
