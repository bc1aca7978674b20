//! Ending what a killed monitor left behind, and removing the traces of a run.
//!
//! The processes of a run are identified by its cgroup, by the session of its program, and by the
//! variable that they all inherit. A process id from the folder is trusted only with its start
//! time, and only in the boot in which it was written.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crdt_state::TaskId;
use crdt_state::task::Run;
use nix::libc;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::cgroup::{self, Cgroup, CgroupPlan};
use crate::monitor::program::RUN_VARIABLE;
use crate::proc_table::{self, Process};
use crate::run_dir::{self, Status};

/// Rounds of SIGKILL, 5 ms apart: a second in all; a process that still lives hangs in the kernel.
const ROUNDS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// Kills until no process is left, while the driver serves other runs.
pub async fn end(plan: &CgroupPlan, name: &str, status: Option<&Status>, boot: &str) {
    let cleanup = OrphanCleanup::new(plan, name, status, boot);
    for _ in 0..ROUNDS {
        if cleanup.kill() == 0 {
            return remove_groups(plan);
        }
        tokio::time::sleep(PAUSE).await;
    }
    cleanup.give_up();
}

/// As [`end`], when there is no other run to serve yet.
pub fn end_now(plan: &CgroupPlan, name: &str, status: Option<&Status>, boot: &str) {
    let cleanup = OrphanCleanup::new(plan, name, status, boot);
    for _ in 0..ROUNDS {
        if cleanup.kill() == 0 {
            return remove_groups(plan);
        }
        thread::sleep(PAUSE);
    }
    cleanup.give_up();
}

/// Removes the folder and the cgroup of a run that has no process left.
pub fn remove_traces(plan: &CgroupPlan, dir: &Path) {
    remove_groups(plan);
    if let Err(error) = fs::remove_dir_all(dir)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!("the folder {} stays: {error}", dir.display());
    }
}

/// Removes what the attempts of a task share, when none of them is left.
pub fn remove_shared(runs: &Path, task: TaskId) {
    let shared = run_dir::path(runs, run_dir::shared(task));
    if !shared.exists() || attempts(runs).any(|run| run.task == task && run.attempt > 0) {
        return;
    }
    if let Err(error) = fs::remove_dir_all(&shared) {
        tracing::warn!("the folder {} stays: {error}", shared.display());
    }
}

/// The attempts that have folders.
pub fn attempts(runs: &Path) -> impl Iterator<Item = Run> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    entries.filter_map(|entry| run_dir::parse_name(entry.file_name().to_str()?))
}

fn remove_groups(plan: &CgroupPlan) {
    Cgroup::existing(plan).remove();
    cgroup::remove_parents(plan);
}

/// Reaps the monitor of an adopted run if it is a child of this process, which then dropped its
/// driver and opened it again.
pub fn reap_adopted_monitor(status: Option<&Status>) {
    let Some(monitor) = status.map(|status| status.monitor) else { return };
    let me = std::process::id();
    let mine = |stat: &proc_table::Stat| stat.process == monitor && stat.parent == me;
    if proc_table::stat(monitor.pid).is_some_and(|stat| mine(&stat)) {
        let _ = waitpid(Pid::from_raw(monitor.pid as i32), None);
    }
}

struct OrphanCleanup {
    cgroup: Cgroup,
    /// `EDGECTL_RUN=<name>`.
    variable: String,
    /// The program, if its id is of the current boot.
    program: Option<Process>,
    name: String,
}

impl OrphanCleanup {
    fn new(plan: &CgroupPlan, name: &str, status: Option<&Status>, boot: &str) -> OrphanCleanup {
        let program = status.filter(|status| status.boot == boot).map(|status| status.program);
        OrphanCleanup {
            cgroup: Cgroup::existing(plan),
            variable: format!("{RUN_VARIABLE}={name}"),
            program,
            name: name.to_owned(),
        }
    }

    /// One round; returns how many were found alive.
    fn kill(&self) -> usize {
        self.cgroup.kill();
        let mut left: Vec<u32> = proc_table::all()
            .filter(|stat| self.is_ours(stat))
            .map(|stat| stat.process.pid)
            .collect();
        left.extend(self.cgroup.members());
        left.sort_unstable();
        left.dedup();
        left.iter().for_each(|pid| proc_table::signal(*pid, libc::SIGKILL));
        left.len()
    }

    fn is_ours(&self, stat: &proc_table::Stat) -> bool {
        // Whatever a damaged folder says, init belongs to no task.
        if stat.process.pid <= 1 || !stat.is_alive() {
            return false;
        }
        // A session keeps its id as long as it has a member. If its leader's id belongs to another
        // process by now, the session has ended.
        let in_session = self.program.is_some_and(|program| {
            let leader = Process::of(program.pid);
            stat.session == program.pid && leader.is_none_or(|leader| leader == program)
        });
        in_session || proc_table::was_started_with(stat.process.pid, &self.variable)
    }

    fn give_up(&self) {
        tracing::warn!(run = self.name, "something of it does not die; the kernel holds it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_attempts_share_goes_with_the_last_of_them() {
        let runs = tempfile::tempdir().expect("a folder");
        let task = TaskId([7; 16]);
        let make = |attempt| {
            let dir = run_dir::path(runs.path(), Run { task, attempt });
            fs::create_dir_all(dir.join("upper")).expect("made");
            dir
        };
        let (shared, first, second) = (make(0), make(1), make(2));
        for left in [&first, &second] {
            remove_shared(runs.path(), task);
            assert!(shared.exists());
            fs::remove_dir_all(left).expect("removed");
        }
        remove_shared(runs.path(), task);
        assert!(!shared.exists());
    }
}
