//! What Docker's own client and our own lists show about a service that changes.

use std::process::Output;
use std::time::{Duration, Instant};

use super::containers::{docker, edgectl};
use super::{Fleet, has_docker};

const CREATE: [&str; 6] = ["service", "create", "-d", "--no-resolve-image", "--name", "web"];
const STAYS: [&str; 3] = ["process:/bin/sh", "-c", "while :; do sleep 1; done"];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_attached_update_that_cannot_work_ends_and_says_why() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(102, 2);
    let slow = ["--replicas", "2", "--update-monitor", "1s", "--stop-grace-period", "1s"];
    docker(&fleet, &[&CREATE[..], &slow[..], &STAYS[..]].concat());
    fleet.until("two run", || fleet.running(1, "web") == 2);
    let of = |what: &str| docker(&fleet, &["service", "inspect", "web", "--format", what]);
    assert_eq!(of("{{.UpdateStatus}} {{.PreviousSpec}}").trim(), "<nil> <nil>");

    let update = ["service", "update", "--no-resolve-image", "--args", "-c 'exit 3'", "web"];
    let Output { status, stdout, stderr } = fleet.docker(1, &update);
    let said = text(&stdout) + &text(&stderr);
    assert!(status.code() == Some(1) && said.contains("service update paused"), "{said}");

    let state = "{{.UpdateStatus.State}}: {{.UpdateStatus.Message}}";
    assert!(of(state).starts_with("paused: "), "{}", of(state));
    assert!(of("{{.PreviousSpec.TaskTemplate.ContainerSpec.Args}}").contains("sleep 1"));
    // The task that was not replaced yet runs an older template, and shows its image.
    let tasks = docker(&fleet, &["service", "ps", "web", "--format", "{{.Name}} {{.Image}}"]);
    assert!(tasks.lines().all(|line| line.ends_with(" process:/bin/sh")), "{tasks}");
}

#[test]
fn the_whole_of_a_node_is_counted_listed_cleared_and_told() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(103, 1);
    let port = ["--publish", "mode=host,published=9000,target=80", "--stop-grace-period", "1s"];
    docker(&fleet, &[&CREATE[..], &port[..], &STAYS[..]].concat());
    fleet.until("it runs", || fleet.running(1, "web") == 1);
    let count = "{{.Containers}} {{.ContainersRunning}} {{.ContainersStopped}} {{.Images}}";
    assert_eq!(docker(&fleet, &["info", "--format", count]).trim(), "1 1 0 0");
    let running = docker(&fleet, &["ps", "--no-trunc", "--format", "{{.Command}}"]);
    assert_eq!(running.trim(), r#""/bin/sh -c while :; do sleep 1; done""#);
    let tasks = docker(&fleet, &["service", "ps", "web", "--format", "{{.Ports}}"]);
    assert_eq!(tasks.trim(), "*:9000->80/tcp");
    let ports = docker(&fleet, &["ps", "--format", "{{.Ports}}"]);
    assert_eq!(ports.trim(), "0.0.0.0:9000->80/tcp");
    let container = docker(&fleet, &["ps", "-q"]);
    let ports = ["inspect", "--format", "{{json .NetworkSettings.Ports}}", container.trim()];
    let bound = r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"9000"}]}"#;
    assert_eq!(docker(&fleet, &ports).trim(), bound);
    assert_eq!(docker(&fleet, &["port", container.trim()]).trim(), "80/tcp -> 0.0.0.0:9000");
    docker(&fleet, &["system", "prune", "--force"]);
    assert_eq!(fleet.running(1, "web"), 1);

    edgectl(&fleet, &["service", "rm", "web"]);
    let service =
        r#"{{.Type}} {{.Action}} {{index .Actor.Attributes "com.docker.swarm.service.name"}}"#;
    let events = ["events", "--since", "10m", "--until", "0s", "--format", service];
    let told = || docker(&fleet, &events);
    fleet.until("its end is told", || told().contains("container die web\n"));
    assert!(told().contains("container start web\n"), "{}", told());

    let nodes = edgectl(&fleet, &["node", "ls", "--format", "{{.Hostname}} {{.TLSStatus}}"]);
    assert_eq!(nodes.trim(), "shop-1 Ready");
    edgectl(&fleet, &["volume", "create", "data"]);
    let volumes = edgectl(&fleet, &["volume", "ls", "--format", "{{.Name}} {{.Scope}}"]);
    assert_eq!(volumes.trim(), "data local");
    edgectl(&fleet, &["image", "ls", "--format", "{{.CreatedAt}} {{.Containers}}"]);
}

