//! What becomes of runs when agents and machines go down.

use super::*;
use crdt_state::id::{ServiceId, TaskId};
use crdt_state::spec::{Template, TemplateVersion};
use crdt_state::task::Slot;

fn order(number: u8) -> TaskStart {
    TaskStart {
        run: Run { task: TaskId([number; 16]), attempt: 1 },
        service: ServiceId([1; 16]),
        service_name: "web".to_owned(),
        slot: Slot::Number(1),
        template_version: TemplateVersion(1),
        template: Template::default(),
        interfaces: Vec::new(),
    }
}

#[test]
fn after_a_power_loss_everything_has_ended_and_nobody_knows_how() {
    let mut runtime = FakeRuntime::new();
    runtime.start(0, &order(1));
    assert!(runtime.poll(10).is_some());
    runtime.start(10, &order(2));
    runtime.lose_power(11);
    assert_eq!(runtime.running().count(), 0);
    let found = runtime.adopt(100);
    let unknown = RunEvent::Exited { exit: Exit::Unknown, oom: false };
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|found| found.event == unknown));
    assert_eq!(runtime.poll(1_000_000), None);
}

#[test]
fn a_crashed_agent_finds_the_same_processes() {
    let mut runtime = FakeRuntime::new();
    runtime.start(0, &order(1));
    runtime.start(0, &order(2));
    runtime.crash_agent(3);
    assert_eq!((runtime.starting(), runtime.started_at(order(1).run)), (2, None));
    let found = runtime.adopt(4);
    assert_eq!(found[0].event, RunEvent::Started { pid: 1 });
    assert_eq!(found[1].event, RunEvent::Started { pid: 2 });
    assert_eq!((runtime.starting(), runtime.started_at(order(1).run)), (0, Some(5)));
    assert_eq!(runtime.poll(1_000_000), None);
}

#[test]
fn a_crash_loop_ends_as_often_as_it_is_started() {
    let mut runtime = FakeRuntime::new();
    let lives = Lives::For { ms: 0, exit: Exit::Code(1) };
    let on_stop = OnStop::Ignores;
    let crash = Behaviour::Runs { start_delay_ms: 2, lives, on_stop, health: vec![] };
    runtime.script("web", crash);
    for attempt in 1..4 {
        let mut order = order(1);
        order.run.attempt = attempt;
        runtime.start(u64::from(attempt) * 10, &order);
        let due = runtime.deadline().expect("it starts");
        assert!(matches!(runtime.poll(due), Some((_, RunEvent::Started { .. }))));
        assert!(matches!(runtime.poll(due), Some((_, RunEvent::Exited { .. }))));
    }
}

#[test]
fn a_run_ends_at_its_end_whoever_polls() {
    let mut runtime = FakeRuntime::new();
    let run = order(1).run;
    runtime.expire(run, Some(900));
    runtime.start(0, &order(1));
    runtime.expire(run, Some(1_000));
    runtime.crash_agent(500);
    assert_eq!(runtime.running_at(999).count(), 1);
    assert_eq!((runtime.running_at(1_000).count(), runtime.running().count()), (0, 1));
    let found = runtime.adopt(5_000);
    assert_eq!(found[0].event, RunEvent::Exited { exit: KILLED, oom: false });
    runtime.start(6_000, &order(2));
    runtime.expire(order(2).run, Some(7_000));
    runtime.expire(order(2).run, None);
    assert!(
        runtime.poll(9_000).is_some_and(|(_, event)| matches!(event, RunEvent::Started { .. }))
    );
    assert_eq!(runtime.poll(9_000), None);
}
