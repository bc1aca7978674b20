//! A container's limits, in the terms of an OCI runtime.

use crdt_state::spec::Resources;
use oci_spec::runtime::{
    LinuxCpuBuilder, LinuxDeviceCgroup, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources,
    LinuxResourcesBuilder,
};

use super::HostFeatures;

/// Length of the period in which processor time is shared out: Docker's, 100 ms.
const CPU_PERIOD_US: u64 = 100_000;
/// The smallest quota that the kernel accepts, 1 ms.
const CPU_QUOTA_US_MIN: u64 = 1_000;

/// Describes the limits and the rules for devices. A limit of memory covers memory and swap
/// together: a task that exceeds it is killed and started again, instead of making the whole node
/// swap to an SD card.
pub fn resources(
    limits: &Resources,
    devices: Vec<LinuxDeviceCgroup>,
    machine: &HostFeatures,
) -> LinuxResources {
    let mut resources =
        LinuxResourcesBuilder::default().devices(devices).build().expect("all have defaults");
    if limits.memory_bytes > 0 {
        let bytes = signed(limits.memory_bytes);
        let mut memory =
            LinuxMemoryBuilder::default().limit(bytes).build().expect("all have defaults");
        if machine.swap_limit {
            memory.set_swap(Some(bytes));
        }
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

    #[test]
    fn swap_is_part_of_the_memory_where_the_kernel_accounts_for_it() {
        let limits = Resources { memory_bytes: 64 << 20, ..Resources::default() };
        let found = resources(&limits, vec![], &machine());
        let memory = found.memory().expect("it is limited");
        assert_eq!((memory.limit(), memory.swap()), (Some(64 << 20), Some(64 << 20)));
        let machine = HostFeatures { swap_limit: false, ..machine() };
        let found = resources(&limits, vec![], &machine);
        assert_eq!(found.memory().expect("it is limited").swap(), None);
    }

    #[test]
    fn processors_are_a_share_of_a_period() {
        let limits = Resources { nano_cpus: 1_500_000_000, pids: 7, ..Resources::default() };
        let found = resources(&limits, vec![], &machine());
        let cpu = found.cpu().clone().expect("it is limited");
        assert_eq!((cpu.quota(), cpu.period()), (Some(150_000), Some(100_000)));
        assert_eq!(found.pids().map(|pids| pids.limit()), Some(7));
        let limits = Resources { nano_cpus: 1, ..Resources::default() };
        let cpu = resources(&limits, vec![], &machine()).cpu().clone().expect("it is limited");
        assert_eq!(cpu.quota(), Some(1_000));
    }

    #[test]
    fn nothing_asked_is_nothing_limited() {
        let found = resources(&Resources::default(), vec![], &machine());
        assert!(found.memory().is_none() && found.cpu().is_none() && found.pids().is_none());
    }
}
