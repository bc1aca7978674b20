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
use crdt_state::spec::{Device, Runtime};
use crdt_state::task::{AdoptedRun, TaskStart};

use crate::devices::Devices;

/// Docker's beginning of a variable that says what a task was given.
const VARIABLE: &str = "DOCKER_RESOURCE_";

/// The beginning of a variable that says where the devices are that a task was given.
const FILE_VARIABLE: &str = "EDGECTL_DEVICE_";

/// What a task was given of one kind: names and, of devices, the file that it was told.
type Given = BTreeMap<String, Option<String>>;

/// What this node has and gives.
#[derive(Debug, Default)]
pub struct GivenResources {
    /// Those that its configuration declares.
    named: NamedResources,
    given: BTreeMap<TaskId, BTreeMap<String, Given>>,
}

impl GivenResources {
    /// A node whose configuration declares these named resources; nothing is given.
    pub fn new(named: NamedResources) -> GivenResources {
        GivenResources { named, given: BTreeMap::new() }
    }

    /// Tasks run that an agent before started: what they were given is theirs.
    pub fn restore(&mut self, adopted: &[AdoptedRun], devices: &Devices) {
        for run in adopted {
            let template = &run.start.template;
            let reserved = template.reservations.generic.keys();
            for kind in reserved {
                if !self.has_names(kind, devices) {
                    continue;
                }
                let Some(names) = listed(&template.env, VARIABLE, kind) else { continue };
                let files = listed(&template.env, FILE_VARIABLE, kind).unwrap_or_default();
                let files = files.into_iter().map(Some).chain(std::iter::repeat(None));
                let given = names.into_iter().zip(files).collect();
                self.given.entry(run.start.run.task).or_default().insert(kind.clone(), given);
            }
        }
    }

    /// Only these tasks live: what others had is free.
    pub fn free_of_ended(&mut self, is_live: impl Fn(TaskId) -> bool) {
        self.given.retain(|task, _| is_live(*task));
    }

    /// Gives a task that is to start what its template reserves, and tells it in its environment. A
    /// container may use its devices, at the paths that they have on this node.
    /// Fails if not enough names are free; then nothing is given.
    pub fn equip(&mut self, start: &mut TaskStart, devices: &Devices) -> Result<(), String> {
        let reserved = start.template.reservations.generic.clone();
        let mut values = Vec::new();
        let mut given_by_kind = BTreeMap::new();
        for (kind, amount) in reserved.iter().filter(|(_, amount)| **amount > 0) {
            if !self.has_names(kind, devices) {
                values.push((variable(VARIABLE, kind), amount.to_string()));
                continue;
            }
            let names = self.names_for(start.run.task, kind, *amount, devices)?;
            let own_file = |name: &String| devices.files(kind, name)?.first().cloned();
            let given: Given =
                names.into_iter().map(|name| (name.clone(), own_file(&name))).collect();
            let names: Vec<&str> = given.keys().map(String::as_str).collect();
            values.push((variable(VARIABLE, kind), names.join(",")));
            let files: Vec<&str> = given.values().flatten().map(String::as_str).collect();
            if !files.is_empty() {
                values.push((variable(FILE_VARIABLE, kind), files.join(",")));
            }
            given_by_kind.insert(kind.clone(), given);
        }
        let template = &mut start.template;
        if template.runtime == Runtime::Container {
            give_files(&mut template.container.devices, &given_by_kind, devices);
        }
        if !given_by_kind.is_empty() {
            self.given.insert(start.run.task, given_by_kind);
        }
        for (variable, value) in values {
            let env = &mut template.env;
            env.retain(|entry| entry.split_once('=').is_none_or(|(name, _)| name != variable));
            env.push(format!("{variable}={value}"));
        }
        Ok(())
    }

    /// Tasks whose device is gone, or is not where they were told, and why they cannot go on.
    pub fn lost(&self, devices: &Devices) -> Vec<(TaskId, String)> {
        let of = |kinds: &BTreeMap<String, Given>| {
            let looked_for = kinds.iter().filter(|(kind, _)| devices.is_kind(kind));
            let mut given = looked_for
                .flat_map(|(kind, given)| given.iter().map(move |(name, file)| (kind, name, file)));
            given.find_map(|(kind, name, file)| {
                let told = file.as_ref()?;
                match devices.files(kind, name).map(<[String]>::first) {
                    Some(Some(now)) if now != told => {
                        Some(format!("its {kind} {name} is {now} now, and no longer {told}"))
                    }
                    None if !devices.is_offered(kind, name) => {
                        Some(format!("its {kind} {name} ({told}) was unplugged"))
                    }
                    _ => None,
                }
            })
        };
        self.given.iter().filter_map(|(task, kinds)| Some((*task, of(kinds)?))).collect()
    }

