//! The kernel's table of processes: identity, parent and start time of a process.
//!
//! A process id alone identifies no process, because ids are reused. A [`Process`] is an id
//! together with the moment it started, and is only ever signalled through that pair.

use std::fs::{self, File};
use std::io::Read;

use nix::libc;
use procfs::FromRead;
use serde::{Deserialize, Serialize};

/// One process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Clock ticks from boot to its start, field 22 of `/proc/<pid>/stat`.
    pub started: u64,
}

/// The needed fields of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The process.
    pub process: Process,
    /// `Z` and `X` have ended.
    pub state: char,
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
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads one process.
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(pid, File::open(format!("/proc/{pid}/stat")).ok()?)
}

/// All fields of that file.
pub fn whole_stat(pid: u32) -> Option<procfs::process::Stat> {
    procfs::process::Stat::from_read(File::open(format!("/proc/{pid}/stat")).ok()?).ok()
}

fn parse_stat(pid: u32, file: impl Read) -> Option<Stat> {
    let found = procfs::process::Stat::from_read(file).ok()?;
    Some(Stat {
        process: Process { pid, started: found.starttime },
        state: found.state,
        parent: u32::try_from(found.ppid).ok()?,
        session: u32::try_from(found.session).ok()?,
    })
}

/// All processes that can be seen.
pub fn all() -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(stat)
}

/// Was this process started with `variable` (`NAME=value`) in its environment?
pub fn was_started_with(pid: u32, variable: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
}

/// Sends a signal to a process id; it is no error if the process is gone.
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

/// The id of this boot of the kernel: a process id of another boot identifies no process.
pub fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        // The last name was cut in the middle of a letter: the kernel keeps 15 bytes.
        for name in [b"a) b (c".as_slice(), b"(", b"gr\xc3"] {
            let mut text = [b"42 (", name, b") S 7 42 40 0 -1 4194304 1"].concat();
            text.extend(b" 0 0 0 0 0 0 0 20 0 1 0 9901 2 3 18446744073709551615");
            text.extend(b" 1 1 0 0 0 0 0 4096 65536 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
            let stat = parse_stat(42, text.as_slice()).expect("it has all fields");
            assert_eq!(stat.process, Process { pid: 42, started: 9901 });
            assert_eq!((stat.state, stat.parent, stat.session), ('S', 7, 40));
        }
    }

    #[test]
    fn a_cut_stat_line_is_no_process() {
        for text in ["", "42 (a", "42 (a) S", "42 (a) S 1 2 3"] {
            assert_eq!(parse_stat(42, text.as_bytes()), None);
        }
    }

    #[test]
    fn a_program_lives_though_its_name_is_cut_in_a_letter() {
        use std::os::unix::process::CommandExt;
        let dir = tempfile::tempdir().expect("a folder");
        // 14 bytes, and a letter of two bytes: the kernel keeps the first of these.
        let path = dir.path().join("fourteen-bytes\u{f6}");
        std::os::unix::fs::symlink("/bin/sleep", &path).expect("writable");
        let mut program = std::process::Command::new(&path);
        let mut child = program.arg0("sleep").arg("60").spawn().expect("it runs");
        let found = stat(child.id());
        child.kill().and_then(|()| child.wait()).expect("it is ours");
        assert!(found.is_some_and(|found| found.is_alive()));
    }

    #[test]
    fn a_process_under_a_reused_id_is_another_one() {
        let me = Process::of(std::process::id()).expect("this process runs");
        assert!(me.is_alive());
        assert!(!Process { started: me.started + 1, ..me }.is_alive());
    }
}
