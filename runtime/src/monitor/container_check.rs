//! The health command of a container, run by a helper that ends with the command's code.
//!
//! The helper is a fork of the monitor, which has one thread, and it ends with the monitor. Memory
//! that the helper needs never becomes the monitor's.

use std::os::fd::BorrowedFd;
use std::path::Path;

use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{ForkResult, Pid, fork, setsid};

use super::descendants::{self, ProcessSession, Reaped};
use super::inherited;
use crate::cgroup::Cgroup;
use crate::oci::exec::{self, ExecSpec};
use crate::refusal::StartError;
use crate::run_dir::Order;

/// The exit code of a health command that could not run or was told to end.
const CODE_FAILED: i32 = 125;

/// Runs a health command in the container, by a helper that ends with the command's code.
pub fn check(order: &Order, words: &[String], null: BorrowedFd<'_>) -> Result<Pid, StartError> {
    // SAFETY: a monitor has one thread.
    match unsafe { fork() }.map_err(StartError::Fork)? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            inherited::keep_only(&[null]);
            let code = help(order, words, null);
            // SAFETY: it runs nothing of the monitor's.
            unsafe { libc::_exit(code) }
        }
    }
}

fn help(order: &Order, words: &[String], null: BorrowedFd<'_>) -> i32 {
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    // After this, the command's session is its own or this process's.
    let _ = setsid();
    let mut waited = SigSet::empty();
    waited.add(Signal::SIGCHLD);
    waited.add(Signal::SIGTERM);
    let _ = waited.thread_set_mask();
    let program = ExecSpec { args: words.to_vec(), ..ExecSpec::default() };
    let begun = exec::exec(Path::new("."), order, &program, [null, null, null]);
    let Ok(command) = begun else { return CODE_FAILED };
    let cgroup = Cgroup::existing(&order.cgroup);
    let session = ProcessSession::of_command(command.pid);
    let end_session = || {
        if let Some(session) = session {
            descendants::end_session(session, &cgroup);
        }
    };
    loop {
        while let Reaped::One(pid, exit) = descendants::reap() {
            if pid == command.pid {
                end_session();
                return i32::from(exit != crdt_state::task::Exit::Code(0));
            }
        }
        if waited.wait() == Ok(Signal::SIGTERM) {
            // Not every runtime gives the command a process group of its own; the command and all
            // processes that it started are children of this process.
            descendants::end_all(&Cgroup::default());
            end_session();
            return CODE_FAILED;
        }
    }
}
