//! Processes that a lab started, and their descendants.
//!
//! A process is identified by its id together with its start time, because ids are reused. This
//! module must never signal a process that is not provably one of the lab's.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Stat;
use serde::{Deserialize, Serialize};

/// The timeout for killed processes to disappear; a process in the middle of a disk write takes
/// longest.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A process that was started, whether it still runs or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Clock ticks from boot to its start.
    pub started: u64,
}

impl Process {
    /// The process with this id, if it has not ended.
    pub(super) fn find(pid: u32) -> Option<Process> {
        let stat = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
        (stat.state != 'Z').then_some(Process { pid, started: stat.starttime })
    }

    /// Is it still running?
    pub fn is_alive(&self) -> bool {
        Process::find(self.pid) == Some(*self)
    }
}

/// Kills the processes that `find` returns, until it returns none; `whose` is for the error
/// message.
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
            // A process that has ended meanwhile counts as killed.
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The ids of every process and its parent.
pub(super) fn parents() -> Vec<(u32, u32)> {
    let stats = procfs::process::all_processes().into_iter().flatten();
    let stats = stats.filter_map(|process| process.ok()?.stat().ok());
    stats.filter_map(|Stat { pid, ppid, .. }| Some((id(pid)?, id(ppid)?))).collect()
}

fn id(pid: i32) -> Option<u32> {
    u32::try_from(pid).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_used_again_is_another_process() {
        let own = Process::find(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!Process { started: own.started + 1, ..own }.is_alive());
    }

    #[test]
    fn every_process_is_found_with_its_parent() {
        let own = (std::process::id(), nix::unistd::getppid().as_raw() as u32);
        assert!(parents().contains(&own));
    }
}
