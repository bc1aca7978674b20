//! Supervision of runs: one small task per run waits for its notify pipe and for orders about it.
//!
//! Events are always read from the run's folder; the pipe only says when to read it. So a lost
//! notice, a notice too many and an adopted run need no special treatment.

use std::io;
use std::process::Child;
use std::rc::Rc;
use std::time::Duration;

use crdt_state::task::{Exit, Run, RunEvent, TaskStart};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::adopt::Adopted;
use super::prepare::Prepare;
use super::reported::Reported;
use super::{DriverContext, launch, orphans};
use crate::monitor::control::{self, StopOrder};
use crate::oci::{self, ContainerOrder};
use crate::refusal::StartError;
use crate::run_dir::{self, FinalStatus, Status};

/// How long the end of a run is awaited before it is forgotten all the same.
const FORGET_TIMEOUT: Duration = Duration::from_secs(10);

/// An order about one run.
#[derive(Debug)]
pub enum RunOrder {
    /// Start it, or report its state again.
    Start(Box<TaskStart>),
    /// It was adopted: report what was not reported yet.
    Report,
    /// End it.
    Stop(StopOrder),
    /// It may live until this time of the boot clock; `None`: as long as it likes.
    Expire(Option<u64>),
    /// Remove all trace of it.
    Forget,
}

type Orders = mpsc::UnboundedReceiver<RunOrder>;

/// Are there more orders to serve?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    OnCall,
    /// The driver is dropped.
    Over,
}

/// Supervises one run.
pub struct RunSupervisor {
    run: Run,
    context: Rc<DriverContext>,
    events: mpsc::Sender<(Run, RunEvent)>,
    /// It was started or adopted, and not forgotten since.
    is_known: bool,
    /// `None` when the monitor has ended.
    notify: Option<pipe::Receiver>,
    /// The monitor, if it is a child of this process.
    monitor: Option<Child>,
    reported: Reported,
}

impl RunSupervisor {
    /// The supervisor of a run of which nothing is known yet.
    pub fn new(
        context: Rc<DriverContext>,
        run: Run,
        events: mpsc::Sender<(Run, RunEvent)>,
    ) -> RunSupervisor {
        let (notify, monitor, reported) = (None, None, Reported::default());
        RunSupervisor { run, context, events, is_known: false, notify, monitor, reported }
    }

    /// The supervisor of a run that another agent has started.
    pub fn adopt(
        context: Rc<DriverContext>,
        adopted: Adopted,
        events: mpsc::Sender<(Run, RunEvent)>,
    ) -> RunSupervisor {
        let Adopted { run, reported, notify } = adopted;
        RunSupervisor { run, context, events, is_known: true, notify, monitor: None, reported }
    }

    /// Serves until the run is forgotten, or the driver is dropped.
    pub async fn serve(mut self, mut orders: Orders) {
        loop {
            let order = tokio::select! {
                order = orders.recv() => order,
                notice = next_notice(&mut self.notify) => {
                    self.on_notice(notice).await;
                    continue;
                }
            };
            match order {
                Some(RunOrder::Start(_)) if self.is_known => self.repeat().await,
                Some(RunOrder::Start(start)) => {
                    if self.begin(&start, &mut orders).await == Served::Over {
                        return;
                    }
                }
                Some(RunOrder::Report) => self.report_changes().await,
                Some(RunOrder::Stop(stop)) => self.stop(stop).await,
                Some(RunOrder::Expire(at_ms)) => self.expire(at_ms),
                Some(RunOrder::Forget) => {
                    self.forget().await;
                    // The run may have been started again meanwhile.
                    if orders.is_empty() {
                        return;
                    }
                }
                // The agent ends; the run does not.
                None => return,
            }
        }
    }

