//! Whole files: mounts, networks, and files on top of each other.

use serde_json::json;

use super::at;
use super::given::{Given, refused};

#[test]
fn mounts_in_all_forms() {
    let file = "services:\n  web:\n    image: busybox\n    tmpfs: ['/run:size=1m,mode=0700']\n    volumes:\n      \
                - data:/data:ro\n      - /etc/x:/x:rslave\n      - /anonymous\n      \
                - {type: volume, source: shared, target: /shared, volume: {nocopy: true}}\n      \
                - {type: bind, source: /srv, target: /srv, read_only: true}\n      \
                - {type: tmpfs, target: /cache, tmpfs: {size: 2m, mode: 1777}}\n\
                volumes:\n  data: {labels: {a: b}}\n  shared: {external: true}\n";
    let stack = Given::file(file).read();
    let spec = serde_json::to_value(&stack.services[0]).expect("it is JSON");
    let stack_label = json!("st");
    let wanted = json!([
        {"Type": "volume", "Source": "st_data", "Target": "/data", "ReadOnly": true,
         "VolumeOptions": {"Labels": {"a": "b", "com.docker.stack.namespace": stack_label}}},
        {"Type": "bind", "Source": "/etc/x", "Target": "/x",
         "BindOptions": {"CreateMountpoint": true, "Propagation": "rslave"}},
        {"Type": "volume", "Target": "/anonymous"},
        {"Type": "volume", "Source": "shared", "Target": "/shared", "VolumeOptions": {"NoCopy": true}},
        {"Type": "bind", "Source": "/srv", "Target": "/srv", "ReadOnly": true},
        {"Type": "tmpfs", "Target": "/cache", "TmpfsOptions": {"SizeBytes": 2_097_152, "Mode": 0o1777}},
        {"Type": "tmpfs", "Target": "/run", "TmpfsOptions": {"SizeBytes": 1_048_576, "Mode": 0o700}},
    ]);
    assert_eq!(spec["TaskTemplate"]["ContainerSpec"]["Mounts"], wanted);
}

#[test]
fn networks_and_names() {
    let file = "services:\n  web:\n    image: a\n    networks: {front: {aliases: [www]}, back: }\n  \
                db: {image: b, networks: [back]}\n  job: {image: c, depends_on: {db: {condition: service_healthy}}}\n\
                networks:\n  front: {internal: true, driver: overlay, ipam: {config: [{subnet: 10.9.0.0/24}]}}\n  \
                back: {external: true, name: shared}\n  unused: {}\n";
    let stack = Given::file(file).read();
    let names: Vec<&str> = stack.networks.iter().map(|network| network.name.as_str()).collect();
    assert_eq!(names, ["st_front", "st_default"]);
    assert!(stack.networks[0].internal);
    assert_eq!(stack.networks[0].labels["com.docker.stack.namespace"], "st");
    assert_eq!(stack.external_networks, ["shared"]);
    let services: Vec<&str> = stack.services.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(services, ["st_web", "st_db", "st_job"]);
    let attached = |service: usize| {
        let networks = &stack.services[service].task_template.networks;
        networks.iter().map(|n| format!("{} {}", n.target, n.aliases.join(","))).collect::<Vec<_>>()
    };
    assert_eq!(attached(0), ["st_front web,www", "shared web"]);
    assert_eq!(attached(1), ["shared db"]);
    assert_eq!(attached(2), ["st_default job"]);
    assert_eq!(stack.services[2].depends_on, Some(vec!["st_db".to_owned()]));
    assert_eq!(stack.services[0].labels["com.docker.stack.image"], "a");
}

