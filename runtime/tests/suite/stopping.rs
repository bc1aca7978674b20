//! How runs end: by a signal, by force, and with all processes that they started.

use std::time::Instant;

use crdt_state::task::Exit;
use nix::sys::signal::Signal;
use runtime::Driver;

use crate::host::{Host, kill, lives, pid_in, program, shell, until};

#[test]
fn the_signal_is_the_one_that_was_asked_for() {
    let mut host = Host::new();
    let line = "trap 'exit 10' USR1; trap 'exit 11' QUIT; echo ready; while :; do sleep 0.01; done";
    for (given, of_template, code) in [
        (Some("SIGUSR1"), None, 10),
        (Some("quit"), None, 11),
        (Some("10"), None, 10),
        (None, Some("USR1"), 10),
    ] {
        let mut order = shell(line);
        order.template.stop_signal = of_template.map(str::to_owned);
        host.run(&order);
        host.hear(order.run, "ready");
        assert_eq!(host.stop(order.run, given, 10_000), Exit::Code(code));
    }
}

#[test]
fn a_program_that_ignores_the_signal_is_killed_after_its_grace() {
    let mut host = Host::new();
    let order = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
    host.run(&order);
    host.hear(order.run, "ready");
    let asked = Instant::now();
    assert_eq!(host.stop(order.run, None, 300), Exit::Signal(9));
    assert!(asked.elapsed().as_millis() >= 300, "{:?}", asked.elapsed());
}

#[test]
fn without_grace_it_is_killed_at_once() {
    let mut host = Host::new();
    let order = program(&["sleep", "1000"]);
    host.run(&order);
    assert_eq!(host.stop(order.run, None, 0), Exit::Signal(9));
}

/// A tree of processes: a plain child, one in a session of its own, and a daemon that lost its
/// parent.
fn family(host: &Host) -> String {
    let dir = host.runs.display();
    format!(
        "sleep 1001 & echo $! > {dir}/child; \
         setsid sh -c 'echo $$ > {dir}/session; sleep 1002; :' & \
         (setsid sh -c 'echo $$ > {dir}/daemon; trap \"\" TERM HUP; sleep 1003; :' &) & \
         while [ ! -s {dir}/daemon -o ! -s {dir}/session ]; do sleep 0.01; done; echo born; "
    )
}

fn none_is_left(host: &Host) {
    for name in ["child", "session", "daemon"] {
        let pid = pid_in(&host.runs.join(name));
        assert!(!lives(pid), "{name} outlived its run");
    }
}

#[test]
fn nothing_that_a_program_started_outlives_it() {
    for mut host in [Host::new(), Host::without_cgroups()] {
        let order = shell(&(family(&host) + "exit 4"));
        host.run(&order);
        assert_eq!(host.exit(order.run), Exit::Code(4));
        none_is_left(&host);
    }
}

#[test]
fn nothing_that_a_program_started_outlives_its_stop() {
    for mut host in [Host::new(), Host::without_cgroups()] {
        let order = shell(&(family(&host) + "exec sleep 1000"));
        host.run(&order);
        host.hear(order.run, "born");
        assert_eq!(host.stop(order.run, None, 10_000), Exit::Signal(15));
        none_is_left(&host);
    }
}

#[test]
fn nothing_outlives_a_monitor_that_was_killed() {
    for mut host in [Host::new(), Host::without_cgroups()] {
        let order = shell(&(family(&host) + "exec sleep 1000"));
        let pid = host.run(&order);
        host.hear(order.run, "born");
        kill(host.monitor(order.run), Signal::SIGKILL);
        assert_eq!(host.exit(order.run), Exit::Unknown);
        assert!(!lives(pid));
        none_is_left(&host);
    }
}

#[test]
fn an_ended_run_leaves_no_process_behind_not_even_a_dead_one() {
    let mut host = Host::new();
    let order = program(&["true"]);
    host.run(&order);
    let monitor = host.monitor(order.run);
    host.exit(order.run);
    let stat = format!("/proc/{monitor}/stat");
    until("the monitor to be gone", || (!std::path::Path::new(&stat).exists()).then_some(()));
}

#[test]
fn a_monitor_that_is_asked_to_end_stops_its_program_first() {
    let mut host = Host::new();
    let order = shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
    host.run(&order);
    host.hear(order.run, "ready");
    kill(host.monitor(order.run), Signal::SIGTERM);
    assert_eq!(host.exit(order.run), Exit::Code(7));
}

#[test]
fn a_forgotten_run_leaves_no_folder_and_no_cgroup() {
    let mut host = Host::new();
    let order = program(&["sleep", "1000"]);
    let pid = host.run(&order);
    let dir = host.dir(order.run);
    host.driver().forget(order.run);
    until("the folder to go", || (!dir.exists()).then_some(()));
    assert!(!lives(pid));
    let node = host.cgroup_node.clone().expect("it has cgroups");
    let groups = runtime::cgroup::mounts::detect();
    assert!(groups.iter().all(|group| !group.root.join("edgectl").join(&node).exists()));
}
