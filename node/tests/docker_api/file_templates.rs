//! Configs and secrets that are templates: filled in where a task starts, with what it is there, and
//! never on a disk. Real containers.

use std::fs;

use serde_json::json;

use super::Fleet;
use super::busybox_image;
use super::containers::{docker, edgectl};
use super::secrets::{VALUE, can_run, forms, found_in, prepared, refused, secret, sha256, text};

/// Shows what is no secret, and of the rest its hash.
const SHOW: &str = "busybox stat -c '%n %u %g %a' /etc/app; busybox cat /etc/app; \
                    busybox sha256sum /etc/whole /run/secrets/url; exec sleep 1000";

const APP: &str = "slot={{.Task.Slot}} node={{.Node.Hostname}} of={{.Service.Name}} \
                   level={{env \"LEVEL\"}} tier={{index .Service.Labels \"tier\"}}\n\
                   {{- if eq .Task.Slot \"1\" }} first{{end}} on={{.Node.Platform.OS}}\n";

fn logs(fleet: &Fleet, service: &str) -> String {
    text(&fleet.get(1, &format!("/services/{service}/logs?stdout=1&stderr=1")).body)
}

/// Makes a config or a secret of a template.
fn template(fleet: &Fleet, dir: &tempfile::TempDir, (kind, name): (&str, &str), data: &str) {
    let path = dir.path().join(name);
    fs::write(&path, data).expect("written");
    let path = path.display().to_string();
    docker(fleet, &[kind, "create", "--template-driver", "golang", name, &path]);
}

fn create(fleet: &Fleet, name: &str, flags: &[&str]) {
    let head = "service create -d --no-resolve-image --network host --stop-grace-period 1s \
                --constraint node.hostname==shop-2 --restart-condition none --name";
    let words: Vec<&str> = head.split_whitespace().chain([name]).collect();
    docker(fleet, &[&words[..], flags, &[busybox_image::IMAGE, "sh", "-c", SHOW]].concat());
}

