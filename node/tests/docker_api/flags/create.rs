//! `service create`.

use super::super::has_docker;
use super::{Client, Fleet, Row, check, create, text};

const SETTINGS: &[Row] = &[
    ("--quiet", "", ""),
    ("--label a=b", "/Labels", r#"{"a": "b"}"#),
    ("--mode global", "/Mode", r#"{"Global": {}}"#),
    ("--mode replicated", "/Mode", r#"{"Replicated": {"Replicas": 1}}"#),
    (
        "--mode replicated-job --replicas 3 --max-concurrent 2 --constraint node.labels.none==here",
        "/Mode/ReplicatedJob",
        r#"{"MaxConcurrent": 2, "TotalCompletions": 3}"#,
    ),
    ("--mode global-job --constraint node.labels.none==here", "/Mode", r#"{"GlobalJob": {}}"#),
    ("--replicas 0", "/Mode", r#"{"Replicated": {"Replicas": 0}}"#),
    ("--replicas-max-per-node 2", "/TaskTemplate/Placement/MaxReplicas", "2"),
    (
        "--constraint node.labels.a==b",
        "/TaskTemplate/Placement/Constraints/0",
        r#""node.labels.a==b""#,
    ),
    (
        "--placement-pref spread=node.labels.a",
        "/TaskTemplate/Placement/Preferences",
        r#"[{"Spread": {"SpreadDescriptor": "node.labels.a"}}]"#,
    ),
    ("--limit-cpu 0.5", "/TaskTemplate/Resources/Limits", r#"{"NanoCPUs": 500000000}"#),
    ("--limit-memory 64m", "/TaskTemplate/Resources/Limits", r#"{"MemoryBytes": 67108864}"#),
    ("--limit-pids 10", "/TaskTemplate/Resources/Limits", r#"{"Pids": 10}"#),
    ("--reserve-cpu 0.1", "/TaskTemplate/Resources/Reservations", r#"{"NanoCPUs": 100000000}"#),
    ("--reserve-memory 8m", "/TaskTemplate/Resources/Reservations", r#"{"MemoryBytes": 8388608}"#),
    (
        "--generic-resource gpu=2",
        "/TaskTemplate/Resources/Reservations/GenericResources",
        r#"[{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}]"#,
    ),
    ("--restart-condition none", "/TaskTemplate/RestartPolicy/Condition", r#""none""#),
    ("--restart-delay 1s", "/TaskTemplate/RestartPolicy/Delay", "1000000000"),
    ("--restart-max-attempts 3", "/TaskTemplate/RestartPolicy/MaxAttempts", "3"),
    ("--restart-window 1m", "/TaskTemplate/RestartPolicy/Window", "60000000000"),
    ("--update-delay 1s", "/UpdateConfig/Delay", "1000000000"),
    ("--update-monitor 3s", "/UpdateConfig/Monitor", "3000000000"),
    ("--update-order start-first", "/UpdateConfig/Order", r#""start-first""#),
    ("--update-order blue-green", "/UpdateConfig/Order", r#""blue-green""#),
    ("--update-parallelism 2", "/UpdateConfig/Parallelism", "2"),
    ("--update-failure-action continue", "/UpdateConfig/FailureAction", r#""continue""#),
    ("--update-max-failure-ratio 0.25", "/UpdateConfig/MaxFailureRatio", "0.25"),
    ("--rollback-delay 1s", "/RollbackConfig/Delay", "1000000000"),
    ("--rollback-failure-action continue", "/RollbackConfig/FailureAction", r#""continue""#),
    ("--rollback-max-failure-ratio 0.5", "/RollbackConfig/MaxFailureRatio", "0.5"),
    ("--rollback-monitor 3s", "/RollbackConfig/Monitor", "3000000000"),
    ("--rollback-order start-first", "/RollbackConfig/Order", r#""start-first""#),
    ("--rollback-parallelism 2", "/RollbackConfig/Parallelism", "2"),
    ("--log-driver json-file", "", ""),
    (
        "--log-driver local --log-opt max-size=1m",
        "/TaskTemplate/LogDriver/Options/max-size",
        r#""1m""#,
    ),
    ("--endpoint-mode dnsrr", "/EndpointSpec/Mode", r#""dnsrr""#),
    (
        "--publish mode=host,target=80,published=80",
        "/EndpointSpec/Ports/0",
        r#"{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 80, "PublishMode": "host"}"#,
    ),
    ("--network host", "/TaskTemplate/Networks/0/Target", r#""host""#),
    ("--with-registry-auth", "", ""),
    ("--no-resolve-image", "", ""),
];

/// In `TaskTemplate.ContainerSpec`.
const CONTAINER: &[Row] = &[
    ("--cap-add NET_ADMIN", "/CapabilityAdd", r#"["CAP_NET_ADMIN"]"#),
    ("--cap-drop CHOWN", "/CapabilityDrop", r#"["CAP_CHOWN"]"#),
    ("--container-label a=b", "/Labels", r#"{"a": "b"}"#),
    ("--dns 192.0.2.1", "/DNSConfig/Nameservers", r#"["192.0.2.1"]"#),
    ("--dns-option ndots:2", "/DNSConfig/Options", r#"["ndots:2"]"#),
    ("--dns-search lan", "/DNSConfig/Search", r#"["lan"]"#),
    ("--entrypoint sh", "/Command", r#"["sh"]"#),
    ("--env A=1 -e B=2", "/Env", r#"["A=1", "B=2"]"#),
    ("--group 20", "/Groups", r#"["20"]"#),
    ("--health-cmd true", "/Healthcheck/Test", r#"["CMD-SHELL", "true"]"#),
    ("--health-cmd true --health-interval 5s", "/Healthcheck/Interval", "5000000000"),
    ("--health-cmd true --health-retries 2", "/Healthcheck/Retries", "2"),
    ("--health-cmd true --health-start-interval 2s", "/Healthcheck/StartInterval", "2000000000"),
    ("--health-cmd true --health-start-period 4s", "/Healthcheck/StartPeriod", "4000000000"),
    ("--health-cmd true --health-timeout 6s", "/Healthcheck/Timeout", "6000000000"),
    ("--no-healthcheck", "/Healthcheck/Test", r#"["NONE"]"#),
    ("--config source=site,target=/etc/site,uid=7,mode=0440", "/Configs/0/File/Mode", "288"),
    ("--config site", "/Configs/0/ConfigName", r#""site""#),
    ("--host printer:192.0.2.7", "/Hosts", r#"["192.0.2.7 printer"]"#),
    ("--hostname till", "/Hostname", r#""till""#),
    ("--init", "/Init", "true"),
    (
        "--mount type=volume,src=data,dst=/data",
        "/Mounts/0",
        r#"{"Type": "volume", "Source": "data", "Target": "/data"}"#,
    ),
    ("--oom-score-adj 100", "/OomScoreAdj", "100"),
    ("--read-only", "/ReadOnly", "true"),
    ("--stop-grace-period 3s", "/StopGracePeriod", "3000000000"),
    ("--stop-signal SIGINT", "/StopSignal", r#""SIGINT""#),
    ("--sysctl kernel.shmmax=9", "/Sysctls", r#"{"kernel.shmmax": "9"}"#),
    ("--tty", "/TTY", "true"),
    ("--ulimit nofile=10:20", "/Ulimits/0", r#"{"Name": "nofile", "Hard": 20, "Soft": 10}"#),
    ("--user 1000:20", "/User", r#""1000:20""#),
    ("--workdir /srv", "/Dir", r#""/srv""#),
];

fn each(fleet: &Fleet, rows: &[Row], below: &str) {
    for (number, row) in rows.iter().enumerate() {
        let (flags, ..) = row;
        for client in Client::BOTH {
            let made = create(fleet, client, &client.name(number), flags);
            assert!(made.status.success(), "{client:?} {flags}: {}", text(&made.stderr));
        }
        check(fleet, *row, below, number);
        for client in Client::BOTH {
            fleet.ask(1, "DELETE", &format!("/services/{}", client.name(number)), "");
        }
    }
}

#[test]
fn flags_of_create_mean_the_same_to_both_clients() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(120, 1);
    super::create_config(&fleet, "site");
    each(&fleet, SETTINGS, "");
    each(&fleet, CONTAINER, "/TaskTemplate/ContainerSpec");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "A=1\n# no variable\nB=two words\n").expect("written");
    let flags = format!("--env-file {}", file.path().display());
    for client in Client::BOTH {
        let made = create(&fleet, client, &client.name(99), &flags);
        assert!(made.status.success(), "{client:?}: {}", text(&made.stderr));
    }
    let row = ("--env-file FILE", "/ContainerSpec/Env", r#"["A=1", "B=two words"]"#);
    check(&fleet, row, "/TaskTemplate", 99);
}

#[test]
fn create_refuses_to_both_clients() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(121, 1);
    for (flags, docker, ours) in [
        ("--config site", "config not found: site", "config site not found"),
        ("--secret key", "secret not found: key", "secret key not found"),
        ("--credential-spec file://x.json", "Windows", "Windows"),
        ("--isolation hyperv", "Windows", "Windows"),
        ("--health-interval 5s", "--health-cmd", "--health-cmd"),
        ("--restart-delay -1s", "RestartPolicy.Delay: -1", "--restart-delay -1s: the value is"),
        ("--limit-cpu -1", "Limits.NanoCPUs: -1", "--limit-cpu with 0 or more"),
        ("--limit-memory 1k", "at least 4m", "at least 4m"),
        ("--replicas 200000", "the most for one service", "the most for one service"),
        ("--mode global --replicas 2", "can only be used with replicated", "no number of replicas"),
        (
            "--mode global --replicas-max-per-node 2",
            "can only be used with replicated",
            "leave it out (--replicas-max-per-node)",
        ),
        ("--stop-signal SIGFOO", "like SIGTERM", "like SIGTERM"),
        ("--user a:b:c", "1000:1000", "1000:1000"),
        ("--workdir srv", "like /srv", "like /srv"),
        ("--hostname a_b", "like till-1", "like till-1"),
        ("--env A={{.Node.Labels.zone}}", ".Node.Hostname", ".Node.Hostname"),
        ("--hostname {{.Slot}}", ".Task.Slot", ".Task.Slot"),
        ("--mount source=a-{{.Slot}},target=/a", ".Task.Slot", ".Task.Slot"),
        ("--log-driver syslog", "json-file, local", "json-file, local"),
    ] {
        for (client, words) in [(Client::Docker, docker), (Client::Ours, ours)] {
            let refused = create(&fleet, client, "none", flags);
            let said = text(&refused.stderr);
            assert_eq!(refused.status.code(), Some(1), "{client:?} {flags}: {said}");
            assert!(said.contains(words), "{client:?} {flags}: {said}");
        }
    }
    assert_eq!(fleet.get(1, "/services").json(), serde_json::json!([]));
}

#[test]
fn what_fits_only_in_part_is_stored_and_said_with_another_exit_code() {
    let fleet = Fleet::start(129, 1);
    let head = ["service", "create", "-q", "--name", "part", "--stop-grace-period", "1s"];
    let some = ["--replicas", "3", "--replicas-max-per-node", "1", "process:/bin/sleep", "1000"];
    let made = Client::Ours.run(&fleet, &[&head[..], &some].concat());
    let said = text(&made.stderr);
    assert_eq!(made.status.code(), Some(2), "{said}");
    assert!(
        said.contains("2 of 3 tasks of part fit on no node") && said.contains("try: "),
        "{said}"
    );
    assert_eq!(fleet.running(1, "part"), 1);
}
