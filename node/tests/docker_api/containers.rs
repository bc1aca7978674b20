//! Containers in requests of Docker's own client and of `edgectl`: both show again what was
//! requested. Nothing is run here: every service has no tasks.

use std::process::Command;

use serde_json::{Value, json};

use super::registry::Registry;
use super::{Fleet, has_docker};

const MOUNTS: [&str; 4] = [
    "type=bind,source=/srv,target=/srv,readonly,bind-propagation=rslave",
    "type=volume,source=pgdata,target=/data,volume-nocopy,volume-label=a=b",
    "source=plain,target=/plain",
    "type=tmpfs,target=/tmp,tmpfs-size=64m,tmpfs-mode=1777",
];

/// The flags that Docker's `service create` and ours have in common, and their fields in the spec.
fn flags() -> Vec<(Vec<&'static str>, &'static str, Value)> {
    let mount = |index: usize| vec!["--mount", MOUNTS[index]];
    vec![
        (vec!["--hostname", "h-{{.Task.Slot}}"], "Hostname", json!("h-{{.Task.Slot}}")),
        (vec!["--entrypoint", "/bin/sh -c"], "Command", json!(["/bin/sh", "-c"])),
        (vec!["-e", "A=1", "-e", "B=x y"], "Env", json!(["A=1", "B=x y"])),
        (vec!["--workdir", "/w"], "Dir", json!("/w")),
        (vec!["--user", "app:app"], "User", json!("app:app")),
        (vec!["--group", "dialout", "--group", "20"], "Groups", json!(["dialout", "20"])),
        (vec!["--init"], "Init", json!(true)),
        (vec!["--tty"], "TTY", json!(true)),
        (vec!["--read-only"], "ReadOnly", json!(true)),
        (vec!["--stop-signal", "SIGINT"], "StopSignal", json!("SIGINT")),
        (vec!["--stop-grace-period", "1m30s"], "StopGracePeriod", json!(90_000_000_000_u64)),
        (vec!["--host", "printer:10.0.0.7"], "Hosts", json!(["10.0.0.7 printer"])),
        (
            vec!["--dns", "10.0.0.1", "--dns-search", "lan", "--dns-option", "ndots:2"],
            "DNSConfig",
            json!({"Nameservers": ["10.0.0.1"], "Search": ["lan"], "Options": ["ndots:2"]}),
        ),
        (vec!["--cap-add", "NET_ADMIN"], "CapabilityAdd", json!(["CAP_NET_ADMIN"])),
        (vec!["--cap-drop", "all"], "CapabilityDrop", json!(["ALL"])),
        (
            vec!["--ulimit", "nofile=1024:2048"],
            "Ulimits",
            json!([{"Name": "nofile", "Hard": 2048, "Soft": 1024}]),
        ),
        (vec!["--sysctl", "kernel.shmmax=1"], "Sysctls", json!({"kernel.shmmax": "1"})),
        (vec!["--oom-score-adj", "-500"], "OomScoreAdj", json!(-500)),
        (vec!["--container-label", "k=v"], "Labels", json!({"k": "v"})),
        (
            mount(0),
            "Mounts",
            json!([{"Type": "bind", "Source": "/srv", "Target": "/srv", "ReadOnly": true,
                "BindOptions": {"Propagation": "rslave"}}]),
        ),
        (
            mount(1),
            "Mounts",
            json!([{"Type": "volume", "Source": "pgdata", "Target": "/data",
                "VolumeOptions": {"NoCopy": true, "Labels": {"a": "b"}}}]),
        ),
        (mount(2), "Mounts", json!([{"Type": "volume", "Source": "plain", "Target": "/plain"}])),
        (
            mount(3),
            "Mounts",
            json!([{"Type": "tmpfs", "Target": "/tmp",
                "TmpfsOptions": {"SizeBytes": 67_108_864, "Mode": 1023}}]),
        ),
        (
            vec!["--health-cmd", "true", "--health-retries", "2"],
            "Healthcheck",
            json!({"Test": ["CMD-SHELL", "true"], "Interval": 30_000_000_000_u64,
                "Timeout": 30_000_000_000_u64, "StartInterval": 5_000_000_000_u64, "Retries": 2}),
        ),
        (
            vec!["--no-healthcheck"],
            "Healthcheck",
            json!({"Test": ["NONE"],
            "Interval": 30_000_000_000_u64, "Timeout": 30_000_000_000_u64,
            "StartInterval": 5_000_000_000_u64, "Retries": 3}),
        ),
    ]
}

