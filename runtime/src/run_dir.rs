//! The folder of a run: the whole state of the process driver, for a later agent.
//!
//! ```text
//! <runs>/<task>.<attempt>/
//!   order.json    what to run; its lock is held by the run's monitor as long as that lives
//!   bell          fifo, monitor → agent: "read the folder"; end of file when the monitor ends
//!   control       fifo, agent → monitor: orders to stop
//!   stdin         fifo, attached clients → container
//!   paused        the container is paused
//!   status.json   the program runs: its process, and its monitor's
//!   pre-start     commands run that come before the program
//!   slow          making its container takes too long
//!   health        the last verdict of the health command
//!   ending.json   how the run ended, or why it was refused
//!   log, log.1 …  its output, see `logs`
//!   config.json, rootfs, upper, work, oci    of a container only, see `oci`
//! <runs>/<task>.0/   what the attempts of a container made by hand share: upper, work, volumes
//! ```
//! `order.json`, `status.json` and `ending.json` reach the disk (fsync) once each; nothing is
//! written while a run is idle. A file that is there is whole, unless the power was cut.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crdt_state::TaskId;
use crdt_state::task::{Exit, Health, Run, RunEvent, TaskStart};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cgroup::CgroupPlan;
use crate::oci::ContainerOrder;
use crate::proc_table::{self, Process};

/// [`Order`].
pub const ORDER: &str = "order.json";
/// A fifo that reports that the folder has changed.
pub const NOTIFY: &str = "bell";
/// A fifo that takes orders to stop.
pub const CONTROL: &str = "control";
/// A fifo that takes what attached clients send to a container.
pub const STDIN: &str = "stdin";
/// Empty: the container is paused.
pub const PAUSED: &str = "paused";
/// [`Status`].
pub const STATUS: &str = "status.json";
/// Empty: making the container takes longer than [`Order::making_ms_max`].
pub const SLOW: &str = "slow";
/// Empty: commands run that come before the program.
pub const PRE_START: &str = "pre-start";
/// One word, the last verdict.
pub const HEALTH: &str = "health";
/// [`FinalStatus`].
pub const FINAL_STATUS: &str = "ending.json";
/// The files that a container gets of configs, by their number in the template.
pub const CONFIGS: &str = "configs";
/// Where the files are mounted for a container that are in memory only, by their number. Empty in the
/// folder itself.
pub const SECRETS: &str = "secrets";
/// The newest log file.
pub const LOG: &str = "log";

/// The order that a monitor reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What to run.
    pub start: TaskStart,
    /// Where its cgroups are.
    #[serde(default)]
    pub cgroup: CgroupPlan,
    /// What it is made of, if it is a container.
    #[serde(default)]
    pub container: Option<ContainerOrder>,
    /// How long the OCI runtime may take, in milliseconds, before the node is told. After twice
    /// that time the start is given up.
    #[serde(default = "making_ms_max")]
    pub making_ms_max: u64,
    /// When all of it is killed unless the agent says otherwise, by [`crate::boot_clock`].
    #[serde(default)]
    pub ends_at_ms: Option<u64>,
}

/// Where the file of a run is that the template has at this place of its configs.
pub fn config(dir: &Path, at: usize) -> PathBuf {
    dir.join(CONFIGS).join(at.to_string())
}

/// Where the file of a run is that has this place among those in memory, for those who see the mounts
/// of its launcher.
pub fn in_memory(dir: &Path, at: usize) -> PathBuf {
    dir.join(SECRETS).join(at.to_string())
}

/// A minute: runc takes seconds on a slow card, dockerd gives it two minutes.
pub fn making_ms_max() -> u64 {
    60_000
}

/// The program runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The boot that the process ids belong to.
    pub boot: String,
    /// The run's monitor.
    pub monitor: Process,
    /// The program.
    pub program: Process,
    /// Requests that this machine cannot fulfil.
    pub warnings: Vec<String>,
}

impl Status {
    /// All warnings for people, in one line.
    pub fn note(&self) -> Option<String> {
        (!self.warnings.is_empty()).then(|| self.warnings.join("; "))
    }
}

/// The run is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinalStatus {
    /// The program ran.
    Exited {
        /// How it ended.
        exit: Exit,
        /// Ended because of its memory limit.
        oom: bool,
    },
    /// The program never ran.
    Refused {
        /// As in [`crdt_state::task::RunEvent::Refused`].
        permanent: bool,
        /// As in [`crdt_state::task::RunEvent::Refused`].
        reason: String,
    },
}

impl FinalStatus {
    /// The event that the driver reports.
    pub fn into_event(self) -> RunEvent {
        match self {
            FinalStatus::Exited { exit, oom } => RunEvent::Exited { exit, oom },
            FinalStatus::Refused { permanent, reason } => RunEvent::Refused { permanent, reason },
        }
    }
}

/// The name of a run's folder and cgroup.
pub fn name(run: Run) -> String {
    format!("{}.{}", run.task, run.attempt)
}

/// The run that a folder is named for.
pub fn parse_name(name: &str) -> Option<Run> {
    let (task, attempt) = name.split_once('.')?;
    let run = Run { task: task.parse().ok()?, attempt: attempt.parse().ok()? };
    (self::name(run) == name).then_some(run)
}

