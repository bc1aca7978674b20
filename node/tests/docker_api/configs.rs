//! Configs of real agents, typed at Docker's own client: created on one node, read by a container
//! on another.

use std::process::Output;

use serde_json::{Value, json};

use super::containers::{docker, edgectl};
use super::{Fleet, busybox_image, has_docker};

/// Shows its files, then waits. `stat` has no link in the image.
const SHOW: &str = "for f in /one /etc/app/two; do busybox stat -c '%n %u %g %a' $f; \
                    busybox cat $f; done; exec sleep 1000";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Is there all that containers of Docker's client need?
fn can_run() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED without root: containers");
    }
    is_root && has_docker()
}

/// The image on both nodes, and two files to make configs of.
fn prepared(net: u8) -> (Fleet, tempfile::TempDir) {
    let fleet = Fleet::start(net, 2);
    let dir = tempfile::tempdir().expect("a folder");
    let archive = dir.path().join("tools.tar");
    busybox_image::write(&archive);
    for number in [1, 2] {
        let import = ["image", "import", &archive.display().to_string(), busybox_image::IMAGE];
        let imported = std::process::Command::new(env!("CARGO_BIN_EXE_edgectl"))
            .args(import)
            .env("EDGECTL_SOCKET", fleet.socket(number))
            .output()
            .expect("edgectl runs");
        assert!(imported.status.success(), "{}", text(&imported.stderr));
    }
    std::fs::write(dir.path().join("first"), "level=1\n").expect("written");
    std::fs::write(dir.path().join("second"), "level=2\n").expect("written");
    (fleet, dir)
}

fn config(fleet: &Fleet, dir: &tempfile::TempDir, (name, file): (&str, &str)) -> String {
    let path = dir.path().join(file).display().to_string();
    let id = docker(fleet, &["config", "create", "--label", "app=shop", name, &path]);
    id.trim().to_owned()
}

fn logs(fleet: &Fleet) -> String {
    let logs = fleet.get(1, "/services/web/logs?stdout=1&stderr=1").body;
    text(&logs)
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

#[test]
fn a_container_on_another_node_reads_its_configs_with_owner_and_mode() {
    if !can_run() {
        return;
    }
    let (mut fleet, dir) = prepared(152);
    let first = config(&fleet, &dir, ("app-1", "first"));
    config(&fleet, &dir, ("app-2", "second"));

    // One config twice in a service: each file has its own mode and owner.
    docker(
        &fleet,
        &[
            "service",
            "create",
            "-d",
            "--no-resolve-image",
            "--name",
            "web",
            "--network",
            "host",
            "--constraint",
            "node.hostname==shop-2",
            "--stop-grace-period",
            "1s",
            "--config",
            "source=app-1,target=/one",
            "--config",
            "source=app-1,target=/etc/app/two,uid=7,gid=8,mode=0440",
            busybox_image::IMAGE,
            "sh",
            "-c",
            SHOW,
        ],
    );
    fleet.until("both files are read", || logs(&fleet).matches("level=1").count() == 2);
    let said = logs(&fleet);
    assert!(said.contains("/one 0 0 444\n") && said.contains("/etc/app/two 7 8 440\n"), "{said}");

    let said = refused(&fleet.docker(1, &["config", "rm", "app-1"]));
    assert!(said.contains("config 'app-1' is in use by the following service: web"), "{said}");

    let update = [
        "service",
        "update",
        "-d",
        "--no-resolve-image",
        "--config-rm",
        "app-1",
        "--config-add",
        "source=app-2,target=one",
        "--config-add",
        "source=app-2,target=/etc/app/two",
        "web",
    ];
    docker(&fleet, &update);
    fleet.until("the new ones are read", || logs(&fleet).matches("level=2").count() == 2);
    fleet.until("one task runs", || fleet.running(1, "web") == 1);
    let shown = edgectl(&fleet, &["service", "inspect", "--pretty", "web"]);
    assert!(shown.contains("Configs:\n Target:\t/etc/app/two\n  Source:\tapp-2\n"), "{shown}");

    // What is removed is still there for who goes back to it; the name is another config.
    docker(&fleet, &["config", "rm", "app-1"]);
    assert_ne!(config(&fleet, &dir, ("app-1", "second")), first);
    docker(&fleet, &["service", "rollback", "-d", "web"]);
    fleet.until("the old ones are read", || logs(&fleet).matches("level=1").count() == 4);

    // It survives its nodes.
    fleet.kill(1);
    fleet.restart(152, 1);
    let data = |number: usize| fleet.get(number, "/configs/app-2").json()["Spec"]["Data"].clone();
    assert_eq!((data(1), data(2)), (json!("bGV2ZWw9Mgo="), json!("bGV2ZWw9Mgo=")));
    docker(&fleet, &["service", "rm", "web"]);
    assert_eq!(docker(&fleet, &["config", "rm", "app-2"]), "app-2\n");
}

#[test]
fn configs_are_made_shown_and_removed_as_dockers_client_does() {
    if !has_docker() {
        return;
    }
    let (fleet, dir) = prepared(153);
    let id = config(&fleet, &dir, ("app", "first"));
    assert_eq!(id.len(), 25);
    std::fs::write(dir.path().join("empty"), "").expect("written");
    std::fs::write(dir.path().join("most"), vec![b'x'; 1_023_999]).expect("written");
    std::fs::write(dir.path().join("more"), vec![b'x'; 1_024_000]).expect("written");
    config(&fleet, &dir, ("most", "most"));
    let create = |flags: &[&str], name: &str, file: &str| {
        let path = dir.path().join(file).display().to_string();
        fleet.docker(1, &[&["config", "create"], flags, &[name, &path]].concat())
    };
    for (flags, name, file, words) in [
        (&[][..], "app", "first", "config app already exists"),
        (&[], "more", "more", "at most 1023999 bytes, and this is 1024000"),
        (&[], "empty", "empty", "data is empty"),
        (&[], ".app", "first", "[a-zA-Z0-9-_.] characters allowed"),
        (
            &["--template-driver", "jinja"],
            "new",
            "first",
            "no template driver jinja; there is golang",
        ),
    ] {
        let said = refused(&create(flags, name, file));
        assert!(said.contains(words), "{name}: {said}");
    }

    assert_eq!(
        docker(&fleet, &["config", "ls", "--format", "{{.Name}} {{.Labels}}"]),
        "app app=shop\nmost app=shop\n"
    );
    assert_eq!(docker(&fleet, &["config", "ls", "-q", "-f", "name=ap"]), format!("{id}\n"));
    assert_eq!(docker(&fleet, &["config", "ls", "-q", "-f", "label=app=till"]), "");
    let shown: Value =
        serde_json::from_str(&docker(&fleet, &["config", "inspect", "app"])).expect("JSON");
    assert_eq!((&shown[0]["ID"], &shown[0]["Spec"]["Data"]), (&json!(id), &json!("bGV2ZWw9MQo=")));
    let [theirs, ours] = [docker, edgectl].map(|client: fn(&Fleet, &[&str]) -> String| {
        client(&fleet, &["config", "inspect", "--pretty", "app"])
    });
    let lines = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains(" at:"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&ours), lines(&theirs));

    let version = shown[0]["Version"]["Index"].as_u64().expect("a number");
    let update = |body: Value| {
        let path = format!("/configs/app/update?version={version}");
        fleet.ask(1, "POST", &path, &body.to_string())
    };
    let data = update(json!({"Name": "app", "Data": "eA==", "Labels": {}}));
    assert_eq!(data.status, 400);
    assert!(data.message().contains("only updates to Labels are allowed"), "{}", data.message());
    assert_eq!(update(json!({"Name": "app", "Labels": {"a": "b"}})).status, 200);
    assert_eq!(update(json!({"Name": "app", "Labels": {}})).status, 409);

    let size = |number: usize| {
        let shown = fleet.get(number, "/configs/most");
        if shown.status == 200 { shown.json()["Spec"]["Data"].as_str().map(str::len) } else { None }
    };
    fleet.until("the largest one is on the other node", || size(2) == Some(1_365_332));
    assert_eq!(docker(&fleet, &["config", "rm", "app", "most"]), "app\nmost\n");
    let gone = refused(&fleet.docker(1, &["config", "inspect", "app"]));
    assert!(gone.contains("app"), "{gone}");
    fleet.until("the other node forgets them", || fleet.get(2, "/configs").json() == json!([]));
}

