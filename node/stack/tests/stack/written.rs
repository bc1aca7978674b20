//! What is read and written is read as the same again.

use std::path::Path;

use node_stack::write::{Fitted, fitted, write};
use node_stack::{Files, Stack};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Map, Value, json};

use crate::given::Given;

/// A file that was written stands alone.
struct Nothing;

impl Files for Nothing {
    fn read(&self, path: &Path) -> Result<String, String> {
        Err(format!("{} is not needed", path.display()))
    }

    fn read_bytes(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.read(path).map(String::into_bytes)
    }
}

fn written(stack: &Stack) -> Fitted {
    fitted(write(stack), &Nothing).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Writes it and reads it back.
fn assert_same(stack: &Stack) {
    let Fitted { text, stack: again, cuts } = written(stack);
    assert!(cuts.is_empty(), "{cuts:#?}\n{text}");
    let unnoted = |stack: &Stack| Stack { notes: Vec::new(), ..stack.clone() };
    assert_eq!(unnoted(&again), unnoted(stack), "{text}");
}

#[test]
fn the_examples_are_written_as_they_are_read() {
    for (name, _) in super::examples::STACKS {
        assert_same(&super::examples::stack(name));
    }
}

#[test]
fn what_is_refused_is_taken_out_and_told_and_the_rest_stays() {
    let mut stack = Given::file(
        "services: {web: {image: a, cap_add: [NET_ADMIN], sysctls: {net.core.somaxconn: 1}, command: [a]}, \
         db: {image: b}}",
    )
    .read();
    let container = stack.services[0].task_template.container_spec.as_mut().expect("a container");
    container.capability_add = vec!["FLY".to_owned(), "NET_ADMIN".to_owned()];
    container.sysctls.insert("kernel.panic".to_owned(), "$1".to_owned());
    container.args = vec!["$HOME".to_owned()];
    let placement = stack.services[1].task_template.placement.get_or_insert_default();
    placement.constraints = vec!["moon==full".to_owned()];
    let Fitted { text, stack: again, cuts } = written(&stack);
    let cut: Vec<_> = cuts.iter().map(|cut| (cut.path.as_str(), cut.value.as_str())).collect();
    assert_eq!(
        cut,
        [
            ("services.web.cap_add", "FLY"),
            ("services.web.sysctls.kernel.panic", "$1"),
            ("services.db.deploy.placement.constraints", "moon==full"),
        ]
    );
    assert!(cuts.iter().all(|cut| !cut.why.is_empty()), "{cuts:#?}");
    let container = again.services[0].task_template.container_spec.as_ref().expect("a container");
    assert_eq!(container.capability_add, ["CAP_NET_ADMIN"]);
    assert_eq!(container.args, ["$HOME"], "{text}");
}

#[test]
fn a_service_of_which_nothing_can_be_written_is_taken_out_as_a_whole() {
    let mut stack = Given::file("services: {web: {image: a}, db: {image: b, tty: true}}").read();
    let container = stack.services[1].task_template.container_spec.as_mut().expect("a container");
    container.image.clear();
    let Fitted { stack: again, cuts, .. } = written(&stack);
    assert_eq!(again.services.len(), 1);
    assert!(cuts.iter().any(|cut| cut.path.starts_with("services.db")), "{cuts:#?}");
}

/// Any text, with what YAML, variables and shells make of it.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        "[ -~]{0,12}",
        "\\PC{0,6}",
        vec(
            prop_oneof![
                Just('\n'),
                Just('\t'),
                Just('\u{85}'),
                Just('$'),
                Just('{'),
                any::<char>()
            ],
            0..6
        )
        .prop_map(|chars| chars.into_iter().filter(|c| *c != '\0').collect()),
        prop::sample::select(vec![
            "no",
            "0440",
            "1.10",
            "$HOME",
            "$$",
            "${A:-b}",
            "{{.Task.Slot}}",
            "~",
            "#"
        ])
        .prop_map(str::to_owned),
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z_][a-zA-Z0-9_.-]{0,8}"
}

/// A text as it is written in a file.
fn meant(text: &str) -> String {
    text.replace('$', "$$")
}

