//! The keys of a service around its container.

use serde_json::json;

use super::{at, web};

#[test]
fn how_many_tasks_where_and_with_what() {
    let all = [
        ("scale: 3", "Mode", json!({"Replicated": {"Replicas": 3}})),
        ("deploy: {replicas: 0}", "Mode", json!({"Replicated": {"Replicas": 0}})),
        ("deploy: {mode: global}", "Mode", json!({"Global": {}})),
        (
            "deploy: {mode: replicated-job, replicas: 4}\nx-edge: {max_concurrent: 2}",
            "Mode",
            json!({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 4}}),
        ),
        ("deploy: {labels: [a=b]}", "Labels.a", json!("b")),
        ("deploy: {labels: {a: 1.0}}", "Labels.a", json!("1.0")),
        ("deploy: {endpoint_mode: dnsrr}", "EndpointSpec.Mode", json!("dnsrr")),
        ("restart: 'no'", "TaskTemplate.RestartPolicy.Condition", json!("none")),
        ("restart: no", "TaskTemplate.RestartPolicy.Condition", json!("none")),
        ("restart: unless-stopped", "TaskTemplate.RestartPolicy.Condition", json!("any")),
        ("restart: on-failure:3", "TaskTemplate.RestartPolicy.MaxAttempts", json!(3)),
        (
            "restart: always\ndeploy: {restart_policy: {condition: none, delay: 2s}}",
            "TaskTemplate.RestartPolicy.Condition",
            json!("none"),
        ),
        (
            "deploy: {placement: {constraints: [node.role==worker], max_replicas_per_node: 2}}",
            "TaskTemplate.Placement.MaxReplicas",
            json!(2),
        ),
        (
            "deploy: {placement: {preferences: [{spread: node.labels.zone}]}}",
            "TaskTemplate.Placement.Preferences.0.Spread.SpreadDescriptor",
            json!("node.labels.zone"),
        ),
        (
            "deploy: {resources: {limits: {cpus: '0.5', memory: 50M, pids: 100}}}",
            "TaskTemplate.Resources.Limits",
            json!({"NanoCPUs": 500_000_000, "MemoryBytes": 52_428_800, "Pids": 100}),
        ),
        (
            "deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: gpu, value: 2}}]}}}",
            "TaskTemplate.Resources.Reservations.GenericResources.0.DiscreteResourceSpec",
            json!({"Kind": "gpu", "Value": 2}),
        ),
        (
            "mem_limit: 64m\nmemswap_limit: 96m",
            "TaskTemplate.Resources.SwapBytes",
            json!(33_554_432),
        ),
        (
            "mem_limit: 64m\ndeploy: {resources: {limits: {memory: 32m}}}",
            "TaskTemplate.Resources.Limits.MemoryBytes",
            json!(33_554_432),
        ),
    ];
    all.iter().for_each(|(keys, path, wanted)| assert_eq!(at(&web(keys), path), wanted, "{keys}"));
}

#[test]
fn how_they_are_replaced_reached_and_told_apart() {
    let all = [
        (
            "pids_limit: 7\ncpus: 2",
            "TaskTemplate.Resources.Limits",
            json!({"NanoCPUs": 2_000_000_000_u64, "Pids": 7}),
        ),
        (
            "deploy: {update_config: {parallelism: 2, delay: 1s, order: blue-green, failure_action: rollback}}",
            "UpdateConfig.Order",
            json!("blue-green"),
        ),
        ("deploy: {update_config: {delay: 1s}}", "UpdateConfig.Parallelism", json!(1)),
        (
            "deploy: {rollback_config: {max_failure_ratio: 0.5}}",
            "RollbackConfig.MaxFailureRatio",
            json!(0.5),
        ),
        ("x-edge: {canary: 1}", "UpdateConfig.Canary", json!(1)),
        (
            "x-edge: {priority: 10, affinity: [service==db]}",
            "TaskTemplate.Placement.Priority",
            json!(10),
        ),
        (
            "x-edge: {partition: {policy: at-most-one, anchors: [n1], fence_after: 5s}}",
            "TaskTemplate.Placement.Partition.Anchors",
            json!(["n1"]),
        ),
        (
            "x-edge: {autoscale: {min: 2, max: 9, cpu: 60%}}",
            "Autoscale",
            json!({"Min": 2, "Max": 9, "CpuPercent": 60}),
        ),
        (
            "x-edge: {schedule: {cron: '0 3 * * *', time_zone: Europe/Berlin}}",
            "Schedule.TimeZone",
            json!("Europe/Berlin"),
        ),
        ("x-edge: {slot_order: ascending}", "SlotOrder", json!("ascending")),
        (
            "platform: linux/arm64",
            "TaskTemplate.Placement.Constraints",
            json!(["node.platform.arch==arm64"]),
        ),
        (
            "logging: {driver: json-file, options: {max-size: 10m}}",
            "TaskTemplate.LogDriver",
            json!({"Name": "json-file", "Options": {"max-size": "10m"}}),
        ),
        (
            "pre_start: [{command: [migrate, up]}]",
            "TaskTemplate.PreStart",
            json!([["migrate", "up"]]),
        ),
        ("network_mode: host", "TaskTemplate.Networks", json!([{"Target": "host"}])),
        (
            "ports: ['8080:80/udp']",
            "EndpointSpec.Ports.0",
            json!({"Protocol": "udp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}),
        ),
        ("ports: ['8000-8001:80-81']", "EndpointSpec.Ports.1.PublishedPort", json!(8001)),
        (
            "ports: [{target: 80, published: '8080', mode: host, name: http}]",
            "EndpointSpec.Ports.0",
            json!({"Name": "http", "Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}),
        ),
        ("ports: [80]", "EndpointSpec.Ports.0.PublishedPort", json!(0)),
    ];
    all.iter().for_each(|(keys, path, wanted)| assert_eq!(at(&web(keys), path), wanted, "{keys}"));
}
