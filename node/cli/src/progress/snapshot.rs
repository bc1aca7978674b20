//! The progress of a service at one moment: computed from its tasks alone.

use std::collections::BTreeMap;

use node_docker::service::Service;
use node_docker::task::Task;

/// A task that ended this often since the wait began will probably never run.
const FAILURES_MAX: u32 = 3;

/// The place of a task: its number, or in a global service its node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// From 1.
    Slot(u64),
    /// By id.
    Node(String),
}

impl Place {
    fn of(task: &Task) -> Place {
        // Docker counts the slots of a job from 0.
        let first = u64::from(task.job_iteration.is_some() || task.desired_state == "complete");
        let slot = task.slot.map(|slot| Place::Slot(slot + first));
        slot.unwrap_or_else(|| Place::Node(task.node_id.clone()))
    }
}

/// Attempts that were made before the wait began.
#[derive(Debug, Default)]
pub struct Baseline {
    attempts: BTreeMap<Place, u32>,
}

impl Baseline {
    /// From the first listing of the tasks.
    pub fn of(tasks: &[Task]) -> Baseline {
        let mut attempts = BTreeMap::new();
        for task in tasks.iter().filter(|task| task.edge.up_to_date) {
            let attempt = attempts.entry(Place::of(task)).or_insert(0);
            *attempt = task.edge.attempt.max(*attempt);
        }
        Baseline { attempts }
    }

    fn failures(&self, task: &Task) -> u32 {
        let before = self.attempts.get(&Place::of(task)).copied().unwrap_or(1).max(1);
        task.edge.attempt.saturating_sub(before)
    }
}

/// Which tasks count as those that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Those with the current template.
    CurrentVersion,
    /// All: a rollout is paused.
    BothVersions,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceState {
    /// `web.1`.
    pub name: String,
    /// Docker's word for the state of its task.
    pub state: String,
    /// By id; empty without one.
    pub node_id: String,
    /// Why its task does not run.
    pub error: String,
    is_done: bool,
    has_ended: bool,
    failures: u32,
    /// The attempt: a task that was replaced is not stable.
    attempt: (String, u32),
}

/// All places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// By place.
    pub places: BTreeMap<Place, PlaceState>,
    /// How many tasks there should be.
    pub wanted: u64,
    /// Tasks that should have ended but still run.
    pub surplus: usize,
    /// Of a job: how many tasks run at a time at most.
    pub concurrent: Option<u64>,
}

/// The result of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// In progress.
    Going,
    /// All requested tasks run, and no others.
    AllRun,
    /// All tasks that can run do; this many fit on no node.
    Unplaced(usize),
    /// A task fails to start.
    Failing {
        /// The task, and how often it failed.
        what: String,
        /// Its last error, if it left one.
        error: String,
    },
}

impl Snapshot {
    /// Reads the tasks of a service.
    pub fn of(service: &Service, tasks: &[Task], baseline: &Baseline, counts: Counts) -> Snapshot {
        let mode = &service.spec.mode;
        let job = mode.replicated_job;
        let scaled = service.edge.autoscale.as_ref().map(|scaled| scaled.replicas);
        let written = mode.replicated.and_then(|replicated| replicated.replicas);
        let replicas = scaled.or(written);
        let replicas = replicas.or(job.and_then(|job| job.total_completions));
        let mut places = BTreeMap::new();
        for number in 1..=replicas.unwrap_or(0) {
            let name = format!("{}.{number}", service.spec.name);
            places.insert(Place::Slot(number), PlaceState::new(name));
        }
        let mut surplus = 0;
        for task in tasks {
            let place = Place::of(task);
            // What a job did in earlier iterations is over.
            let is_of_now = !mode.is_job() || task.edge.up_to_date;
            let is_wanted = task.is_wanted()
                && is_of_now
                && (replicas.is_none() || places.contains_key(&place));
            if is_wanted {
                let known = places.entry(place).or_insert_with(|| PlaceState::new(String::new()));
                known.take(task, baseline, counts);
            } else if is_alive(task) {
                surplus += 1;
            }
        }
        let wanted = match (replicas, service.service_status) {
            (Some(replicas), _) => replicas,
            (None, Some(status)) => status.desired_tasks + status.completed_tasks,
            (None, None) => places.len() as u64,
        };
        let concurrent = mode.is_job().then(|| job.and_then(|job| job.max_concurrent));
        let concurrent = concurrent.map(|most| most.unwrap_or(wanted));
        Snapshot { places, wanted, surplus, concurrent }
    }

