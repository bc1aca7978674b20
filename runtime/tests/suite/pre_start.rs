//! Commands before the program of a run: with each OCI runtime, and for programs of the host.

use crdt_state::spec::{Mount, MountSource};
use crdt_state::task::{Exit, RunEvent, TaskStart};
use runtime::Driver;

use crate::host::{self, Host, lives, pid_in, until};
use crate::test_images;

fn before(mut start: TaskStart, lines: &[&str]) -> TaskStart {
    let shell = |line: &&str| ["/bin/sh", "-c", *line].map(str::to_owned).to_vec();
    start.template.extension.pre_start = lines.iter().map(shell).collect();
    start
}

/// A volume of the run, which all of its containers have.
fn with_volume(mut start: TaskStart) -> TaskStart {
    let (name, no_copy, labels) = (String::new(), false, Default::default());
    let source = MountSource::Volume { name, no_copy, labels };
    let mount = Mount { source, target: "/data".to_owned(), read_only: false };
    start.template.container.mounts.push(mount);
    start
}

/// The log is not there before somebody said something.
fn has_said_ready(host: &Host, order: &TaskStart) -> Option<()> {
    let log = std::fs::read(host.dir(order.run).join("log")).unwrap_or_default();
    String::from_utf8_lossy(&log).contains("ready").then_some(())
}

fn commands_run_in_order_with_the_mounts_and_variables_of_the_task(host: &mut Host) {
    let fresh = "[ -e /made ] || echo fresh";
    let line = format!("cat /data/list; {fresh}; echo main; exec sleep 1000");
    let first = "echo one $COLOUR | tee /data/list; echo x > /made";
    let second = format!("echo two | tee -a /data/list; {fresh}");
    let mut order = before(with_volume(test_images::shell(&line)), &[first, &second]);
    order.template.env.push("COLOUR=blue".to_owned());
    host.run(&order);
    host.hear(order.run, "main");
    // Each has a root of its own.
    let said = ["one blue", "two", "fresh", "one blue", "two", "fresh", "main"];
    assert_eq!(host.said(order.run).lines().collect::<Vec<_>>(), said);
    assert_eq!(host.stop(order.run, None, 0), Exit::Signal(9));
}

fn a_failing_command_ends_the_start_and_is_named_with_its_code(host: &mut Host) {
    let order =
        before(test_images::shell("echo main"), &["true", "echo oops; exit 3", "echo third"]);
    let (permanent, reason) = host.refusal(&order);
    assert!(!permanent, "it is tried again");
    assert!(reason.contains("`/bin/sh -c echo oops; exit 3` exited with code 3"), "{reason}");
    let said = host.said(order.run);
    assert!(said.contains("oops") && !said.contains("third") && !said.contains("main"), "{said}");
}

fn a_stop_ends_the_command_and_the_program_never_begins(host: &mut Host) {
    let order = before(test_images::shell("echo main"), &["echo ready; exec sleep 1000"]);
    host.driver().start(&order);
    until("the command to run", || has_said_ready(host, &order));
    host.driver().stop(order.run, None, 0);
    assert_eq!(host.next().1, RunEvent::Exited { exit: Exit::Signal(9), oom: false });
    assert!(!host.said(order.run).contains("main"));
}

every_runtime!(
    commands_run_in_order_with_the_mounts_and_variables_of_the_task,
    a_failing_command_ends_the_start_and_is_named_with_its_code,
    a_stop_ends_the_command_and_the_program_never_begins,
);

#[test]
fn a_program_of_the_host_has_them_too() {
    let mut host = Host::new();
    let order = before(host::shell("echo main; exec sleep 1000"), &["echo one", "echo two"]);
    host.run(&order);
    host.hear(order.run, "main");
    assert_eq!(host.said(order.run), "one\ntwo\nmain\n");
    let mut missing = host::shell("echo main");
    missing.template.extension.pre_start = vec![vec!["no-such-program".to_owned()]];
    let (permanent, reason) = host.refusal(&missing);
    assert!(permanent && reason.contains("no-such-program"), "{reason}");
}

/// What the next agent finds is not a program that runs: it ends it, and begins anew.
#[test]
fn a_start_that_the_agent_left_in_between_begins_anew() {
    let mut host = Host::new();
    let line = "echo $$ > child; echo ready; exec sleep 1000";
    let mut order = before(host::shell("echo main"), &[line]);
    let dir = tempfile::tempdir().expect("a folder");
    order.template.dir = Some(dir.path().display().to_string());
    host.driver().start(&order);
    until("the command to run", || has_said_ready(&host, &order));
    let child = pid_in(&dir.path().join("child"));
    assert_eq!(host.adopt(), []);
    until("the command to end", || (!lives(child)).then_some(()));
}
