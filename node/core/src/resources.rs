//! Generic resources that this node gives to its tasks: how many of a kind, and which ones where they
//! have names.
//!
//! ```text
//! task is to start ──▶ names that no live task has ──▶ DOCKER_RESOURCE_CAMERA=front in its environment
//!                         │ none left: it tries again
//! ```
//! A task keeps its names from its first start to its end, also while it is stopped: no two tasks
//! have one name at the same time. What a running task has is read from its own environment when an
//! agent starts, so nothing of it is ever written. How many tasks fit on a node is not decided here,
//! see [`crate::ledger`].

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::TaskId;
use crdt_state::resource::NamedResources;
use crdt_state::task::{AdoptedRun, TaskStart};

/// Docker's beginning of a variable that says what a task was given.
const VARIABLE: &str = "DOCKER_RESOURCE_";

/// What this node has and gives.
#[derive(Debug, Default)]
pub struct GivenResources {
    named: NamedResources,
    given: BTreeMap<TaskId, NamedResources>,
}

impl GivenResources {
    /// A node with these named resources; nothing is given.
    pub fn new(named: NamedResources) -> GivenResources {
        GivenResources { named, given: BTreeMap::new() }
    }

    /// Tasks run that an agent before started: what they were given is theirs.
    pub fn restore(&mut self, adopted: &[AdoptedRun]) {
        for run in adopted {
            let template = &run.start.template;
            for kind in template.reservations.generic.keys().filter(|k| self.named.contains_key(*k))
            {
                let variable = variable(kind);
                let value = template
                    .env
                    .iter()
                    .find_map(|entry| entry.strip_prefix(&variable)?.strip_prefix('='));
                let Some(names) = value else { continue };
                let names = names.split(',').map(str::to_owned).collect();
                self.given.entry(run.start.run.task).or_default().insert(kind.clone(), names);
            }
        }
    }

    /// Only these tasks live: what others had is free.
    pub fn free_of_ended(&mut self, is_live: impl Fn(TaskId) -> bool) {
        self.given.retain(|task, _| is_live(*task));
    }

    /// Gives a task that is to start what its template reserves, and tells it in its environment.
    /// Fails if not enough names are free; then nothing is given.
    pub fn equip(&mut self, start: &mut TaskStart) -> Result<(), String> {
        let reserved = start.template.reservations.generic.clone();
        let mut values = Vec::new();
        let mut names_by_kind = NamedResources::new();
        for (kind, amount) in reserved.iter().filter(|(_, amount)| **amount > 0) {
            if self.named.contains_key(kind) {
                let names = self.names_for(start.run.task, kind, *amount)?;
                let listed: Vec<&str> = names.iter().map(String::as_str).collect();
                values.push((variable(kind), listed.join(",")));
                names_by_kind.insert(kind.clone(), names);
            } else {
                values.push((variable(kind), amount.to_string()));
            }
        }
        if !names_by_kind.is_empty() {
            self.given.insert(start.run.task, names_by_kind);
        }
        let env = &mut start.template.env;
        for (variable, value) in values {
            env.retain(|entry| entry.split_once('=').is_none_or(|(name, _)| name != variable));
            env.push(format!("{variable}={value}"));
        }
        Ok(())
    }

    /// The names that the task has already, or the first that no other task has.
    fn names_for(&self, task: TaskId, kind: &str, amount: u64) -> Result<BTreeSet<String>, String> {
        let amount = usize::try_from(amount).unwrap_or(usize::MAX);
        let all = &self.named[kind];
        let held = self.given.get(&task).and_then(|given| given.get(kind));
        if let Some(held) = held.filter(|held| held.len() == amount && held.is_subset(all)) {
            return Ok(held.clone());
        }
        let others = self.given.iter().filter(|(other, _)| **other != task);
        let taken: BTreeSet<&String> =
            others.filter_map(|(_, given)| given.get(kind)).flatten().collect();
        let free = all.iter().filter(|name| !taken.contains(name));
        let names: BTreeSet<String> = free.take(amount).cloned().collect();
        if names.len() == amount {
            return Ok(names);
        }
        let taken: Vec<&str> = taken.into_iter().map(String::as_str).collect();
        Err(format!(
            "it needs {amount} of {kind} and {} are free: {} is with tasks of this node that have not \
             ended yet; a service updated start-first needs as many again",
            names.len(),
            taken.join(", ")
        ))
    }
}