fn pairs() -> impl Strategy<Value = Value> {
    btree_map(name(), text(), 0..4)
        .prop_map(|map| map.into_iter().map(|(name, value)| (name, json!(meant(&value)))).collect())
}

fn words() -> impl Strategy<Value = Value> {
    vec(text(), 1..4).prop_map(|words| words.iter().map(|word| meant(word)).collect())
}

/// Keys of a service that can stand together, each with a valid value.
const KEYS: &[(&str, &str)] = &[
    ("user", r#""1000:0440""#),
    ("working_dir", r#""/srv""#),
    ("hostname", r#""h-{{.Task.Slot}}""#),
    ("stop_signal", r#""SIGUSR1""#),
    ("stop_grace_period", r#""1m30s""#),
    ("init", "true"),
    ("tty", "true"),
    ("stdin_open", "true"),
    ("read_only", "true"),
    ("privileged", "true"),
    ("group_add", r#"["0440", "audio"]"#),
    ("oom_score_adj", "-5"),
    ("extra_hosts", r#"["a=10.0.0.1", "b=::1"]"#),
    ("dns", r#"["10.0.0.53"]"#),
    ("dns_search", r#"["shop.lan"]"#),
    ("dns_opt", r#"["ndots:1"]"#),
    ("cap_add", r#"["NET_ADMIN"]"#),
    ("cap_drop", r#"["ALL"]"#),
    ("security_opt", r#"["no-new-privileges:true", "seccomp:{}", "apparmor:shop"]"#),
    ("userns_mode", r#""auto""#),
    ("devices", r#"["/dev/ttyUSB0:/dev/modem:rw"]"#),
    ("sysctls", r#"{"net.core.somaxconn": "1024"}"#),
    ("ulimits", r#"{"nofile": {"soft": "10", "hard": "20"}, "core": "-1"}"#),
    ("logging", r#"{"driver": "json-file", "options": {"max-size": "10m"}}"#),
    ("healthcheck", r#"{"test": ["CMD", "a $$b"], "interval": "1500ms", "retries": "3"}"#),
    ("pre_start", r#"[{"command": ["a", "b c"]}]"#),
    ("memswap_limit", r#""1g""#),
    ("mem_swappiness", "10"),
    ("mem_limit", r#""512m""#),
    ("mem_reservation", r#""300000001""#),
    ("cpus", r#""0.123456789""#),
    ("pids_limit", "100"),
    ("platform", r#""linux/arm64""#),
    ("ports", r#"["8080:80", "53:53/udp", {"name": "m", "mode": "host", "target": "9"}]"#),
    (
        "volumes",
        r#"["data:/data:ro", "tagged:/t", "other:/o:nocopy", "/etc/x:/x:rslave", "/anonymous",
        {"type": "tmpfs", "target": "/run", "tmpfs": {"size": "64m", "mode": "1777"}}, "far:/far",
        {"type": "bind", "source": "/b", "target": "/b", "bind": {"recursive": "disabled"}}]"#,
    ),
    ("depends_on", r#"["first"]"#),
    (
        "networks",
        r#"{"front": null, "default": {"aliases": ["x", "y"]}, "far": {"driver_opts": {"a": "b"}}}"#,
    ),
    (
        "configs",
        r#"["app", {"source": "site", "target": "/etc/site", "uid": 33, "mode": "0440"},
            {"source": "far", "target": "/far"}]"#,
    ),
    (
        "x-edge",
        r#"{"priority": 3, "affinity": ["service==db"], "slot_order": "ascending", "canary": 1,
        "partition": {"policy": "at-most-one", "anchors": ["a", "b", "c"], "fence_after": "10s"},
        "autoscale": {"min": 1, "max": 3, "cpu": "60%", "memory": "70%"}}"#,
    ),
];

/// Ways to write `deploy`; a service has one of them, or none.
const DEPLOYS: &[&str] = &[
    "{}",
    r#"{"replicas": 3, "labels": {"a": "b"}, "endpoint_mode": "dnsrr"}"#,
    r#"{"mode": "global", "placement": {"constraints": ["node.role == manager"], "max_replicas_per_node": 2}}"#,
    r#"{"mode": "replicated-job", "replicas": 5, "restart_policy": {"condition": "none", "delay": "0s"}}"#,
    r#"{"mode": "global-job", "resources": {"limits": {}}}"#,
    r#"{"restart_policy": {"condition": "on-failure", "delay": "5ns", "max_attempts": 0, "window": "2h"},
        "placement": {"preferences": [{"spread": "node.labels.zone"}]},
        "update_config": {"parallelism": 0, "delay": "3s", "failure_action": "rollback", "monitor": "7s",
          "max_failure_ratio": "0.1", "order": "start-first"}, "rollback_config": {}}"#,
    r#"{"resources": {"limits": {"cpus": "0.5", "memory": "64m", "pids": 9}, "reservations": {"memory": "32m",
        "generic_resources": [{"discrete_resource_spec": {"kind": "gpu", "value": 2}}]}}}"#,
];

fn service() -> impl Strategy<Value = Value> {
    let keys = subsequence(KEYS.to_vec(), 0..KEYS.len());
    let deploy = proptest::option::of(prop::sample::select(DEPLOYS.to_vec()));
    let free = (pairs(), pairs(), proptest::option::of(words()), proptest::option::of(words()));
    (keys, deploy, free).prop_map(|(keys, deploy, (environment, labels, entrypoint, command))| {
        let parsed = |text: &str| -> Value { serde_json::from_str(text).expect("it is JSON") };
        let mut service: Map<String, Value> =
            keys.into_iter().map(|(key, text)| (key.to_owned(), parsed(text))).collect();
        service.insert("image".to_owned(), json!("registry.lan:5000/a/b:1.10@x"));
        service.insert("environment".to_owned(), environment);
        service.insert("labels".to_owned(), labels);
        service.extend(deploy.map(|text| ("deploy".to_owned(), parsed(text))));
        service.extend(entrypoint.map(|words| ("entrypoint".to_owned(), words)));
        service.extend(command.map(|words| ("command".to_owned(), words)));
        Value::Object(service)
    })
}

fn file() -> impl Strategy<Value = String> {
    (vec(service(), 1..4), pairs(), text()).prop_map(|(services, labels, content)| {
        let content = meant(&content);
        let mut all: Map<String, Value> =
            services.into_iter().zip(["web", "st_x", "c"]).map(|(one, key)| (key.to_owned(), one)).collect();
        all.insert("first".to_owned(), json!({"image": "process:/bin/true"}));
        all.insert("alone".to_owned(), json!({"image": "a", "networks": []}));
        all.insert("bare".to_owned(), json!({"image": "a", "network_mode": "host"}));
        let file = json!({
            "services": all,
            "networks": {
                "front": {"internal": true, "attachable": true, "labels": labels, "enable_ipv6": true,
                    "driver_opts": {"encrypted": ""},
                    "ipam": {"config": [{"subnet": "10.7.0.0/24", "gateway": "10.7.0.1"}]}},
                "far": {"external": true, "name": "front"},
            },
            "configs": {
                "app": {"content": content, "labels": labels}, "site": {"name": "s", "content": ""},
                "far": {"external": true, "name": "st_far"},
            },
            "volumes": {
                "data": null, "far": {"external": true}, "other": {"name": "data", "driver": "local"},
                "tagged": {"labels": labels},
            },
        });
        serde_json::to_string_pretty(&file).expect("it is JSON")
    })
}

proptest! {
    #[test]
    fn whatever_was_read_is_written_and_read_as_the_same(file in file()) {
        let given = Given::file(&file);
        if let Ok(stack) = given.try_read() {
            assert_same(&stack);
        }
    }
}

#[test]
fn most_files_of_the_property_are_read() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut problems = Vec::new();
    for _ in 0..64 {
        let file =
            proptest::strategy::ValueTree::current(&file().new_tree(&mut runner).expect("a file"));
        problems.extend(Given::file(&file).try_read().err().map(|problems| problems.join("; ")));
    }
    assert!(problems.len() < 16, "{}: {problems:#?}", problems.len());
}
