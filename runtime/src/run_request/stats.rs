//! The resource usage of a run: from its cgroups where it has its own, else summed over its
//! processes.
//!
//! Numbers that only grow count from the start of the run; only a cgroup counts processes that have
//! ended. A figure that the machine does not provide is 0.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

use super::groups::Groups;
use super::processes;
use crate::exec::Target;
use crate::proc_table;

/// Nanoseconds of one tick of the kernel's clock for user programs, 100 a second on every
/// architecture that Linux has today.
const TICK_NS: u64 = 10_000_000;

/// Time on processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Nanoseconds of all processors.
    pub total_ns: u64,
    /// Of these in the kernel.
    pub kernel_ns: u64,
    /// Of these in programs.
    pub user_ns: u64,
    /// Periods in which the limit was enforced, those in which it was reached, and nanoseconds of
    /// waiting.
    pub throttled: [u64; 3],
    /// Time used on all processors of the node, nanoseconds.
    pub machine_ns: u64,
    /// Processors of the node.
    pub processors: u32,
}

/// Memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes, with the files that were read.
    pub used: u64,
    /// The part of these that is files which can be dropped at any time.
    pub inactive_file: u64,
    /// The limit; that of the machine if there is none.
    pub limit: u64,
    /// Every figure of a cgroup, by the kernel's names.
    pub details: BTreeMap<String, u64>,
    /// The names are those of version 1.
    pub version_1: bool,
}

/// Bytes read from and written to one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Major and minor number; 0 and 0 for all together.
    pub device: (u32, u32),
    /// Bytes.
    pub read: u64,
    /// Bytes.
    pub written: u64,
}

/// One network interface: bytes, packets, errors and drops, received and then sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Received.
    pub received: [u64; 4],
    /// Sent.
    pub sent: [u64; 4],
}

/// The resource usage of a run at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Time on processors.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// Processes and threads.
    pub pids: u64,
    /// At most; 0: no limit.
    pub pids_limit: u64,
    /// Disks.
    pub block: Vec<Block>,
    /// Interfaces by name; none if it uses the network of the node.
    pub networks: BTreeMap<String, Network>,
}

/// What a run has used of processors, and uses of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunTotals {
    /// Nanoseconds of all processors.
    pub cpu_ns: u64,
    /// Bytes, without files that can be dropped at any time.
    pub memory_bytes: u64,
}

/// Takes a sample of processors and memory.
pub fn totals(target: &Target) -> RunTotals {
    let groups = Groups::of(target);
    let members = processes::members(target, &groups);
    let memory = memory(&groups, &members);
    RunTotals {
        cpu_ns: cpu(&groups, &members).total_ns,
        memory_bytes: memory.used.saturating_sub(memory.inactive_file),
    }
}

/// Takes a sample of everything.
pub fn sample(target: &Target) -> Sample {
    let groups = Groups::of(target);
    let members = processes::members(target, &groups);
    Sample {
        cpu: cpu(&groups, &members),
        memory: memory(&groups, &members),
        pids: pids(&groups, &members),
        pids_limit: pids_limit(&groups),
        block: block(&groups, &members),
        networks: networks(target.program().pid),
    }
}

fn cpu(groups: &Groups, members: &[u32]) -> Cpu {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let processors = stat.lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1);
    // Guest time, the last two numbers, is included in the first two already.
    let machine = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let machine: u64 = machine.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    let mut cpu = Cpu {
        machine_ns: machine * TICK_NS,
        processors: u32::try_from(processors).unwrap_or(1).max(1),
        ..Cpu::default()
    };
    if let Some(usage) = groups.v1("cpuacct", "cpuacct.usage") {
        cpu.total_ns = number(&usage);
        let ticks = fields(&groups.v1("cpuacct", "cpuacct.stat").unwrap_or_default());
        cpu.user_ns = ticks.get("user").copied().unwrap_or(0) * TICK_NS;
        cpu.kernel_ns = ticks.get("system").copied().unwrap_or(0) * TICK_NS;
        let told = fields(&groups.v1("cpu", "cpu.stat").unwrap_or_default());
        cpu.throttled = ["nr_periods", "nr_throttled", "throttled_time"]
            .map(|name| told.get(name).copied().unwrap_or(0));
    } else if let Some(stat) = groups.v2("cpu.stat") {
        let told = fields(&stat);
        let of = |name: &str| told.get(name).copied().unwrap_or(0);
        cpu.total_ns = of("usage_usec") * 1_000;
        cpu.user_ns = of("user_usec") * 1_000;
        cpu.kernel_ns = of("system_usec") * 1_000;
        cpu.throttled = [of("nr_periods"), of("nr_throttled"), of("throttled_usec") * 1_000];
    } else {
        for pid in members {
            let Some(stat) = proc_table::whole_stat(*pid) else { continue };
            cpu.user_ns += stat.utime * TICK_NS;
            cpu.kernel_ns += stat.stime * TICK_NS;
        }
        cpu.total_ns = cpu.user_ns + cpu.kernel_ns;
    }
    cpu
}

