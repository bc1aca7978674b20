//! Which files set a limit, in either version.

use crdt_state::spec::Resources;

use super::mounts::{CgroupVersion, Controller};

/// Length of the period that processor time is shared out in: the kernel's default, 100 ms.
const CPU_PERIOD_US: u64 = 100_000;
/// The least quota that the kernel takes, 1 ms.
const CPU_QUOTA_US_MIN: u64 = 1_000;

/// The limits that are asked for, with a text for people.
pub fn asked(limits: &Resources) -> Vec<(Controller, String)> {
    let mut asked = Vec::new();
    if limits.memory_bytes > 0 {
        asked.push((Controller::Memory, format!("{} bytes of memory", limits.memory_bytes)));
    }
    if limits.nano_cpus > 0 {
        let (whole, milli) =
            (limits.nano_cpus / 1_000_000_000, limits.nano_cpus / 1_000_000 % 1000);
        asked.push((Controller::Cpu, format!("{whole}.{milli:03} cpus")));
    }
    if limits.pids > 0 {
        asked.push((Controller::Pids, format!("{} processes", limits.pids)));
    }
    asked
}

/// The files to write, in this order: on version 1 swap can only be limited together with memory,
/// and not below the limit of memory.
pub fn files(
    version: CgroupVersion,
    controller: Controller,
    limits: &Resources,
) -> Vec<(&'static str, String)> {
    let memory = limits.memory_bytes.to_string();
    let pids = limits.pids.to_string();
    // 10^9 billionths of a core are a whole period.
    let quota = (limits.nano_cpus / (1_000_000_000 / CPU_PERIOD_US)).max(CPU_QUOTA_US_MIN);
    match (version, controller) {
        (CgroupVersion::V1, Controller::Memory) => {
            vec![("memory.limit_in_bytes", memory.clone()), (swap_file(version), memory)]
        }
        (CgroupVersion::V2, Controller::Memory) => {
            vec![("memory.max", memory), (swap_file(version), "0".to_owned())]
        }
        (CgroupVersion::V1, Controller::Cpu) => vec![
            ("cpu.cfs_period_us", CPU_PERIOD_US.to_string()),
            ("cpu.cfs_quota_us", quota.to_string()),
        ],
        (CgroupVersion::V2, Controller::Cpu) => {
            vec![("cpu.max", format!("{quota} {CPU_PERIOD_US}"))]
        }
        (_, Controller::Pids) => vec![("pids.max", pids)],
        (_, Controller::Freezer | Controller::Cpuacct | Controller::Io) => vec![],
    }
}

/// The file that limits swap. A kernel that does not account for swap does not have it.
pub fn swap_file(version: CgroupVersion) -> &'static str {
    match version {
        CgroupVersion::V1 => "memory.memsw.limit_in_bytes",
        CgroupVersion::V2 => "memory.swap.max",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_core_is_half_of_every_period() {
        let limits = Resources { nano_cpus: 500_000_000, ..Resources::default() };
        assert_eq!(
            files(CgroupVersion::V2, Controller::Cpu, &limits),
            [("cpu.max", "50000 100000".to_owned())]
        );
        assert_eq!(files(CgroupVersion::V1, Controller::Cpu, &limits)[1].1, "50000");
        assert_eq!(asked(&limits), [(Controller::Cpu, "0.500 cpus".to_owned())]);
    }

    #[test]
    fn a_limit_of_memory_is_one_of_memory_and_swap() {
        let limits = Resources { memory_bytes: 4096, ..Resources::default() };
        let of = |version| files(version, Controller::Memory, &limits);
        let file = |name, value: &str| (name, value.to_owned());
        assert_eq!(
            of(CgroupVersion::V2),
            [file("memory.max", "4096"), file("memory.swap.max", "0")]
        );
        let together = file("memory.memsw.limit_in_bytes", "4096");
        assert_eq!(of(CgroupVersion::V1), [file("memory.limit_in_bytes", "4096"), together]);
    }

    #[test]
    fn hardly_any_core_is_the_least_that_the_kernel_takes() {
        let limits = Resources { nano_cpus: 1, ..Resources::default() };
        assert_eq!(files(CgroupVersion::V1, Controller::Cpu, &limits)[1].1, "1000");
    }
}