    async fn begin(&mut self, start: &TaskStart, orders: &mut Orders) -> Served {
        self.is_known = true;
        let context = self.context.clone();
        let container = match launch::source(&context, start) {
            Ok(None) => Ok(None),
            Ok(Some(source)) => match self.prepare(source, start, orders).await {
                Some(prepared) => prepared.map(Some),
                None if orders.is_closed() => return Served::Over,
                // Forgotten.
                None => return Served::OnCall,
            },
            Err(error) => Err(error),
        };
        match container.and_then(|container| launch::launch(&self.context, start, container)) {
            Ok(launched) => {
                self.notify = Some(launched.notify);
                self.monitor = Some(launched.monitor);
            }
            Err(error) => self.end(refused(&error)).await,
        }
        Served::OnCall
    }

    /// Waits for what a container needs, or for an order that ends the wait. `None`: the run was
    /// forgotten, or the driver is dropped.
    async fn prepare(
        &mut self,
        source: &dyn Prepare,
        start: &TaskStart,
        orders: &mut Orders,
    ) -> Option<Result<ContainerOrder, StartError>> {
        let (said, mut sayings) = mpsc::unbounded_channel();
        let say = move |message| drop(said.send(message));
        let mut preparing = source.prepare(start, &say);
        let mut reported: Option<RunEvent> = None;
        loop {
            let order = tokio::select! {
                // A message is reported before the end that follows it.
                biased;
                Some(message) = sayings.recv(), if reported.is_none() => {
                    reported = Some(RunEvent::Preparing { message });
                    None
                }
                prepared = &mut preparing => return Some(prepared),
                order = orders.recv() => Some(order),
            };
            match order {
                None | Some(Some(RunOrder::Start(_) | RunOrder::Report)) => {
                    if let Some(reported) = &reported {
                        self.report(reported.clone()).await;
                    }
                }
                Some(Some(RunOrder::Stop(_))) => return Some(Err(StartError::Unwanted)),
                // It is launched with the end that was told last.
                Some(Some(RunOrder::Expire(_))) => {}
                Some(Some(RunOrder::Forget)) => {
                    self.is_known = false;
                    return None;
                }
                Some(None) => return None,
            }
        }
    }

    async fn on_notice(&mut self, notice: Notice) {
        self.report_changes().await;
        if notice == Notice::Written {
            return;
        }
        self.notify = None;
        self.reap_monitor();
        if self.reported.over.is_none() {
            self.on_monitor_lost().await;
        }
    }

    /// The monitor died before its program.
    async fn on_monitor_lost(&mut self) {
        let name = run_dir::name(self.run);
        tracing::warn!(run = name, "the monitor of this run was killed; ending what is left");
        self.end_orphans().await;
        let event = match self.reported.started {
            Some(_) => RunEvent::Exited { exit: Exit::Unknown, oom: false },
            None => refused(&StartError::Interrupted),
        };
        self.end(event).await;
    }

    /// Reports the content of the folder that was not reported yet.
    async fn report_changes(&mut self) {
        if self.reported.over.is_some() {
            return;
        }
        let dir = self.context.dir(self.run);
        if dir.join(run_dir::SLOW).exists() {
            self.context.slow.borrow_mut().insert(self.run);
        }
        // The final status is read first: everything that was written before it can then be read as
        // well.
        let final_status = run_dir::read::<FinalStatus>(&dir, run_dir::FINAL_STATUS);
        self.report_status().await;
        if self.reported.started.is_some()
            && let Some(health) = run_dir::read_health(&dir)
            && self.reported.health != Some(health)
        {
            self.reported.health = Some(health);
            self.report(RunEvent::HealthChanged(health)).await;
        }
        match final_status {
            Ok(Some(final_status)) => self.end(final_status.into_event()).await,
            Ok(None) => {}
            // The monitor ends next, and then the run's exit counts as unknown.
            Err(error) => tracing::warn!(run = run_dir::name(self.run), "its ending: {error}"),
        }
    }

    /// Reports which process runs, and requests that could not be fulfilled.
    async fn report_status(&mut self) {
        if self.reported.started.is_some() && self.reported.note.is_some() {
            return;
        }
        let Some(status) = self.status() else { return };
        if self.reported.started.is_none() {
            self.context.slow.borrow_mut().remove(&self.run);
            let pid = status.program.pid;
            self.reported.started = Some(pid);
            self.report(RunEvent::Started { pid }).await;
        }
        // An adopted run was reported as started before, perhaps without these warnings.
        let note = status.note().unwrap_or_default();
        if !note.is_empty() {
            tracing::warn!(run = run_dir::name(self.run), "{note}");
            self.report(RunEvent::Noted { message: note.clone() }).await;
        }
        self.reported.note = Some(note);
    }

