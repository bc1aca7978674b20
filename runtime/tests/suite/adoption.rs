//! Runs outlive the agent, and the next agent finds them.

use std::time::Duration;

use crdt_state::task::{AdoptedRun, Exit, RunEvent, TaskStart};
use nix::sys::signal::Signal;
use runtime::{Driver, run_dir};

use crate::host::{Host, kill, lives, program, shell, until};

fn only(found: Vec<AdoptedRun>) -> (TaskStart, RunEvent) {
    assert_eq!(found.len(), 1, "{found:?}");
    let found = found.into_iter().next().expect("one");
    (found.start, found.event)
}

#[test]
fn a_run_goes_on_without_an_agent_and_is_found_with_all_it_was_started_from() {
    let mut host = Host::new();
    let mut order = shell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done");
    order.template.labels.insert("shelf".to_owned(), "7".to_owned());
    let pid = host.run(&order);
    host.hear(order.run, "ready");
    host.crash();
    assert!(lives(pid));
    let (found, event) = only(host.adopt());
    assert_eq!((found, event), (order.clone(), RunEvent::Started { pid }));
    assert!(lives(pid));
    assert_eq!(host.stop(order.run, None, 10_000), Exit::Code(5));
}

#[test]
fn an_end_without_an_agent_is_known_to_the_next() {
    let mut host = Host::new();
    let go = host.runs.join("go");
    let order = shell(&format!("while [ ! -e {} ]; do sleep 0.01; done; exit 9", go.display()));
    let pid = host.run(&order);
    host.crash();
    std::fs::write(&go, "").expect("writable");
    until("the program to end", || (!lives(pid)).then_some(()));
    let final_status = host.dir(order.run).join(run_dir::FINAL_STATUS);
    until("its end to be written", || final_status.exists().then_some(()));
    let (_, event) = only(host.adopt());
    assert_eq!(event, RunEvent::Exited { exit: Exit::Code(9), oom: false });
    assert!(host.is_quiet_for(Duration::from_millis(100)));
}

#[test]
fn a_grace_that_runs_when_the_agent_dies_runs_on() {
    let mut host = Host::new();
    let order = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
    let pid = host.run(&order);
    host.hear(order.run, "ready");
    host.driver().stop(order.run, None, 300);
    // Orders are carried out in turn: when the driver is gone, the monitor has this order.
    host.crash();
    until("the kill", || (!lives(pid)).then_some(()));
    until("the end", || {
        let (_, event) = only(host.adopt());
        (event == RunEvent::Exited { exit: Exit::Signal(9), oom: false }).then_some(())
    });
}

#[test]
fn a_start_that_is_under_way_when_the_agent_dies_is_finished() {
    let mut host = Host::new();
    for _ in 0..5 {
        let order = program(&["sleep", "1000"]);
        host.driver().start(&order);
        let found = host.adopt();
        let mine = found.iter().find(|found| found.start.run == order.run).expect("it is found");
        match mine.event {
            RunEvent::Started { pid } => assert!(lives(pid)),
            ref other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_monitor_killed_without_an_agent_takes_its_program_with_it_at_adoption() {
    for mut host in [Host::new(), Host::without_cgroups()] {
        let order = program(&["sleep", "1000"]);
        let pid = host.run(&order);
        let monitor = host.monitor(order.run);
        host.crash();
        kill(monitor, Signal::SIGKILL);
        until("the monitor to die", || (!lives(monitor)).then_some(()));
        assert!(lives(pid));
        let (_, event) = only(host.adopt());
        assert_eq!(event, RunEvent::Exited { exit: Exit::Unknown, oom: false });
        assert!(!lives(pid));
    }
}

/// A foreign process that leads a session, as the program of a run does.
struct Stranger(std::process::Child);

impl Stranger {
    fn new() -> Stranger {
        let mut command = std::process::Command::new("setsid");
        Stranger(command.args(["sleep", "1000"]).spawn().expect("it starts"))
    }

    /// Clock ticks from boot to its start.
    fn started(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()));
        let stat = stat.expect("it runs");
        let fields = stat.rsplit(')').next().expect("it has a name").split_whitespace();
        fields.into_iter().nth(19).and_then(|field| field.parse().ok()).expect("a number")
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_under_a_reused_id_is_left_alone() {
    for same_boot in [true, false] {
        let mut host = Host::new();
        let order = program(&["sleep", "1000"]);
        host.run(&order);
        let dir = host.dir(order.run);
        let status = run_dir::read(&dir, run_dir::STATUS).expect("readable");
        let mut status: run_dir::Status = status.expect("it runs");
        kill(status.monitor.pid, Signal::SIGKILL);
        assert_eq!(host.exit(order.run), Exit::Unknown);
        host.crash();
        let mut stranger = Stranger::new();
        status.program.pid = stranger.0.id();
        status.monitor.pid = stranger.0.id();
        if same_boot {
            status.program.started = stranger.started() - 1;
        } else {
            status.program.started = stranger.started();
            status.boot = "another boot".to_owned();
        }
        run_dir::write(&dir, run_dir::STATUS, &status).expect("writable");
        let (_, event) = only(host.adopt());
        assert_eq!(event, RunEvent::Exited { exit: Exit::Unknown, oom: false });
        let lives = stranger.0.try_wait().expect("it can be waited for").is_none();
        assert!(lives, "a stranger was killed, same boot: {same_boot}");
    }
}