    /// Do those of the kind have names?
    fn has_names(&self, kind: &str, devices: &Devices) -> bool {
        self.named.contains_key(kind) || devices.is_kind(kind)
    }

    /// The names that the task has already, or the first that no other task has.
    fn names_for(
        &self,
        task: TaskId,
        kind: &str,
        amount: u64,
        devices: &Devices,
    ) -> Result<BTreeSet<String>, String> {
        let amount = usize::try_from(amount).unwrap_or(usize::MAX);
        let offered = devices.offered();
        let all = self.named.get(kind).or_else(|| offered.get(kind)).cloned().unwrap_or_default();
        let is_there =
            |name: &String| !devices.is_kind(kind) || devices.files(kind, name).is_some();
        let held = self.given.get(&task).and_then(|given| given.get(kind));
        let held: BTreeSet<String> = held.into_iter().flat_map(Given::keys).cloned().collect();
        if held.len() == amount && held.is_subset(&all) {
            return match held.iter().find(|name| !is_there(name)) {
                Some(name) => Err(format!("its {kind} {name} is not plugged in at the moment")),
                None => Ok(held),
            };
        }
        let others = self.given.iter().filter(|(other, _)| **other != task);
        let taken: BTreeSet<&String> =
            others.filter_map(|(_, given)| given.get(kind)).flat_map(Given::keys).collect();
        let free = all.iter().filter(|name| is_there(name) && !taken.contains(name));
        let names: BTreeSet<String> = free.take(amount).cloned().collect();
        if names.len() == amount {
            return Ok(names);
        }
        let free = names.len();
        if let Some(missing) = all.iter().find(|name| !is_there(name)) {
            return Err(format!(
                "it needs {amount} of {kind} and {free} are free: {missing} is not plugged in at the moment"
            ));
        }
        let taken: Vec<&str> = taken.into_iter().map(String::as_str).collect();
        Err(format!(
            "it needs {amount} of {kind} and {free} are free: {} is with tasks of this node that have not \
             ended yet; a service updated start-first needs as many again",
            taken.join(", ")
        ))
    }
}

/// Lets a container use the files of its devices. What its service says of the same file counts.
fn give_files(to: &mut Vec<Device>, given: &BTreeMap<String, Given>, devices: &Devices) {
    let named = given.iter().flat_map(|(kind, given)| given.keys().map(move |name| (kind, name)));
    let files: BTreeSet<&String> =
        named.filter_map(|(kind, name)| devices.files(kind, name)).flatten().collect();
    let files = files.into_iter().map(|file| Device {
        host: file.clone(),
        container: file.clone(),
        permissions: "rwm".to_owned(),
    });
    to.splice(0..0, files);
}

/// `DOCKER_RESOURCE_GPU`.
fn variable(prefix: &str, kind: &str) -> String {
    format!("{prefix}{}", kind.to_uppercase())
}

/// What a variable of this kind lists.
fn listed(env: &[String], prefix: &str, kind: &str) -> Option<Vec<String>> {
    let variable = variable(prefix, kind);
    let value = env.iter().find_map(|entry| entry.strip_prefix(&variable)?.strip_prefix('='))?;
    Some(value.split(',').map(str::to_owned).collect())
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
        given.equip(&mut start, &Devices::default()).map(|()| start.template.env[1].clone())
    }

    #[test]
    fn a_task_is_told_what_it_was_given_in_docker_s_words() {
        let mut start = start(1, &[("camera", 2), ("gpu", 4), ("none", 0)]);
        start.template.env.push("DOCKER_RESOURCE_GPU=9".to_owned());
        cameras().equip(&mut start, &Devices::default()).expect("there are enough");
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
        cameras().equip(&mut running, &Devices::default()).expect("free");
        let event = RunEvent::Started { pid: 1 };
        let mut given = cameras();
        given.restore(&[AdoptedRun { start: running, event }], &Devices::default());
        assert_eq!(env(&mut given, 2, 1).as_deref(), Ok("DOCKER_RESOURCE_CAMERA=side"));
        assert_eq!(env(&mut given, 1, 2).as_deref(), Ok("DOCKER_RESOURCE_CAMERA=back,front"));
    }
}
