//! The processes of a lab's node: its agent, and everything that the agent started.
//!
//! A process is known by its id together with its start time, because ids are used again. It must
//! never signal a process that is not provably one of the lab's.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::state::LabNode;

/// So long killed processes may take to be gone; one in the middle of a disk write takes longest.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A process that was started, whatever became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Clock ticks from boot to its start.
    pub started: u64,
}

impl Process {
    fn find(pid: u32) -> Option<Process> {
        let stat = Stat::read(pid)?;
        (stat.state != 'Z').then_some(Process { pid, started: stat.started })
    }

    /// Does it still run?
    pub fn is_alive(&self) -> bool {
        Process::find(self.pid) == Some(*self)
    }
}

/// What is read of `/proc/<pid>/stat`.
struct Stat {
    state: char,
    parent: u32,
    started: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Stat> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Stat::parse(&text)
    }

    /// The name in parentheses may hold anything, also parentheses: fields count from the last.
    fn parse(text: &str) -> Option<Stat> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Stat {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

/// Starts a node's agent in a session of its own, so that it lives on when this command ends.
/// `command` is `setsid`, inside the node's namespace if it has one.
pub(super) fn start_agent(command: &mut Command, node: &LabNode, config: &Path) -> Result<Process> {
    std::fs::create_dir_all(&node.data_dir)?;
    let log = OpenOptions::new().create(true).append(true).open(&node.log)?;
    let program = std::env::current_exe().context("cannot find the edgectl that runs")?;
    command.arg(program).arg("agent").arg("--config").arg(config);
    command.arg("--data-dir").arg(&node.data_dir).arg("--socket").arg(&node.socket);
    command.args(["--listen", &node.address.to_string(), "--hostname", &node.name]);
    // Where the operator's own shell points must not reach the agents of a lab.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EDGECTL_") {
            command.env_remove(name);
        }
    }
    let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
    let child = child.with_context(|| format!("cannot start the agent of {}", node.name))?;
    // Neither nsenter nor setsid forks here, so the child's id is the agent's.
    Process::find(child.id())
        .with_context(|| format!("{} ended at once:\n{}", node.name, log_tail(node)))
}

/// Kills whatever `find` finds and waits until it finds nothing; `whose` is for the error.
pub(super) fn end_all(whose: &str, find: impl Fn() -> Result<Vec<u32>>) -> Result<()> {
    let deadline = Instant::now() + END_TIMEOUT;
    loop {
        let left: Vec<u32> =
            find()?.into_iter().filter(|pid| Process::find(*pid).is_some()).collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("processes of {whose} do not end: {left:?}");
        }
        for pid in left {
            // Gone meanwhile is as good as killed.
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Without a namespace: the agent that was started with this node's data directory, the monitors
/// of its tasks, which are started with a folder in it, and all below them.
pub(super) fn of_node(node: &LabNode) -> Vec<u32> {
    let all = all_processes();
    let started = all.iter().map(|(pid, _)| *pid).filter(|pid| is_edgectl_of(*pid, &node.data_dir));
    let mut found: BTreeSet<u32> = started.collect();
    loop {
        let below: Vec<u32> = all
            .iter()
            .filter(|(pid, stat)| found.contains(&stat.parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if below.is_empty() {
            return found.into_iter().collect();
        }
        found.extend(below);
    }
}

fn all_processes() -> Vec<(u32, Stat)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, Stat::read(pid)?)))
        .collect()
}

/// Is it an edgectl that was told to work in this directory?
fn is_edgectl_of(pid: u32, data_dir: &Path) -> bool {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = bytes.split(|byte| *byte == 0).map(|word| Path::new(OsStr::from_bytes(word)));
    let program = words.next().and_then(Path::file_name);
    program == Some(OsStr::new("edgectl")) && words.any(|word| word.starts_with(data_dir))
}

/// The last lines that an agent wrote.
pub(super) fn log_tail(node: &LabNode) -> String {
    let text = std::fs::read_to_string(&node.log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let mut text = "42 (a) R (b)) S 7".to_owned();
        for field in 5..=21 {
            text.push_str(&format!(" {field}"));
        }
        let stat = Stat::parse(&(text + " 12345 0")).unwrap();
        assert_eq!((stat.state, stat.parent, stat.started), ('S', 7, 12345));
    }

    #[test]
    fn only_an_edgectl_of_the_directory_is_one_of_the_nodes() {
        let own = std::process::id();
        assert!(!is_edgectl_of(own, Path::new("/")));
    }

    #[test]
    fn an_id_used_again_is_another_process() {
        let own = Process::find(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!Process { started: own.started + 1, ..own }.is_alive());
    }
}
