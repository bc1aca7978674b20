//! The resource usage of a container, in Docker's form. Most figures only grow; a client computes
//! the difference to the previous sample, which is included.

use std::collections::BTreeMap;

use runtime::run_request::{Cpu, Sample};
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One sample.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    pub id: String,
    pub name: String,
    pub read: Timestamp,
    pub preread: Timestamp,
    pub num_procs: u32,
    pub pids_stats: PidsStats,
    pub cpu_stats: CpuStats,
    pub precpu_stats: CpuStats,
    pub memory_stats: MemoryStats,
    pub blkio_stats: BlockStats,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, NetworkStats>,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PidsStats {
    pub current: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// Nanoseconds on processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuStats {
    pub cpu_usage: CpuUsage,
    /// Of the whole machine.
    pub system_cpu_usage: u64,
    pub online_cpus: u32,
    pub throttling_data: Throttling,
}

/// Nanoseconds of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuUsage {
    pub total_usage: u64,
    pub usage_in_kernelmode: u64,
    pub usage_in_usermode: u64,
}

/// The effect of a limit of processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Throttling {
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_time: u64,
}

/// Bytes of memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryStats {
    pub usage: u64,
    pub limit: u64,
    pub stats: BTreeMap<String, u64>,
}

/// Bytes from and to disks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockStats {
    pub io_service_bytes_recursive: Vec<BlockEntry>,
}

/// One device, one direction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockEntry {
    pub major: u32,
    pub minor: u32,
    /// `read` or `write`.
    pub op: String,
    pub value: u64,
}

/// One interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkStats {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

fn is_zero(amount: &u64) -> bool {
    *amount == 0
}

impl Stats {
    /// A sample, with the previous one if there is one.
    pub fn of(sample: Sample, at: Timestamp, before: Option<&Stats>) -> Stats {
        let mut memory = MemoryStats {
            usage: sample.memory.used,
            limit: sample.memory.limit,
            stats: sample.memory.details,
        };
        // Docker's client distinguishes the versions of cgroups by this name, and subtracts its
        // value.
        let inactive =
            if sample.memory.version_1 { "total_inactive_file" } else { "inactive_file" };
        memory.stats.entry(inactive.to_owned()).or_insert(sample.memory.inactive_file);
        let block = sample.block.iter().flat_map(|block| {
            let (major, minor) = block.device;
            [("read", block.read), ("write", block.written)].map(|(op, value)| BlockEntry {
                major,
                minor,
                op: op.to_owned(),
                value,
            })
        });
        let network = |network: &runtime::run_request::Network| {
            let [rx_bytes, rx_packets, rx_errors, rx_dropped] = network.received;
            let [tx_bytes, tx_packets, tx_errors, tx_dropped] = network.sent;
            let (rx, tx) = ((rx_errors, rx_dropped), (tx_errors, tx_dropped));
            NetworkStats {
                rx_bytes,
                rx_packets,
                rx_errors: rx.0,
                rx_dropped: rx.1,
                tx_bytes,
                tx_packets,
                tx_errors: tx.0,
                tx_dropped: tx.1,
            }
        };
        Stats {
            read: at,
            preread: before.map_or(Timestamp(0), |before| before.read),
            pids_stats: PidsStats { current: sample.pids, limit: sample.pids_limit },
            cpu_stats: CpuStats::of(&sample.cpu),
            precpu_stats: before.map(|before| before.cpu_stats).unwrap_or_default(),
            memory_stats: memory,
            blkio_stats: BlockStats { io_service_bytes_recursive: block.collect() },
            networks: sample.networks.iter().map(|(name, n)| (name.clone(), network(n))).collect(),
            ..Stats::default()
        }
    }

    /// Percent of one processor since the previous sample.
    pub fn cpu_percent(&self) -> f64 {
        let (now, before) = (&self.cpu_stats, &self.precpu_stats);
        let used = now.cpu_usage.total_usage.saturating_sub(before.cpu_usage.total_usage);
        let machine = now.system_cpu_usage.saturating_sub(before.system_cpu_usage);
        if machine == 0 || before.system_cpu_usage == 0 {
            return 0.0;
        }
        used as f64 / machine as f64 * f64::from(now.online_cpus) * 100.0
    }

    /// Bytes of memory without the files that can be dropped.
    pub fn memory_used(&self) -> u64 {
        let MemoryStats { usage, stats, .. } = &self.memory_stats;
        let inactive = stats.get("total_inactive_file").or_else(|| stats.get("inactive_file"));
        usage.saturating_sub(inactive.copied().unwrap_or(0))
    }
}

impl CpuStats {
    fn of(cpu: &Cpu) -> CpuStats {
        let [periods, throttled_periods, throttled_time] = cpu.throttled;
        CpuStats {
            cpu_usage: CpuUsage {
                total_usage: cpu.total_ns,
                usage_in_kernelmode: cpu.kernel_ns,
                usage_in_usermode: cpu.user_ns,
            },
            system_cpu_usage: cpu.machine_ns,
            online_cpus: cpu.processors,
            throttling_data: Throttling { periods, throttled_periods, throttled_time },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::run_request::Memory;

    #[test]
    fn a_percentage_is_of_the_time_since_the_sample_before() {
        let sample = |total_ns, machine_ns| Sample {
            cpu: Cpu { total_ns, machine_ns, processors: 2, ..Cpu::default() },
            memory: Memory { used: 100, inactive_file: 30, ..Memory::default() },
            ..Sample::default()
        };
        let first = Stats::of(sample(1_000, 10_000), Timestamp(1), None);
        assert_eq!(first.cpu_percent(), 0.0);
        let second = Stats::of(sample(2_000, 14_000), Timestamp(2), Some(&first));
        assert_eq!(second.cpu_percent(), 50.0);
        assert_eq!(second.memory_used(), 70);
    }
}
