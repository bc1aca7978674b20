//! Which files set a limit, in either version.

use crdt_state::spec::{Extension, Resources, Swap, Template};

use super::mounts::{CgroupVersion, Controller};

/// Length of the period that processor time is shared out in: the kernel's default, 100 ms.
const CPU_PERIOD_US: u64 = 100_000;
/// The least quota that the kernel takes, 1 ms.
const CPU_QUOTA_US_MIN: u64 = 1_000;
/// The largest number of bytes that the kernel's files of version 1 take.
const BYTES_MAX: u64 = i64::MAX as u64;

/// The most that a run may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory, processors, processes.
    pub resources: Resources,
    /// Swap on top of the memory.
    pub swap: Option<Swap>,
    /// How readily the kernel swaps its memory out.
    pub swappiness: Option<u8>,
}

impl Limits {
    /// Those of a template.
    pub fn of(template: &Template) -> Limits {
        let Extension { swap, swappiness, .. } = template.extension;
        Limits { resources: template.limits.clone(), swap, swappiness }
    }
}

/// One kind of limit, each of its own files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Memory and swap.
    Memory,
    /// Swappiness, which only version 1 has.
    Swappiness,
    /// Processor time.
    Cpu,
    /// Processes and threads.
    Pids,
}

impl Limit {
    /// The controller that enforces it.
    pub fn controller(self) -> Controller {
        match self {
            Limit::Memory | Limit::Swappiness => Controller::Memory,
            Limit::Cpu => Controller::Cpu,
            Limit::Pids => Controller::Pids,
        }
    }
}

/// The limits that are asked for, with a text for people.
pub fn asked(limits: &Limits) -> Vec<(Limit, String)> {
    let mut asked = Vec::new();
    let Limits { resources, swap, swappiness } = limits;
    if resources.memory_bytes > 0 {
        let swap = match swap {
            None => String::new(),
            Some(Swap::Bytes(bytes)) => format!(" with {bytes} bytes of swap"),
            Some(Swap::Unlimited) => " with unlimited swap".to_owned(),
        };
        let words = format!("the limit of {} bytes of memory{swap}", resources.memory_bytes);
        asked.push((Limit::Memory, words));
    }
    if let Some(swappiness) = swappiness {
        asked.push((Limit::Swappiness, format!("the swappiness of {swappiness}")));
    }
    if resources.nano_cpus > 0 {
        let (whole, milli) =
            (resources.nano_cpus / 1_000_000_000, resources.nano_cpus / 1_000_000 % 1000);
        asked.push((Limit::Cpu, format!("the limit of {whole}.{milli:03} cpus")));
    }
    if resources.pids > 0 {
        asked.push((Limit::Pids, format!("the limit of {} processes", resources.pids)));
    }
    asked
}