#[test]
fn files_include_and_extend_each_other() {
    let given = Given::file(
        "include: [sub/other.yaml]\nservices:\n  web:\n    extends: {file: sub/base.yaml, service: base}\n    \
         environment: {B: mine}\n  more:\n    extends: web\n    command: [x]\n",
    )
    .beside("sub/other.yaml", "services: {side: {image: side, env_file: side.env}}")
    .beside("sub/side.env", "S=1")
    .beside("sub/base.yaml", "services: {base: {image: '${IMAGE:-base}', environment: {A: 1, B: 2}}}");
    let stack = given.read();
    let env = |name: &str| {
        let spec = stack.services.iter().find(|spec| spec.name == name).expect("it is there");
        let container = spec.task_template.container_spec.as_ref().expect("a container");
        (container.image.as_str(), container.env.clone())
    };
    assert_eq!(env("st_side"), ("side", vec!["S=1".to_owned()]));
    assert_eq!(env("st_web"), ("base", vec!["A=1".to_owned(), "B=mine".to_owned()]));
    assert_eq!(env("st_more").0, "base");
}

#[test]
fn files_on_top_of_each_other_profiles_and_version_1() {
    let stack = Given::file(
        "services: {web: {image: a, ports: ['80:80']}, dev: {image: d, profiles: [dev]}}",
    )
    .and("services: {web: {image: b, ports: !override ['81:80']}}")
    .read();
    assert_eq!(stack.services.len(), 1);
    let spec = serde_json::to_value(&stack.services[0]).expect("it is JSON");
    assert_eq!(at(&spec, "EndpointSpec.Ports.0.PublishedPort"), &json!(81));
    assert_eq!(at(&spec, "TaskTemplate.ContainerSpec.Image"), &json!("b"));
    let mut given = Given::file("services: {web: {image: a}, dev: {image: d, profiles: [dev]}}");
    given.profiles = vec!["dev".to_owned()];
    assert_eq!(given.read().services.len(), 2);
    let old = Given::file("web:\n  image: a\n  mem_limit: 5m\ndb:\n  image: b\n").read();
    assert_eq!(old.services.len(), 2);
}

#[test]
fn a_program_of_the_host_is_on_no_network() {
    let stack = Given::file("services: {web: {image: 'process:sh'}}").read();
    assert!(stack.networks.is_empty() && stack.services[0].task_template.networks.is_empty());
    let file = "services: {web: {image: 'process:sh', networks: [default]}}";
    let problems = refused(&Given::file(file));
    assert!(problems[0].contains("a program of the host is on no network"), "{problems:?}");
}

#[test]
fn a_volume_of_each_task_needs_no_declaration() {
    let stack = Given::file("services: {db: {image: a, volumes: ['d-{{.Task.Slot}}:/d']}}").read();
    let spec = serde_json::to_value(&stack.services[0]).expect("it is JSON");
    assert_eq!(at(&spec, "TaskTemplate.ContainerSpec.Mounts.0.Source"), "st_d-{{.Task.Slot}}");
}

#[test]
fn configs_are_called_after_what_they_hold() {
    let file = "services:\n  web:\n    image: a\n    configs: [app, {source: site, target: /etc/site, uid: '10', mode: 0440}, old]\n\
                configs:\n  app: {content: 'a: ${FROM_OUTSIDE}'}\n  site: {file: web.env, name: site-1}\n  \
                old: {external: true}\n  unused: {content: x}\n";
    let stack = Given::file(file).read();
    let configs = stack
        .configs
        .iter()
        .map(|config| (config.name.as_str(), String::from_utf8_lossy(&config.data.0).into_owned()));
    let configs: Vec<_> = configs.collect();
    assert_eq!(configs[0].1, "a: here");
    assert!(configs[0].0.starts_with("st_app-") && configs[0].0.len() == "st_app-".len() + 8);
    assert_eq!(configs[1], ("site-1", "A=file\nB=file\n".to_owned()));
    assert_eq!((configs.len(), stack.external_configs), (2, vec!["old".to_owned()]));
    let spec = serde_json::to_value(&stack.services[0]).expect("it is JSON");
    let files = at(&spec, "TaskTemplate.ContainerSpec.Configs");
    assert_eq!(files[0]["ConfigName"], configs[0].0);
    assert_eq!(files[0]["File"], json!({"Name": "app", "UID": "0", "GID": "0", "Mode": 0o444}));
    assert_eq!(
        files[1]["File"],
        json!({"Name": "/etc/site", "UID": "10", "GID": "0", "Mode": 0o440})
    );
    let other = Given::file(&file.replace("a: ${", "b: ${")).read();
    assert_ne!(other.configs[0].name, configs[0].0, "other data, another config");
}

