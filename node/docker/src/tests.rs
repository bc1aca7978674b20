//! The shapes, checked with data of Docker's own client (28.2).

use serde_json::json;

use super::service::{Service, ServiceSpec};
use super::{Nanos, Timestamp, read};

/// As `docker service create --name web --replicas 3 --publish …` sends it.
pub(super) const CREATE: &str = r#"{
  "Name": "web", "Labels": {"tier": "front"},
  "TaskTemplate": {
    "ContainerSpec": {"Image": "process:/usr/bin/busybox", "Args": ["httpd", "-f"],
      "Env": ["A=1"], "Init": false, "DNSConfig": {}, "Isolation": "default",
      "StopGracePeriod": 10000000000, "Mounts": null, "Ulimits": []},
    "Resources": {"Limits": {"NanoCPUs": 500000000}, "Reservations": {}},
    "RestartPolicy": {"Condition": "any", "Delay": 5000000000, "MaxAttempts": 0},
    "Placement": {"Constraints": ["node.labels.zone==a"], "MaxReplicas": 2,
      "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.rack"}}]},
    "ForceUpdate": 0, "Runtime": "container", "Networks": null
  },
  "Mode": {"Replicated": {"Replicas": 3}},
  "UpdateConfig": {"Parallelism": 2, "FailureAction": "pause", "Monitor": 5000000000,
    "MaxFailureRatio": 0, "Order": "start-first"},
  "EndpointSpec": {"Mode": "vip",
    "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}]}
}"#;

#[test]
fn a_spec_of_dockers_client_is_read_with_its_nulls() {
    let spec: ServiceSpec = read(CREATE.as_bytes()).expect("a spec");
    let container = spec.task_template.container_spec.as_ref().expect("a container");
    assert_eq!(container.image, "process:/usr/bin/busybox");
    assert_eq!(container.stop_grace_period, Some(Nanos(10_000_000_000)));
    assert!(!container.unknown.contains_key("Mounts"), "null is absent");
    assert!(container.unknown.contains_key("Isolation"), "kept, to be looked at");
    assert_eq!(spec.mode.replicated.and_then(|r| r.replicas), Some(3));
}

#[test]
fn a_spec_is_sent_back_as_it_was_read() {
    let spec: ServiceSpec = read(CREATE.as_bytes()).expect("a spec");
    let sent = serde_json::to_vec(&spec).expect("JSON");
    assert_eq!(read::<ServiceSpec>(&sent).expect("a spec"), spec);
}

#[test]
fn a_service_has_dockers_field_names() {
    let service = Service {
        id: "0".repeat(25),
        created_at: Timestamp(1_777_636_800_250),
        spec: ServiceSpec { name: "web".to_owned(), ..ServiceSpec::default() },
        ..Service::default()
    };
    assert_eq!(
        serde_json::to_value(&service).expect("JSON"),
        json!({
            "ID": "0000000000000000000000000",
            "Version": {"Index": 0},
            "CreatedAt": "2026-05-01T12:00:00.25Z",
            "UpdatedAt": "1970-01-01T00:00:00Z",
            "Spec": {"Name": "web", "Labels": {}, "TaskTemplate": {"ForceUpdate": 0}, "Mode": {}},
            "Endpoint": {"Spec": {}},
        })
    );
}

#[test]
fn a_body_that_is_no_spec_is_an_error_that_names_the_field() {
    let error = read::<ServiceSpec>(br#"{"Mode": {"Replicated": {"Replicas": -1}}}"#);
    assert!(error.expect_err("negative").to_string().contains("-1"));
    assert!(read::<ServiceSpec>(b"[").is_err());
}