/// `DOCKER_RESOURCE_GPU`.
fn variable(kind: &str) -> String {
    format!("{VARIABLE}{}", kind.to_uppercase())
}

#[cfg(test)]
mod tests {
    use crdt_state::ServiceId;
    use crdt_state::spec::{Resources, Template, TemplateVersion};
    use crdt_state::task::{Run, RunEvent, Slot};

    use super::*;

    fn start(task: u8, reserved: &[(&str, u64)]) -> TaskStart {
        let generic = reserved.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect();
        TaskStart {
            run: Run { task: TaskId([task; 16]), attempt: 1 },
            service: ServiceId([1; 16]),
            service_name: "eye".to_owned(),
            slot: Slot::Number(task.into()),
            template_version: TemplateVersion(1),
            template: Template {
                reservations: Resources { generic, ..Resources::default() },
                env: vec!["A=1".to_owned()],
                ..Template::default()
            },
            interfaces: Vec::new(),
        }
    }

    fn cameras() -> GivenResources {
        let names = ["back", "front", "side"].map(str::to_owned);
        GivenResources::new(NamedResources::from([("camera".to_owned(), names.into())]))
    }

    fn env(given: &mut GivenResources, task: u8, amount: u64) -> Result<String, String> {
        let mut start = start(task, &[("camera", amount)]);
        given.equip(&mut start).map(|()| start.template.env[1].clone())
    }

    #[test]
    fn a_task_is_told_what_it_was_given_in_docker_s_words() {
        let mut start = start(1, &[("camera", 2), ("gpu", 4), ("none", 0)]);
        start.template.env.push("DOCKER_RESOURCE_GPU=9".to_owned());
        cameras().equip(&mut start).expect("there are enough");
        let expected = ["A=1", "DOCKER_RESOURCE_CAMERA=back,front", "DOCKER_RESOURCE_GPU=4"];
        assert_eq!(start.template.env, expected);
    }

    #[test]
    fn no_two_live_tasks_have_one_name() {
        let mut given = cameras();
        assert_eq!(env(&mut given, 1, 1).as_deref(), Ok("DOCKER_RESOURCE_CAMERA=back"));
        assert_eq!(env(&mut given, 2, 1).as_deref(), Ok("DOCKER_RESOURCE_CAMERA=front"));
        let refused = env(&mut given, 3, 2).expect_err("one is left");
        assert!(refused.contains("needs 2 of camera and 1 are free: back, front"), "{refused}");
        given.free_of_ended(|task| task != TaskId([1; 16]));
        assert_eq!(env(&mut given, 3, 2).as_deref(), Ok("DOCKER_RESOURCE_CAMERA=back,side"));
    }

    #[test]
    fn a_task_that_begins_anew_has_the_same_names() {
        let mut given = cameras();
        env(&mut given, 1, 1).expect("free");
        env(&mut given, 2, 1).expect("free");
        given.free_of_ended(|task| task != TaskId([1; 16]));
        assert_eq!(env(&mut given, 2, 1).as_deref(), Ok("DOCKER_RESOURCE_CAMERA=front"));
    }

    #[test]
    fn the_next_agent_reads_what_running_tasks_have() {
        let mut running = start(1, &[("camera", 2)]);
        cameras().equip(&mut running).expect("free");
        let event = RunEvent::Started { pid: 1 };
        let mut given = cameras();
        given.restore(&[AdoptedRun { start: running, event }]);
        assert_eq!(env(&mut given, 2, 1).as_deref(), Ok("DOCKER_RESOURCE_CAMERA=side"));
        assert_eq!(env(&mut given, 1, 2).as_deref(), Ok("DOCKER_RESOURCE_CAMERA=back,front"));
    }
}
