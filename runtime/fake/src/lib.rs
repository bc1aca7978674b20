//! A runtime that runs nothing: the simulator's, on virtual time, with scripted programs.
//!
//! A pure state machine like the ones above it: orders come in with the time, events come out of
//! [`FakeRuntime::poll`] when they are due. It passes the same conformance suite as the real
//! driver. It must never read a clock or draw a random number: same orders, same events.
//!
//! ```text
//! start ──delay──▶ Started ──lives──▶ Exited      crash_agent: queued events are lost, runs go on
//!      └─refused─▶ Refused                         lose_power:  everything ends, exit unknown
//! ```

use std::collections::BTreeMap;

use crdt_state::task::{AdoptedRun, Exit, Health, Run, RunEvent, TaskStart};

/// How long a scripted program lives when nobody stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lives {
    /// Until it is stopped.
    Forever,
    /// This many milliseconds after it started; `For { ms: 0, .. }` is a crash loop.
    For {
        /// From `Started` to `Exited`.
        ms: u64,
        /// How it ends.
        exit: Exit,
    },
}

/// What a scripted program does with the signal that asks it to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// It exits with code 0 after this many milliseconds, if the grace period allows.
    EndsAfter(u64),
    /// It ignores the signal; SIGKILL ends it after the grace period.
    Ignores,
}

/// One scripted program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// It starts.
    Runs {
        /// From `start` to `Started`.
        start_delay_ms: u64,
        /// How long it runs.
        lives: Lives,
        /// How it reacts to a stop.
        on_stop: OnStop,
        /// Results of its health command, each with its time in milliseconds after `Started`.
        health: Vec<(u64, Health)>,
    },
    /// It can not be started.
    Refused {
        /// From `start` to `Refused`.
        after_ms: u64,
        /// As in [`RunEvent::Refused`].
        permanent: bool,
        /// As in [`RunEvent::Refused`].
        reason: String,
    },
}

impl Default for Behaviour {
    /// A well-behaved program: started in 5 ms, runs for ever, ends 10 ms after it is asked to.
    fn default() -> Self {
        Behaviour::Runs {
            start_delay_ms: 5,
            lives: Lives::Forever,
            on_stop: OnStop::EndsAfter(10),
            health: Vec::new(),
        }
    }
}

/// Exit of a program that SIGKILL ended.
const KILLED: Exit = Exit::Signal(9);

#[derive(Debug, Clone)]
struct FakeRun {
    start: TaskStart,
    behaviour: Behaviour,
    pid: u32,
    /// What it was last seen as; `None` until it has started or was refused.
    state: Option<RunEvent>,
    health: Option<Health>,
    /// When it has started or is refused: nothing else happens to it before.
    begins: u64,
    /// When its program really began to run.
    started_at: Option<u64>,
    /// When SIGKILL comes, once it was asked to end.
    kill_at: Option<u64>,
}

impl FakeRun {
    fn is_over(&self) -> bool {
        matches!(self.state, Some(RunEvent::Exited { .. } | RunEvent::Refused { .. }))
    }
}

/// The fake runtime of one node. All times are milliseconds of the caller's virtual clock.
#[derive(Debug, Clone, Default)]
pub struct FakeRuntime {
    behaviours: BTreeMap<String, Behaviour>,
    runs: BTreeMap<Run, FakeRun>,
    /// What happens when; the counter keeps the order of events of one millisecond.
    due: BTreeMap<(u64, u64), (Run, RunEvent)>,
    /// Events repeated for a caller that started a run which is already known.
    again: BTreeMap<(u64, u64), (Run, RunEvent)>,
    counter: u64,
    pids: u32,
    /// Until when runs may live.
    ends: BTreeMap<Run, u64>,
}

impl FakeRuntime {
    /// A node on which nothing runs, and every program is the default one.
    pub fn new() -> FakeRuntime {
        FakeRuntime::default()
    }

    /// Sets the behaviour of this service's runs that start from now on.
    pub fn script(&mut self, service_name: &str, behaviour: Behaviour) {
        self.behaviours.insert(service_name.to_owned(), behaviour);
    }

