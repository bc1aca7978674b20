//! The API of real agents: by hand, and by Docker's own client where it is installed.

#[path = "docker_api/commands.rs"]
mod commands;
#[path = "docker_api/configs.rs"]
mod configs;
#[path = "docker_api/containers.rs"]
mod containers;
#[path = "docker_api/events.rs"]
mod events;
#[path = "docker_api/file_templates.rs"]
mod file_templates;
#[path = "docker_api/flags.rs"]
mod flags;
#[path = "docker_api/fleet.rs"]
mod fleet;
#[path = "docker_api/images.rs"]
mod images;
#[path = "docker_api/local.rs"]
mod local;
#[path = "docker_api/own_users.rs"]
mod own_users;
#[path = "docker_api/recorded.rs"]
mod recorded;
#[path = "docker_api/registry.rs"]
mod registry;
#[path = "docker_api/rollouts.rs"]
mod rollouts;
#[path = "docker_api/secrets.rs"]
mod secrets;
#[path = "docker_api/security.rs"]
mod security;
#[path = "docker_api/stacks.rs"]
mod stacks;
#[path = "lab/test_lab.rs"]
mod test_lab;
#[path = "docker_api/views.rs"]
mod views;
#[path = "docker_api/volumes.rs"]
mod volumes;

use std::process::Command;

use fleet::Fleet;
use test_lab::busybox_image;

/// Prints a line on each stream, then waits in short sleeps, so that a stop is quick.
const TALKER: &str = r#"{
    "Name": "talk", "Labels": {"tier": "front"},
    "TaskTemplate": {"ContainerSpec": {
        "Image": "process:/bin/sh", "StopGracePeriod": 1000000000,
        "Args": ["-c", "echo out; echo err >&2; while :; do sleep 1; done"]}},
    "Mode": {"Replicated": {"Replicas": 2}}}"#;

#[test]
fn a_service_created_on_one_node_is_seen_and_logged_through_another() {
    let fleet = Fleet::start(81, 2);
    let created = fleet.ask(1, "POST", "/v1.47/services/create", TALKER);
    assert_eq!(created.status, 201);
    fleet.until("both tasks run", || fleet.running(2, "talk") == 2);

    let tasks = fleet.get(2, "/tasks").json();
    let mut nodes: Vec<_> =
        tasks.as_array().expect("a list").iter().map(|task| task["NodeID"].to_string()).collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes.len(), 2, "one task on each node: {tasks}");

    let logs = || fleet.get(2, "/services/talk/logs?stdout=1&stderr=1").body;
    fleet.until("four lines are logged", || logs().len() == 4 * (8 + 4));
    let frames = logs();
    let count = |frame: &[u8]| frames.chunks(12).filter(|found| *found == frame).count();
    assert_eq!(count(b"\x01\0\0\0\0\0\0\x04out\n"), 2);
    assert_eq!(count(b"\x02\0\0\0\0\0\0\x04err\n"), 2);
    let only_err = fleet.get(2, "/services/talk/logs?stderr=1&tail=1").body;
    assert_eq!(only_err.len(), 2 * 12);
}

