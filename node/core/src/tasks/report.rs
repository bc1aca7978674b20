//! Reports of the runtime: what became of a run.

use crdt_state::service::Service;
use crdt_state::spec::Template;
use crdt_state::task::{Exit, Health, Run, RunEvent, Slot, TaskState, TaskStatus, message_of};
use crdt_state::{ServiceId, TaskId};

use super::{After, Ended, Local, Phase, SlotKey, StepTime, Tasks};
use crate::backoff::{Restarts, RunOutcome, Verdict};

impl Tasks {
    /// Handles a report. A report about a run that is not current is outdated and changes nothing.
    pub fn handle_run(
        &mut self,
        time: StepTime,
        run: Run,
        event: RunEvent,
        service: Option<&Service>,
    ) {
        let Some(key) = self.slot_of(run) else { return };
        self.touched.insert(key);
        match event {
            RunEvent::Preparing { message } => {
                self.slots.change(key, |local| local.on_preparing(run.task, message));
            }
            RunEvent::Started { pid } => {
                self.slots.change(key, |local| local.on_started(time, run.task, pid, service));
            }
            RunEvent::Noted { message } => {
                self.slots.change(key, |local| local.on_noted(run.task, message));
            }
            RunEvent::HealthChanged(health) => self.on_health(time, key, run.task, health),
            RunEvent::Exited { exit, oom } => {
                let end = if oom { End::out_of_memory() } else { End::of(exit) };
                self.on_end(time, key, run.task, end, service);
            }
            RunEvent::Refused { permanent, reason } => {
                let outcome = if permanent { RunOutcome::Refused } else { RunOutcome::Failure };
                self.on_end(
                    time,
                    key,
                    run.task,
                    End { outcome, code: None, message: message_of(reason) },
                    service,
                );
            }
        }
    }

    /// The slot of a run that is the current attempt of a live task.
    pub fn slot_of(&self, run: Run) -> Option<(ServiceId, Slot)> {
        let key = self.slots.slot_of(run.task)?;
        let status = self.slots.get(key)?.status(run.task)?;
        (status.current.number == run.attempt).then_some(key)
    }

    fn on_health(&mut self, time: StepTime, key: SlotKey, task: TaskId, health: Health) {
        self.slots.change(key, |local| {
            if let Some(status) = local.status_mut(task) {
                status.current.health = health;
            }
        });
        if health == Health::Unhealthy
            && matches!(self.slots.phase(key, task), Some(Phase::Running { .. }))
        {
            self.stop(time, key, task, After::Failed("unhealthy".into()));
        }
    }

    fn on_end(
        &mut self,
        time: StepTime,
        key: SlotKey,
        task: TaskId,
        mut end: End,
        service: Option<&Service>,
    ) {
        let Some(mut local) = self.slots.get_mut(key) else { return };
        let Some(live) = local.live.get_mut(&task) else { return };
        let (phase, mut restarts) = (live.phase.clone(), std::mem::take(&mut live.restarts));
        if let Some(status) = local.status_mut(task) {
            status.current.exit_code = end.code;
            status.current.pid = None;
        }
        let mut lasted_ms = 0;
        match phase {
            Phase::Stopping { after: After::Failed(why), .. } => {
                (end.outcome, end.message) = (RunOutcome::Failure, why.into_owned());
            }
            Phase::Stopping { after, .. } => {
                local.finish(time, task, &after);
                return;
            }
            Phase::Running { since } => lasted_ms = time.now.since(since),
            Phase::Starting { .. } | Phase::Waiting { .. } => {}
        }
        let Some(template) = service.and_then(|s| local.template(task, s)) else {
            let why = match service {
                Some(_) => "superseded by a new version",
                None => "ended while its service could not be read",
            };
            local.finish(time, task, &After::Shutdown(why.into()));
            return;
        };
        if let Some(version) = local.status(task).map(|status| status.template) {
            let message = end.message.clone();
            self.ended.push(Ended { service: key.0, slot: key.1, task, version, message });
        }
        let restart = &template.restart;
        let verdict = restarts.on_end(time.now, task, restart, end.outcome, lasted_ms);
        local.after_end(time, task, end, verdict, restarts);
    }
}