    /// `Driver::start` of package `runtime`.
    pub fn start(&mut self, now: u64, start: &TaskStart) {
        if let Some(known) = self.runs.get(&start.run) {
            if let Some(event) = known.state.clone() {
                let at = self.place(now);
                self.again.insert(at, (start.run, event));
            }
            return;
        }
        let behaviour = self.behaviours.get(&start.service_name).cloned().unwrap_or_default();
        self.pids += 1;
        let pid = self.pids;
        let (delay, event) = match &behaviour {
            Behaviour::Runs { start_delay_ms, .. } => (*start_delay_ms, RunEvent::Started { pid }),
            Behaviour::Refused { after_ms, permanent, reason } => {
                (*after_ms, RunEvent::Refused { permanent: *permanent, reason: reason.clone() })
            }
        };
        let run = FakeRun {
            start: start.clone(),
            behaviour,
            pid,
            state: None,
            health: None,
            begins: now + delay,
            started_at: None,
            kill_at: None,
        };
        self.runs.insert(start.run, run);
        self.plan(now + delay, start.run, event);
    }

    /// `Driver::stop` of package `runtime`.
    pub fn stop(&mut self, now: u64, run: Run, _signal: Option<&str>, grace_ms: u64) {
        let Some(known) = self.runs.get_mut(&run) else { return };
        if known.is_over() {
            return;
        }
        let asked_at = now.max(known.begins);
        let kill_at = asked_at.saturating_add(grace_ms);
        if known.kill_at.is_some_and(|earlier| earlier <= kill_at) {
            return;
        }
        let first = known.kill_at.replace(kill_at).is_none();
        let obeys = match known.behaviour {
            Behaviour::Runs { on_stop: OnStop::EndsAfter(ms), .. } if first && ms < grace_ms => {
                Some(asked_at + ms)
            }
            _ => None,
        };
        if let Some(at) = obeys {
            self.plan(at, run, RunEvent::Exited { exit: Exit::Code(0), oom: false });
        }
        self.plan(kill_at, run, RunEvent::Exited { exit: KILLED, oom: false });
    }

    /// `Driver::expire` of package `runtime`.
    pub fn expire(&mut self, run: Run, at_ms: Option<u64>) {
        match at_ms {
            Some(at) => self.ends.insert(run, at),
            None => self.ends.remove(&run),
        };
    }

    /// `Driver::forget` of package `runtime`.
    pub fn forget(&mut self, run: Run) {
        self.ends.remove(&run);
        self.runs.remove(&run);
        self.due.retain(|_, (of, _)| *of != run);
        self.again.retain(|_, (of, _)| *of != run);
    }

    /// `Driver::adopt` of package `runtime`.
    pub fn adopt(&mut self, now: u64) -> Vec<AdoptedRun> {
        self.catch_up(now);
        // Waits for a start that was in progress when the agent died.
        let begins = self.runs.values().filter(|run| run.state.is_none()).map(|run| run.begins);
        if let Some(last) = begins.max() {
            self.catch_up(last);
        }
        let mut found = Vec::new();
        let mut verdicts = Vec::new();
        for (id, run) in &self.runs {
            let Some(event) = run.state.clone() else { continue };
            if let (RunEvent::Started { .. }, Some(health)) = (&event, run.health) {
                verdicts.push((*id, RunEvent::HealthChanged(health)));
            }
            found.push(AdoptedRun { start: run.start.clone(), event });
        }
        for verdict in verdicts {
            let at = self.place(now);
            self.again.insert(at, verdict);
        }
        found
    }

    /// The next event that has happened by `now`.
    pub fn poll(&mut self, now: u64) -> Option<(Run, RunEvent)> {
        if let Some(told) = self.again.pop_first() {
            return Some(told.1);
        }
        self.plan_ends(now);
        loop {
            let entry = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
            let ((at, _), (run, event)) = entry.remove_entry();
            if self.happens(at, run, &event) {
                return Some((run, event));
            }
        }
    }

    /// When [`FakeRuntime::poll`] has its next event, unless a new order comes before.
    pub fn deadline(&self) -> Option<u64> {
        let told = self.again.keys().next().map(|key| key.0);
        let due = self.due.keys().next().map(|key| key.0);
        told.or_else(|| due.into_iter().chain(self.ends.values().copied()).min())
    }

    /// The program of a run ends by itself: killed by an operator, or crashed.
    pub fn end(&mut self, now: u64, run: Run, exit: Exit) {
        let at = self.runs.get(&run).map_or(now, |known| now.max(known.begins));
        self.plan(at, run, RunEvent::Exited { exit, oom: false });
    }

