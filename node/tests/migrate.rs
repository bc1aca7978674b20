//! `edgectl migrate from-swarm` against an agent, whose API is Docker's: a stack is written as a file, and
//! what that file makes under another name is the same but for the name.

#[path = "lab/test_lab.rs"]
mod test_lab;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use test_lab::TestLab;

const SHOP: &str = r#"
services:
  web:
    image: registry.invalid/web:1.10
    entrypoint: [/bin/sh, -c]
    command: ["echo $$HOME 'a b'", "--x=\"1\""]
    environment: {RELEASE: 1.10, COST: "5$$", EMPTY: "", LINES: "a\nb", NO: no, SLOT: "{{.Task.Slot}}"}
    labels: {tier: front, when: 2026-01-02}
    ports: ["5080:80", {target: 53, published: 5053, protocol: udp, mode: host}]
    networks: {front: {aliases: [www]}, back: , outer: }
    volumes: ["data:/data:ro", "old:/old", "/etc/ssl:/etc/ssl:ro", {type: tmpfs, target: /run, tmpfs: {size: 64m, mode: 1777}}]
    configs: [{source: site, target: /etc/site.conf, uid: 33, mode: 0440}]
    healthcheck: {test: [CMD, "true"], interval: 1500ms, retries: 3}
    logging: {driver: json-file, options: {max-size: 10m}}
    user: "1000:44"
    working_dir: /srv
    hostname: web-{{.Task.Slot}}
    stop_signal: SIGINT
    stop_grace_period: 90s
    init: true
    tty: true
    stdin_open: true
    read_only: true
    group_add: ["44"]
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    security_opt: [no-new-privileges:true]
    sysctls: {net.core.somaxconn: 1024}
    ulimits: {nofile: {soft: 10, hard: 20}, core: -1}
    dns: [10.0.0.53]
    dns_search: [shop.lan]
    extra_hosts: ["printer:10.0.0.7", "six:fd00::1"]
    depends_on: [db]
    deploy:
      replicas: 3
      labels: {rule: "Host(`a`) && $$x"}
      update_config: {parallelism: 2, delay: 5s, failure_action: rollback, order: start-first, max_failure_ratio: 0.1}
      rollback_config: {parallelism: 0}
      restart_policy: {condition: on-failure, delay: 3s, max_attempts: 5, window: 1m}
      placement: {constraints: [node.labels.zone==a], preferences: [{spread: node.labels.rack}], max_replicas_per_node: 2}
      resources: {limits: {cpus: 0.5, memory: 128M, pids: 100}, reservations: {cpus: 0.25, memory: 64M}}
    x-edge: {priority: 7, slot_order: ascending, canary: 1}
  db:
    image: registry.invalid/db:16
    networks: [back]
    deploy: {endpoint_mode: dnsrr}
    x-edge: {priority: 7, partition: {policy: stay}}
  agent: {image: registry.invalid/agent:1, deploy: {mode: global}}
  once:
    image: registry.invalid/once:1
    deploy: {mode: replicated-job, replicas: 6}
    x-edge: {max_concurrent: 2, schedule: {cron: "0 3 * * *", time_zone: Europe/Berlin}}
  bare: {image: registry.invalid/bare:1, network_mode: host}
  host: {image: "process:/bin/sleep", command: ["1000"]}
networks:
  front: {attachable: true, ipam: {config: [{subnet: 192.168.77.0/24}]}}
  back: {internal: true, labels: {a: b}}
  outer: {external: true, name: outer-net}
volumes: {data: {labels: {keep: "yes"}}, old: {external: true, name: old-data}}
configs: {site: {content: "root $$document_root;\n"}}
"#;

