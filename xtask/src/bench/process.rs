//! The kernel's figures of a process: memory, CPU time, bytes written, and bytes that its network
//! sent.

use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// Clock ticks per second in `/proc`, the same on every Linux that we support.
const TICKS: f64 = 100.0;

/// Counters that only grow; the difference of two readings tells what happened in between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counters {
    /// CPU time, user and system.
    pub cpu_s: f64,
    /// Bytes that reached the block layer for this process.
    pub disk_bytes: f64,
    /// Bytes sent by the links of its network namespace, without loopback.
    pub sent_bytes: f64,
}

impl Counters {
    /// Reads them now.
    pub fn read(pid: u32) -> Result<Counters> {
        let file = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            std::fs::read_to_string(&path).with_context(|| path)
        };
        Ok(Counters {
            cpu_s: cpu_s(&file("stat")?).context("no CPU time in stat")?,
            disk_bytes: field(&file("io")?, "write_bytes:").context("no write_bytes in io")?,
            sent_bytes: sent_bytes(&file("net/dev")?),
        })
    }
}

/// Resident memory in MiB.
pub fn rss_mib(pid: u32) -> Result<f64> {
    status_mib(pid, "VmRSS:")
}

/// A part of the memory, in MiB, by its name in `status`: `RssAnon:`.
pub fn status_mib(pid: u32, name: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(field(&status, name).with_context(|| format!("no {name} in status"))? / 1024.0)
}

/// The proportional memory of this process, in MiB: pages that several processes use are divided
/// among them.
pub fn pss_mib(pid: u32) -> Result<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    Ok(field(&rollup, "Pss:").context("no Pss in smaps_rollup")? / 1024.0)
}

/// All processes that run this program, whoever started them.
pub fn of_program(program: &std::path::Path) -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        // A process that has ended meanwhile is left out.
        if std::fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == program) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Fields 14 and 15, counted after the name, which may hold spaces.
fn cpu_s(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS)
}

/// The ninth number of every link but `lo`.
fn sent_bytes(dev: &str) -> f64 {
    let links: BTreeMap<&str, &str> =
        dev.lines().filter_map(|line| line.trim().split_once(':')).collect();
    let sent = |numbers: &&str| numbers.split_whitespace().nth(8)?.parse::<f64>().ok();
    links.iter().filter(|(link, _)| **link != "lo").filter_map(|(_, numbers)| sent(numbers)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_words_are_understood() {
        let stat = "7 (a b) c) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_s(stat), Some(2.0));
        let io = "rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 9\n";
        assert_eq!(field(io, "write_bytes:"), Some(4096.0));
        let dev = "Inter-| Receive\n face |bytes\n  lo: 9 0 0 0 0 0 0 0 9 0\n \
                   eth0: 1 2 3 4 5 6 7 8 1234 10\n";
        assert_eq!(sent_bytes(dev), 1234.0);
    }

    #[test]
    fn our_own_process_can_be_read() {
        let own = std::process::id();
        assert!(rss_mib(own).unwrap() > 0.0);
        assert!(pss_mib(own).unwrap() <= rss_mib(own).unwrap());
        let program = std::env::current_exe().unwrap();
        assert!(of_program(&program).unwrap().contains(&own));
        assert!(Counters::read(own).unwrap().cpu_s >= 0.0);
    }
}