    /// The agent is killed: events up to now are seen by [`FakeRuntime::adopt`] only, the programs
    /// keep running.
    pub fn crash_agent(&mut self, now: u64) {
        self.catch_up(now);
        self.again.clear();
    }

    /// The power fails: every program ends, and its exit status is unknown.
    pub fn lose_power(&mut self, now: u64) {
        self.catch_up(now);
        self.again.clear();
        self.due.clear();
        self.ends.clear();
        for run in self.runs.values_mut().filter(|run| !run.is_over()) {
            run.state = Some(RunEvent::Exited { exit: Exit::Unknown, oom: false });
        }
    }

    /// All runs that are running now, whether or not an agent knows of them.
    pub fn running(&self) -> impl Iterator<Item = Run> {
        let runs = self.runs.iter();
        runs.filter(|(_, run)| matches!(run.state, Some(RunEvent::Started { .. })))
            .map(|(id, _)| *id)
    }

    /// Everything that runs at this time, also where nobody has polled for long.
    pub fn running_at(&self, now: u64) -> impl Iterator<Item = Run> {
        let ended = move |run: &Run| {
            let exits = self.due.range(..=(now, u64::MAX)).map(|(_, due)| due);
            let mut exits = exits.filter(|(_, event)| matches!(event, RunEvent::Exited { .. }));
            exits.any(|(of, _)| of == run) || self.ends.get(run).is_some_and(|end| *end <= now)
        };
        let begun = move |run: &FakeRun| match (&run.state, &run.behaviour) {
            (Some(state), _) => matches!(state, RunEvent::Started { .. }),
            (None, Behaviour::Runs { .. }) => run.begins <= now,
            (None, Behaviour::Refused { .. }) => false,
        };
        let runs = self.runs.iter().filter(move |(_, run)| begun(run)).map(|(id, _)| *id);
        runs.filter(move |run| !ended(run))
    }

    /// The process id of a run: the same as long as its program was not started again.
    pub fn pid(&self, run: Run) -> Option<u32> {
        self.runs.get(&run).map(|run| run.pid)
    }

    /// When the program of a run really began, whatever an agent reports; `None` if it never did.
    pub fn started_at(&self, run: Run) -> Option<u64> {
        self.runs.get(&run)?.started_at
    }

    /// Runs that have neither started nor been refused, and that nobody asked to end.
    pub fn starting(&self) -> usize {
        self.runs.values().filter(|run| run.state.is_none() && run.kill_at.is_none()).count()
    }

    /// Runs whose end has come are killed, whoever polls.
    fn plan_ends(&mut self, now: u64) {
        let over: Vec<(Run, u64)> =
            self.ends.iter().filter(|(_, at)| **at <= now).map(|(run, at)| (*run, *at)).collect();
        for (run, at) in over {
            self.ends.remove(&run);
            self.plan(at, run, RunEvent::Exited { exit: KILLED, oom: false });
        }
    }

    fn catch_up(&mut self, now: u64) {
        while self.poll(now).is_some() {}
    }

    fn place(&mut self, at: u64) -> (u64, u64) {
        self.counter += 1;
        (at, self.counter)
    }

    fn plan(&mut self, at: u64, run: Run, event: RunEvent) {
        let place = self.place(at);
        self.due.insert(place, (run, event));
    }

    /// Applies a planned event, unless the run is over by now or never reached that state.
    fn happens(&mut self, at: u64, id: Run, event: &RunEvent) -> bool {
        let Some(run) = self.runs.get_mut(&id).filter(|run| !run.is_over()) else { return false };
        let mut follows = Vec::new();
        match event {
            RunEvent::Preparing { .. } | RunEvent::Noted { .. } => {}
            RunEvent::HealthChanged(health) => run.health = Some(*health),
            RunEvent::Started { .. } => {
                run.state = Some(event.clone());
                run.started_at = Some(at);
                if let Behaviour::Runs { lives, health, .. } = &run.behaviour {
                    let verdict =
                        |(ms, health): &(u64, Health)| (at + ms, RunEvent::HealthChanged(*health));
                    follows.extend(health.iter().map(verdict));
                    if let Lives::For { ms, exit } = *lives {
                        follows.push((at + ms, RunEvent::Exited { exit, oom: false }));
                    }
                }
            }
            RunEvent::Exited { .. } | RunEvent::Refused { .. } => run.state = Some(event.clone()),
        }
        for (at, event) in follows {
            self.plan(at, id, event);
        }
        true
    }
}

#[cfg(test)]
mod tests;
