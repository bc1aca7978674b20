//! The kernel's table of processes: who a process is, whose child, and since when.
//!
//! A process id alone names nobody: ids are reused. A [`Process`] is an id together with the
//! moment it started, and is only ever signalled through that pair.

use std::fs;

use nix::libc;
use serde::{Deserialize, Serialize};

/// One process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Clock ticks from boot to its start, field 22 of `/proc/<pid>/stat`.
    pub started: u64,
}

/// What `/proc/<pid>/stat` says, as far as it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Which.
    pub process: Process,
    /// `Z` and `X` have ended.
    pub state: u8,
    /// Its parent.
    pub parent: u32,
    /// Its session, named by the process that leads it.
    pub session: u32,
}

impl Process {
    /// The process that has this id at the moment.
    pub fn of(pid: u32) -> Option<Process> {
        stat(pid).map(|stat| stat.process)
    }

    /// This very process, not another one under its id, and not a zombie.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.process == self && stat.is_alive())
    }
}

impl Stat {
    /// It has not ended.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Reads one process.
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(pid: u32, text: &str) -> Option<Stat> {
    // The name of the program, in parentheses, may itself hold spaces and parentheses.
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(15)?.parse().ok()?;
    Some(Stat { process: Process { pid, started }, state, parent, session })
}

/// All processes that can be seen.
pub fn all() -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(stat)
}

/// Does the environment that this process was started with hold `variable` (`NAME=value`)?
pub fn was_started_with(pid: u32, variable: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
}

/// Sends a signal to a process id; a process that is gone is none of the caller's troubles.
pub fn signal(pid: u32, number: i32) {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return };
    assert!(pid > 1, "a signal to {pid} would reach more than one task");
    // SAFETY: kill has no memory effects; the pid is positive, so it names one process.
    unsafe { libc::kill(pid, number) };
}

/// Sends a signal to a process group.
pub fn signal_group(group: u32, number: i32) {
    let Ok(group) = libc::pid_t::try_from(group) else { return };
    assert!(group > 1, "a signal to group {group} would reach more than one task");
    // SAFETY: kill has no memory effects; minus a group above 1 names that group alone.
    unsafe { libc::kill(-group, number) };
}

/// The id of this boot of the kernel: a process id of another boot names nobody.
pub fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b (c) S 7 42 40 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 9901 2 3";
        let stat = parse_stat(42, text).expect("it has all fields");
        assert_eq!(stat.process, Process { pid: 42, started: 9901 });
        assert_eq!((stat.state, stat.parent, stat.session), (b'S', 7, 40));
    }

    #[test]
    fn a_cut_stat_line_is_no_process() {
        for text in ["", "42 (a", "42 (a) S", "42 (a) S 1 2 3"] {
            assert_eq!(parse_stat(42, text), None);
        }
    }

    #[test]
    fn a_process_under_a_reused_id_is_another_one() {
        let me = Process::of(std::process::id()).expect("this process runs");
        assert!(me.is_alive());
        assert!(!Process { started: me.started + 1, ..me }.is_alive());
    }
}