    /// How many tasks of a job run or are about to.
    pub fn active(&self) -> u64 {
        let is_active = |place: &&PlaceState| !place.is_done && !place.node_id.is_empty();
        self.places.values().filter(is_active).count() as u64
    }

    /// How many places are in their requested state.
    pub fn done(&self) -> u64 {
        self.places.values().filter(|place| place.is_done).count() as u64
    }

    /// Notes of running tasks: a limit that their node cannot enforce. Tasks with the same note are
    /// named together.
    pub fn notes(&self) -> Vec<String> {
        let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for place in self.places.values().filter(|place| place.state == "running") {
            if !place.error.is_empty() {
                names.entry(&place.error).or_default().push(&place.name);
            }
        }
        names.into_iter().map(|(note, names)| format!("{}: {note}", names.join(", "))).collect()
    }

    /// The result of this snapshot.
    pub fn verdict(&self) -> Verdict {
        let failing = self
            .places
            .values()
            .find(|place| !place.is_done && (place.failures >= FAILURES_MAX || place.has_ended));
        if let Some(place) = failing {
            return place.failing();
        }
        let unplaced = self.places.values().filter(|place| place.is_unplaced()).count();
        if self.done() + unplaced as u64 != self.wanted || self.surplus > 0 {
            return Verdict::Going;
        }
        if unplaced > 0 { Verdict::Unplaced(unplaced) } else { Verdict::AllRun }
    }
}

impl PlaceState {
    fn new(name: String) -> PlaceState {
        PlaceState {
            name,
            state: "new".to_owned(),
            node_id: String::new(),
            error: String::new(),
            is_done: false,
            has_ended: false,
            failures: 0,
            attempt: (String::new(), 0),
        }
    }

    /// Takes a task into account; one with the current template has precedence.
    fn take(&mut self, task: &Task, baseline: &Baseline, counts: Counts) {
        let is_current = task.edge.up_to_date || counts == Counts::BothVersions;
        let is_better = is_current || self.state == "new";
        let is_done = is_current && runs_well(task);
        if !is_better || (self.is_done && !is_done) {
            return;
        }
        let state = task.status.state.as_str();
        self.name.clone_from(&task.edge.name);
        self.state = match is_current {
            true => state.to_owned(),
            false => "waiting".to_owned(),
        };
        self.node_id.clone_from(&task.node_id);
        self.error.clone_from(&task.status.err);
        self.is_done = is_done;
        self.has_ended = task.edge.up_to_date && matches!(state, "failed" | "rejected");
        self.failures = if task.edge.up_to_date { baseline.failures(task) } else { 0 };
        self.attempt = (task.edge.task_id.clone(), task.edge.attempt);
    }

    /// The error, unless it only says that a first start is in progress.
    pub fn trouble(&self) -> Option<&str> {
        let is_on_its_way = matches!(
            self.state.as_str(),
            "new" | "assigned" | "preparing" | "starting" | "running"
        );
        let is_first = is_on_its_way && self.attempt.1 <= 1;
        Some(self.last_error()).filter(|error| !error.is_empty() && !is_first)
    }

    /// Without the prefix that marks an earlier attempt's error.
    fn last_error(&self) -> &str {
        self.error.strip_prefix("after: ").unwrap_or(&self.error)
    }

    fn is_unplaced(&self) -> bool {
        self.state == "pending" && self.node_id.is_empty()
    }

    fn failing(&self) -> Verdict {
        let name = &self.name;
        let what = match self.failures {
            0 | 1 => format!("{name} has failed"),
            number => format!("{name} has failed {number} times"),
        };
        Verdict::Failing { what, error: self.last_error().to_owned() }
    }
}

fn runs_well(task: &Task) -> bool {
    let is_well = !matches!(task.edge.health.as_str(), "starting" | "unhealthy");
    let is_job = task.desired_state == "complete";
    let is_running = task.status.state == "running" && is_well && !is_job;
    let is_here = task.edge.unreachable_ms.is_none();
    is_here && is_running || task.status.state == "complete"
}