#[test]
fn a_container_gets_its_configs_and_secrets_filled_in_and_no_disk_has_the_secret() {
    if !can_run() {
        return;
    }
    let (fleet, dir) = prepared(211, 2);
    secret(&fleet, &dir, ("key", "value"));
    template(&fleet, &dir, ("config", "app"), APP);
    template(&fleet, &dir, ("config", "whole"), "key={{secret \"key\"}}");
    template(&fleet, &dir, ("secret", "url"), "pg://u:{{secret \"key\"}}@{{.Service.Name}}");
    let files = [
        "--secret",
        "key",
        "--secret",
        "url",
        "--config",
        "source=app,target=/etc/app,uid=7,gid=8,mode=0440",
        "--config",
        "source=whole,target=/etc/whole",
    ];
    let task = ["--replicas", "2", "--env", "LEVEL=7", "--label", "tier=edge"];
    create(&fleet, "web", &[&files[..], &task].concat());
    let whole = sha256(&format!("key={VALUE}"));
    let url = sha256(&format!("pg://u:{VALUE}@web"));
    fleet.until("both tasks read them", || {
        let said = logs(&fleet, "web");
        said.matches(&whole).count() == 2 && said.matches(&url).count() == 2
    });
    let said = logs(&fleet, "web");
    for line in [
        "slot=1 node=shop-2 of=web level=7 tier=edge first on=linux\n",
        "slot=2 node=shop-2 of=web level=7 tier=edge on=linux\n",
        "/etc/app 7 8 440\n",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert_eq!(found_in(fleet.dir(), &forms(VALUE)), [""; 0]);
    assert_eq!(found_in(&dir.path().join("log"), &forms(VALUE)), [""; 0]);

    // The record keeps the template.
    let shown = fleet.get(2, "/configs/app").json()["Spec"].clone();
    assert_eq!(shown["Templating"]["Name"], "golang");
    let data = docker(&fleet, &["config", "inspect", "--pretty", "app"]);
    assert!(data.contains("slot={{.Task.Slot}}"), "{data}");
    assert_eq!(fleet.get(2, "/secrets/url").json()["Spec"]["Templating"]["Name"], "golang");

    // A rotation keeps what fills it in, and is refused where no task could be given it.
    let rotate = |text: &str| {
        let path = dir.path().join("rotated");
        fs::write(&path, text).expect("written");
        let path = path.display().to_string();

        std::process::Command::new(env!("CARGO_BIN_EXE_edgectl"))
            .args(["secret", "rotate", "url", &path])
            .env("EDGECTL_SOCKET", fleet.socket(1))
            .output()
            .expect("edgectl runs")
    };
    let said = refused(&rotate("a\n{{hunter"));
    assert!(said.contains("the secret url is no template: line 2: it is no Go template"), "{said}");
    assert!(!said.contains("hunter"), "{said}");
    assert!(rotate("my://{{.Task.Slot}}").status.success());
    let second = sha256("my://2");
    fleet.until("the new one is read", || logs(&fleet, "web").contains(&second));
}

#[test]
fn a_template_that_cannot_be_filled_in_is_told_without_a_word_of_a_secret() {
    if !can_run() {
        return;
    }
    let (fleet, dir) = prepared(212, 2);
    let create_of = |flags: &[&str], data: &str| {
        let path = dir.path().join("any");
        fs::write(&path, data).expect("written");
        let path = path.display().to_string();
        fleet.docker(1, &[flags, &["any", &path]].concat())
    };
    for (kind, driver, data, words) in [
        ("config", "jinja", "x", "there is no template driver jinja; there is golang"),
        ("secret", "jinja", "x", "there is no template driver jinja; there is golang"),
        ("config", "golang", "a\n{{if .Task.Slot}}", "line 2: {{if}} at line 2, character 1"),
        ("config", "golang", "{{uper .Task.Slot}}", "line 1: there is no function uper"),
        ("config", "golang", "{{.Node.Labels.a}}", "there is no field .Node.Labels.a"),
        ("secret", "golang", "a\n{{hunter}}", "line 2: it names a function or a field that"),
    ] {
        let said = refused(&create_of(&[kind, "create", "--template-driver", driver], data));
        assert!(said.contains(words), "{data}: {said}");
    }

    secret(&fleet, &dir, ("key", "value"));
    template(&fleet, &dir, ("config", "app"), "a\nb={{secret \"nokey\"}}");
    template(&fleet, &dir, ("config", "whole"), "{{config (secret \"key\")}}");
    template(&fleet, &dir, ("secret", "url"), "hunter\n\n{{.Service.Labels.hunter}}");
    let files = |name: &'static str| ["--secret", "key", "--config", name];
    create(&fleet, "app", &files("source=app,target=/etc/app"));
    create(&fleet, "whole", &files("source=whole,target=/etc/whole"));
    create(&fleet, "url", &["--secret", "url"]);
    let rejected = |service: &str| {
        let filter = format!("%7B%22service%22%3A%5B%22{service}%22%5D%7D");
        let task = fleet.get(1, &format!("/tasks?filters={filter}")).json()[0]["Status"].clone();
        (task["State"] == "rejected").then(|| task["Err"].as_str().unwrap_or_default().to_owned())
    };
    for (service, words) in [
        (
            "app",
            "the template of the config app cannot be filled in: line 2: the service has no secret \
             with the target \"nokey\"; the targets of its secrets are key",
        ),
        (
            "whole",
            "the template of the config whole cannot be filled in: line 1: it names a config or a \
             secret that the service does not have",
        ),
        (
            "url",
            "the template of the secret url cannot be filled in: line 3: it names a function or a \
             field that there is not",
        ),
    ] {
        fleet.until("it is rejected", || rejected(service).is_some());
        assert_eq!(rejected(service).as_deref(), Some(words));
    }
    assert_eq!(found_in(fleet.dir(), &forms(VALUE)), [""; 0]);
    assert_eq!(found_in(&dir.path().join("log"), &forms(VALUE)), [""; 0]);
}

/// A stack with templates of both kinds.
const STACK: &str = r#"
version: "3.8"
services:
  web:
    image: registry.invalid/tools:1
    command: ["sh", "-c", "busybox cat /etc/app; busybox sha256sum /run/secrets/url; exec sleep 1000"]
    stop_grace_period: 1s
    networks: [site]
    configs: [{source: app, target: /etc/app}]
    secrets: [url]
configs:
  app: {file: ./first, name: app-1, template_driver: golang}
secrets:
  url: {file: ./url, template_driver: golang}
networks:
  site: {external: true, name: host}
"#;

#[test]
fn both_clients_deploy_a_stack_with_templates() {
    if !can_run() {
        return;
    }
    let (fleet, dir) = prepared(213, 1);
    let stack = dir.path().join("stack.yaml").display().to_string();
    let write = |name: &str, data: &str| fs::write(dir.path().join(name), data).expect("written");
    write("stack.yaml", STACK);
    write("first", "of={{.Service.Name}} slot={{.Task.Slot}}\n");
    write("url", "slot-{{.Task.Slot}}");
    let flags = ["--resolve-image", "never", "--detach=true"];
    let deploy = [&["stack", "deploy", "-c", &stack], &flags[..], &["shop"]].concat();
    docker(&fleet, &deploy);
    let hash = sha256("slot-1");
    fleet.until("both are filled in", || {
        let said = logs(&fleet, "shop_web");
        said.contains("of=shop_web slot=1\n") && said.contains(&hash)
    });
    let tasks = || fleet.get(1, "/tasks").json().as_array().map(Vec::len);
    docker(&fleet, &deploy);
    edgectl(&fleet, &["stack", "deploy", "-c", &stack, "shop"]);
    assert_eq!(tasks(), Some(1), "the same file restarts nothing");
    let written = edgectl(&fleet, &["stack", "config", "-c", &stack]);
    assert!(written.contains("template_driver: golang"), "{written}");

    // Without the driver it is another config; the secret is rotated.
    write("stack.yaml", &STACK.replace(", template_driver: golang", "").replace("app-1", "app-2"));
    edgectl(&fleet, &["stack", "deploy", "-c", &stack, "shop"]);
    let plain = sha256("slot-{{.Task.Slot}}");
    fleet.until("both are as they are", || {
        let said = logs(&fleet, "shop_web");
        said.contains("slot={{.Task.Slot}}\n") && said.contains(&plain)
    });
    edgectl(&fleet, &["stack", "rm", "shop"]);
    fleet.until("its configs are gone", || fleet.get(1, "/configs").json() == json!([]));
}
