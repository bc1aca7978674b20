//! Ending everything that a program has started: the monitor is the subreaper of its run, so
//! whatever loses its parent becomes a child of the monitor and cannot hide.

use std::fs;
use std::thread;
use std::time::Duration;

use crdt_state::task::Exit;
use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use crate::cgroup::Cgroup;
use crate::proc_table;

/// Between two looks at what still dies: from 1 ms, doubling, to 100 ms for a process that the
/// kernel cannot end yet (it waits for a disk or a server).
const PAUSE: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// SIGKILL to everything of the run, once; `leader` leads the program's process group.
pub fn kill(cgroup: &Cgroup, leader: Pid) {
    cgroup.kill();
    proc_table::signal_group(leader.as_raw() as u32, libc::SIGKILL);
    for child in children() {
        proc_table::signal(child, libc::SIGKILL);
    }
}

/// Kills all that is left after the program ended, and returns when nothing is. No process of
/// the run outlives this, except one that somebody else started for it.
pub fn end_all(cgroup: &Cgroup) {
    cgroup.kill();
    let mut pause = PAUSE;
    loop {
        // A killed process hands its children to this one, so that each round sees a generation.
        for child in children() {
            proc_table::signal(child, libc::SIGKILL);
        }
        match reap() {
            Reaped::One(..) => pause = PAUSE,
            Reaped::NoChild => return,
            Reaped::NoneYet => {
                thread::sleep(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// What [`reap`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaped {
    /// This child has ended, so.
    One(Pid, Exit),
    /// All children live.
    NoneYet,
    /// There are no children.
    NoChild,
}

/// Collects one child that has ended, without waiting for one.
pub fn reap() -> Reaped {
    let mut status = 0;
    loop {
        // SAFETY: the status is valid for writing.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        return match pid {
            0 => Reaped::NoneYet,
            -1 if Errno::last() == Errno::EINTR => continue,
            -1 => Reaped::NoChild,
            pid if libc::WIFSIGNALED(status) => {
                Reaped::One(Pid::from_raw(pid), Exit::Signal(libc::WTERMSIG(status)))
            }
            pid => Reaped::One(Pid::from_raw(pid), Exit::Code(libc::WEXITSTATUS(status))),
        };
    }
}

fn children() -> Vec<u32> {
    let me = std::process::id();
    match fs::read_to_string(format!("/proc/self/task/{me}/children")) {
        Ok(list) => list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        // A kernel without CONFIG_PROC_CHILDREN.
        Err(_) => {
            let mine = proc_table::all().filter(|stat| stat.parent == me);
            mine.map(|stat| stat.process.pid).collect()
        }
    }
}