fn is_alive(task: &Task) -> bool {
    matches!(task.status.state.as_str(), "preparing" | "starting" | "running")
        && task.edge.unreachable_ms.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use node_docker::service::{Replicated, ServiceMode, ServiceSpec};

    fn service(replicas: u64) -> Service {
        let mode = ServiceMode {
            replicated: Some(Replicated { replicas: Some(replicas) }),
            ..ServiceMode::default()
        };
        let spec = ServiceSpec { name: "web".to_owned(), mode, ..ServiceSpec::default() };
        Service { spec, ..Service::default() }
    }

    fn task(slot: u64, state: &str) -> Task {
        let mut task = Task { slot: Some(slot), ..Task::default() };
        task.desired_state = "running".to_owned();
        task.status.state = state.to_owned();
        task.edge.name = format!("web.{slot}");
        task.edge.up_to_date = true;
        task.edge.attempt = 1;
        if state != "pending" {
            task.node_id = "n1".to_owned();
        }
        task
    }

    fn verdict(replicas: u64, tasks: &[Task]) -> Verdict {
        Snapshot::of(&service(replicas), tasks, &Baseline::default(), Counts::CurrentVersion)
            .verdict()
    }

    #[test]
    fn what_running_tasks_say_is_told_once_for_all_that_say_it() {
        let mut tasks = [task(1, "running"), task(2, "running"), task(3, "running")];
        for told in &mut tasks[..2] {
            "no limit of memory".clone_into(&mut told.status.err);
        }
        let snapshot =
            Snapshot::of(&service(3), &tasks, &Baseline::default(), Counts::CurrentVersion);
        assert_eq!(snapshot.verdict(), Verdict::AllRun);
        assert_eq!(snapshot.notes(), ["web.1, web.2: no limit of memory"]);
    }

    #[test]
    fn it_has_converged_when_all_run_and_nothing_else_does() {
        let (one, two) = (task(1, "running"), task(2, "running"));
        assert_eq!(verdict(2, std::slice::from_ref(&one)), Verdict::Going);
        assert_eq!(verdict(2, &[one.clone(), two.clone()]), Verdict::AllRun);
        assert_eq!(verdict(1, &[one.clone(), two]), Verdict::Going, "slot 2 is too much");
        let mut starting = one.clone();
        starting.edge.health = "starting".to_owned();
        assert_eq!(verdict(1, &[starting]), Verdict::Going);
        let mut old = one;
        old.edge.up_to_date = false;
        assert_eq!(verdict(1, &[old]), Verdict::Going);
        assert_eq!(verdict(0, &[]), Verdict::AllRun);
    }

    #[test]
    fn tasks_that_fit_nowhere_are_counted_once_the_others_run() {
        let tasks = [task(1, "running"), task(2, "pending"), task(3, "pending")];
        assert_eq!(verdict(3, &tasks), Verdict::Unplaced(2));
        let tasks = [task(1, "starting"), task(2, "pending")];
        assert_eq!(verdict(2, &tasks), Verdict::Going);
    }

    #[test]
    fn a_task_that_keeps_failing_ends_the_wait() {
        let mut failing = task(1, "starting");
        failing.edge.attempt = 4;
        failing.status.err = "exit code 1".to_owned();
        let expected = Verdict::Failing {
            what: "web.1 has failed 3 times".to_owned(),
            error: "exit code 1".to_owned(),
        };
        assert_eq!(verdict(1, &[failing.clone()]), expected);
        let baseline = Baseline::of(&[failing.clone()]);
        let later = Snapshot::of(&service(1), &[failing], &baseline, Counts::CurrentVersion);
        assert_eq!(later.verdict(), Verdict::Going, "those were before the wait");
        let rejected = task(1, "rejected");
        assert!(matches!(verdict(1, &[rejected]), Verdict::Failing { .. }));
    }

    #[test]
    fn a_replaced_task_is_another_snapshot() {
        let before = task(1, "running");
        let mut after = before.clone();
        after.edge.attempt = 2;
        let of = |task: Task| {
            Snapshot::of(&service(1), &[task], &Baseline::default(), Counts::CurrentVersion)
        };
        assert_ne!(of(before), of(after));
    }
}
