//! How much of a slot's past a fleet keeps: set on any node, in force on all, without a leader. By
//! Docker's own client, which knows nothing of us.

#[path = "lab/test_lab.rs"]
mod test_lab;

use std::process::{Command, Output};

use test_lab::TestLab;

/// Each attempt writes a line and fails soon.
const CRASHES: [&str; 5] = ["--", "sh", "-c", "echo here I am; sleep 0.1; exit 3", "crash"];

/// Docker's own client, at a node.
fn docker(lab: &TestLab, node: u8, words: &[&str]) -> Output {
    let host = format!("unix://{}", lab.socket(node).display());
    let mut command = Command::new("docker");
    command.env("DOCKER_CONFIG", lab.dir.join("docker")).args(["-H", &host]).args(words);
    command.output().expect("docker is there")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn succeed(lab: &TestLab, node: u8, words: &[&str]) -> String {
    let output = docker(lab, node, words);
    assert!(output.status.success(), "docker {}: {}", words.join(" "), said(&output));
    said(&output)
}

fn limit(lab: &TestLab, node: u8) -> String {
    let words = "{{.Swarm.Cluster.Spec.Orchestration.TaskHistoryRetentionLimit}}";
    succeed(lab, node, &["info", "--format", words]).trim().to_owned()
}

/// Sets the limit at a node, and waits until all of these have heard of it.
fn set(lab: &TestLab, node: u8, wanted: &str, heard: &[u8]) {
    let update = ["swarm", "update", "--task-history-limit", wanted];
    assert_eq!(succeed(lab, node, &update), "Swarm updated.\n");
    lab.until("they know the limit", || heard.iter().all(|node| limit(lab, *node) == wanted));
}

/// The past tasks that a node lists of each of the two slots.
fn past(lab: &TestLab, node: u8) -> [usize; 2] {
    let ps = succeed(lab, node, &["service", "ps", "crash", "--format", "{{.Name}}"]);
    ["crash.1", "crash.2"].map(|slot| ps.lines().filter(|line| line.ends_with(slot)).count() - 1)
}

#[test]
fn a_limit_of_the_past_holds_on_every_node_and_outlives_agents_and_partitions() {
    if Command::new("docker").arg("--version").output().is_err() {
        eprintln!("SKIPPED without Docker's client");
        return;
    }
    let Some(lab) = TestLab::up('h', 3).with_namespaces() else { return };
    let create = ["service", "create", "-d", "--name", "crash", "--replicas", "2"];
    let flags = ["--runtime", "process", "--restart-delay", "100ms"];
    let update = ["--update-parallelism", "0", "--update-failure-action", "continue"];
    lab.edgectl(1, &[&create[..], &flags, &update, &CRASHES].concat());
    let knows = |node: u8| lab.try_edgectl(node, &["service", "inspect", "crash"]).is_ok();
    lab.until("all nodes know it", || [1, 2, 3].into_iter().all(knows));
    lab.until("both slots have a past", || past(&lab, 2).iter().all(|past| *past >= 3));

    set(&lab, 1, "1", &[1, 2, 3]);
    assert_eq!([past(&lab, 2), past(&lab, 3)], [[1, 1]; 2]);
    let logs = succeed(&lab, 2, &["service", "logs", "crash"]);
    assert!(logs.contains("here I am"), "the attempt that is kept has its log: {logs}");
    set(&lab, 2, "0", &[1, 2, 3]);
    assert_eq!([past(&lab, 1), past(&lab, 3)], [[0, 0]; 2]);
    succeed(&lab, 1, &["service", "logs", "crash"]);
    lab.until("it says why the last one ended", || {
        lab.edgectl(3, &["why", "crash.1"]).contains("non-zero exit (3)")
    });

    lab.edgectl(3, &["swarm", "update", "--task-history-limit", "2"]);
    lab.until("the past grows again", || past(&lab, 1) == [2, 2]);
    let inspect = "{{.Spec.Orchestration.TaskHistoryRetentionLimit}}";
    assert_eq!(lab.edgectl(1, &["swarm", "inspect", "--format", inspect]).trim(), "2");
    let token = lab.edgectl(1, &["swarm", "join-token", "-q"]);
    assert!(!lab.edgectl(1, &["swarm", "inspect"]).contains(token.trim()), "it is secret");

    for (typed, words) in [
        ("-1", "a task history limit of -1 is not possible"),
        ("51", "a task history limit of 51 is not possible"),
        ("many", "many"),
    ] {
        let update = ["swarm", "update", "--task-history-limit", typed];
        let refused = lab.edgectl_output(2, &update);
        assert!(refused.status.code() == Some(1) && said(&refused).contains(words));
        let refused = docker(&lab, 2, &update);
        assert!(!refused.status.success() && said(&refused).contains(words), "{}", said(&refused));
    }
    assert_eq!(limit(&lab, 2), "2");

    lab.kill_agent(1);
    lab.succeed(&["start", "n1"]);
    lab.until("its agent answers", || lab.try_edgectl(1, &["node", "ls"]).is_ok());
    assert_eq!(limit(&lab, 1), "2");

    lab.succeed(&["cut", "n1"]);
    set(&lab, 1, "4", &[1]);
    set(&lab, 2, "3", &[2, 3]);
    lab.succeed(&["heal"]);
    lab.until("they agree again", || limit(&lab, 1) == limit(&lab, 3));
    let won = limit(&lab, 1);
    let lost = if won == "4" { "3" } else { "4" };
    lab.until("what lost is listed", || {
        let listed = lab.edgectl(3, &["conflicts"]);
        listed.contains("the fleet") && listed.contains("task history limit")
    });
    let picked = lab.edgectl(3, &["conflicts", "pick", "1"]);
    assert_eq!(picked.trim(), format!("task history limit of the fleet is now {lost}"));
    lab.until("all know it", || [1, 2, 3].iter().all(|node| limit(&lab, *node) == lost));
    let listed = lab.edgectl(1, &["conflicts"]);
    assert!(!listed.contains("history"), "{listed}");
    // The waits between attempts begin anew.
    lab.edgectl(1, &["service", "update", "-d", "--force", "crash"]);
    lab.until("it is what is kept", || {
        let kept: usize = lost.parse().expect("a number");
        past(&lab, 2) == [kept; 2]
    });
}
