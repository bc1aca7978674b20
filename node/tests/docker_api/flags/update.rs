//! `service update`.

use super::super::has_docker;
use super::{Client, Fleet, Row, check, create, text};

/// What each service has before the update.
const BEFORE: &str = "--cap-add NET_ADMIN --config site --constraint node.labels.a==b --container-label a=b \
    --dns 192.0.2.1 --dns-option ndots:2 --dns-search lan --env A=1 --group 20 \
    --host printer:192.0.2.7 --label a=b --mount type=volume,src=data,dst=/data --network host \
    --publish mode=host,target=80,published=80 --ulimit nofile=10:20 --generic-resource cam=1 --placement-pref spread=node.labels.a --sysctl kernel.shmmax=9";

const SETTINGS: &[Row] = &[
    ("--quiet", "", ""),
    ("--constraint-add node.labels.a==c", "/Placement/Constraints/1", r#""node.labels.a==c""#),
    ("--constraint-rm node.labels.a==b", "/Placement/Constraints", "null"),
    ("--constraint-rm node.labels.x==y", "/Placement/Constraints", r#"["node.labels.a==b"]"#),
    (
        "--placement-pref-add spread=node.labels.b",
        "/Placement/Preferences/1",
        r#"{"Spread": {"SpreadDescriptor": "node.labels.b"}}"#,
    ),
    ("--placement-pref-rm spread=node.labels.a", "/Placement/Preferences", "null"),
    ("--force", "/ForceUpdate", "1"),
    ("--limit-cpu 1", "/Resources/Limits/NanoCPUs", "1000000000"),
    ("--limit-memory 9m", "/Resources/Limits/MemoryBytes", "9437184"),
    ("--limit-pids 7", "/Resources/Limits/Pids", "7"),
    ("--reserve-cpu 1", "/Resources/Reservations/NanoCPUs", "1000000000"),
    ("--reserve-memory 9m", "/Resources/Reservations/MemoryBytes", "9437184"),
    (
        "--generic-resource-add cam=2",
        "/Resources/Reservations/GenericResources",
        r#"[{"DiscreteResourceSpec": {"Kind": "cam", "Value": 2}}]"#,
    ),
    ("--generic-resource-rm cam", "/Resources/Reservations/GenericResources", "null"),
    ("--log-driver local", "", ""),
    ("--log-driver local --log-opt max-size=3m", "/LogDriver/Options/max-size", r#""3m""#),
    ("--network-rm host", "/Networks/0/Target", r#""host""#),
    ("--replicas 0", "", ""),
    ("--replicas-max-per-node 2", "/Placement/MaxReplicas", "2"),
    ("--restart-condition none", "/RestartPolicy/Condition", r#""none""#),
    ("--restart-delay 1s", "/RestartPolicy/Delay", "1000000000"),
    ("--restart-max-attempts 3", "/RestartPolicy/MaxAttempts", "3"),
    ("--restart-window 1m", "/RestartPolicy/Window", "60000000000"),
    ("--with-registry-auth", "", ""),
    ("--no-resolve-image", "", ""),
];

/// Outside of the task's template.
const SERVICE: &[Row] = &[
    ("--endpoint-mode dnsrr", "/EndpointSpec/Mode", r#""dnsrr""#),
    ("--label-add x=y", "/Labels", r#"{"a": "b", "x": "y"}"#),
    ("--label-rm a", "/Labels", "{}"),
    ("--label-rm nope", "/Labels", r#"{"a": "b"}"#),
    ("--label-rm a --label-add a=c", "/Labels", r#"{"a": "c"}"#),
    ("--publish-add mode=host,target=81,published=81", "/EndpointSpec/Ports/1/TargetPort", "81"),
    ("--publish-rm mode=host,target=80", "/EndpointSpec/Ports", "null"),
    ("--publish-rm 8080", "/EndpointSpec/Ports/0/TargetPort", "80"),
    ("--update-delay 1s", "/UpdateConfig/Delay", "1000000000"),
    ("--update-monitor 3s", "/UpdateConfig/Monitor", "3000000000"),
    ("--update-order start-first", "/UpdateConfig/Order", r#""start-first""#),
    ("--update-order blue-green", "/UpdateConfig/Order", r#""blue-green""#),
    ("--update-parallelism 0", "/UpdateConfig/Parallelism", "0"),
    ("--update-failure-action continue", "/UpdateConfig/FailureAction", r#""continue""#),
    ("--update-max-failure-ratio 0.25", "/UpdateConfig/MaxFailureRatio", "0.25"),
    ("--rollback-delay 1s", "/RollbackConfig/Delay", "1000000000"),
    ("--rollback-failure-action continue", "/RollbackConfig/FailureAction", r#""continue""#),
    ("--rollback-max-failure-ratio 0.5", "/RollbackConfig/MaxFailureRatio", "0.5"),
    ("--rollback-monitor 3s", "/RollbackConfig/Monitor", "3000000000"),
    ("--rollback-order start-first", "/RollbackConfig/Order", r#""start-first""#),
    ("--rollback-parallelism 2", "/RollbackConfig/Parallelism", "2"),
];

/// In `TaskTemplate.ContainerSpec`.
const CONTAINER: &[Row] = &[
    ("--args start", "/Args", r#"["start"]"#),
    ("--cap-add SYS_TIME", "/CapabilityAdd", r#"["CAP_NET_ADMIN", "CAP_SYS_TIME"]"#),
    ("--cap-drop NET_ADMIN", "/CapabilityAdd", "null"),
    ("--container-label-add c=d", "/Labels", r#"{"a": "b", "c": "d"}"#),
    ("--container-label-rm a", "/Labels", "null"),
    ("--config-add new", "/Configs/0/File/Name", r#""new""#),
    ("--config-rm site", "/Configs", "null"),
    ("--config-rm nope", "/Configs/0/ConfigName", r#""site""#),
    ("--config-rm site --config-add source=site,target=/s", "/Configs/0/File/Name", r#""/s""#),
    ("--dns-add 192.0.2.2", "/DNSConfig/Nameservers", r#"["192.0.2.1", "192.0.2.2"]"#),
    ("--dns-rm 192.0.2.1", "/DNSConfig/Nameservers", "null"),
    ("--dns-option-add rotate", "/DNSConfig/Options", r#"["ndots:2", "rotate"]"#),
    ("--dns-option-rm ndots:2", "/DNSConfig/Options", "null"),
    ("--dns-search-add site", "/DNSConfig/Search", r#"["lan", "site"]"#),
    ("--dns-search-rm lan", "/DNSConfig/Search", "null"),
    ("--entrypoint sh", "/Command", r#"["sh"]"#),
    ("--env-add A=2 --env-add B=3", "/Env", r#"["A=2", "B=3"]"#),
    ("--env-rm A", "/Env", "null"),
    ("--env-rm NOPE", "/Env", r#"["A=1"]"#),
    ("--env-rm A --env-add A=3", "/Env", r#"["A=3"]"#),
    ("--group-add 21", "/Groups", r#"["20", "21"]"#),
    ("--group-rm 20", "/Groups", "null"),
    ("--health-cmd true", "/Healthcheck/Test", r#"["CMD-SHELL", "true"]"#),
    ("--health-cmd true --health-interval 5s", "/Healthcheck/Interval", "5000000000"),
    ("--health-cmd true --health-retries 2", "/Healthcheck/Retries", "2"),
    ("--health-cmd true --health-start-period 4s", "/Healthcheck/StartPeriod", "4000000000"),
    ("--health-cmd true --health-timeout 6s", "/Healthcheck/Timeout", "6000000000"),
    ("--no-healthcheck", "/Healthcheck/Test", r#"["NONE"]"#),
    ("--host-add copier:192.0.2.8", "/Hosts/1", r#""192.0.2.8 copier""#),
    ("--host-rm printer:192.0.2.7", "/Hosts", "null"),
    ("--host-rm nope:192.0.2.7", "/Hosts/0", r#""192.0.2.7 printer""#),
    ("--hostname till", "/Hostname", r#""till""#),
    ("--image registry.invalid/app:2", "/Image", r#""registry.invalid/app:2""#),
    ("--init", "/Init", "true"),
    ("--mount-add type=volume,src=new,dst=/data", "/Mounts/0/Source", r#""new""#),
    ("--mount-rm /data", "/Mounts", "null"),
    ("--mount-rm /nope", "/Mounts/0/Source", r#""data""#),
    ("--oom-score-adj 100", "/OomScoreAdj", "100"),
    ("--read-only", "/ReadOnly", "true"),
    ("--stop-grace-period 3s", "/StopGracePeriod", "3000000000"),
    ("--stop-signal SIGINT", "/StopSignal", r#""SIGINT""#),
    ("--sysctl-add kernel.shmmax=8", "/Sysctls", r#"{"kernel.shmmax": "8"}"#),
    ("--sysctl-rm kernel.shmmax", "/Sysctls", "null"),
    ("--tty", "/TTY", "true"),
    ("--ulimit-add nofile=1:2", "/Ulimits/0/Hard", "2"),
    ("--ulimit-rm nofile", "/Ulimits", "null"),
    ("--user 1000:20", "/User", r#""1000:20""#),
    ("--workdir /srv", "/Dir", r#""/srv""#),
];

/// What Docker's client loses: what one command removes and adds, and a time.
const KEPT_BY_OURS: &[Row] = &[
    (
        "--health-cmd true --health-start-interval 2s",
        "/ContainerSpec/Healthcheck/StartInterval",
        "2000000000",
    ),
    (
        "--constraint-rm node.labels.a==b --constraint-add node.labels.a==b",
        "/Placement/Constraints",
        r#"["node.labels.a==b"]"#,
    ),
    (
        "--mount-rm /data --mount-add type=volume,src=new,dst=/data",
        "/ContainerSpec/Mounts/0/Source",
        r#""new""#,
    ),
    (
        "--dns-rm 192.0.2.1 --dns-add 192.0.2.1",
        "/ContainerSpec/DNSConfig/Nameservers/0",
        r#""192.0.2.1""#,
    ),
    ("--group-rm 20 --group-add 20", "/ContainerSpec/Groups", r#"["20"]"#),
];

fn update(fleet: &Fleet, client: Client, name: &str, flags: &str) {
    let made = create(fleet, client, name, BEFORE);
    assert!(made.status.success(), "{client:?}: {}", text(&made.stderr));
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let resolve: &[&str] = match flags.contains(&"--no-resolve-image") {
        true => &[],
        false => &["--no-resolve-image"],
    };
    let words = [&["service", "update", "-d"], resolve, &flags, &[name]].concat();
    let updated = client.run(fleet, &words);
    assert!(updated.status.success(), "{client:?} {flags:?}: {}", text(&updated.stderr));
}

fn remove(fleet: &Fleet, number: usize) {
    for client in Client::BOTH {
        fleet.ask(1, "DELETE", &format!("/services/{}", client.name(number)), "");
    }
}

fn each(fleet: &Fleet, rows: &[Row], below: &str) {
    for (number, row) in rows.iter().enumerate() {
        for client in Client::BOTH {
            update(fleet, client, &client.name(number), row.0);
        }
        check(fleet, *row, below, number);
        remove(fleet, number);
    }
}

#[test]
fn flags_of_update_mean_the_same_to_both_clients() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(122, 1);
    ["site", "new"].iter().for_each(|name| super::create_config(&fleet, name));
    each(&fleet, SETTINGS, "/TaskTemplate");
    each(&fleet, SERVICE, "");
    each(&fleet, CONTAINER, "/TaskTemplate/ContainerSpec");
}

#[test]
fn what_docker_s_client_loses_is_kept() {
    let fleet = Fleet::start(123, 1);
    super::create_config(&fleet, "site");
    for (number, (flags, field, value)) in KEPT_BY_OURS.iter().enumerate() {
        let name = Client::Ours.name(number);
        update(&fleet, Client::Ours, &name, flags);
        let value: serde_json::Value = serde_json::from_str(value).expect(flags);
        let spec = super::spec(&fleet, &name);
        assert_eq!(spec["TaskTemplate"].pointer(field), Some(&value), "{flags}");
        remove(&fleet, number);
    }
}

/// What the service's tasks get as A.
fn variable(fleet: &Fleet) -> serde_json::Value {
    super::spec(fleet, "web")["TaskTemplate"]["ContainerSpec"]["Env"][0].clone()
}

#[test]
fn a_service_goes_back_from_both_clients() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(130, 1);
    for client in Client::BOTH {
        assert!(create(&fleet, client, "web", "--env A=1").status.success());
        let nothing = client.run(&fleet, &["service", "rollback", "-d", "web"]);
        assert_eq!(nothing.status.code(), Some(1), "{client:?}: {}", text(&nothing.stdout));
        for back in [&["rollback", "-d", "-q"][..], &["update", "-d", "--rollback"]] {
            let update = ["service", "update", "-d", "--no-resolve-image", "--env-add", "A=2"];
            let updated = client.run(&fleet, &[&update[..], &["web"]].concat());
            assert!(updated.status.success(), "{client:?}: {}", text(&updated.stderr));
            assert_eq!(variable(&fleet), "A=2", "{client:?}");
            let gone_back = client.run(&fleet, &[&["service"], back, &["web"]].concat());
            assert!(gone_back.status.success(), "{client:?} {back:?}: {}", text(&gone_back.stderr));
            assert_eq!(variable(&fleet), "A=1", "{client:?} {back:?}");
        }
        let both = ["service", "update", "-d", "--rollback", "--env-add", "A=3", "web"];
        let refused = client.run(&fleet, &both);
        assert_eq!(refused.status.code(), Some(1), "{client:?}");
        let said = text(&refused.stderr);
        assert!(said.contains("may not be combined with --rollback"), "{client:?}: {said}");
        assert_eq!(variable(&fleet), "A=1", "{client:?}");
        fleet.ask(1, "DELETE", "/services/web", "");
    }
}

#[test]
fn update_refuses_to_both_clients() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(127, 1);
    super::create_config(&fleet, "site");
    assert!(create(&fleet, Client::Ours, "web", BEFORE).status.success());
    let before = super::spec(&fleet, "web");
    for (flags, docker, ours) in [
        ("--config-add nope", "config not found: nope", "config nope not found"),
        ("--secret-add key", "secret not found: key", "secret key not found"),
        ("--credential-spec file://x.json", "Windows", "Windows"),
        ("--isolation hyperv", "Windows", "Windows"),
        ("--health-interval 5s", "--health-cmd", "--health-cmd"),
        ("--network-rm nope", "network nope not found", "no network \"nope\""),
        ("--log-driver syslog", "json-file, local", "json-file, local"),
    ] {
        for (client, words) in [(Client::Docker, docker), (Client::Ours, ours)] {
            let head = ["service", "update", "-d", "--no-resolve-image"];
            let flags: Vec<&str> = flags.split(' ').collect();
            let refused = client.run(&fleet, &[&head[..], &flags, &["web"]].concat());
            let said = text(&refused.stderr);
            assert_eq!(refused.status.code(), Some(1), "{client:?} {flags:?}: {said}");
            assert!(said.contains(words), "{client:?} {flags:?}: {said}");
        }
    }
    assert_eq!(super::spec(&fleet, "web"), before);
}