    async fn repeat(&self) {
        if let Some(over) = self.reported.over.clone() {
            return self.report(over).await;
        }
        if let Some(pid) = self.reported.started {
            self.report(RunEvent::Started { pid }).await;
        }
        if let Some(note) = self.reported.note.clone().filter(|note| !note.is_empty()) {
            self.report(RunEvent::Noted { message: note }).await;
        }
    }

    async fn stop(&self, order: StopOrder) {
        if self.reported.over.is_some() || !self.is_known {
            return;
        }
        if let Err(error) = control::send(&self.context.dir(self.run), order) {
            // The monitor is gone, or somebody deleted the folder and it cannot be reached.
            tracing::warn!(run = run_dir::name(self.run), "killed, not stopped: {error}");
            self.end_orphans().await;
        }
    }

    /// Without a monitor there is nothing left to end.
    fn expire(&self, at_ms: Option<u64>) {
        if self.reported.over.is_none()
            && self.is_known
            && let Err(error) = control::send_end(&self.context.dir(self.run), at_ms)
        {
            tracing::debug!(run = run_dir::name(self.run), "its end is not told: {error}");
        }
    }

    async fn end_orphans(&self) {
        let (status, name) = (self.status(), run_dir::name(self.run));
        orphans::end(&self.context.cgroup(self.run), &name, status.as_ref(), &self.context.boot)
            .await;
        oci::remove_files(&self.context.dir(self.run));
    }

    async fn forget(&mut self) {
        if self.reported.over.is_none() {
            self.stop(StopOrder { signal: None, grace_ms: 0 }).await;
        }
        if self.notify.is_some() {
            let closed = async { while next_notice(&mut self.notify).await == Notice::Written {} };
            match tokio::time::timeout(FORGET_TIMEOUT, closed).await {
                Ok(()) => self.reap_monitor(),
                Err(_) => tracing::warn!(run = run_dir::name(self.run), "forgotten, yet it lives"),
            }
        }
        if self.reported.over.is_none() {
            self.end_orphans().await;
        }
        orphans::remove_traces(&self.context.cgroup(self.run), &self.context.dir(self.run));
        orphans::remove_shared(&self.context.runs, self.run.task);
        self.notify = None;
        self.context.slow.borrow_mut().remove(&self.run);
        self.reported = Reported::default();
        self.is_known = false;
    }

    /// Reaps a monitor that has closed its notify pipe: it is about to end, so this hardly waits.
    fn reap_monitor(&mut self) {
        match self.monitor.take() {
            Some(mut monitor) => drop(monitor.wait()),
            None => orphans::reap_adopted_monitor(self.status().as_ref()),
        }
    }

    fn status(&self) -> Option<Status> {
        run_dir::read(&self.context.dir(self.run), run_dir::STATUS).ok().flatten()
    }

    async fn end(&mut self, event: RunEvent) {
        self.context.slow.borrow_mut().remove(&self.run);
        self.reported.over = Some(event.clone());
        self.report(event).await;
    }

    async fn report(&self, event: RunEvent) {
        // An error means that the agent is ending; the next one reads the folder.
        let _ = self.events.send((self.run, event)).await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    Written,
    /// Its monitor has ended.
    Closed,
}

/// Waits for the pipe; never returns once it is closed.
async fn next_notice(notify: &mut Option<pipe::Receiver>) -> Notice {
    let Some(receiver) = notify else { return std::future::pending().await };
    let mut bytes = [0; 64];
    loop {
        if receiver.readable().await.is_err() {
            return Notice::Closed;
        }
        match receiver.try_read(&mut bytes) {
            Ok(0) => return Notice::Closed,
            Ok(_) => return Notice::Written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Notice::Closed,
        }
    }
}

fn refused(error: &StartError) -> RunEvent {
    RunEvent::Refused { permanent: error.is_permanent(), reason: error.to_string() }
}
