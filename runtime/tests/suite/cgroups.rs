//! Limits, where the machine can enforce them.

use std::fs;
use std::path::PathBuf;

use crdt_state::spec::{Extension, Resources, Swap};
use crdt_state::task::{Exit, Run, RunEvent};
use runtime::Driver;
use runtime::cgroup::mounts::{self, Controller};
use runtime::run_request::{RunReply, RunRequest, handle_run_request};

use crate::host::{Host, is_root, program, shell};

/// Can this machine limit it? Limits need root and the controller.
fn can(controller: Controller) -> bool {
    let there = mounts::detect().iter().any(|hierarchy| hierarchy.has(controller));
    if !there {
        eprintln!("SKIPPED without the controller {}", controller.name());
    }
    there && is_root("cgroup limits")
}

#[test]
fn a_program_beyond_its_memory_is_killed_and_said_to_be() {
    if !can(Controller::Memory) {
        return;
    }
    let mut host = Host::new();
    let mut order = program(&["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]);
    order.template.limits = Resources { memory_bytes: 16 << 20, ..Resources::default() };
    host.driver().start(&order);
    assert!(matches!(host.next().1, RunEvent::Started { .. }));
    assert_eq!(host.next().1, RunEvent::Exited { exit: Exit::Signal(9), oom: true });
}

#[test]
fn a_program_killed_by_a_person_is_not_said_to_lack_memory() {
    if !can(Controller::Memory) {
        return;
    }
    let mut host = Host::new();
    let mut order = program(&["sleep", "1000"]);
    order.template.limits = Resources { memory_bytes: 16 << 20, ..Resources::default() };
    host.run(&order);
    host.driver().stop(order.run, None, 0);
    assert_eq!(host.next().1, RunEvent::Exited { exit: Exit::Signal(9), oom: false });
}

#[test]
fn a_program_cannot_have_more_processes_than_its_limit() {
    if !can(Controller::Pids) {
        return;
    }
    let mut host = Host::new();
    let mut order = shell("for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all");
    order.template.limits = Resources { pids: 4, ..Resources::default() };
    host.run(&order);
    assert_ne!(host.exit(order.run), Exit::Code(0));
    assert!(!host.said(order.run).contains("all"));
}

#[test]
fn all_limits_are_in_force_and_gone_with_the_run() {
    if !can(Controller::Cpu) {
        return;
    }
    let mut host = Host::new();
    let mut order = program(&["sleep", "1000"]);
    order.template.limits = Resources {
        nano_cpus: 500_000_000,
        memory_bytes: 32 << 20,
        pids: 10,
        ..Resources::default()
    };
    host.run(&order);
    let node = host.cgroup_node.clone().expect("it has cgroups");
    let path = format!("edgectl/{node}/{}", runtime::run_dir::name(order.run));
    let dirs: Vec<_> =
        mounts::detect().iter().map(|h| h.root.join(&path)).filter(|d| d.exists()).collect();
    let says = |files: &[&str], value: &str| {
        let read = |dir: &std::path::PathBuf, file: &&str| fs::read_to_string(dir.join(file)).ok();
        let mut texts = dirs.iter().flat_map(|dir| files.iter().filter_map(move |f| read(dir, f)));
        assert!(texts.any(|text| text.trim() == value), "{files:?} say {value}");
    };
    says(&["memory.limit_in_bytes", "memory.max"], "33554432");
    says(
        &["cpu.cfs_quota_us", "cpu.max"],
        if dirs.iter().any(|d| d.join("cpu.max").exists()) { "50000 100000" } else { "50000" },
    );
    says(&["pids.max"], "10");
    says_swap(&dirs, "33554432", "0");
    host.stop(order.run, None, 0);
    assert!(dirs.iter().all(|dir| !dir.exists()), "{dirs:?}");
}

/// Swap on top of the limit of memory, as far as the kernel accounts for it, and the swappiness,
/// which only version 1 has: version 2 says so.
#[test]
fn swap_on_top_of_memory_and_swappiness_are_in_force() {
    if !can(Controller::Memory) {
        return;
    }
    for (swap, together, alone) in [
        (Swap::Bytes(1 << 20), "34603008", "1048576"),
        // No limit is shown as the largest number of pages.
        (Swap::Unlimited, "9223372036854771712", "max"),
    ] {
        let mut host = Host::new();
        let mut order = program(&["sleep", "1000"]);
        order.template.limits = Resources { memory_bytes: 32 << 20, ..Resources::default() };
        order.template.extension =
            Extension { swap: Some(swap), swappiness: Some(7), ..Default::default() };
        host.run(&order);
        let dirs = groups_of(&host, order.run);
        says_swap(&dirs, together, alone);
        says_swappiness(&mut host, order.run, &dirs, "7");
        host.stop(order.run, None, 0);
    }
}

/// The groups of a run that exist.
pub fn groups_of(host: &Host, run: Run) -> Vec<PathBuf> {
    let node = host.cgroup_node.clone().expect("it has cgroups");
    let path = format!("edgectl/{node}/{}", runtime::run_dir::name(run));
    mounts::detect().iter().map(|found| found.root.join(&path)).filter(|dir| dir.exists()).collect()
}

/// Checks that the swappiness is in force, or that it is said not to be.
pub fn says_swappiness(host: &mut Host, run: Run, dirs: &[PathBuf], value: &str) {
    let texts =
        dirs.iter().filter_map(|dir| fs::read_to_string(dir.join("memory.swappiness")).ok());
    let texts: Vec<_> = texts.collect();
    if texts.is_empty() {
        let (noted, event) = host.next_of_all();
        let RunEvent::Noted { message } = event else { panic!("{event:?}") };
        assert!(noted == run && message.contains("the swappiness of"), "{message}");
    }
    assert!(texts.iter().all(|text| text.trim() == value), "{texts:?}");
}

/// Checks that a limit of memory covers swap, where the kernel accounts for swap.
pub fn says_swap(dirs: &[PathBuf], together: &str, alone: &str) {
    let files = [("memory.memsw.limit_in_bytes", together), ("memory.swap.max", alone)];
    for (file, value) in files {
        for text in dirs.iter().filter_map(|dir| fs::read_to_string(dir.join(file)).ok()) {
            assert_eq!(text.trim(), value, "{file}");
        }
    }
}

#[test]
fn limits_that_cannot_be_enforced_are_told_and_do_not_refuse() {
    let mut host = Host::without_cgroups();
    let mut order = program(&["sleep", "1000"]);
    order.template.limits = Resources { memory_bytes: 1 << 20, pids: 1, ..Resources::default() };
    let pid = host.run(&order);
    let note = |host: &mut Host| match host.next_of_all() {
        (run, RunEvent::Noted { message }) if run == order.run => message,
        other => panic!("it says nothing: {other:?}"),
    };
    let said = note(&mut host);
    assert!(said.contains("1048576 bytes of memory is not enforced"), "{said}");
    assert!(said.contains("1 processes is not enforced"), "{said}");
    assert!(said.contains("no memory controller"), "{said}");

    // The next agent reports it again: the previous one may not have reported it.
    let adopted = host.adopt();
    assert_eq!(adopted[0].event, RunEvent::Started { pid });
    assert_eq!(note(&mut host), said);
}

#[test]
fn a_machine_without_cgroups_can_limit_nothing() {
    let mut host = Host::without_cgroups();
    let ability = host.driver().ability();
    assert_eq!((ability.version, ability.swap), (None, false));
    assert!(Controller::LIMITING.into_iter().all(|controller| !ability.limits(controller)));
    let mut host = Host::new();
    for controller in Controller::LIMITING.into_iter().filter(|controller| can(*controller)) {
        assert!(host.driver().ability().limits(controller), "{}", controller.name());
    }
}

/// Counted without any limit, and including its children.
#[test]
fn what_a_program_without_limits_uses_is_counted() {
    if !can(Controller::Memory) {
        return;
    }
    let mut host = Host::new();
    let order = shell(
        "sleep 1000 & dd if=/dev/zero of=/dev/null bs=1M count=2000 2>/dev/null; echo ready; wait",
    );
    host.run(&order);
    host.hear(order.run, "ready");
    let RunReply::Stats(sample) =
        handle_run_request(&host.dir(order.run), &RunRequest::Stats).expect("it runs")
    else {
        panic!("it was asked for");
    };
    assert!(sample.memory.used > 0 && !sample.memory.details.is_empty(), "{:?}", sample.memory);
    assert!(sample.cpu.total_ns > 20_000_000, "its child counts: {:?}", sample.cpu);
    assert_eq!((sample.pids, sample.pids_limit), (2, 0));
}
