//! Updates that fail, and rollbacks, by Docker's own client: what it does, and what it says.

use std::process::Output;

use super::fleet::Fleet;
use super::has_docker;

const GOOD: &str = "while :; do sleep 1; done";

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn run(fleet: &Fleet, node: usize, arguments: &[&str]) -> String {
    let output = fleet.docker(node, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// A service of three tasks whose updates are quick to judge.
fn create(fleet: &Fleet, more: &[&str]) {
    let begin = ["service", "create", "-d", "--name", "web", "--stop-grace-period", "1s"];
    let pace = ["--update-monitor", "1s", "--rollback-monitor", "1s", "--replicas", "3"];
    let program = ["process:/bin/sh", "-c", GOOD];
    run(fleet, 1, &[&begin[..], &pace, more, &program].concat());
    fleet.until("three run", || fleet.running(1, "web") == 3);
}

/// The state of its rollout as this node says it, and why.
fn state(fleet: &Fleet, node: usize) -> (String, String) {
    let status = fleet.get(node, "/services/web").json()["UpdateStatus"].clone();
    let word = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
    (word("State"), word("Message"))
}

fn shown_command(fleet: &Fleet) -> String {
    let shown = fleet.get(2, "/services/web").json();
    shown["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"].to_string()
}

#[test]
fn an_update_that_fails_is_rolled_back_and_dockers_client_says_why() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(141, 2);
    create(&fleet, &["--update-failure-action", "rollback"]);
    let update = ["service", "update", "--args", "-c 'exit 3'", "web"];
    let told = said(&fleet.docker(1, &update));
    assert!(told.contains("rolled back") && told.contains("non-zero exit (3)"), "{told}");
    for node in 1..=2 {
        fleet.until("it is rolled back", || state(&fleet, node).0 == "rollback_completed");
    }
    assert!(shown_command(&fleet).contains(GOOD), "{}", shown_command(&fleet));
    assert_eq!(fleet.running(2, "web"), 3);
    // Neither a scale nor a label brings it back.
    run(&fleet, 2, &["service", "scale", "-d", "web=4"]);
    fleet.until("four run", || fleet.running(1, "web") == 4);
    assert!(shown_command(&fleet).contains(GOOD));
    let refused = fleet.docker(1, &["service", "rollback", "-d", "web"]);
    assert!(refused.status.success(), "the scale is undone: {}", said(&refused));
    fleet.until("three run", || fleet.running(2, "web") == 3);
}

#[test]
fn a_paused_update_leaves_all_tasks_running_and_is_resumed_or_undone() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(142, 2);
    create(&fleet, &[]);
    // It fails in its first task until the file is there.
    let flag = std::env::temp_dir().join(format!("edgectl-rollout-{}", std::process::id()));
    let broken = format!("-c 'test -e {} || exit 4; {GOOD}'", flag.display());
    let told = said(&fleet.docker(1, &["service", "update", "--args", &broken, "web"]));
    assert!(told.contains("paused") && told.contains("non-zero exit (4)"), "{told}");
    for node in 1..=2 {
        fleet.until("it is paused", || state(&fleet, node).0 == "paused");
    }
    fleet.until("no task is missing", || fleet.running(2, "web") == 3);
    let file = std::fs::write(&flag, "");
    run(&fleet, 2, &["service", "update", "-d", "web"]);
    fleet.until("it goes on", || state(&fleet, 1).0 == "completed");
    file.and_then(|()| std::fs::remove_file(&flag)).expect("a file");
    assert!(shown_command(&fleet).contains("test -e"));
    run(&fleet, 1, &["service", "update", "-d", "--label-add", "team=shop", "web"]);
    let back = run(&fleet, 1, &["service", "rollback", "web"]);
    assert!(back.contains("rollback"), "{back}");
    fleet.until("all went back", || state(&fleet, 2).0 == "rollback_completed");
    assert!(!shown_command(&fleet).contains("test -e"), "{}", shown_command(&fleet));
    assert_eq!(fleet.get(1, "/services/web").json()["Spec"]["Labels"]["team"], "shop");
}

#[test]
fn who_began_an_update_may_be_destroyed() {
    if !has_docker() {
        return;
    }
    let mut fleet = Fleet::start(143, 3);
    create(
        &fleet,
        &["--update-failure-action", "rollback", "--constraint", "node.hostname!=shop-3"],
    );
    let update = ["service", "update", "-d", "--args", "-c 'sleep 0.3; exit 5'", "web"];
    run(&fleet, 3, &update);
    // The others know of it a moment later.
    fleet.until("the others know", || !state(&fleet, 1).0.is_empty());
    fleet.kill(3);
    for node in 1..=2 {
        fleet.until("it is rolled back", || state(&fleet, node).0 == "rollback_completed");
    }
    fleet.until("no task is missing", || fleet.running(1, "web") == 3);
    assert!(state(&fleet, 1).1.contains("non-zero exit (5)"), "{:?}", state(&fleet, 1));
}
