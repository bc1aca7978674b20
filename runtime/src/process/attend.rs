//! Attending to runs: one small task per run waits for its bell and for orders about it.
//!
//! What happened is always read from the run's folder; the bell only says when to look. So a lost
//! ring, a ring too many and a run that was adopted are all the same.

use std::collections::BTreeMap;
use std::io;
use std::process::Child;
use std::rc::Rc;
use std::time::Duration;

use crdt_state::task::{Exit, Health, Run, RunEvent, TaskStart};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Order, Site, adopt, launch, remains};
use crate::monitor::control::{self, StopOrder};
use crate::refusal::StartError;
use crate::run_dir::{self, Ending, Status};

/// How long a run may take to end before it is forgotten over its head.
const FORGET_PATIENCE: Duration = Duration::from_secs(10);
/// How long the driver's end may take.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

/// The driver's thread.
pub struct Keeper {
    site: Rc<Site>,
    events: mpsc::Sender<(Run, RunEvent)>,
    /// The inbox of each run that is known.
    runs: BTreeMap<Run, mpsc::UnboundedSender<RunOrder>>,
    attendants: JoinSet<()>,
}

/// An order about one run.
enum RunOrder {
    Repeat,
    Stop(StopOrder),
    Forget,
}

impl Keeper {
    /// A driver without runs.
    pub fn new(site: Site, events: mpsc::Sender<(Run, RunEvent)>) -> Keeper {
        let (runs, attendants) = (BTreeMap::new(), JoinSet::new());
        Keeper { site: Rc::new(site), events, runs, attendants }
    }

    /// Serves until the driver is dropped, and carries out the orders that were given by then.
    pub async fn serve(mut self, mut inbox: mpsc::UnboundedReceiver<Order>) {
        while let Some(order) = inbox.recv().await {
            match order {
                Order::Start(start) if self.runs.contains_key(&start.run) => {
                    self.tell(start.run, RunOrder::Repeat);
                }
                Order::Start(start) => {
                    let attendant = self.attendant(start.run);
                    self.attend(attendant, Begin::Launch(start));
                }
                Order::Stop { run, signal, grace_ms } => {
                    self.tell(run, RunOrder::Stop(StopOrder { signal, grace_ms }));
                }
                Order::Forget(run) => {
                    self.tell(run, RunOrder::Forget);
                    self.runs.remove(&run);
                }
                Order::Adopt(answer) => {
                    let (answers, found) = adopt::scan(&self.site).into_iter().unzip();
                    // Whoever asked waits for it, or is gone with the whole agent.
                    let _ = answer.send(answers);
                    self.take_over(found);
                }
            }
            while self.attendants.try_join_next().is_some() {}
        }
        self.runs.clear();
        let all = async { while self.attendants.join_next().await.is_some() {} };
        // One may wait to report to an agent that no longer listens.
        let _ = tokio::time::timeout(LEAVE_PATIENCE, all).await;
    }

    fn take_over(&mut self, found: Vec<adopt::Adopted>) {
        for adopted in found {
            let mut attendant = self.attendant(adopted.run);
            attendant.told = adopted.told;
            attendant.bell = adopted.bell;
            self.attend(attendant, Begin::Look);
        }
    }

    fn tell(&self, run: Run, order: RunOrder) {
        if let Some(inbox) = self.runs.get(&run) {
            // A run that was forgotten no longer listens.
            let _ = inbox.send(order);
        }
    }

    fn attendant(&self, run: Run) -> Attendant {
        let (site, events) = (self.site.clone(), self.events.clone());
        Attendant { run, site, events, bell: None, monitor: None, told: Told::default() }
    }

    fn attend(&mut self, attendant: Attendant, begin: Begin) {
        let (orders, inbox) = mpsc::unbounded_channel();
        self.runs.insert(attendant.run, orders);
        self.attendants.spawn_local(attendant.serve(begin, inbox));
    }
}

/// How attending begins.
enum Begin {
    Launch(Box<TaskStart>),
    Look,
}

/// What was reported of a run already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    pub started: Option<u32>,
    pub health: Option<Health>,
    pub over: Option<RunEvent>,
}

/// Who watches one run.
struct Attendant {
    run: Run,
    site: Rc<Site>,
    events: mpsc::Sender<(Run, RunEvent)>,
    /// `None` when the monitor has ended.
    bell: Option<pipe::Receiver>,
    /// If it is a child of this process.
    monitor: Option<Child>,
    told: Told,
}