#[test]
fn a_task_that_moves_is_not_ambiguous() {
    let fleet = Fleet::start(104, 2);
    // It ignores the signal that asks it to end.
    let stubborn = ["--runtime", "process", "--stop-grace-period", "3s", "--", "/bin/sh", "-c"];
    let words = ["trap '' TERM; while :; do sleep 0.2; done"];
    let name = ["service", "create", "-d", "--name", "web"];
    edgectl(&fleet, &[&name[..], &stubborn[..], &words[..]].concat());
    fleet.until("it runs", || fleet.running(1, "web") == 1);
    let of = |what: &str| edgectl(&fleet, &["service", "ps", "web", "--format", what]);
    let node = of("{{.Node}}").trim().to_owned();
    edgectl(&fleet, &["node", "update", "--availability", "drain", &node]);
    let begun = Instant::now();
    let mut most = 0;
    while begun.elapsed() < Duration::from_secs(5) {
        let why = edgectl(&fleet, &["why", "web.1"]);
        assert!(why.contains("web.1"), "{why}");
        most = most.max(of("{{.Node}}").lines().count());
    }
    assert!(most > 1, "it was never on two nodes, and nothing was tried");
}

#[test]
fn an_option_of_swarm_init_without_an_effect_is_refused_by_its_name() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(107, 1);
    let init = |options: &[&str]| fleet.docker(1, &[&["swarm", "init"], options].concat());
    let plain = init(&[]);
    assert!(plain.status.success(), "{}", text(&plain.stderr));
    assert!(init(&["--data-path-port", "4789"]).status.success());
    for (flag, value) in [
        ("--data-path-port", "5789"),
        ("--default-addr-pool", "10.20.0.0/16"),
        ("--default-addr-pool-mask-length", "26"),
        ("--cert-expiry", "24h"),
        ("--external-ca", "protocol=cfssl,url=https://ca.invalid"),
        ("--dispatcher-heartbeat", "9s"),
        ("--task-history-limit", "51"),
        ("--snapshot-interval", "7"),
        ("--max-snapshots", "7"),
        ("--listen-addr", "192.0.2.7:2377"),
        ("--data-path-addr", "192.0.2.7"),
        ("--availability", "drain"),
    ] {
        let refused = init(&[&format!("{flag}={value}")]);
        let said = text(&refused.stderr);
        let is_named = said.contains(flag) || said.contains("192.0.2.7");
        assert!(!refused.status.success() && is_named, "{flag}: {said}");
        let hints = ["try: ", "edgectl node update", "edgectl swarm update"];
        assert!(hints.iter().any(|hint| said.contains(hint)), "{flag}: {said}");
    }
    let limit = "{{.Swarm.Cluster.Spec.Orchestration.TaskHistoryRetentionLimit}}";
    let kept = ["info", "--format", limit];
    assert_eq!(docker(&fleet, &kept).trim(), "5", "nothing was changed");
    assert!(init(&["--task-history-limit", "3"]).status.success());
    assert_eq!(docker(&fleet, &kept).trim(), "3");
    edgectl(&fleet, &["swarm", "init", "--task-history-limit", "0"]);
    assert_eq!(docker(&fleet, &kept).trim(), "0");
}

#[test]
fn an_option_of_swarm_update_without_an_effect_is_refused_by_its_name() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(151, 1);
    let update = |options: &[&str]| fleet.docker(1, &[&["swarm", "update"], options].concat());
    for (flag, value) in [
        ("--task-history-limit", "-1"),
        ("--cert-expiry", "24h"),
        ("--dispatcher-heartbeat", "9s"),
        ("--snapshot-interval", "7"),
        ("--max-snapshots", "7"),
    ] {
        let refused = update(&[&format!("{flag}={value}")]);
        let said = text(&refused.stderr);
        assert!(!refused.status.success(), "{flag} {value}");
        let hints = ["try: ", "edgectl swarm update"];
        let is_told = said.contains(flag) && hints.iter().any(|hint| said.contains(hint));
        assert!(is_told, "{flag} {value}: {said}");
    }
    let token = |options: &[&str]| {
        let said = fleet.docker(1, &[&["swarm", "join-token", "-q"], options].concat());
        assert!(said.status.success(), "{}", text(&said.stderr));
        text(&said.stdout)
    };
    let (worker, manager) = (token(&["worker"]), token(&["manager"]));
    let rotated = token(&["--rotate", "worker"]);
    assert_ne!(rotated, worker);
    assert_eq!((token(&["worker"]), token(&["manager"])), (rotated, manager));
}
