//! What `GET /events` tells, and in which form.

use std::process::Command;

use serde_json::Value;

use crate::fleet::Fleet;
use crate::has_docker;

/// All that happened so far, as Docker's client prints it, without what nodes did.
fn told(fleet: &Fleet, number: usize, filter: &str) -> Vec<Value> {
    let events = ["events", "--since", "1", "--until", "2", "--format", "json"];
    let output = fleet.docker(number, &[&events[..], &["--filter", filter]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn actions(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["Action"].as_str().expect("text")).collect()
}

#[test]
fn networks_configs_and_services_are_told_on_every_node() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(147, 2);
    let run = |words: &[&str]| {
        let output = fleet.docker(1, words);
        assert!(output.status.success(), "{words:?} {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["network", "create", "--driver", "overlay", "back"]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().display().to_string();
    std::fs::write(&path, "x").expect("written");
    run(&["config", "create", "page", &path]);
    let create = ["service", "create", "-d", "--name", "web", "--replicas", "0"];
    run(&[&create[..], &["process:/bin/sleep", "9"]].concat());
    run(&["service", "scale", "-d", "web=1"]);
    run(&["service", "scale", "-d", "web=0"]);
    run(&["service", "rm", "web"]);
    run(&["config", "rm", "page"]);
    run(&["network", "rm", "back"]);
    for number in [1, 2] {
        fleet.until("all of it is told", || {
            actions(&told(&fleet, number, "network=back")) == ["create", "remove"]
                && actions(&told(&fleet, number, "config=page")) == ["create", "remove"]
                && told(&fleet, number, "type=service").len() == 4
        });
    }
    let services = told(&fleet, 2, "type=service");
    assert_eq!(actions(&services), ["create", "update", "update", "remove"]);
    let scaled = &services[1]["Actor"]["Attributes"];
    assert_eq!((&scaled["replicas.old"], &scaled["replicas.new"]), (&"0".into(), &"1".into()));
    assert!(scaled.get("image.old").is_none(), "{scaled}");
}

#[test]
fn images_and_volumes_are_told_where_they_are() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(148, 1);
    let dir = tempfile::tempdir().expect("a directory");
    let tar = dir.path().join("root.tar");
    crate::test_lab::busybox_image::write(&tar);
    let saved = dir.path().join("saved.tar").display().to_string();
    let tar = tar.display().to_string();
    for words in [
        &["import", &tar, "tools:1"][..],
        &["tag", "tools:1", "tools:2"],
        &["save", "-o", &saved, "tools:1"],
        &["rmi", "tools:2"],
        &["rmi", "tools:1"],
        &["load", "-i", &saved],
        &["volume", "create", "data"],
        &["volume", "rm", "data"],
    ] {
        let output = fleet.docker(1, words);
        assert!(output.status.success(), "{words:?} {}", String::from_utf8_lossy(&output.stderr));
    }
    let images = told(&fleet, 1, "type=image");
    assert_eq!(actions(&images), ["import", "tag", "untag", "untag", "delete", "load"]);
    assert_eq!(images[1]["Actor"]["Attributes"]["name"], "tools:2");
    // Docker's client up to version 24 ends in a panic without them.
    assert_eq!(
        (&images[1]["status"], &images[1]["id"]),
        (&"tag".into(), &images[1]["Actor"]["ID"])
    );
    assert_eq!(actions(&told(&fleet, 1, "volume=data")), ["create", "destroy"]);
}

#[test]
fn events_come_in_the_form_that_the_client_accepts() {
    let fleet = Fleet::start(149, 1);
    let spec = r#"{"Name": "w", "TaskTemplate": {"ContainerSpec": {"Image": "process:/bin/true"}},
        "Mode": {"Replicated": {"Replicas": 0}}}"#;
    assert_eq!(fleet.ask(1, "POST", "/services/create", spec).status, 201);
    let socket = fleet.socket(1).display().to_string();
    for (accepted, kind, begin) in [
        ("*/*", "application/json", "{"),
        ("application/jsonl", "application/jsonl", "{"),
        ("application/x-ndjson", "application/x-ndjson", "{"),
        ("application/json-seq, application/x-ndjson", "application/json-seq", "\u{1e}{"),
    ] {
        let url =
            "http://x/v1.53/events?since=1&until=2&filters=%7B%22type%22:%5B%22service%22%5D%7D";
        let output = Command::new("curl")
            .args(["-sS", "--unix-socket", &socket, "-H", &format!("Accept: {accepted}")])
            .args(["-w", "%{content_type}", url])
            .output()
            .expect("curl is there");
        let text = String::from_utf8(output.stdout).expect("text");
        let (line, said) = text.split_once('\n').expect("a line");
        assert!(line.starts_with(begin), "{accepted}: {text}");
        assert_eq!(said, kind, "{text}");
    }
}
