//! Control groups of containers, the same with each runtime: limits are in force, no group is
//! removed while it is used, and none is left behind.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crdt_state::spec::{Extension, Resources, Swap};
use crdt_state::task::{Exit, RunEvent};
use runtime::cgroup::{self, CgroupPlan, mounts};
use runtime::run_dir;

use crate::cgroups::{groups_of, says_swap, says_swappiness};
use crate::host::{Host, lives, until};
use crate::test_images::{container, shell};

fn a_container_beyond_its_memory_is_killed_and_said_to_be(host: &mut Host) {
    // `dd` needs all this memory in one process; runc itself needs some to begin with.
    let mut order = container(&["dd", "if=/dev/zero", "of=/dev/null", "bs=256M", "count=1"]);
    order.template.limits = Resources { memory_bytes: 48 << 20, ..Resources::default() };
    host.run(&order);
    assert_eq!(host.next().1, RunEvent::Exited { exit: Exit::Signal(9), oom: true });
}

/// Only a privileged container may change its own limits.
fn a_container_cannot_lift_its_limits(host: &mut Host) {
    let line = "cd /sys/fs/cgroup; for limit in memory/memory.limit_in_bytes memory.max pids/pids.max \
                pids.max cpu/cpu.cfs_quota_us; do [ -e $limit ] && echo 9999999 > $limit && echo lifted; \
                done; for group in . *; do [ -e $group/cgroup.procs ] && mkdir $group/sub && echo made; \
                done; echo tried";
    let mut order = shell(line);
    order.template.limits = Resources { memory_bytes: 64 << 20, pids: 50, ..Resources::default() };
    host.run(&order);
    host.hear(order.run, "tried");
    let said = host.said(order.run);
    assert!(!said.contains("lifted") && !said.contains("made"), "{said}");
    assert!(said.contains("Read-only file system"), "it has some: {said}");
}

/// Making a container takes more processes than it may have.
fn a_container_of_one_process_can_be_made(host: &mut Host) {
    let mut order = shell("echo ready; sleep 0 || echo alone; exec sleep 1000");
    order.template.limits = Resources { pids: 1, ..Resources::default() };
    host.run(&order);
    host.hear(order.run, "ready");
    until("the shell to fail to fork", || host.said(order.run).contains("fork").then_some(()));
    host.stop(order.run, None, 0);
}

fn limits_are_in_force_and_nothing_stays(host: &mut Host) {
    let mut order = shell("echo ready; sleep 1000");
    order.template.limits = Resources {
        nano_cpus: 500_000_000,
        memory_bytes: 64 << 20,
        pids: 20,
        ..Resources::default()
    };
    let pid = host.run(&order);
    host.hear(order.run, "ready");
    let node = host.cgroup_node.clone().expect("it has cgroups");
    let name = run_dir::name(order.run);
    let groups = || -> Vec<_> {
        let all = mounts::detect().into_iter();
        let own = all.map(|found| found.root.join(format!("edgectl/{node}/{name}")));
        own.filter(|dir| dir.exists()).collect()
    };
    let read = |file: &str| groups().iter().find_map(|dir| fs::read_to_string(dir.join(file)).ok());
    let either = |files: [&str; 2]| files.into_iter().find_map(read).unwrap_or_default();
    assert_eq!(either(["memory.limit_in_bytes", "memory.max"]).trim(), "67108864");
    assert_eq!(either(["pids.max", "pids.max"]).trim(), "20");
    assert!(either(["cpu.cfs_quota_us", "cpu.max"]).starts_with("50000"));
    says_swap(&groups(), "67108864", "0");
    let members = read("cgroup.procs").unwrap_or_default();
    assert!(members.lines().any(|member| member == pid.to_string()), "{members}");
    host.stop(order.run, None, 0);
    let monitor = host.monitor(order.run);
    until("the monitor to end", || (!lives(monitor)).then_some(()));
    assert_eq!(groups(), Vec::<std::path::PathBuf>::new());
    let dir = host.dir(order.run);
    for left in ["rootfs", "upper", "work", "oci"] {
        assert!(!dir.join(left).exists(), "{left}");
    }
    let mounted = fs::read_to_string("/proc/self/mountinfo").expect("readable");
    assert!(!mounted.contains(&name), "no mount is seen outside");
}

fn swap_and_swappiness_are_in_force(host: &mut Host) {
    let mut order = shell("echo ready; sleep 1000");
    order.template.limits = Resources { memory_bytes: 64 << 20, ..Resources::default() };
    order.template.extension =
        Extension { swap: Some(Swap::Bytes(1 << 20)), swappiness: Some(7), ..Default::default() };
    host.run(&order);
    host.hear(order.run, "ready");
    let groups = groups_of(host, order.run);
    says_swap(&groups, "68157440", "1048576");
    says_swappiness(host, order.run, &groups, "7");
    host.stop(order.run, None, 0);
}

/// The run that ends last removes the parent groups, while another run begins.
fn a_container_begins_while_others_end(host: &mut Host) {
    let node = host.cgroup_node.clone().expect("it has cgroups");
    let plan = CgroupPlan { hierarchies: mounts::detect(), path: format!("edgectl/{node}/ended") };
    let begun = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !begun.load(Ordering::Relaxed) {
                cgroup::remove_parents(&plan);
                thread::sleep(Duration::from_micros(50));
            }
        });
        let _stop = Raised(&begun);
        for _ in 0..5 {
            let order = shell("true");
            host.run(&order);
            host.exit(order.run);
        }
    });
}

/// Set on drop, so that it is set when a test fails too.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

every_runtime!(
    a_container_beyond_its_memory_is_killed_and_said_to_be,
    a_container_cannot_lift_its_limits,
    a_container_of_one_process_can_be_made,
    limits_are_in_force_and_nothing_stays,
    swap_and_swappiness_are_in_force,
    a_container_begins_while_others_end,
);