/// Does the template have a health command?
fn is_checked(template: &Template) -> bool {
    let test = template.health.as_ref().and_then(|health| health.test.first());
    test.is_some_and(|word| word != "NONE")
}

struct End {
    outcome: RunOutcome,
    code: Option<i32>,
    message: String,
}

impl End {
    fn out_of_memory() -> End {
        let message = "used more memory than its limit".to_owned();
        End { outcome: RunOutcome::Failure, code: Some(137), message }
    }

    fn of(exit: Exit) -> End {
        let (outcome, code, message) = match exit {
            Exit::Code(0) => (RunOutcome::Success, Some(0), String::new()),
            Exit::Code(code) => {
                (RunOutcome::Failure, Some(code), format!("task: non-zero exit ({code})"))
            }
            Exit::Signal(signal) => {
                let code = signal.saturating_add(128);
                let message = format!("task: non-zero exit ({code}): killed by signal {signal}");
                (RunOutcome::Failure, Some(code), message)
            }
            Exit::Unknown => (RunOutcome::Failure, None, "ended while nobody watched".to_owned()),
        };
        End { outcome, code, message }
    }
}

impl Local {
    /// The template that a task was started from, if the service still has it.
    fn template<'a>(&self, task: TaskId, service: &'a Service) -> Option<&'a Template> {
        service.template_of(self.status(task)?.template)
    }

    fn on_preparing(&mut self, task: TaskId, message: String) {
        if let Some(status) = self.status_mut(task) {
            status.current.message = message_of(message);
        }
    }

    fn on_started(&mut self, time: StepTime, task: TaskId, pid: u32, service: Option<&Service>) {
        let is_checked = service.and_then(|s| self.template(task, s)).is_some_and(is_checked);
        let health = if is_checked { Health::Starting } else { Health::Unchecked };
        let Some(live) = self.live.get_mut(&task) else { return };
        if matches!(live.phase, Phase::Starting { .. } | Phase::Waiting { .. }) {
            live.phase = Phase::Running { since: time.now };
        }
        if let Some(status) = self.status_mut(task) {
            if status.current.state == TaskState::Preparing {
                // The message was about the pull of the image.
                status.current.message.clear();
            }
            status.current.enter(TaskState::Running, time.wall_ms);
            status.current.pid = Some(pid);
            status.current.health = health;
            status.running_since = time.lamport;
        }
    }

    fn on_noted(&mut self, task: TaskId, message: String) {
        let running = |status: &&mut TaskStatus| status.current.state == TaskState::Running;
        if let Some(status) = self.status_mut(task).filter(running) {
            status.current.message = message_of(message);
        }
    }

    /// Ends the attempt and, if the policy says so, begins the next one.
    fn after_end(
        &mut self,
        time: StepTime,
        task: TaskId,
        end: End,
        verdict: Verdict,
        restarts: Restarts,
    ) {
        let Some(status) = self.status_mut(task) else { return };
        let state = match end.outcome {
            RunOutcome::Success => TaskState::Complete,
            RunOutcome::Failure => TaskState::Failed,
            RunOutcome::Refused => TaskState::Rejected,
        };
        status.current.enter(state, time.wall_ms);
        status.current.message.clone_from(&end.message);
        match verdict {
            Verdict::Leave => {
                self.live.remove(&task);
            }
            Verdict::RestartAt(until) => {
                status.next_attempt(time.wall_ms, &end.message);
                if let Some(live) = self.live.get_mut(&task) {
                    live.phase = Phase::Waiting { until };
                    live.restarts = restarts;
                }
            }
        }
    }
}