const CREATE: [&str; 6] = ["service", "create", "-d", "--no-resolve-image", "--replicas", "0"];

pub fn edgectl(fleet: &Fleet, words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_edgectl"))
        .args(words)
        .env("EDGECTL_SOCKET", fleet.socket(1))
        .output()
        .expect("edgectl runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

pub fn docker(fleet: &Fleet, words: &[&str]) -> String {
    let output = fleet.docker(1, words);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn spec_of(fleet: &Fleet, service: &str) -> Value {
    fleet.get(1, &format!("/services/{service}")).json()["Spec"].clone()
}

/// The field in Go's form, without the zeros that Docker's client adds.
fn shown(spec: &Value, field: &str) -> Value {
    let mut value = spec["TaskTemplate"]["ContainerSpec"][field].clone();
    if let (Some(object), "Healthcheck") = (value.as_object_mut(), field) {
        object.retain(|_, value| *value != json!(0));
    }
    value
}

#[test]
fn each_flag_is_shown_again_whoever_typed_it() {
    let fleet = Fleet::start(86, 1);
    let has_docker = has_docker();
    for (index, (flags, field, expected)) in flags().into_iter().enumerate() {
        let (ours, theirs) = (format!("ours{index}"), format!("theirs{index}"));
        let create = |name| [&CREATE[..], &["--name", name], &flags[..], &["app:1", "x"]].concat();
        edgectl(&fleet, &create(&ours));
        assert_eq!(shown(&spec_of(&fleet, &ours), field), expected, "{flags:?}");
        if has_docker {
            docker(&fleet, &create(&theirs));
            let text =
                docker(&fleet, &["service", "inspect", "--format", "{{json .Spec}}", &theirs]);
            let spec = serde_json::from_str(&text).expect("JSON");
            assert_eq!(shown(&spec, field), expected, "{flags:?}, by Docker's client");
            let (ours, theirs) = (spec_of(&fleet, &ours), spec_of(&fleet, &theirs));
            assert_eq!(
                ours["TaskTemplate"], theirs["TaskTemplate"],
                "{flags:?}: both mean the same"
            );
        }
    }
}

#[test]
fn what_docker_has_no_word_for_outlives_docker_s_own_update() {
    let fleet = Fleet::start(87, 1);
    edgectl(
        &fleet,
        &[
            &CREATE[..],
            &["--name", "modem", "--privileged", "--device", "/dev/null:/dev/modem:rw"],
            &["--network", "none", "--security-opt", "no-new-privileges", "app:1"],
        ]
        .concat(),
    );
    let before = spec_of(&fleet, "modem");
    let container = &before["TaskTemplate"]["ContainerSpec"];
    assert_eq!(container["Edge"]["Devices"][0]["PathInContainer"], "/dev/modem");
    assert_eq!(container["Privileges"]["NoNewPrivileges"], true);
    assert_eq!(before["TaskTemplate"]["Networks"], json!([{"Target": "none"}]));
    if has_docker() {
        docker(&fleet, &["service", "update", "-d", "--env-add", "A=1", "modem"]);
        let after = spec_of(&fleet, "modem");
        let container = &after["TaskTemplate"]["ContainerSpec"];
        assert_eq!(container["Env"], json!(["A=1"]));
        assert_eq!(container["Edge"], before["TaskTemplate"]["ContainerSpec"]["Edge"]);
        assert_eq!(after["TaskTemplate"]["Networks"], before["TaskTemplate"]["Networks"]);
    }
    edgectl(
        &fleet,
        &["service", "update", "-d", "--privileged=false", "--device-rm", "/dev/null", "modem"],
    );
    assert_eq!(spec_of(&fleet, "modem")["TaskTemplate"]["ContainerSpec"]["Edge"], Value::Null);
}

#[test]
fn docker_s_update_changes_lists_as_it_does_elsewhere() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(88, 1);
    let create = ["--name", "web", "--network", "host", "--mount", MOUNTS[2], "app:1"];
    docker(&fleet, &[&CREATE[..], &create[..]].concat());
    let update = [
        "--mount-rm",
        "/plain",
        "--mount-add",
        MOUNTS[0],
        "--host-add",
        "printer:10.0.0.7",
        "--dns-add",
        "10.0.0.1",
        "--ulimit-add",
        "nofile=9",
        "--sysctl-add",
        "kernel.msgmax=1",
        "--cap-add",
        "NET_RAW",
        "--group-add",
        "dialout",
        "--limit-pids",
        "7",
        "--network-rm",
        "host",
        "--network-add",
        "none",
        "--init",
        "--image",
        "app:2",
    ];
    docker(
        &fleet,
        &[&["service", "update", "-d", "--no-resolve-image"], &update[..], &["web"]].concat(),
    );
    let spec = spec_of(&fleet, "web");
    let container = &spec["TaskTemplate"]["ContainerSpec"];
    assert_eq!(container["Image"], "app:2");
    assert_eq!(container["Mounts"].as_array().map(Vec::len), Some(1), "{container}");
    assert_eq!(container["Mounts"][0]["Target"], "/srv");
    assert_eq!(container["Hosts"], json!(["10.0.0.7 printer"]));
    assert_eq!(container["Init"], true);
    assert_eq!(spec["TaskTemplate"]["Networks"], json!([{"Target": "none"}]));
    assert_eq!(spec["TaskTemplate"]["Resources"]["Limits"]["Pids"], 7);
    let pretty = docker(&fleet, &["service", "inspect", "--pretty", "web"]);
    assert!(pretty.contains("app:2") && pretty.contains("none"), "{pretty}");
    assert!(docker(&fleet, &["service", "ls"]).contains("app:2"));
}

#[test]
fn an_image_that_no_registry_knows_is_warned_of_and_created() {
    let fleet = Fleet::start(89, 1);
    let spec = r#"{"Name": "web", "Mode": {"Replicated": {"Replicas": 0}},
        "TaskTemplate": {"ContainerSpec": {"Image": "127.89.0.9:1/app"}}}"#;
    let created = fleet.ask(1, "POST", "/services/create", spec);
    assert_eq!(created.status, 201);
    let warning = created.json()["Warnings"][0].as_str().expect("a warning").to_owned();
    assert!(
        warning.starts_with("image 127.89.0.9:1/app:latest could not be accessed"),
        "{warning}"
    );

    let again = fleet.ask(1, "POST", "/services/web/update", spec);
    assert_eq!(again.json(), json!({}), "the same image is not asked for again");
    let other = spec.replace("/app", "/app:2");
    let asked = fleet.ask(1, "POST", "/services/web/update", &other).json();
    assert!(asked["Warnings"][0].as_str().is_some_and(|text| text.contains("app:2")), "{asked}");
    let refused = fleet.ask(1, "POST", "/services/web/update?resolve=never", spec).json();
    assert_eq!(refused, json!({}));
}

#[test]
fn an_image_is_pinned_with_its_platforms_when_it_changes_and_only_then() {
    let registry = Registry::serve(80);
    let fleet = Fleet::start(80, 1);
    let image = format!("{}/app:1", registry.addr);
    let pinned = format!("{image}@{}", registry.digest);
    let create = |name| ["service", "create", "-d", "--replicas", "0", "--name", name, &image];
    let stored = |name: &str| spec_of(&fleet, name)["TaskTemplate"].clone();

    edgectl(&fleet, &create("ours"));
    assert_eq!(stored("ours")["ContainerSpec"]["Image"], pinned.as_str());
    assert_eq!(
        stored("ours")["Placement"]["Platforms"],
        json!([{"Architecture": "amd64", "OS": "linux"},
            {"Architecture": "arm", "OS": "linux", "Variant": "v7"},
            {"Architecture": "arm64", "OS": "linux", "Variant": "v8"}])
    );
    let listed = edgectl(&fleet, &["service", "ls"]);
    assert!(listed.contains(&image) && !listed.contains("sha256"), "{listed}");

    let asked = registry.asked();
    edgectl(&fleet, &["service", "update", "-d", "--env-add", "A=1", "ours"]);
    assert_eq!(registry.asked(), asked, "the image did not change");
    edgectl(&fleet, &["service", "update", "-d", "--image", &image, "ours"]);
    assert!(registry.asked() > asked, "the same name may mean another image by now");
    assert_eq!(stored("ours")["ContainerSpec"]["Image"], pinned.as_str());
    assert_eq!(stored("ours")["Placement"]["Platforms"].as_array().map(Vec::len), Some(3));

    if has_docker() {
        docker(&fleet, &create("theirs"));
        assert_eq!(stored("theirs")["ContainerSpec"]["Image"], pinned.as_str());
        let before = stored("ours");
        docker(&fleet, &["service", "update", "-d", "--env-add", "A=1", "ours"]);
        assert_eq!(stored("ours"), before, "the variants of the platforms outlive Docker's client");
    }
    let asked = registry.asked();
    let plain = ["service", "update", "-d", "--no-resolve-image", "--image", &image, "ours"];
    edgectl(&fleet, &plain);
    assert_eq!(registry.asked(), asked);
    assert_eq!(stored("ours")["ContainerSpec"]["Image"], image.as_str());
}

#[test]
fn a_stack_of_containers_on_the_node_s_network_is_deployed_and_listed() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(79, 1);
    let file = fleet.socket(1).with_extension("yml");
    let stack = "services:\n  web:\n    image: app:1\n    networks: [site]\n    \
                 deploy: {replicas: 0, labels: {tier: front}}\n    \
                 volumes: [\"pgdata:/data\"]\n    labels: {k: v}\n\
                 volumes: {pgdata: {}}\nnetworks: {site: {external: true, name: host}}\n";
    std::fs::write(&file, stack).expect("a file");
    let path = file.display().to_string();
    let deploy = ["stack", "deploy", "--resolve-image", "never", "-c", &path, "shop"];
    docker(&fleet, &deploy);
    docker(&fleet, &deploy);
    let spec = spec_of(&fleet, "shop_web");
    assert_eq!(spec["Labels"]["com.docker.stack.namespace"], "shop");
    assert_eq!(spec["Labels"]["com.docker.stack.image"], "app:1");
    assert_eq!(spec["Labels"]["tier"], "front");
    let container = &spec["TaskTemplate"]["ContainerSpec"];
    assert_eq!(container["Labels"]["k"], "v");
    assert_eq!(container["Mounts"][0]["Source"], "shop_pgdata");
    assert_eq!(spec["TaskTemplate"]["Networks"], json!([{"Target": "host"}]));
    assert!(docker(&fleet, &["stack", "ls"]).contains("shop"));
    assert!(docker(&fleet, &["stack", "services", "shop"]).contains("app:1"));
    let none = docker(&fleet, &["network", "ls", "-q", "--filter", "label=a"]);
    assert_eq!(none, "", "the networks of the node are no stack's");
    docker(&fleet, &["service", "scale", "--detach", "shop_web=1"]);
    fleet.until("its task is listed", || {
        let listed = fleet.docker(1, &["stack", "ps", "shop"]);
        String::from_utf8_lossy(&listed.stdout).contains("shop_web.1")
    });
    docker(&fleet, &["stack", "rm", "shop"]);
    assert_eq!(fleet.get(1, "/services").json(), json!([]));
}
