//! The programs of a machine: the fake runtime. A program's command decides how reliable it is.
//!
//! ```text
//! steady       starts within 0.4 s, runs until it is stopped
//! stubborn     the same, and takes no notice of the signal that asks it to end
//! flaky N      its first N starts on a machine end after up to 2 s, then it is steady
//! refused N    its first N starts on a machine are refused, then it is steady
//! impossible   can never be started
//! work N       its first N starts on a machine end with code 1, then it ends with code 0
//! oneshot      ends with code 0 after some seconds
//! broken       always ends after up to a second
//! bad          never starts
//! ```

use std::collections::BTreeMap;

use crdt_state::service::Service;
use crdt_state::spec::{TemplateVersion, UpdateOrder};
use crdt_state::task::{AdoptedRun, Exit, Run, RunEvent, Slot, TaskStart};
use crdt_state::{ServiceId, TaskId};
use runtime_fake::{Behaviour, FakeRuntime, Lives, OnStop};

use crate::dice::Dice;

/// The facts with which a run was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunFacts {
    /// The service.
    pub service: ServiceId,
    /// The slot.
    pub slot: Slot,
    /// The version of the template.
    pub template: TemplateVersion,
    /// The program ends after a while, whatever anybody does.
    pub ends_by_itself: bool,
}

/// How reliable a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reliability {
    /// It starts at once and stays.
    Steady,
    /// It runs steadily in the end, after some attempts.
    Troubled,
    /// It does not keep running, or never starts.
    Unsound,
}

/// The reliability of a command, by its first word.
pub fn reliability(command: &[String]) -> Reliability {
    match command.first().map(String::as_str) {
        Some("steady" | "stubborn") => Reliability::Steady,
        Some("flaky" | "refused" | "work") => Reliability::Troubled,
        _ => Reliability::Unsound,
    }
}

/// The reliability of a service. While an update that failed is paused, slots run its template or
/// the last good one: then it is that of the worse. A template that never starts is left by all
/// slots: as many tasks as before must run.
pub fn of_service(service: &Service) -> Reliability {
    if service.template.command.first().is_some_and(|word| word == "bad") {
        return reliability(&service.placed_template().command);
    }
    // The last good one goes on beside the current one, or in the slots that are not canaries.
    let earlier = service.last_good.as_ref().map(|(_, good)| good);
    let goes_on = service.order() == UpdateOrder::BlueGreen || service.awaits_operator();
    let earlier = earlier.filter(|_| goes_on);
    let templates = [&service.template, service.placed_template()].into_iter().chain(earlier);
    let worst = templates.map(|template| reliability(&template.command)).max();
    worst.expect("there are two")
}

/// The programs of one machine.
#[derive(Debug)]
pub struct Programs {
    runtime: FakeRuntime,
    facts: BTreeMap<Run, RunFacts>,
    starts: BTreeMap<(ServiceId, TemplateVersion), u64>,
    /// When forgotten runs began.
    past: BTreeMap<Run, u64>,
    dice: Dice,
}

impl Programs {
    /// A machine on which nothing runs.
    pub fn new(dice: Dice) -> Programs {
        Programs {
            runtime: FakeRuntime::new(),
            facts: BTreeMap::new(),
            starts: BTreeMap::new(),
            past: BTreeMap::new(),
            dice,
        }
    }

    /// The node starts a run.
    pub fn start(&mut self, now: u64, start: &TaskStart) {
        let starts = self.starts.entry((start.service, start.template_version)).or_default();
        *starts += 1;
        let behaviour = behaviour(&start.template.command, *starts, &mut self.dice);
        let ends_by_itself = matches!(behaviour, Behaviour::Runs { lives: Lives::For { .. }, .. });
        self.runtime.script(&start.service_name, behaviour);
        self.runtime.start(now, start);
        let TaskStart { service, slot, template_version, .. } = start;
        let (service, slot, template) = (*service, *slot, *template_version);
        let facts = RunFacts { service, slot, template, ends_by_itself };
        self.facts.insert(start.run, facts);
    }

    /// The node stops a run.
    pub fn stop(&mut self, now: u64, run: Run, grace_ms: u64) {
        self.runtime.stop(now, run, None, grace_ms);
    }

    /// A run may live until this time.
    pub fn expire(&mut self, run: Run, until: Option<u64>) {
        self.runtime.expire(run, until);
    }

    /// Everything that runs at this time, also on a machine that stands still.
    pub fn running_at(&self, now: u64) -> impl Iterator<Item = (Run, RunFacts)> {
        self.runtime.running_at(now).map(|run| (run, self.facts[&run]))
    }

    /// The node deletes everything about a run.
    pub fn forget(&mut self, run: Run) {
        if let Some(at) = self.runtime.started_at(run) {
            self.past.insert(run, at);
        }
        self.runtime.forget(run);
        self.facts.remove(&run);
    }

