//! Until when a run may live: its monitor keeps that, whatever becomes of the agent.

use crdt_state::task::{Exit, RunEvent};
use runtime::{Driver, boot_clock};

use crate::host::{Host, lives, program, shell, until};

fn in_ms(ms: u64) -> Option<u64> {
    Some(boot_clock::now_ms() + ms)
}

/// Waits for the end, and for as long after it as a kill takes.
fn let_pass(end: Option<u64>) {
    until("the end is over", || (end? + 200 < boot_clock::now_ms()).then_some(()));
}

#[test]
fn a_run_without_an_agent_is_killed_at_its_end() {
    let mut host = Host::new();
    let order = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
    let end = in_ms(1_500);
    host.driver().expire(order.run, end);
    let pid = host.run(&order);
    host.crash();
    until("the kill", || (!lives(pid)).then_some(()));
    assert!(end.is_some_and(|end| boot_clock::now_ms() >= end), "not before its end");
    let found = host.adopt();
    let killed = RunEvent::Exited { exit: Exit::Signal(9), oom: false };
    // The program is gone a moment before its monitor has written how it ended.
    let told = match &found[0].event {
        RunEvent::Started { .. } => host.next().1,
        event => event.clone(),
    };
    assert_eq!(told, killed);
}

#[test]
fn an_end_is_put_off_and_lifted_while_it_runs() {
    let mut host = Host::new();
    let order = program(&["sleep", "1000"]);
    let end = in_ms(400);
    host.driver().expire(order.run, end);
    let pid = host.run(&order);
    host.driver().expire(order.run, in_ms(3_600_000));
    let_pass(end);
    assert!(lives(pid), "it was put off");
    let end = in_ms(300);
    host.driver().expire(order.run, end);
    host.driver().expire(order.run, None);
    let_pass(end);
    assert!(lives(pid), "it was lifted");
    host.driver().expire(order.run, in_ms(0));
    assert_eq!(host.exit(order.run), Exit::Signal(9));
}

#[test]
fn the_next_agent_puts_off_an_end() {
    let mut host = Host::new();
    let order = program(&["sleep", "1000"]);
    let end = in_ms(2_000);
    host.driver().expire(order.run, end);
    let pid = host.run(&order);
    host.crash();
    host.adopt();
    host.driver().expire(order.run, None);
    let_pass(end);
    assert!(lives(pid));
}

#[test]
fn what_should_have_ended_does_not_start() {
    let mut host = Host::new();
    let order = program(&["sleep", "1000"]);
    host.driver().expire(order.run, in_ms(0));
    host.driver().start(&order);
    let (_, event) = host.next();
    assert!(matches!(event, RunEvent::Refused { permanent: false, .. }), "{event:?}");
}
