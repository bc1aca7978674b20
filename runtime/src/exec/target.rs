//! The run that a session enters: its order, and its current status.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::proc_table::{self, Process};
use crate::run_dir::{self, Order, Status};

/// A run whose program lives.
#[derive(Debug)]
pub struct Target {
    /// Its order.
    pub order: Order,
    /// Its current status.
    pub status: Status,
}

/// Why nothing can be done in a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRunning {
    /// Its folder is not there, or cannot be read.
    #[error("the task is not on its node any more; edgectl service ps tells where it runs")]
    Gone,
    /// There is no program yet.
    #[error("the task has not started yet; wait for it: edgectl service ps")]
    NotYet,
    /// There is none any more.
    #[error("the task has ended; edgectl service ps tells why")]
    Ended,
}

impl Target {
    /// Reads the folder of a run.
    pub fn read(dir: &Path) -> Result<Target, NotRunning> {
        let bytes = fs::read(dir.join(run_dir::ORDER)).map_err(|_| NotRunning::Gone)?;
        let order = run_dir::parse_order(&bytes).map_err(|_| NotRunning::Gone)?;
        let ended = dir.join(run_dir::FINAL_STATUS).exists();
        let status = run_dir::read::<Status>(dir, run_dir::STATUS).ok().flatten();
        match status {
            _ if ended => Err(NotRunning::Ended),
            None => Err(NotRunning::NotYet),
            Some(status) => {
                let here = status.boot == proc_table::boot_id() && status.program.is_alive();
                if here { Ok(Target { order, status }) } else { Err(NotRunning::Ended) }
            }
        }
    }

    /// Its program.
    pub fn program(&self) -> Process {
        self.status.program
    }

    /// Sends a signal to its program, and to no other process.
    pub fn signal(&self, number: i32) -> Result<(), NotRunning> {
        let program = self.program();
        if !program.is_alive() {
            return Err(NotRunning::Ended);
        }
        proc_table::signal(program.pid, number);
        Ok(())
    }
}

/// A descriptor that becomes readable when the process has ended. `None`: the process has ended, or
/// the kernel is older than 5.3.
pub fn watch(process: Process) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(process.pid).ok()?)?;
    let fd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Opened by the process number: only this check makes certain which process it is.
    process.is_alive().then_some(fd)
}