    /// An agent starts and asks which runs there are.
    pub fn adopt(&mut self, now: u64) -> Vec<AdoptedRun> {
        self.runtime.adopt(now)
    }

    /// The next event of a run that has happened by now.
    pub fn poll(&mut self, now: u64) -> Option<(Run, RunEvent)> {
        self.runtime.poll(now)
    }

    /// When there is something to poll.
    pub fn deadline(&self) -> Option<u64> {
        self.runtime.deadline()
    }

    /// The agent was killed.
    pub fn agent_crashed(&mut self, now: u64) {
        self.runtime.crash_agent(now);
    }

    /// The power failed, and every program ended.
    pub fn power_lost(&mut self, now: u64) {
        self.runtime.lose_power(now);
    }

    /// Kills one of the programs, if there is one.
    pub fn kill_one(&mut self, now: u64) -> Option<Run> {
        let running: Vec<Run> = self.runtime.running().collect();
        if running.is_empty() {
            return None;
        }
        let victim = *self.dice.pick(&running);
        self.runtime.end(now, victim, Exit::Signal(9));
        Some(victim)
    }

    /// Everything that runs at this moment.
    pub fn running(&self) -> impl Iterator<Item = (Run, RunFacts)> {
        self.runtime.running().map(|run| (run, self.facts[&run]))
    }

    /// The facts with which a run was started.
    pub fn facts(&self, run: Run) -> Option<RunFacts> {
        self.facts.get(&run).copied()
    }

    /// When the program of a run really began, also for a forgotten run.
    pub fn started_at(&self, run: Run) -> Option<u64> {
        self.runtime.started_at(run).or_else(|| self.past.get(&run).copied())
    }

    /// Runs that have neither started nor been refused, and that were not asked to end.
    pub fn starting(&self) -> usize {
        self.runtime.starting()
    }

    /// Does it run at this moment?
    pub fn is_running(&self, run: Run) -> bool {
        self.runtime.running().any(|other| other == run)
    }

    /// Does any run of this task run?
    pub fn runs_task(&self, task: TaskId) -> bool {
        self.runtime.running().any(|run| run.task == task)
    }
}

fn runs(start_delay_ms: u64, lives: Lives, on_stop: OnStop) -> Behaviour {
    Behaviour::Runs { start_delay_ms, lives, on_stop, health: Vec::new() }
}

fn behaviour(command: &[String], starts: u64, dice: &mut Dice) -> Behaviour {
    let start_ms = dice.between(5, 400);
    let on_stop = OnStop::EndsAfter(dice.between(5, 300));
    let lives_ms = dice.between(0, 2_000);
    let steady = runs(start_ms, Lives::Forever, on_stop);
    let word = command.first().map_or("", String::as_str);
    let count: u64 = command.get(1).and_then(|count| count.parse().ok()).unwrap_or(0);
    match word {
        "stubborn" => runs(start_ms, Lives::Forever, OnStop::Ignores),
        "flaky" if starts <= count => {
            runs(start_ms, Lives::For { ms: lives_ms, exit: Exit::Code(1) }, on_stop)
        }
        "refused" if starts <= count => Behaviour::Refused {
            after_ms: start_ms,
            permanent: false,
            reason: "no space left on device".to_owned(),
        },
        "work" => {
            let code = i32::from(starts <= count);
            runs(start_ms, Lives::For { ms: lives_ms * 3, exit: Exit::Code(code) }, on_stop)
        }
        "impossible" => Behaviour::Refused {
            after_ms: start_ms,
            permanent: true,
            reason: "no such program: impossible".to_owned(),
        },
        "oneshot" => runs(start_ms, Lives::For { ms: lives_ms * 3, exit: Exit::Code(0) }, on_stop),
        "bad" => Behaviour::Refused {
            after_ms: 1,
            permanent: false,
            reason: "no such release".to_owned(),
        },
        "broken" => runs(start_ms, Lives::For { ms: lives_ms / 2, exit: Exit::Code(70) }, on_stop),
        _ => steady,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_flaky_program_is_steady_after_so_many_starts() {
        let mut dice = Dice::new(1, "programs");
        let lives = |starts, dice: &mut Dice| match behaviour(&command("flaky 2"), starts, dice) {
            Behaviour::Runs { lives, .. } => lives,
            Behaviour::Refused { .. } => unreachable!("it starts"),
        };
        assert_ne!(lives(2, &mut dice), Lives::Forever);
        assert_eq!(lives(3, &mut dice), Lives::Forever);
    }

    #[test]
    fn reliability_follows_from_the_first_word() {
        assert_eq!(reliability(&command("steady")), Reliability::Steady);
        assert_eq!(reliability(&command("refused 3")), Reliability::Troubled);
        assert_eq!(reliability(&command("broken")), Reliability::Unsound);
    }
}
