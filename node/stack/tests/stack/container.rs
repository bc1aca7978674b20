//! The keys of a container.

use node_docker::Nanos;
use serde_json::json;

use super::{at, web};

#[test]
fn what_a_container_runs() {
    let container = [
        ("command: sh -c 'echo \"a b\"'", "Args", json!(["sh", "-c", "echo \"a b\""])),
        ("command: [a, 'b c']", "Args", json!(["a", "b c"])),
        ("entrypoint: /run.sh x", "Command", json!(["/run.sh", "x"])),
        ("entrypoint: []\ncommand: [a, b]", "Command", json!(["a"])),
        (
            "environment: {A: 0440, B: 1.10, C: NO, D: 22:22, E: 2026-01-02, F: 'true'}",
            "Env",
            json!(["A=0440", "B=1.10", "C=NO", "D=22:22", "E=2026-01-02", "F=true"]),
        ),
        (
            "environment: [A=b=c, FROM_OUTSIDE, NOT_SET]",
            "Env",
            json!(["A=b=c", "FROM_OUTSIDE=here"]),
        ),
        ("env_file: web.env\nenvironment: {B: mine}", "Env", json!(["A=file", "B=mine"])),
        (
            "env_file: [{path: gone.env, required: false}, web.env]",
            "Env",
            json!(["A=file", "B=file"]),
        ),
        ("env_file: [{path: raw.env, format: raw}]", "Env", json!(["A='x' # y"])),
        ("hostname: '{{.Task.Name}}'", "Hostname", json!("{{.Task.Name}}")),
        ("user: '1000:1000'", "User", json!("1000:1000")),
        ("working_dir: /srv", "Dir", json!("/srv")),
        ("group_add: [audio, 27]", "Groups", json!(["audio", "27"])),
        ("stop_signal: SIGINT", "StopSignal", json!("SIGINT")),
        ("stop_grace_period: 1m30s", "StopGracePeriod", json!(Nanos(90_000_000_000))),
        ("init: true", "Init", json!(true)),
        ("tty: yes", "TTY", json!(true)),
        ("stdin_open: true", "OpenStdin", json!(true)),
    ];
    for (keys, path, wanted) in container {
        let spec = web(keys);
        assert_eq!(at(&spec["TaskTemplate"]["ContainerSpec"], path), &wanted, "{keys}");
    }
}

#[test]
fn what_a_container_may_and_how_it_is_watched() {
    let container = [
        ("read_only: true", "ReadOnly", json!(true)),
        ("oom_score_adj: -500", "OomScoreAdj", json!(-500)),
        ("extra_hosts: ['a:10.0.0.7', 'b=10.0.0.8']", "Hosts", json!(["10.0.0.7 a", "10.0.0.8 b"])),
        ("extra_hosts: {a: 10.0.0.7}", "Hosts", json!(["10.0.0.7 a"])),
        (
            "dns: 9.9.9.9\ndns_search: [a.b]\ndns_opt: ['ndots:1']",
            "DNSConfig",
            json!({"Nameservers": ["9.9.9.9"], "Search": ["a.b"], "Options": ["ndots:1"]}),
        ),
        ("cap_add: [NET_ADMIN]", "CapabilityAdd", json!(["CAP_NET_ADMIN"])),
        ("cap_drop: [ALL]", "CapabilityDrop", json!(["ALL"])),
        (
            "security_opt: ['no-new-privileges:true']",
            "Privileges",
            json!({"NoNewPrivileges": true}),
        ),
        ("privileged: true", "Edge.Privileged", json!(true)),
        (
            "devices: ['/dev/ttyUSB0:/dev/modem:rw']",
            "Edge.Devices.0.PathInContainer",
            json!("/dev/modem"),
        ),
        (
            "devices: [{source: /dev/fuse, permissions: rw}]",
            "Edge.Devices.0.CgroupPermissions",
            json!("rw"),
        ),
        ("sysctls: [net.core.somaxconn=1024]", "Sysctls", json!({"net.core.somaxconn": "1024"})),
        ("sysctls: {net.core.somaxconn: 1024}", "Sysctls", json!({"net.core.somaxconn": "1024"})),
        (
            "ulimits: {nofile: {soft: 10, hard: 20}, nproc: 5}",
            "Ulimits",
            json!([{"Name": "nofile", "Hard": 20, "Soft": 10}, {"Name": "nproc", "Hard": 5, "Soft": 5}]),
        ),
        (
            "labels: [a=b, c]",
            "Labels",
            json!({"a": "b", "c": "", "com.docker.stack.namespace": "st"}),
        ),
        (
            "healthcheck: {test: curl x, interval: 5s, retries: 2}",
            "Healthcheck.Test",
            json!(["CMD-SHELL", "curl x"]),
        ),
        (
            "healthcheck: {test: [CMD, a], start_interval: 1s}",
            "Healthcheck.StartInterval",
            json!(Nanos(1_000_000_000)),
        ),
        ("healthcheck: {disable: true}", "Healthcheck.Test", json!(["NONE"])),
    ];
    for (keys, path, wanted) in container {
        let spec = web(keys);
        assert_eq!(at(&spec["TaskTemplate"]["ContainerSpec"], path), &wanted, "{keys}");
    }
}