#[test]
fn what_is_no_use_of_a_config_is_refused_to_both_clients() {
    if !has_docker() {
        return;
    }
    let (fleet, dir) = prepared(154);
    config(&fleet, &dir, ("app", "first"));
    for (flags, words) in [
        ("--config src=app,target=/x --config src=app,target=x", "conflicting target"),
        ("--config src=app,target=/", "no place for a config"),
        ("--config src=app,uid=root", "write "),
    ] {
        let head = ["service", "create", "-d", "--no-resolve-image", "--replicas", "0"];
        let flags: Vec<&str> = flags.split(' ').collect();
        let line = [&head[..], &flags, &["app:1"]].concat();
        let said = refused(&fleet.docker(1, &line));
        assert!(said.contains(words), "{flags:?}: {said}");
    }
    let line = ["service", "create", "-d", "--config", "app", "process:/bin/sleep", "1000"];
    let said = refused(&fleet.docker(1, &line));
    assert!(said.contains("Configs: only a container has it"), "{said}");
    assert_eq!(fleet.get(1, "/services").json(), json!([]));
}

/// A stack with a config of a file.
const STACK: &str = r#"
version: "3.8"
services:
  web:
    image: registry.invalid/tools:1
    command: ["sh", "-c", "busybox stat -c '%g %a' /etc/app; busybox cat /etc/app; exec sleep 1000"]
    stop_grace_period: 1s
    networks: [site]
    configs: [{source: app, target: /etc/app, gid: "7", mode: 0440}]
configs:
  app: {file: ./FILE, name: FILE}
networks:
  site: {external: true, name: host}
"#;

#[test]
fn dockers_own_client_deploys_a_stack_with_a_config_and_another_one() {
    if !can_run() {
        return;
    }
    let (fleet, dir) = prepared(155);
    let deploy = |file: &str| {
        let path = dir.path().join("stack.yaml");
        std::fs::write(&path, STACK.replace("FILE", file)).expect("written");
        let path = path.display().to_string();
        let resolve = ["--resolve-image", "never", "--detach=true"];
        docker(&fleet, &[&["stack", "deploy", "-c", &path], &resolve[..], &["shop"]].concat());
    };
    let said = || text(&fleet.get(1, "/services/shop_web/logs?stdout=1&stderr=1").body);
    deploy("first");
    fleet.until("the config is read", || said().contains("level=1"));
    assert!(said().contains("7 440\n"), "{}", said());
    let tasks = || fleet.get(1, "/tasks").json().as_array().map(Vec::len);
    deploy("first");
    assert_eq!(tasks(), Some(1), "the same file restarts nothing");
    deploy("second");
    fleet.until("the other one is read", || said().contains("level=2"));
    docker(&fleet, &["stack", "rm", "shop"]);
    fleet.until("its configs are gone", || fleet.get(1, "/configs").json() == json!([]));
}
