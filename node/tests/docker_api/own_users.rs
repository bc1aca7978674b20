//! Containers with user and group ids of their own, by both clients: real tasks of a real agent.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use super::Fleet;
use super::busybox_image;
use super::containers::{docker, edgectl};
use super::secrets::{can_run, prepared, refused, text};

/// Says its ids, and what it finds on its volume; then leaves something there.
const SAY: &str = "echo map $(busybox cat /proc/self/uid_map); busybox cat /data/rows; \
                   echo row >> /data/rows; busybox stat -c 'owner %u' /data/rows; exec sleep 1000";

const FLAGS: [&str; 4] = ["--network", "host", "--stop-grace-period", "1s"];

fn ours(fleet: &Fleet, words: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_edgectl"))
        .args(words)
        .env("EDGECTL_SOCKET", fleet.socket(1))
        .output()
        .expect("edgectl runs")
}

fn logs(fleet: &Fleet, service: &str) -> String {
    text(&fleet.get(1, &format!("/services/{service}/logs?stdout=1&stderr=1")).body)
}

fn mode(fleet: &Fleet, service: &str) -> Value {
    let spec = fleet.get(1, &format!("/services/{service}")).json()["Spec"].clone();
    spec["TaskTemplate"]["ContainerSpec"]["Edge"]["UsernsMode"].clone()
}

/// The first ids of the maps that were said, in their order.
fn maps(said: &str) -> Vec<u32> {
    let map = |line: &str| {
        // In front of it is the header of a log's frame.
        let words = line.split_once("map 0 ")?.1.strip_suffix(" 65536")?;
        words.parse().ok()
    };
    said.lines().filter_map(map).collect()
}

/// The users on the node whose processes run `sleep` in the tasks that run.
fn owners(fleet: &Fleet) -> Vec<u32> {
    let tasks = fleet.get(1, "/tasks").json();
    let running = tasks.as_array().expect("a list").iter();
    let running = running.filter(|task| task["Status"]["State"] == "running");
    let pids = running.filter_map(|task| task["Status"]["ContainerStatus"]["PID"].as_u64());
    pids.filter_map(|pid| Some(fs::metadata(format!("/proc/{pid}")).ok()?.uid())).collect()
}

#[test]
fn ids_of_their_own_are_given_shown_kept_and_taken_off() {
    if !can_run() {
        return;
    }
    let (fleet, dir) = prepared(216, 1);
    let create =
        ["service", "create", "-d", "--name", "web", "--userns", "auto", "--replicas", "2"];
    let mount = ["--mount", "source=rows,target=/data"];
    let image = [busybox_image::IMAGE, "sh", "-c", SAY];
    let made = ours(&fleet, &[&create[..], &FLAGS, &mount, &image].concat());
    assert!(made.status.success(), "{}", text(&made.stderr));
    fleet.until("both have said it", || logs(&fleet, "web").matches("owner 0").count() == 2);
    let mut firsts = maps(&logs(&fleet, "web"));
    firsts.sort_unstable();
    assert!(firsts.len() == 2 && firsts[0] > 524_288, "{}", logs(&fleet, "web"));
    assert!(firsts[1] - firsts[0] >= 65_536, "{firsts:?}");
    let mut found = owners(&fleet);
    found.sort_unstable();
    assert_eq!(found, firsts, "the tasks on the node");
    assert_eq!(mode(&fleet, "web"), "auto");
    let shown = edgectl(&fleet, &["service", "inspect", "--pretty", "web"]);
    assert!(shown.contains("userns=auto"), "{shown}");

    // Docker's client, which does not know it, does not lose it; the next tasks find their rows.
    docker(&fleet, &["service", "update", "-d", "--no-resolve-image", "--env-add", "A=1", "web"]);
    fleet.until("both have said it again", || maps(&logs(&fleet, "web")).len() == 4);
    assert!(logs(&fleet, "web").contains("row"), "{}", logs(&fleet, "web"));
    assert_eq!(mode(&fleet, "web"), "auto");
    let update = ["service", "update", "-d", "--userns", "host", "web"];
    fleet.until("it is updated", || ours(&fleet, &update).status.success());
    assert_eq!(mode(&fleet, "web"), Value::Null);
    fleet.until("both are root", || owners(&fleet) == [0, 0]);

    let run = ["run", "--rm", "--network", "host", "--userns", "host", busybox_image::IMAGE];
    let ran = docker(&fleet, &[&run[..], &["busybox", "cat", "/proc/self/uid_map"]].concat());
    assert!(ran.contains("4294967295"), "{ran}");

    let stack = dir.path().join("stack.yaml");
    let file = format!(
        "services:\n  job:\n    image: {}\n    command: [sh, -c, {SAY:?}]\n    stop_grace_period: 1s\n    \
         networks: [site]\n    userns_mode: auto\n    tmpfs: [/data]\n\
         networks:\n  site: {{external: true, name: host}}\n",
        busybox_image::IMAGE
    )
    .replace("$(", "$$(");
    fs::write(&stack, file).expect("written");
    edgectl(&fleet, &["stack", "deploy", "-c", &stack.display().to_string(), "shop"]);
    fleet.until("it has said it", || maps(&logs(&fleet, "shop_job")).len() == 1);

    for (flags, words) in [
        (&["--userns", "keep-id"][..], "there are auto"),
        (&["--userns", "auto", "--privileged"], "leave out --privileged"),
        (&["--userns", "auto", "--cap-add", "NET_ADMIN"], "leave out --cap-add"),
        (&["--userns", "auto", "--device", "/dev/null"], "leave out --device"),
    ] {
        let create = ["service", "create", "-d", "--name", "bad"];
        let said = refused(&ours(&fleet, &[&create[..], flags, &image].concat()));
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(fleet.get(1, "/services/bad").status, 404);
}
