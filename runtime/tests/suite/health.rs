//! Health commands of real programs.

use std::fs;
use std::time::Duration;

use runtime::Driver;

use crate::host::{Host, count_of, lives, pid_in, program, unique_sleep, until, wakes};
use crdt_state::spec::HealthCheck;
use crdt_state::task::{Exit, Health, Run, RunEvent, TaskStart};

fn checked(test: &[&str]) -> TaskStart {
    let mut order = program(&["sleep", "1000"]);
    order.template.health = Some(HealthCheck {
        test: test.iter().map(|word| (*word).to_owned()).collect(),
        interval_ms: 20,
        timeout_ms: 10_000,
        retries: 2,
        start_period_ms: 0,
        start_interval_ms: 0,
    });
    order
}

fn verdict(host: &mut Host, run: Run) -> Health {
    match host.next() {
        (of, RunEvent::HealthChanged(health)) if of == run => health,
        other => panic!("no verdict: {other:?}"),
    }
}

#[test]
fn the_verdict_follows_the_command_also_past_a_crash_of_the_agent() {
    let mut host = Host::new();
    let flag = host.runs.join("flag");
    let mut order = checked(&["CMD-SHELL", "test -e $FLAG && test $PWD = /usr"]);
    order.template.env = vec![format!("FLAG={}", flag.display())];
    order.template.dir = Some("/usr".to_owned());
    host.run(&order);
    assert_eq!(verdict(&mut host, order.run), Health::Unhealthy);
    fs::write(&flag, "").expect("writable");
    assert_eq!(verdict(&mut host, order.run), Health::Healthy);
    assert_eq!(host.adopt().len(), 1);
    assert_eq!(verdict(&mut host, order.run), Health::Healthy);
    fs::remove_file(&flag).expect("removable");
    assert_eq!(verdict(&mut host, order.run), Health::Unhealthy);
}

#[test]
fn a_command_that_hangs_is_killed_with_all_it_started() {
    let mut host = Host::new();
    let pid = host.runs.join("pid");
    let mut order = checked(&["CMD-SHELL", &format!("echo $$ > {}; sleep 1000; :", pid.display())]);
    let health = order.template.health.as_mut().expect("it has one");
    health.timeout_ms = 50;
    health.retries = 1;
    host.run(&order);
    let check = pid_in(&pid);
    assert_eq!(verdict(&mut host, order.run), Health::Unhealthy);
    until("the check to die", || (!lives(check)).then_some(()));
}

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    for mut host in [Host::new(), Host::without_cgroups()] {
        let seconds = unique_sleep();
        // Each with a process group of its own, as a shell starts background processes.
        let line =
            format!("set -m; sleep {seconds} & (sleep {seconds} & sleep {seconds}) & exit 1");
        let mut order = checked(&["CMD-SHELL", &line]);
        order.template.health.as_mut().expect("it has one").interval_ms = 500;
        host.run(&order);
        assert_eq!(verdict(&mut host, order.run), Health::Unhealthy);
        until("all of it is ended", || (count_of(&seconds) == 0).then_some(()));
    }
}

#[test]
fn a_command_that_is_not_there_makes_a_task_unhealthy() {
    let mut host = Host::new();
    let order = checked(&["CMD", "no-such-check"]);
    host.run(&order);
    assert_eq!(verdict(&mut host, order.run), Health::Unhealthy);
}

#[test]
fn a_check_dies_with_its_run() {
    let mut host = Host::new();
    let pid = host.runs.join("pid");
    let order = checked(&["CMD-SHELL", &format!("echo $$ > {}; exec sleep 1000", pid.display())]);
    host.run(&order);
    let check = pid_in(&pid);
    host.stop(order.run, None, 0);
    assert!(!lives(check));
}

#[test]
fn a_grace_is_waited_for_without_work() {
    let mut host = Host::new();
    let mut order = checked(&["CMD", "true"]);
    order.template.command =
        ["sh", "-c", "trap '' TERM; sleep 1000; :"].map(str::to_owned).to_vec();
    host.run(&order);
    assert_eq!(verdict(&mut host, order.run), Health::Healthy);
    let monitor = host.monitor(order.run);
    let before = wakes(monitor);
    host.driver().stop(order.run, None, 500);
    assert!(host.is_quiet_for(Duration::from_millis(400)));
    // A monitor that still handled the unneeded health check would wake every millisecond.
    let woken = wakes(monitor) - before;
    assert!(woken < 50, "{woken}");
    assert_eq!(host.exit(order.run), Exit::Signal(9));
}