impl Attendant {
    async fn serve(mut self, begin: Begin, mut orders: mpsc::UnboundedReceiver<RunOrder>) {
        match begin {
            Begin::Launch(start) => self.launch(&start).await,
            Begin::Look => self.look().await,
        }
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(RunOrder::Repeat) => self.repeat().await,
                    Some(RunOrder::Stop(stop)) => self.stop(stop).await,
                    Some(RunOrder::Forget) => return self.forget().await,
                    // The agent ends; the run does not.
                    None => return,
                },
                rung = rings(&mut self.bell) => self.on_bell(rung).await,
            }
        }
    }

    async fn launch(&mut self, start: &TaskStart) {
        match launch::launch(&self.site, start) {
            Ok(launched) => {
                self.bell = Some(launched.bell);
                self.monitor = Some(launched.monitor);
            }
            Err(error) => self.end(refused(&error)).await,
        }
    }

    async fn on_bell(&mut self, rung: Bell) {
        self.look().await;
        if rung == Bell::Rung {
            return;
        }
        self.bell = None;
        self.reap_monitor();
        if self.told.over.is_none() {
            self.on_monitor_lost().await;
        }
    }

    /// The monitor died before its program.
    async fn on_monitor_lost(&mut self) {
        let name = run_dir::name(self.run);
        tracing::warn!(run = name, "the monitor of this run was killed; ending what is left");
        self.end_remains().await;
        let event = match self.told.started {
            Some(_) => RunEvent::Exited { exit: Exit::Unknown, oom: false },
            None => refused(&StartError::Interrupted),
        };
        self.end(event).await;
    }

    /// Reports what the folder says and was not reported yet.
    async fn look(&mut self) {
        if self.told.over.is_some() {
            return;
        }
        let dir = self.site.dir(self.run);
        // The ending is read first: what was written before it is then there as well.
        let ending = run_dir::read::<Ending>(&dir, run_dir::ENDING);
        if self.told.started.is_none()
            && let Some(status) = self.status()
        {
            let pid = status.program.pid;
            for warning in &status.warnings {
                tracing::warn!(run = run_dir::name(self.run), "{warning}");
            }
            self.told.started = Some(pid);
            self.report(RunEvent::Started { pid }).await;
        }
        if self.told.started.is_some()
            && let Some(health) = run_dir::read_health(&dir)
            && self.told.health != Some(health)
        {
            self.told.health = Some(health);
            self.report(RunEvent::HealthChanged(health)).await;
        }
        match ending {
            Ok(Some(ending)) => self.end(ending.into_event()).await,
            Ok(None) => {}
            // Its monitor ends next, and then it counts as unknown.
            Err(error) => tracing::warn!(run = run_dir::name(self.run), "its ending: {error}"),
        }
    }

    async fn repeat(&self) {
        let started = self.told.started.map(|pid| RunEvent::Started { pid });
        if let Some(event) = self.told.over.clone().or(started) {
            self.report(event).await;
        }
    }

    async fn stop(&self, order: StopOrder) {
        if self.told.over.is_some() {
            return;
        }
        if let Err(error) = control::send(&self.site.dir(self.run), order) {
            // Its monitor is gone, or somebody deleted the folder and it cannot be asked.
            tracing::warn!(run = run_dir::name(self.run), "killed, not stopped: {error}");
            self.end_remains().await;
        }
    }

    async fn end_remains(&self) {
        let (status, name) = (self.status(), run_dir::name(self.run));
        remains::end(&self.site.cgroup(self.run), &name, status.as_ref(), &self.site.boot).await;
    }

    async fn forget(mut self) {
        if self.told.over.is_none() {
            self.stop(StopOrder { signal: None, grace_ms: 0 }).await;
        }
        if self.bell.is_some() {
            let closed = async { while rings(&mut self.bell).await == Bell::Rung {} };
            match tokio::time::timeout(FORGET_PATIENCE, closed).await {
                Ok(()) => self.reap_monitor(),
                Err(_) => tracing::warn!(run = run_dir::name(self.run), "forgotten, yet it lives"),
            }
        }
        if self.told.over.is_none() {
            self.end_remains().await;
        }
        remains::remove_traces(&self.site.cgroup(self.run), &self.site.dir(self.run));
    }

    /// Collects a monitor that has closed its bell: it ends at this moment, so this hardly waits.
    fn reap_monitor(&mut self) {
        match self.monitor.take() {
            Some(mut monitor) => drop(monitor.wait()),
            None => remains::reap_adopted_monitor(self.status().as_ref()),
        }
    }

    fn status(&self) -> Option<Status> {
        run_dir::read(&self.site.dir(self.run), run_dir::STATUS).ok().flatten()
    }

    async fn end(&mut self, event: RunEvent) {
        self.told.over = Some(event.clone());
        self.report(event).await;
    }

    async fn report(&self, event: RunEvent) {
        // Nobody listens any more: the agent is ending, and the next one reads the folder.
        let _ = self.events.send((self.run, event)).await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bell {
    Rung,
    /// Its monitor has ended.
    Closed,
}

/// Waits for the bell; for ever, once it is closed.
async fn rings(bell: &mut Option<pipe::Receiver>) -> Bell {
    let Some(receiver) = bell else { return std::future::pending().await };
    let mut rings = [0; 64];
    loop {
        if receiver.readable().await.is_err() {
            return Bell::Closed;
        }
        match receiver.try_read(&mut rings) {
            Ok(0) => return Bell::Closed,
            Ok(_) => return Bell::Rung,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Bell::Closed,
        }
    }
}

fn refused(error: &StartError) -> RunEvent {
    RunEvent::Refused { permanent: error.is_permanent(), reason: error.to_string() }
}