fn memory(groups: &Groups, members: &[u32]) -> Memory {
    let machine = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let machine = fields(&machine).get("MemTotal:").copied().unwrap_or(0) * 1_024;
    let bounded = |limit: u64| if limit == 0 { machine } else { limit.min(machine) };
    if let Some(used) = groups.v1("memory", "memory.usage_in_bytes") {
        let details = fields(&groups.v1("memory", "memory.stat").unwrap_or_default());
        let limit = groups.v1("memory", "memory.limit_in_bytes");
        return Memory {
            used: number(&used),
            inactive_file: details.get("total_inactive_file").copied().unwrap_or(0),
            limit: bounded(limit.as_deref().map_or(0, number)),
            details,
            version_1: true,
        };
    }
    if let Some(used) = groups.v2("memory.current") {
        let details = fields(&groups.v2("memory.stat").unwrap_or_default());
        return Memory {
            used: number(&used),
            inactive_file: details.get("inactive_file").copied().unwrap_or(0),
            // `max` is no number: no limit.
            limit: bounded(groups.v2("memory.max").as_deref().map_or(0, number)),
            details,
            version_1: false,
        };
    }
    let of = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let told = fields(&status);
        let kib = |name: &str| told.get(name).copied().unwrap_or(0);
        (kib("RssAnon:") + kib("RssShmem:")) * 1_024
    };
    Memory { used: members.iter().map(of).sum(), limit: machine, ..Memory::default() }
}

fn pids(groups: &Groups, members: &[u32]) -> u64 {
    let told = groups.v1("pids", "pids.current").or_else(|| groups.v2("pids.current"));
    let threads =
        |pid: &u32| proc_table::whole_stat(*pid).map_or(0, |stat| stat.num_threads.cast_unsigned());
    told.map_or_else(|| members.iter().map(threads).sum(), |text| number(&text))
}

/// The limit that is in force, which may differ from the requested one; `max` is no number.
fn pids_limit(groups: &Groups) -> u64 {
    let told = groups.v1("pids", "pids.max").or_else(|| groups.v2("pids.max"));
    told.as_deref().map_or(0, number)
}

fn block(groups: &Groups, members: &[u32]) -> Vec<Block> {
    let files = ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"];
    if let Some(text) = files.iter().find_map(|file| groups.v1("blkio", file)) {
        return block_v1(&text);
    }
    if let Some(text) = groups.v2("io.stat") {
        return text.lines().filter_map(block_v2).collect();
    }
    let mut all = Block::default();
    for pid in members {
        let io = fields(&fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default());
        all.read += io.get("read_bytes:").copied().unwrap_or(0);
        all.written += io.get("write_bytes:").copied().unwrap_or(0);
    }
    vec![all]
}

/// `253:0 Read 4096`.
fn block_v1(text: &str) -> Vec<Block> {
    let mut devices: BTreeMap<(u32, u32), Block> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(device) = words.next().and_then(device) else { continue };
        let (kind, bytes) = (words.next(), words.next().map_or(0, number));
        let block = devices.entry(device).or_insert(Block { device, ..Block::default() });
        match kind {
            Some("Read") => block.read = bytes,
            Some("Write") => block.written = bytes,
            _ => {}
        }
    }
    devices.into_values().collect()
}

/// `253:0 rbytes=4096 wbytes=0 …`.
fn block_v2(line: &str) -> Option<Block> {
    let mut words = line.split_whitespace();
    let mut block = Block { device: words.next().and_then(device)?, ..Block::default() };
    for word in words {
        match word.split_once('=') {
            Some(("rbytes", bytes)) => block.read = number(bytes),
            Some(("wbytes", bytes)) => block.written = number(bytes),
            _ => {}
        }
    }
    Some(block)
}

fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The interfaces of the run's own network namespace.
fn networks(pid: u32) -> BTreeMap<String, Network> {
    let namespace = |who: &str| fs::read_link(format!("/proc/{who}/ns/net")).ok();
    if namespace("self") == namespace(&pid.to_string()) {
        return BTreeMap::new();
    }
    let table = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    table.lines().filter_map(interface).filter(|(name, _)| name != "lo").collect()
}

fn interface(line: &str) -> Option<(String, Network)> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let part = |at: usize| numbers.get(at..at + 4).and_then(|four| four.try_into().ok());
    Some((name.trim().to_owned(), Network { received: part(0)?, sent: part(8)? }))
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// Names and numbers, one pair per line.
fn fields(text: &str) -> BTreeMap<String, u64> {
    let field = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    text.lines().filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_tell_bytes_per_device() {
        let found = block_v1("8:0 Read 10\n8:0 Write 20\n8:0 Sync 5\nTotal 30\n");
        assert_eq!(found, [Block { device: (8, 0), read: 10, written: 20 }]);
        let found = block_v2("253:1 rbytes=7 wbytes=8 rios=1 wios=1");
        assert_eq!(found, Some(Block { device: (253, 1), read: 7, written: 8 }));
    }

    #[test]
    fn an_interface_is_read_with_its_errors_and_drops() {
        let line = "  eth0: 100 10 1 2 0 0 0 0 200 20 3 4 0 0 0 0";
        let (name, network) = interface(line).expect("an interface");
        assert_eq!(name, "eth0");
        assert_eq!((network.received, network.sent), ([100, 10, 1, 2], [200, 20, 3, 4]));
        assert_eq!(interface("Inter-|   Receive"), None);
    }
}
