//! Ending everything that a program has started. The monitor is the subreaper of its run: a process
//! that loses its parent becomes a child of the monitor and cannot hide.

use std::fs;
use std::thread;
use std::time::Duration;

use crdt_state::task::Exit;
use nix::libc;
use nix::unistd::Pid;
use rustix::io::retry_on_intr;
use rustix::process::{WaitOptions, wait};

use crate::cgroup::Cgroup;
use crate::proc_table::{self, Process, Stat};

/// Pause between two checks for processes that are still dying: from 1 ms, doubling, to 100 ms for
/// a process that the kernel cannot end yet (it waits for a disk or a server).
const PAUSE: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// How often a session that is being ended is checked: 1, 2, 4 … ms apart, a quarter of a second in
/// all. A process that the kernel cannot end by then has its SIGKILL, and the monitor has other
/// work.
const SESSION_ROUNDS_MAX: u32 = 8;

/// SIGKILL to everything of the run, once; `leader` leads the program's process group.
pub fn kill(cgroup: &Cgroup, leader: Pid) {
    cgroup.kill();
    proc_table::signal_group(leader.as_raw() as u32, libc::SIGKILL);
    for child in children() {
        proc_table::signal(child, libc::SIGKILL);
    }
}

/// Kills all that is left after the program ended, and returns when nothing is left. No process of
/// the run survives, except one that somebody else started for it.
pub fn end_all(cgroup: &Cgroup) {
    cgroup.kill();
    let mut pause = PAUSE;
    loop {
        // The children of a killed process become children of this process: each round finds the
        // next generation.
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

/// The session that a command runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessSession {
    id: u32,
    /// The process that has this id; `None`: the leader has ended (a runtime began the session).
    leader: Option<Process>,
}

impl ProcessSession {
    /// The session that the given process began.
    pub fn of_leader(leader: Process) -> ProcessSession {
        ProcessSession { id: leader.pid, leader: Some(leader) }
    }

    /// The session of a command: its own, or one that its runtime or this process began for it. To
    /// be called before the command is reaped, by a process that has a session of its own.
    pub fn of_command(command: Pid) -> Option<ProcessSession> {
        let id = proc_table::stat(command.as_raw() as u32)?.session;
        Some(ProcessSession { id, leader: Process::of(id) }).filter(|session| session.id > 1)
    }

    /// The kernel does not reuse an id while its session lives: if the id was reused, the session
    /// is over.
    fn is_over(self) -> bool {
        proc_table::stat(self.id).is_some_and(|stat| Some(stat.process) != self.leader)
    }
}

/// Sends a signal to all of a session but this process.
pub fn signal_session(session: ProcessSession, cgroup: &Cgroup, number: i32) {
    for member in members_of(session, cgroup) {
        proc_table::signal(member, number);
    }
}

/// Kills the whole session of a command that has ended or is to end. A process in a container that
/// loses its parent becomes a child of the container's first process, not of this one: it is found
/// by its session, among the members of the run's cgroup. A process that took a session of its own
/// runs on.
pub fn end_session(session: ProcessSession, cgroup: &Cgroup) {
    let mut pause = PAUSE;
    for _ in 0..SESSION_ROUNDS_MAX {
        let members = members_of(session, cgroup);
        if members.is_empty() {
            return;
        }
        for member in members {
            proc_table::signal(member, libc::SIGKILL);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn members_of(session: ProcessSession, cgroup: &Cgroup) -> Vec<u32> {
    if session.is_over() {
        return Vec::new();
    }
    let is_member = |stat: &Stat| {
        let pid = stat.process.pid;
        stat.session == session.id && stat.is_alive() && pid != std::process::id()
    };
    candidates(cgroup).into_iter().filter(is_member).map(|stat| stat.process.pid).collect()
}

/// All processes that may belong to a session of the run.
fn candidates(cgroup: &Cgroup) -> Vec<Stat> {
    let members = cgroup.members();
    if members.is_empty() {
        return proc_table::all().collect();
    }
    members.into_iter().chain(children()).filter_map(proc_table::stat).collect()
}

/// What [`reap`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaped {
    /// This child has ended, with this exit.
    One(Pid, Exit),
    /// All children live.
    NoneYet,
    /// There are no children.
    NoChild,
}

/// Collects one child that has ended, without waiting for one.
pub fn reap() -> Reaped {
    match retry_on_intr(|| wait(WaitOptions::NOHANG)) {
        Ok(None) => Reaped::NoneYet,
        Err(_) => Reaped::NoChild,
        Ok(Some((pid, status))) => {
            // Uses rustix: nix knows no signal above 31.
            let exit = match status.terminating_signal() {
                Some(number) => Exit::Signal(number),
                None => Exit::Code(status.exit_status().unwrap_or(0)),
            };
            Reaped::One(Pid::from_raw(pid.as_raw_pid()), exit)
        }
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