#[test]
fn every_refusal_has_its_status_and_says_what_to_type() {
    let fleet = Fleet::start(82, 1);
    let quiet = TALKER.replace(r#""Replicas": 2"#, r#""Replicas": 0"#);
    let create = |body: &str| fleet.ask(1, "POST", "/services/create", body);
    assert_eq!(create(&quiet).status, 201);

    let taken = create(&quiet);
    assert_eq!(taken.status, 409);
    assert!(taken.message().contains("edgectl service update"), "{}", taken.message());
    let refused = [
        (create("{"), 400, "cannot be read"),
        (create(r#"{"Name": "x"}"#), 400, "process:/path/to/program"),
        (create(&quiet.replace("process:/bin/sh", "Nginx")), 400, "type \"nginx\""),
        (
            create(&quiet.replace("\"Args\"", r#""Mounts": [{"Target": "/a"}], "Args""#)),
            400,
            "Mounts",
        ),
        (create(&quiet.replace("\"Args\"", r#""Frob": 1, "Args""#)), 501, "Frob"),
        (
            create(
                &quiet
                    .replace(
                        "\"TaskTemplate\": {",
                        r#""TaskTemplate": {"Networks": [{"Target": "net1"}], "#,
                    )
                    .replace("process:/bin/sh", "nginx"),
            ),
            404,
            "edgectl network ls",
        ),
        (fleet.get(1, "/networks/net1"), 404, "edgectl network ls"),
        (create(&quiet.replace("talk", "-")), 400, "not a service name"),
        (fleet.get(1, "/services/nothing"), 404, "edgectl service ls"),
        (fleet.get(1, "/nodes/nothing"), 404, "edgectl node ls"),
        (fleet.get(1, "/tasks?filters=%7B%22x%22:%5B%5D%7D"), 400, "invalid filter 'x'"),
        (fleet.get(1, "/services/talk/logs"), 400, "at least one stream"),
        (fleet.get(1, "/nothing"), 404, "page not found"),
        (fleet.ask(1, "POST", "/build", ""), 501, "buildah bud"),
        (fleet.ask(1, "POST", "/secrets/create", "{}"), 400, "invalid name"),
        (fleet.get(1, "/secrets/key"), 404, "secret key not found"),
        (fleet.get(1, "/secrets?filters=%7B%22x%22:%5B%5D%7D"), 400, "invalid filter 'x'"),
        (fleet.get(1, "/containers/nothing/json"), 404, "No such container: nothing"),
        (fleet.ask(1, "POST", "/containers/create", "{}"), 400, "no image is named"),
        (fleet.ask(1, "POST", "/exec/nothing/start", "{}"), 404, "No such exec instance"),
        (fleet.ask(1, "POST", "/services/talk/update?version=1", &quiet), 409, "out of sequence"),
        (fleet.ask(1, "DELETE", "/nodes/self", ""), 409, "--force"),
        (fleet.ask(1, "POST", "/swarm/join", r#"{"RemoteAddrs": ["a b"]}"#), 400, "a b"),
    ];
    for (reply, status, says) in refused {
        assert_eq!(reply.status, status, "{}", reply.message());
        assert!(reply.message().contains(says), "{}", reply.message());
    }
}

#[test]
fn a_task_that_no_node_can_take_is_pending_with_its_reason() {
    let fleet = Fleet::start(83, 1);
    let nowhere = TALKER.replace(
        r#""TaskTemplate": {"#,
        r#""TaskTemplate": {"Placement": {"Constraints": ["node.hostname==elsewhere"]}, "#,
    );
    assert_eq!(fleet.ask(1, "POST", "/services/create", &nowhere).status, 201);
    let tasks = fleet.get(1, "/tasks").json();
    assert_eq!(tasks[0]["Status"]["State"], "pending");
    let error = tasks[0]["Status"]["Err"].as_str().expect("a reason");
    assert!(error.contains("node.hostname==elsewhere"), "{error}");
    let why = fleet.get(1, "/edge/why/service/talk").json();
    assert_eq!(why["Excluded"][0]["Code"], "constraint");
    assert_eq!(fleet.get(1, "/edge/status").json()["Waiting"].as_array().map(Vec::len), Some(2));
}

#[test]
fn events_are_kept_for_those_who_ask_later() {
    let fleet = Fleet::start(84, 1);
    let quiet = TALKER.replace(r#""Replicas": 2"#, r#""Replicas": 0"#);
    fleet.ask(1, "POST", "/services/create", &quiet);
    fleet.ask(1, "DELETE", "/services/talk", "");
    let reply =
        fleet.get(1, "/events?since=0&until=1&filters=%7B%22type%22:%5B%22service%22%5D%7D");
    let lines: Vec<serde_json::Value> = reply
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a line of JSON"))
        .collect();
    let actions: Vec<_> = lines.iter().map(|event| event["Action"].as_str()).collect();
    assert_eq!(actions, [Some("create"), Some("remove")]);
    assert_eq!(lines[0]["Actor"]["Attributes"]["name"], "talk");
}

/// Docker's client is not built here: without it there is nothing to test.
fn has_docker() -> bool {
    Command::new("docker").arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
fn dockers_own_client_drives_the_fleet() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(85, 2);
    let large = fleet.dir().join("large").display().to_string();
    std::fs::write(&large, vec![b'x'; 600_000]).expect("written");
    for _ in 0..12 {
        let refused = fleet.docker(1, &["secret", "create", "key", &large]);
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(words.contains("less than 512000 bytes"), "its reason is lost: {words}");
    }
    let run = |arguments: &[&str]| {
        let output = fleet.docker(2, arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
        text(&output.stdout)
    };
    assert!(run(&["version", "--format", "{{.Server.Platform.Name}}"]).contains("edgectl"));
    assert!(
        run(&["info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.Nodes}}"])
            .contains("active 2")
    );
    let nodes = run(&["node", "ls"]);
    assert_eq!(nodes.matches("Reachable").count(), 2, "{nodes}");
    assert!(run(&["node", "inspect", "self", "--pretty"]).contains("shop-2"));

    let sleep = "while :; do echo hello; sleep 1; done";
    let program = ["process:/bin/sh", "-c", sleep];
    let create = ["service", "create", "-d", "--name", "web", "--stop-grace-period", "1s"];
    run(&[&create[..], &["--replicas", "2", "-e", "A=1"], &program[..]].concat());
    fleet.until("two run", || run(&["service", "ls"]).contains("2/2"));
    run(&["service", "scale", "-d", "web=3"]);
    fleet.until("three run", || run(&["service", "ls"]).contains("3/3"));
    run(&["service", "update", "-d", "--env-add", "B=2", "--label-add", "x=y", "web"]);
    let spec = run(&["service", "inspect", "web", "--format", "{{json .Spec}}"]);
    assert!(
        spec.contains(r#""B=2""#) && spec.contains(r#""A=1""#) && spec.contains(r#""x":"y""#),
        "{spec}"
    );
    fleet.until("the old tasks are history", || {
        run(&["service", "ps", "web"]).matches("Shutdown").count() >= 3
    });
    assert!(run(&["service", "ps", "web", "--filter", "desired-state=running"]).contains("web.3"));
    fleet.until("they speak", || run(&["service", "logs", "--tail", "1", "web"]).contains("hello"));
    assert!(run(&["node", "ps", "self"]).contains("web."));
    run(&["service", "rm", "web"]);
    assert!(!run(&["service", "ls"]).contains("web"));
}

/// Nothing is left behind if a test fails while an agent is down.
#[test]
fn what_a_killed_agent_ran_ends_with_its_test() {
    let seconds = format!("7{:07}", std::process::id());
    let is_there = || {
        let processes = std::fs::read_dir("/proc").expect("readable").flatten();
        let words = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline"));
        processes
            .filter_map(|entry| words(entry).ok())
            .any(|words| words.split(|byte| *byte == 0).any(|word| word == seconds.as_bytes()))
    };
    let mut fleet = Fleet::start(105, 1);
    let spec = serde_json::json!({"Name": "sleeps", "TaskTemplate": {"ContainerSpec": {
        "Image": "process:/bin/sleep", "Args": [seconds]}}});
    assert_eq!(fleet.ask(1, "POST", "/services/create", &spec.to_string()).status, 201);
    fleet.until("it runs", || fleet.running(1, "sleeps") == 1);
    fleet.kill(1);
    assert!(is_there());
    drop(fleet);
    let begun = std::time::Instant::now();
    while is_there() {
        assert!(begun.elapsed() < fleet::DEADLINE, "it outlives its test");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_service_that_finds_its_network_full_is_named_with_what_to_do() {
    let fleet = Fleet::start(108, 1);
    let network = r#"{"Name": "small", "Driver": "overlay",
        "IPAM": {"Config": [{"Subnet": "10.77.0.0/29"}]}}"#;
    assert_eq!(fleet.ask(1, "POST", "/networks/create", network).status, 201);
    let service = |name: &str, mode: &str| {
        let body = format!(
            r#"{{"Name": "{name}", "Mode": {{"Replicated": {{"Replicas": 0}}}},
            "EndpointSpec": {{"Mode": "{mode}"}},
            "TaskTemplate": {{"ContainerSpec": {{"Image": "registry.invalid/a:1"}},
            "Networks": [{{"Target": "small"}}]}}}}"#
        );
        let created = fleet.ask(1, "POST", "/services/create", &body);
        assert_eq!(created.status, 201, "{}", created.message());
    };
    // Of eight addresses three are never given out.
    (1..=5).for_each(|number| service(&format!("s{number}"), "vip"));
    let failures = || fleet.get(1, "/networks/small").json()["Edge"]["Failures"].to_string();
    let notes =
        |name: &str| fleet.get(1, &format!("/edge/why/service/{name}")).json()["Notes"].to_string();
    let told = "no address of 10.77.0.0/29 is left for late";
    assert!(!failures().contains("is left for"), "{}", failures());
    service("late", "vip");
    service("named", "dnsrr");
    assert!(failures().contains(told) && notes("late").contains(told), "{}", failures());
    assert!(!failures().contains("named") && !notes("s5").contains("is left"), "{}", failures());
    // An address that becomes free is its own at once.
    assert_eq!(fleet.ask(1, "DELETE", "/services/s3", "").status, 200);
    assert!(!failures().contains("is left for"), "{}", failures());
}
