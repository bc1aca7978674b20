//! The agents of a lab's nodes: starts them, finds all processes that they started, reads their
//! logs.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::process::{self, Process};
use super::state::LabNode;

/// Starts a node's agent in a session of its own, so that the agent survives the end of this
/// command. `command` is `setsid`, inside the node's namespace if it has one.
pub(super) fn start(command: &mut Command, node: &LabNode, config: &Path) -> Result<Process> {
    std::fs::create_dir_all(&node.data_dir)?;
    let log = OpenOptions::new().create(true).append(true).open(&node.log)?;
    let program = std::env::current_exe().context("cannot find the edgectl that runs")?;
    command.arg(program).arg("agent").arg("--config").arg(config);
    command.arg("--data-dir").arg(&node.data_dir).arg("--socket").arg(&node.socket);
    let address = match node.listens_anywhere {
        true => Ipv4Addr::UNSPECIFIED,
        false => node.behind_router.unwrap_or(node.address),
    };
    command.args(["--listen", &address.to_string(), "--hostname", &node.name]);
    // Settings of the operator's own shell must not reach the agents of a lab.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EDGECTL_") {
            command.env_remove(name);
        }
    }
    let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
    let child = child.with_context(|| format!("cannot start the agent of {}", node.name))?;
    // Neither nsenter nor setsid forks here, so the child's id is the agent's id.
    Process::find(child.id())
        .with_context(|| format!("{} ended at once:\n{}", node.name, log_tail(node)))
}

/// Without a namespace: the agent that was started with this node's data directory, the monitors of
/// its tasks, which are started with a folder in that directory, and all their descendants.
pub(super) fn of_node(node: &LabNode) -> Vec<u32> {
    let all = process::parents();
    let started = all.iter().map(|(pid, _)| *pid).filter(|pid| is_edgectl_of(*pid, &node.data_dir));
    let mut found: BTreeSet<u32> = started.collect();
    loop {
        let below: Vec<u32> = all
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if below.is_empty() {
            return found.into_iter().collect();
        }
        found.extend(below);
    }
}

/// Is this process an edgectl that was started with this data directory?
fn is_edgectl_of(pid: u32, data_dir: &Path) -> bool {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = bytes.split(|byte| *byte == 0).map(|word| Path::new(OsStr::from_bytes(word)));
    let program = words.next().and_then(Path::file_name);
    program == Some(OsStr::new("edgectl")) && words.any(|word| word.starts_with(data_dir))
}

/// The last lines of an agent's log.
pub(super) fn log_tail(node: &LabNode) -> String {
    let text = std::fs::read_to_string(&node.log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_edgectl_of_the_directory_is_one_of_the_nodes() {
        let own = std::process::id();
        assert!(!is_edgectl_of(own, Path::new("/")));
    }
}