#[test]
fn a_secret_is_not_called_after_what_it_holds_and_changes_no_version() {
    let file = "services:\n  web:\n    image: a\n    secrets: [key, {source: tls, target: /etc/tls, uid: '10', mode: 0400}, old]\n\
                secrets:\n  key: {environment: FROM_OUTSIDE, labels: {a: b}}\n  tls: {file: web.env, name: tls-1}\n  \
                old: {external: true}\n  unused: {file: web.env}\n";
    let stack = Given::file(file).read();
    let made: Vec<_> =
        stack.secrets.iter().map(|one| (one.name.as_str(), one.data.0.len())).collect();
    assert_eq!(made, [("st_key", 4), ("tls-1", 14)]);
    assert_eq!(stack.external_secrets, ["old"]);
    assert_eq!(stack.secrets[0].labels["a"], "b");
    let spec = serde_json::to_value(&stack.services[0]).expect("it is JSON");
    let files = at(&spec, "TaskTemplate.ContainerSpec.Secrets");
    assert_eq!(files[0]["SecretName"], "st_key");
    assert_eq!(files[0]["File"], json!({"Name": "key", "UID": "0", "GID": "0", "Mode": 0o444}));
    assert_eq!(files[1]["File"]["Name"], "/etc/tls");
    let mut other = stack.clone();
    other.secrets[0].data.0 = b"other".to_vec();
    assert_eq!(other.version(), stack.version(), "everybody may read the version");
    other.secrets[0].name = "else".to_owned();
    assert_ne!(other.version(), stack.version());
    let text = format!("{stack:?}");
    assert!(!text.contains("104, 101, 114, 101"), "{text}");
}

#[test]
fn secrets_that_say_nothing_or_too_much_are_refused() {
    for (secret, wanted) in [
        ("{}", "`secrets.a` has one of `file` and `environment`, or `external: true`"),
        ("{content: x, file: web.env}", "does not belong into this file: use `file`"),
        ("{file: gone}", "gone: no such file"),
        ("{environment: GONE}", "the variable `GONE` has to be set"),
        ("{file: web.env, driver: vault}", "the fleet itself keeps"),
    ] {
        let file =
            format!("services: {{web: {{image: a, secrets: [a]}}}}\nsecrets: {{a: {secret}}}\n");
        let problems = refused(&Given::file(&file));
        assert!(problems.iter().any(|problem| problem.contains(wanted)), "{secret}: {problems:?}");
    }
    let file = "services: {web: {image: a, secrets: [b]}}\nsecrets: {a: {file: web.env}}\n";
    let problems = refused(&Given::file(file));
    assert!(
        problems[0].contains("the secret `b` is not in `secrets` of this file"),
        "{problems:?}"
    );
}

#[test]
fn configs_that_say_nothing_or_too_much_are_refused() {
    let file = |config: &str, used: &str| {
        format!("services: {{web: {{image: a, configs: [{used}]}}}}\nconfigs: {{a: {config}}}\n")
    };
    for (config, used, wanted) in [
        (
            "{}",
            "a",
            "`configs.a` has one of `file`, `content` and `environment`, or `external: true`",
        ),
        ("{content: x, file: y}", "a", "has one of `file`"),
        ("{file: gone}", "a", "gone: no such file"),
        ("{environment: GONE}", "a", "the variable `GONE` has to be set"),
        ("{content: x}", "b", "the config `b` is not in `configs` of this file"),
        ("{content: x}", "a, a", "two files at a"),
        ("{content: x}", "{target: y}", "`source` is missing"),
        ("{content: x}", "{source: a, mode: 999}", "is no mode"),
        ("{content: x}", "{source: a, uid: root}", "\"root\" is no number"),
    ] {
        let problems = refused(&Given::file(&file(config, used)));
        assert!(problems[0].contains(wanted), "{config} {used}: {problems:?}");
    }
}
