//! The processes of a run, as `ps` shows them.
//!
//! The usual table is made here, because a device need not have a `ps`. Any other table comes from
//! the node's `ps`, reduced to the processes of the run, as Docker does it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::bad;
use super::groups::Groups;
use crate::exec::{ExecRefusal, Target};
use crate::proc_table;

/// Arguments that give the usual table.
const USUAL: [&str; 2] = ["", "-ef"];
const TITLES: [&str; 8] = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];

/// Rows at most: a longer table is of no use, and must fit into a message between nodes.
const ROWS_MAX: usize = 300;
/// Bytes of a command line at most.
const COMMAND_BYTES_MAX: usize = 100;

/// Ticks of the kernel's clock for user programs in a second.
const TICKS_PER_SECOND: u64 = 100;

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processes {
    /// Titles of its columns.
    pub titles: Vec<String>,
    /// As many cells in each row.
    pub rows: Vec<Vec<String>>,
}

/// All processes of a run: those in its cgroups, or else those in the session of its program.
pub fn members(target: &Target, groups: &Groups) -> Vec<u32> {
    let members = groups.members();
    if !members.is_empty() {
        return members;
    }
    let program = target.program().pid;
    let of_run = |stat: &proc_table::Stat| stat.session == program && stat.is_alive();
    proc_table::all().filter(of_run).map(|stat| stat.process.pid).collect()
}

/// The table that `ps` makes with these arguments.
pub fn table(target: &Target, args: &str) -> Result<Processes, ExecRefusal> {
    let members = members(target, &Groups::of(target));
    if !USUAL.contains(&args.trim()) {
        return by_ps(&members.into_iter().collect(), args);
    }
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let uptime = uptime.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let names = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let rows = members.iter().take(ROWS_MAX).filter_map(|pid| row(*pid, uptime, &names));
    Ok(Processes { titles: TITLES.map(str::to_owned).to_vec(), rows: rows.collect() })
}

fn row(pid: u32, uptime: u64, names: &str) -> Option<Vec<String>> {
    let stat = proc_table::whole_stat(pid)?;
    let uid = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    let seconds = (stat.utime + stat.stime) / TICKS_PER_SECOND;
    let lived = uptime.saturating_sub(stat.starttime / TICKS_PER_SECOND);
    let percent = (seconds * 100).checked_div(lived).unwrap_or(0).min(99);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let started = now.saturating_sub(lived);
    let terminal = match stat.tty_nr() {
        // Pseudo terminals.
        (136..144, number) => format!("pts/{number}"),
        _ => "?".to_owned(),
    };
    Some(vec![
        user_name(uid, names),
        pid.to_string(),
        stat.ppid.to_string(),
        percent.to_string(),
        format!("{:02}:{:02}", started / 3_600 % 24, started / 60 % 60),
        terminal,
        format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60),
        command(pid, &stat.comm)?,
    ])
}

fn user_name(uid: u32, names: &str) -> String {
    let named = names.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| uid.to_string())
}

fn command(pid: u32, name: &str) -> Option<String> {
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    if words.is_empty() {
        return Some(format!("[{name}]"));
    }
    let line = String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ");
    Some(line[..line.floor_char_boundary(COMMAND_BYTES_MAX)].to_owned())
}

fn by_ps(members: &BTreeSet<u32>, args: &str) -> Result<Processes, ExecRefusal> {
    let mut ps = Command::new("ps");
    ps.args(args.split_whitespace()).stdin(Stdio::null()).env("LC_ALL", "C");
    let output = ps.output().map_err(|error| {
        bad(format!("the node's ps cannot be run: {error}; leave the arguments of ps out"))
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(bad(format!("ps {args}: {}", said.trim())));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    cut_down(&text, members).ok_or_else(|| {
        bad(format!("ps {args} shows no column PID, by which a task's processes are found"))
    })
}

/// The rows of these processes. The last column may contain blanks.
fn cut_down(text: &str, members: &BTreeSet<u32>) -> Option<Processes> {
    let mut lines = text.lines();
    let titles: Vec<String> = lines.next()?.split_whitespace().map(str::to_owned).collect();
    let at = titles.iter().position(|title| title == "PID")?;
    let cells = |line: &str| {
        let mut words = line.split_whitespace();
        let mut cells: Vec<String> =
            words.by_ref().take(titles.len() - 1).map(str::to_owned).collect();
        cells.push(words.collect::<Vec<_>>().join(" "));
        cells
    };
    let is_member = |cells: &Vec<String>| {
        cells.get(at).and_then(|pid| pid.parse().ok()).is_some_and(|pid| members.contains(&pid))
    };
    let rows = lines.map(cells).filter(is_member).take(ROWS_MAX).collect();
    Some(Processes { titles, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_ps_is_cut_down_to_the_run() {
        let text = "  PID USER COMMAND\n    1 root init\n   42 root sh -c 'a  b'\n   43 me x\n";
        let found = cut_down(text, &BTreeSet::from([42, 43])).expect("it has a PID");
        assert_eq!(found.titles, ["PID", "USER", "COMMAND"]);
        assert_eq!(found.rows, [["42", "root", "sh -c 'a b'"], ["43", "me", "x"]]);
        assert_eq!(cut_down("USER COMMAND\nroot x\n", &BTreeSet::new()), None);
    }
}