/// What all attempts of a task share has the name of an attempt that there never is: the files that a
/// container made by hand wrote, until it is removed.
pub fn shared(task: TaskId) -> Run {
    Run { task, attempt: 0 }
}

/// The folder of a run within the folder of all runs.
pub fn path(runs: &Path, run: Run) -> PathBuf {
    runs.join(name(run))
}

/// Writes a file so that a reader sees all of it or nothing. It survives a power cut once the file
/// and its folder went through [`sync`].
pub fn write<T: Serialize>(dir: &Path, name: &str, value: &T) -> io::Result<()> {
    write_bytes(dir, name, &serde_json::to_vec(value).map_err(io::Error::from)?)
}

/// As [`write()`], of bytes.
pub fn write_bytes(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = dir.join(format!("{name}.new"));
    fs::write(&draft, bytes)?;
    fs::rename(&draft, dir.join(name))
}

/// Writes a file, or the names in a folder, to the disk.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Reads a file: `None` if it does not exist, an error if it cannot be read or is incomplete.
pub fn read<T: for<'a> Deserialize<'a>>(dir: &Path, name: &str) -> io::Result<Option<T>> {
    match fs::read(dir.join(name)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads an order, also one of an older version: fields that the older version did not know get the
/// defaults of a template, so that an upgraded agent adopts what its predecessor started.
pub fn parse_order(bytes: &[u8]) -> Result<Order, serde_json::Error> {
    let mut stored: Value = serde_json::from_slice(bytes)?;
    if let Some(template) = stored.pointer_mut("/start/template") {
        let defaults = serde_json::to_value(crdt_state::spec::Template::default())?;
        fill_in(template, &defaults);
    }
    serde_json::from_value(stored)
}

fn fill_in(stored: &mut Value, defaults: &Value) {
    let (Value::Object(stored), Value::Object(defaults)) = (stored, defaults) else { return };
    for (key, default) in defaults {
        match stored.get_mut(key) {
            Some(value) => fill_in(value, default),
            None => drop(stored.insert(key.clone(), default.clone())),
        }
    }
}

/// The program of a run that is running now: for a container its first process.
pub fn program_of(dir: &Path) -> Option<Process> {
    let status = read::<Status>(dir, STATUS).ok().flatten()?;
    let here = status.boot == proc_table::boot_id() && status.program.is_alive();
    (here && !dir.join(FINAL_STATUS).exists()).then_some(status.program)
}

/// The root of a running container, as its programs see it. For other processes its links lead out
/// of it: open paths below it with `RESOLVE_IN_ROOT`, or after a `chroot`.
pub fn root_of(dir: &Path) -> Option<PathBuf> {
    program_of(dir).map(|program| PathBuf::from(format!("/proc/{}/root", program.pid)))
}

/// The word for a verdict in the file `health`.
pub fn health_word(health: Health) -> &'static str {
    match health {
        Health::Unchecked => "unchecked",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

/// The last verdict of the health command; `None` before the first.
pub fn read_health(dir: &Path) -> Option<Health> {
    match fs::read_to_string(dir.join(HEALTH)).ok()?.as_str() {
        "starting" => Some(Health::Starting),
        "healthy" => Some(Health::Healthy),
        "unhealthy" => Some(Health::Unhealthy),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::id::{ServiceId, TaskId};
    use crdt_state::spec::{Template, TemplateVersion};
    use crdt_state::task::Slot;

    fn order() -> Order {
        let start = TaskStart {
            run: Run { task: TaskId([7; 16]), attempt: 3 },
            service: ServiceId([1; 16]),
            service_name: "web".to_owned(),
            slot: Slot::Number(2),
            template_version: TemplateVersion(9),
            template: Template { command: vec!["sleep".to_owned()], ..Template::default() },
            interfaces: Vec::new(),
        };
        Order {
            start,
            cgroup: CgroupPlan::default(),
            container: None,
            making_ms_max: making_ms_max(),
            ends_at_ms: None,
        }
    }

    #[test]
    fn a_folder_is_named_for_its_run_and_nothing_else() {
        let run = order().start.run;
        assert_eq!(parse_name(&name(run)), Some(run));
        for junk in
            ["", "lost+found", "a.1", &format!("{}.01", run.task), &format!("{}.", run.task)]
        {
            assert_eq!(parse_name(junk), None, "{junk}");
        }
    }

    #[test]
    fn an_order_of_an_older_version_is_read_with_defaults() {
        let mut stored = serde_json::to_value(order()).expect("it has a form in JSON");
        let template = stored.pointer_mut("/start/template").and_then(Value::as_object_mut);
        let template = template.expect("it has a template");
        template.remove("force_update").expect("it was there");
        template["limits"].as_object_mut().expect("an object").remove("pids");
        template.insert("of_a_later_version".to_owned(), Value::Bool(true));
        let bytes = serde_json::to_vec(&stored).expect("it has a form in JSON");
        assert_eq!(parse_order(&bytes).expect("it is read"), order());
    }

    #[test]
    fn an_order_cut_anywhere_is_an_error_and_no_panic() {
        let bytes = serde_json::to_vec(&order()).expect("it has a form in JSON");
        for length in 0..bytes.len() {
            assert!(parse_order(&bytes[..length]).is_err(), "cut at {length}");
        }
        assert!(parse_order(&bytes).is_ok());
    }
}