/// The specs of a stack by the names of their services, with names in place of the ids and of the stack.
fn specs(lab: &TestLab, stack: &str) -> BTreeMap<String, Value> {
    let ids = lab.edgectl(1, &["stack", "services", "-q", stack]);
    let networks =
        lab.edgectl(1, &["network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}}"]);
    let of_service = |id: &str| {
        let mut text = lab.edgectl(1, &["service", "inspect", id]);
        for (id, name) in networks.lines().filter_map(|line| line.split_once(' ')) {
            text = text.replace(id, name);
        }
        let text = text.replace(&format!("{stack}_"), "it_");
        let mut service: Value = serde_json::from_str(&text).expect("it is JSON");
        let mut spec = service[0]["Spec"].take();
        for labels in ["/Labels", "/TaskTemplate/ContainerSpec/Labels"] {
            *label(&mut spec, labels) = json!("it");
        }
        let mounts = spec.pointer_mut("/TaskTemplate/ContainerSpec/Mounts");
        for mount in mounts.and_then(Value::as_array_mut).into_iter().flatten() {
            if mount["Source"] == "it_data" {
                *label(mount, "/VolumeOptions/Labels") = json!("it");
            }
        }
        let configs = spec.pointer_mut("/TaskTemplate/ContainerSpec/Configs");
        for config in configs.and_then(Value::as_array_mut).into_iter().flatten() {
            *config = config["File"].take();
        }
        (spec["Name"].as_str().expect("a name").to_owned(), spec)
    };
    ids.lines().map(of_service).collect()
}

/// The label of the stack, which has to be there.
fn label<'a>(value: &'a mut Value, labels: &str) -> &'a mut Value {
    let path = format!("{labels}/com.docker.stack.namespace");
    let shown = value.to_string();
    value.pointer_mut(&path).unwrap_or_else(|| panic!("{path} is not in {shown}"))
}

#[test]
fn a_stack_is_written_as_a_file_that_makes_the_same_stack() {
    let lab = TestLab::up('t', 1);
    let file = lab.dir.join("shop.yaml");
    std::fs::write(&file, SHOP).expect("writable");
    lab.edgectl(1, &["network", "create", "outer-net"]);
    let deploy = |file: &std::path::Path, name: &str| {
        let file = file.display().to_string();
        lab.edgectl(1, &["stack", "deploy", "--resolve-image", "never", "-c", &file, name]);
    };
    deploy(&file, "shop");
    lab.edgectl(
        1,
        &["service", "create", "--detach", "--name", "lonely", "--env", "A=$B", "process:true"],
    );
    let before = specs(&lab, "shop");
    assert_eq!(before.len(), 6);

    let host = format!("unix://{}", lab.socket(1).display());
    let moved = lab.dir.join("moved");
    let output = moved.display().to_string();
    let migrate = ["migrate", "from-swarm", "--docker-host", &host, "--output", &output];
    lab.edgectl(1, &migrate);
    let report = std::fs::read_to_string(moved.join("REPORT.md")).expect("there is a report");
    assert!(report.contains("Nothing: all that the services ask for is in the files."), "{report}");
    assert!(
        report.contains("\nedgectl network create ") && report.contains(" outer-net\n"),
        "{report}"
    );
    assert!(moved.join("swarm.yaml").exists(), "the service of no stack");
    let again = lab.edgectl_output(1, &migrate);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(said.contains(" is there already\n"), "{said}");

    lab.edgectl(1, &["stack", "rm", "--detach=false", "shop"]);
    deploy(&moved.join("shop.yaml"), "two");
    let after = specs(&lab, "two");
    let text = std::fs::read_to_string(moved.join("shop.yaml")).expect("there is a file");
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, spec) in &before {
        assert_eq!(after[name], *spec, "{name} by\n{text}");
    }
    let networks = |name: &str| {
        let inspected = lab.edgectl(1, &["network", "inspect", name]);
        let mut network: Value = serde_json::from_str(&inspected).expect("it is JSON");
        let mut network = network[0].take();
        *label(&mut network, "/Labels") = json!("it");
        ["Attachable", "Internal", "Labels", "EnableIPv6"].map(|key| network[key].clone())
    };
    assert_eq!(
        networks("two_back"),
        [
            json!(false),
            json!(true),
            json!({"a": "b", "com.docker.stack.namespace": "it"}),
            json!(false)
        ]
    );
    assert_eq!(networks("two_front")[0], json!(true));
    assert!(text.contains("192.168.77.0/24"), "{text}");
}
