//! A container's limits, in the terms of an OCI runtime.

use crdt_state::spec::Swap;
use oci_spec::runtime::{
    LinuxCpuBuilder, LinuxDeviceCgroup, LinuxMemory, LinuxPidsBuilder, LinuxResources,
    LinuxResourcesBuilder,
};

use super::HostFeatures;
use crate::cgroup::Limits;

/// Length of the period in which processor time is shared out: Docker's, 100 ms.
const CPU_PERIOD_US: u64 = 100_000;
/// The smallest quota that the kernel accepts, 1 ms.
const CPU_QUOTA_US_MIN: u64 = 1_000;

/// Describes the limits and the rules for devices. A limit of memory covers memory and swap
/// together, unless swap is asked for: a task that exceeds it is killed and started again, instead of making the whole node
/// swap to an SD card.
pub fn resources(
    limits: &Limits,
    devices: Vec<LinuxDeviceCgroup>,
    machine: &HostFeatures,
) -> LinuxResources {
    let mut resources =
        LinuxResourcesBuilder::default().devices(devices).build().expect("all have defaults");
    let Limits { resources: limits, swap, swappiness } = limits;
    if limits.memory_bytes > 0 {
        let mut memory = LinuxMemory::default();
        memory.set_limit(Some(signed(limits.memory_bytes)));
        if machine.swap_limit {
            memory.set_swap(Some(match swap {
                None => signed(limits.memory_bytes),
                Some(Swap::Bytes(bytes)) => signed(limits.memory_bytes.saturating_add(*bytes)),
                Some(Swap::Unlimited) => -1,
            }));
        }
        resources.set_memory(Some(memory));
    }
    if let Some(swappiness) = swappiness {
        let mut memory = resources.memory().unwrap_or_default();
        memory.set_swappiness(Some(u64::from(*swappiness)));
        resources.set_memory(Some(memory));
    }
    if limits.nano_cpus > 0 {
        let quota = (limits.nano_cpus / (1_000_000_000 / CPU_PERIOD_US)).max(CPU_QUOTA_US_MIN);
        let cpu = LinuxCpuBuilder::default().quota(signed(quota)).period(CPU_PERIOD_US);
        resources.set_cpu(Some(cpu.build().expect("all have defaults")));
    }
    if limits.pids > 0 {
        let pids = LinuxPidsBuilder::default().limit(signed(limits.pids));
        resources.set_pids(Some(pids.build().expect("all have defaults")));
    }
    resources
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    use crdt_state::spec::Resources;

    fn limits(resources: Resources) -> Limits {
        Limits { resources, ..Limits::default() }
    }

    #[test]
    fn swap_is_part_of_the_memory_where_the_kernel_accounts_for_it() {
        let limits = limits(Resources { memory_bytes: 64 << 20, ..Resources::default() });
        let found = resources(&limits, vec![], &machine());
        let memory = found.memory().expect("it is limited");
        assert_eq!((memory.limit(), memory.swap()), (Some(64 << 20), Some(64 << 20)));
        let machine = HostFeatures { swap_limit: false, ..machine() };
        let found = resources(&limits, vec![], &machine);
        assert_eq!(found.memory().expect("it is limited").swap(), None);
    }

    #[test]
    fn processors_are_a_share_of_a_period() {
        let given = Resources { nano_cpus: 1_500_000_000, pids: 7, ..Resources::default() };
        let found = resources(&limits(given), vec![], &machine());
        let cpu = found.cpu().clone().expect("it is limited");
        assert_eq!((cpu.quota(), cpu.period()), (Some(150_000), Some(100_000)));
        assert_eq!(found.pids().map(|pids| pids.limit()), Some(7));
        let given = Resources { nano_cpus: 1, ..Resources::default() };
        let cpu =
            resources(&limits(given), vec![], &machine()).cpu().clone().expect("it is limited");
        assert_eq!(cpu.quota(), Some(1_000));
    }

    #[test]
    fn nothing_asked_is_nothing_limited() {
        let found = resources(&Limits::default(), vec![], &machine());
        assert!(found.memory().is_none() && found.cpu().is_none() && found.pids().is_none());
    }
    #[test]
    fn swap_that_is_asked_for_comes_on_top() {
        let memory = Resources { memory_bytes: 64 << 20, ..Resources::default() };
        for (swap, together) in [(Swap::Bytes(1), (64 << 20) + 1), (Swap::Unlimited, -1)] {
            let limits = Limits { swap: Some(swap), swappiness: Some(9), ..limits(memory.clone()) };
            let found = resources(&limits, vec![], &machine()).memory().expect("it is limited");
            assert_eq!((found.swap(), found.swappiness()), (Some(together), Some(9)));
        }
    }
}