/// The files to write, in this order: on version 1 swap can only be limited together with memory,
/// and not below the limit of memory. `None`: this version cannot limit that.
pub fn files(
    version: CgroupVersion,
    limit: Limit,
    limits: &Limits,
) -> Option<Vec<(&'static str, String)>> {
    use CgroupVersion::{V1, V2};
    let Limits { resources, swap, swappiness } = limits;
    let memory = resources.memory_bytes.to_string();
    Some(match (version, limit) {
        (V1, Limit::Memory) => {
            let together = match swap {
                None => memory.clone(),
                Some(Swap::Bytes(bytes)) => {
                    resources.memory_bytes.saturating_add(*bytes).min(BYTES_MAX).to_string()
                }
                Some(Swap::Unlimited) => "-1".to_owned(),
            };
            vec![("memory.limit_in_bytes", memory), (swap_file(version), together)]
        }
        (V2, Limit::Memory) => {
            let swap = match swap {
                None => "0".to_owned(),
                Some(Swap::Bytes(bytes)) => bytes.to_string(),
                Some(Swap::Unlimited) => "max".to_owned(),
            };
            vec![("memory.max", memory), (swap_file(version), swap)]
        }
        (V1, Limit::Swappiness) => {
            vec![("memory.swappiness", swappiness.unwrap_or_default().to_string())]
        }
        (V2, Limit::Swappiness) => return None,
        (_, Limit::Cpu) => {
            // 10^9 billionths of a core are a whole period.
            let quota = resources.nano_cpus / (1_000_000_000 / CPU_PERIOD_US);
            let quota = quota.max(CPU_QUOTA_US_MIN);
            match version {
                V1 => vec![
                    ("cpu.cfs_period_us", CPU_PERIOD_US.to_string()),
                    ("cpu.cfs_quota_us", quota.to_string()),
                ],
                V2 => vec![("cpu.max", format!("{quota} {CPU_PERIOD_US}"))],
            }
        }
        (_, Limit::Pids) => vec![("pids.max", resources.pids.to_string())],
    })
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
    use super::CgroupVersion::{V1, V2};
    use super::*;

    fn limits(resources: Resources) -> Limits {
        Limits { resources, ..Limits::default() }
    }

    fn written(version: CgroupVersion, limit: Limit, limits: &Limits) -> Vec<String> {
        let files = files(version, limit, limits).expect("it can be limited");
        files.iter().map(|(file, value)| format!("{file}={value}")).collect()
    }

    #[test]
    fn half_a_core_is_half_of_every_period() {
        let limits = limits(Resources { nano_cpus: 500_000_000, ..Resources::default() });
        assert_eq!(written(V2, Limit::Cpu, &limits), ["cpu.max=50000 100000"]);
        assert_eq!(written(V1, Limit::Cpu, &limits)[1], "cpu.cfs_quota_us=50000");
        assert_eq!(asked(&limits), [(Limit::Cpu, "the limit of 0.500 cpus".to_owned())]);
    }

    #[test]
    fn a_limit_of_memory_is_one_of_memory_and_swap() {
        let limits = limits(Resources { memory_bytes: 4096, ..Resources::default() });
        assert_eq!(written(V2, Limit::Memory, &limits), ["memory.max=4096", "memory.swap.max=0"]);
        assert_eq!(
            written(V1, Limit::Memory, &limits),
            ["memory.limit_in_bytes=4096", "memory.memsw.limit_in_bytes=4096"]
        );
    }

    #[test]
    fn swap_comes_on_top_of_the_limit_of_memory() {
        let resources = Resources { memory_bytes: 4096, ..Resources::default() };
        let of = |swap, version| {
            let limits = Limits { swap: Some(swap), ..limits(resources.clone()) };
            written(version, Limit::Memory, &limits).swap_remove(1)
        };
        assert_eq!(of(Swap::Bytes(1000), V2), "memory.swap.max=1000");
        assert_eq!(of(Swap::Unlimited, V2), "memory.swap.max=max");
        assert_eq!(of(Swap::Bytes(1000), V1), "memory.memsw.limit_in_bytes=5096");
        assert_eq!(of(Swap::Unlimited, V1), "memory.memsw.limit_in_bytes=-1");
        let most = format!("memory.memsw.limit_in_bytes={}", i64::MAX);
        assert_eq!(of(Swap::Bytes(i64::MAX as u64), V1), most);
    }

    #[test]
    fn only_version_1_has_a_swappiness() {
        let limits = Limits { swappiness: Some(0), ..Limits::default() };
        let said = [(Limit::Swappiness, "the swappiness of 0".to_owned())];
        assert_eq!(asked(&limits), said);
        assert_eq!(written(V1, Limit::Swappiness, &limits), ["memory.swappiness=0"]);
        assert_eq!(files(V2, Limit::Swappiness, &limits), None);
    }

    #[test]
    fn hardly_any_core_is_the_least_that_the_kernel_takes() {
        let limits = limits(Resources { nano_cpus: 1, ..Resources::default() });
        assert_eq!(written(V1, Limit::Cpu, &limits)[1], "cpu.cfs_quota_us=1000");
    }
}
