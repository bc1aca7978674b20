//! Accepted and refused specs, and that nothing is lost in the translation and back.

use crdt_state::spec::{NetworkMode, Resources, Runtime, Scale, UpdateOrder};

use super::{BadSpec, accept, read_spec, show, show_node_resources};
use crate::read;
use crate::service::ServiceSpec;
use crate::task_spec::PlacementPreference;
use crate::tests::CREATE;

fn spec(json: &str) -> ServiceSpec {
    read(json.as_bytes()).expect("a spec")
}

fn refusal(json: &str) -> String {
    let accepted = read_spec(json.as_bytes()).and_then(|spec| accept(spec, None));
    accepted.expect_err("refused").to_string()
}

#[test]
fn a_process_named_in_place_of_an_image_is_accepted_whole() {
    let accepted = accept(spec(CREATE), None).expect("accepted");
    let template = &accepted.template;
    assert_eq!(template.runtime, Runtime::Process);
    assert_eq!(template.command, ["/usr/bin/busybox"]);
    assert_eq!(template.args, ["httpd", "-f"]);
    assert_eq!(template.stop_grace_ms, 10_000);
    assert_eq!(template.limits.nano_cpus, 500_000_000);
    assert_eq!(template.restart.max_attempts, None, "0 is without limit");
    assert_eq!(accepted.scale, Scale::Replicated { replicas: 3 });
    assert_eq!(accepted.placement.constraints, ["node.labels.zone==a"]);
    assert_eq!(accepted.placement.preferences, ["spread=node.labels.rack"]);
    assert_eq!(accepted.placement.max_per_node, 2);
    assert_eq!(accepted.update_policy.order, UpdateOrder::StartFirst);
    assert_eq!(accepted.endpoint.ports[0].published, 8080);
    assert!(accepted.endpoint.ports[0].host);
}

#[test]
fn what_is_shown_is_accepted_as_the_same() {
    let accepted = accept(spec(CREATE), None).expect("accepted");
    let sent = serde_json::to_vec(&show(&accepted)).expect("JSON");
    let again: ServiceSpec = read(&sent).expect("a spec");
    assert_eq!(accept(again, None), Ok(accepted));
}

#[test]
fn a_preference_that_spreads_over_nothing_is_refused() {
    let mut sent: ServiceSpec = spec(CREATE);
    let placement = sent.task_template.placement.as_mut().expect("a placement");
    placement.preferences.push(PlacementPreference::default());
    let error = accept(sent, None).expect_err("refused").to_string();
    assert!(error.contains("without Spread") && error.contains("SpreadDescriptor"), "{error}");
}

#[test]
fn a_service_asks_for_numbers_of_resources_and_a_node_shows_names() {
    let generic = |json: &str| -> ServiceSpec {
        let resources = format!(r#"{{"Reservations": {{"GenericResources": [{json}]}}}}"#);
        let mut sent = spec(CREATE);
        sent.task_template.resources = Some(read(resources.as_bytes()).expect("resources"));
        sent
    };
    let gpu = r#"{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}"#;
    let accepted = accept(generic(gpu), None).expect("accepted");
    assert_eq!(accepted.template.reservations.generic["gpu"], 2);
    assert_eq!(accept(show(&accepted), None), Ok(accepted));
    for (json, words) in [
        (r#"{"NamedResourceSpec": {"Kind": "camera", "Value": "front"}}"#, "asks for a number"),
        (r#"{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 0}}"#, "write gpu=1"),
        (r#"{"DiscreteResourceSpec": {"Kind": "g=u", "Value": 1}}"#, "write gpu=1"),
        ("{}", "write gpu=1"),
        (&format!("{gpu}, {gpu}"), "there twice"),
    ] {
        let error = accept(generic(json), None).expect_err("refused").to_string();
        assert!(error.contains(words), "{json}: {error}");
    }
    let has = [("gpu", 2), ("camera", 2)].map(|(kind, count)| (kind.to_owned(), count));
    let has = Resources { generic: has.into(), ..Resources::default() };
    let names = ["front", "back"].map(str::to_owned);
    let named = [("camera".to_owned(), names.into())].into();
    let shown = show_node_resources(&has, &named).generic_resources;
    assert_eq!(
        serde_json::to_value(shown).expect("JSON"),
        serde_json::json!([
            {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}},
            {"NamedResourceSpec": {"Kind": "camera", "Value": "back"}},
            {"NamedResourceSpec": {"Kind": "camera", "Value": "front"}},
        ])
    );
}

#[test]
fn the_priority_that_dockers_client_loses_is_kept() {
    let mut current = accept(spec(CREATE), None).expect("accepted");
    current.placement.priority = 7;
    let mut sent = show(&current);
    sent.task_template.placement.as_mut().expect("a placement").priority = None;
    assert_eq!(accept(sent, Some(&current)), Ok(current));
}

#[test]
fn variables_that_change_places_are_no_other_template() {
    let env = |env: &str| {
        let json =
            format!(r#"{{"TaskTemplate": {{"ContainerSpec": {{"Image": "a", "Env": {env}}}}}}}"#);
        spec(&json)
    };
    let held = accept(env(r#"["A=1", "B=2", "C=3"]"#), None).expect("accepted");
    let shuffled = accept(env(r#"["C=3", "A=1", "B=2"]"#), Some(&held)).expect("accepted");
    assert_eq!(shuffled, held, "no task is replaced");
}

#[test]
fn a_program_may_come_as_command_or_as_first_argument() {
    for (command, args) in
        [(r#"["sleep"]"#, r#"["9"]"#), ("[]", r#"["sleep", "9"]"#), (r#"["sleep", "9"]"#, "null")]
    {
        let json = format!(
            r#"{{"TaskTemplate": {{"Runtime": "process",
                "ContainerSpec": {{"Command": {command}, "Args": {args}}}}}}}"#
        );
        let template = accept(spec(&json), None).expect("accepted").template;
        let all: Vec<_> = template.command.iter().chain(&template.args).collect();
        assert_eq!(all, ["sleep", "9"]);
        assert!(!template.command.is_empty());
    }
}

/// A container with every field that a spec can have.
pub(super) const CONTAINER: &str = r#"{
  "Name": "db", "Labels": {},
  "TaskTemplate": {
    "ContainerSpec": {
      "Image": "postgres:16", "Command": ["entry"], "Args": ["-c", "x=1"], "Hostname": "h",
      "Env": ["A=1"], "Dir": "/w", "User": "app:app", "Groups": ["dialout", "20"], "Init": true,
      "StopSignal": "SIGINT", "TTY": true, "OpenStdin": true, "ReadOnly": true,
      "Privileges": {"Seccomp": {"Mode": "unconfined"}, "NoNewPrivileges": true},
      "Hosts": ["10.0.0.7 printer"],
      "DNSConfig": {"Nameservers": ["10.0.0.1"], "Search": ["lan"], "Options": ["ndots:2"]},
      "CapabilityAdd": ["CAP_NET_ADMIN"], "CapabilityDrop": ["ALL"],
      "Ulimits": [{"Name": "nofile", "Hard": 2048, "Soft": 1024},
        {"Name": "core", "Hard": -1, "Soft": -1}],
      "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "0", "kernel.shmmax": "1"},
      "Mounts": [
        {"Type": "bind", "Source": "/srv", "Target": "/srv", "ReadOnly": true, "BindOptions":
          {"Propagation": "rslave", "NonRecursive": true, "CreateMountpoint": true}},
        {"Type": "volume", "Source": "pgdata", "Target": "/var/lib/postgresql/data",
          "VolumeOptions": {"NoCopy": true, "Labels": {"a": "b"}}},
        {"Type": "volume", "Target": "/scratch"},
        {"Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": {"SizeBytes": 67108864, "Mode": 1023}}],
      "OomScoreAdj": -500, "Isolation": "default",
      "Edge": {"Privileged": true, "Devices": [{"PathOnHost": "/dev/ttyUSB0",
        "PathInContainer": "/dev/modem", "CgroupPermissions": "rw"}]}},
    "Placement": {"Platforms": [{"Architecture": "arm", "OS": "linux", "Variant": "v7"}]},
    "Networks": [{"Target": "none"}]
  }}"#;

#[test]
fn every_field_of_a_container_is_accepted_and_shown_again() {
    let accepted = accept(read_spec(CONTAINER.as_bytes()).expect("a spec"), None);
    let accepted = accepted.expect("accepted");
    let container = &accepted.template.container;
    assert_eq!(accepted.template.runtime, Runtime::Container);
    assert_eq!(accepted.template.image, "postgres:16");
    assert_eq!(container.network, NetworkMode::None);
    assert_eq!(container.mounts.len(), 4);
    assert!(container.privileged && container.seccomp_unconfined && container.no_new_privileges);
    assert_eq!(container.platforms[0].variant, "v7");

    let shown = serde_json::to_value(show(&accepted)).expect("JSON");
    let mut sent: serde_json::Value = serde_json::from_str(CONTAINER).expect("JSON");
    let (sent, shown) = (&mut sent["TaskTemplate"], &shown["TaskTemplate"]["ContainerSpec"]);
    let sent = sent["ContainerSpec"].as_object_mut().expect("an object");
    sent.remove("Isolation");
    for (field, value) in sent {
        assert_eq!(shown[field.as_str()], *value, "{field}");
    }
    let again = serde_json::to_vec(&show(&accepted)).expect("JSON");
    assert_eq!(accept(read_spec(&again).expect("a spec"), None), Ok(accepted));
}

#[test]
fn what_docker_s_client_loses_is_kept() {
    let current = accept(read_spec(CONTAINER.as_bytes()).expect("a spec"), None).expect("accepted");
    let mut sent = show(&current);
    sent.task_template.container_spec.as_mut().expect("a container").edge = None;
    sent.task_template.placement.as_mut().expect("a placement").platforms[0].variant =
        String::new();
    assert_eq!(accept(sent.clone(), Some(&current)), Ok(current.clone()));

    // Another image, and no registry that names its platforms.
    sent.task_template.container_spec.as_mut().expect("a container").image = "other".to_owned();
    let changed = accept(sent, Some(&current)).expect("accepted").template;
    assert_eq!(changed.image, "other:latest");
    assert!(changed.container.platforms.is_empty() && changed.container.privileged);
    assert_eq!(changed.container.devices, current.template.container.devices);
}

#[test]
fn a_bare_image_gets_its_tag_and_the_network_of_the_node() {
    let json = r#"{"TaskTemplate": {"ContainerSpec": {"Image": "docker.io/library/nginx"}}}"#;
    let template = accept(spec(json), None).expect("accepted").template;
    assert_eq!(template.image, "nginx:latest");
    assert_eq!(template.container.network, NetworkMode::Host);
    assert!(template.command.is_empty() && template.args.is_empty());
    let digest = "0".repeat(64);
    let json = json.replace("nginx", &format!("nginx:1@sha256:{digest}"));
    let template = accept(spec(&json), None).expect("accepted").template;
    assert_eq!(template.image, format!("nginx:1@sha256:{digest}"));
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let container = |fields: &str| {
        format!(r#"{{"TaskTemplate": {{"ContainerSpec": {{"Image": "a", {fields}}}}}}}"#)
    };
    for (json, names) in [
        (container(r#""Frob": 1"#), "TaskTemplate.ContainerSpec.Frob"),
        (
            container(r#""Mounts": [{"Target": "/a", "ImageOptions": {"Subpath": "x"}}]"#),
            "TaskTemplate.ContainerSpec.Mounts.ImageOptions",
        ),
        (
            container(r#""Mounts": [{"Target": "/a", "VolumeOptions": {"Subpath": "x"}}]"#),
            "Mounts.VolumeOptions.Subpath",
        ),
        (
            container(
                r#""Mounts": [{"Target": "/a", "VolumeOptions": {"DriverConfig": {"Name": "nfs"}}}]"#,
            ),
            "the volume driver `nfs`",
        ),
        (container(r#""Mounts": [{"Type": "npipe", "Target": "/a"}]"#), "npipe"),
        (r#"{"Networks": [{"Target": "a"}]}"#.to_owned(), "Networks"),
        (
            r#"{"TaskTemplate": {"Resources": {"Limits": {"SwapBytes": 1}}}}"#.to_owned(),
            "TaskTemplate.Resources.Limits.SwapBytes",
        ),
    ] {
        let message = refusal(&json);
        assert!(message.contains(names) && message.contains("not supported yet"), "{message}");
    }
}

#[test]
fn ports_and_networks_that_cannot_go_together_are_refused_with_what_to_type() {
    let network = crdt_state::NetworkId([7; 16]).to_string();
    let sent = |networks: &str, endpoint: &str| {
        format!(
            r#"{{"TaskTemplate": {{"Networks": [{networks}], "ContainerSpec": {{"Image": "a"}}}},
                "EndpointSpec": {{{endpoint}}}}}"#
        )
    };
    let on = format!(r#"{{"Target": "{network}", "Aliases": ["db"]}}"#);
    let mesh = r#""Ports": [{"TargetPort": 80, "PublishedPort": 8080}]"#;
    let accepted = accept(spec(&sent(&on, mesh)), None).expect("all of it is known");
    assert_eq!(accepted.networks[0].aliases, ["db"]);
    assert_eq!(accepted.template.container.network, NetworkMode::None);
    assert!(!accepted.endpoint.ports[0].host);
    let by_name = accept(spec(&sent(&on, r#""Mode": "dnsrr""#)), None).expect("known");
    assert!(by_name.by_name);
    for (networks, endpoint, told) in [
        (r#"{"Target": "host"}"#, mesh, "mode=host"),
        (r#"{"Target": "none"}"#, mesh, "mode=host"),
        (on.as_str(), &format!(r#""Mode": "dnsrr", {mesh}"#), "needs the mode vip"),
        (on.as_str(), r#""Mode": "sticky""#, "vip, dnsrr"),
        (r#"{"Target": "none", "DriverOpts": {"a": "b"}}"#, "", "no interface of its own"),
        (&format!(r#"{{"Target": "{network}", "DriverOpts": {{"a": "b"}}}}"#), "", "ifname=lan0"),
        (on.as_str(), r#""Ports": [{"TargetPort": 0}]"#, "1 to 65535"),
        (
            on.as_str(),
            r#""Ports": [{"TargetPort": 80, "PublishedPort": 80},
                {"TargetPort": 81, "PublishedPort": 80, "PublishMode": "host"}]"#,
            "published twice",
        ),
        (&format!("{on}, {on}"), mesh, "on it already"),
        (&format!(r#"{on}, {{"Target": "host"}}"#), mesh, "leave the other out"),
        (r#"{"Target": "back"}"#, mesh, "network `back` not found"),
        (r#"{"Target": "host", "Aliases": ["db"]}"#, "", "leave the alias out"),
    ] {
        let message = refusal(&sent(networks, endpoint));
        assert!(message.contains(told), "{networks} {endpoint}: {message}");
    }
}

#[test]
fn a_program_of_the_host_has_nothing_of_a_container() {
    for (fields, name) in [
        (r#""Init": true"#, "Init"),
        (r#""Mounts": [{"Target": "/a"}]"#, "Mounts"),
        (r#""Ulimits": [{"Name": "nofile", "Hard": 1, "Soft": 1}]"#, "Ulimits"),
        (r#""Edge": {"Privileged": true}"#, "Edge.Privileged"),
    ] {
        let json = format!(
            r#"{{"TaskTemplate": {{"ContainerSpec": {{"Image": "process:/a", {fields}}}}}}}"#
        );
        let message = refusal(&json);
        assert!(message.contains(name) && message.contains("only a container"), "{message}");
    }
}

#[test]
fn a_value_that_makes_no_sense_is_refused_with_one_that_does() {
    for (fields, words) in [
        (r#""CapabilityAdd": ["NET_ADMEN"]"#, "CapabilityAdd `NET_ADMEN`: the kernel has no such"),
        (r#""Ulimits": [{"Name": "nofiles"}]"#, "Ulimits.Name `nofiles`: there are core"),
        (r#""Ulimits": [{"Name": "nofile", "Soft": 9, "Hard": 1}]"#, "write the lower one first"),
        (r#""Sysctls": {"net.core.somaxconn": "1"}"#, "--network none"),
        (r#""Sysctls": {"vm.swappiness": "1"}"#, "/etc/sysctl.d"),
        (r#""Hosts": ["printer 10.0.0.7"]"#, "--host printer:10.0.0.7"),
        (r#""DNSConfig": {"Nameservers": ["dns.lan"]}"#, "write it like 10.0.0.1"),
        (r#""DNSConfig": {"Search": ["lan\nnameserver 192.0.2.1"]}"#, "as one word"),
        (r#""OomScoreAdj": 5000"#, "from -1000"),
        (r#""Hostname": "bad host!""#, "write it like till-1"),
        (r#""Groups": [""]"#, "a name or a number"),
        (r#""Mounts": [{"Target": "/proc"}]"#, "like /host/proc"),
        (r#""Mounts": [{"Target": "data"}]"#, "write it like /data"),
        (r#""Mounts": [{"Target": "/../"}]"#, "the root itself"),
        (r#""Mounts": [{"Target": "/a"}, {"Target": "/a/"}]"#, "two mounts have this target"),
        (r#""Mounts": [{"Type": "bind", "Source": "data", "Target": "/a"}]"#, "type=volume"),
        (r#""Mounts": [{"Source": "/data", "Target": "/a"}]"#, "type=bind"),
        (r#""Mounts": [{"Type": "tmpfs", "Source": "x", "Target": "/a"}]"#, "memory has no source"),
        (r#""Mounts": [{"Type": "bnd", "Target": "/a"}]"#, "there are bind, volume and tmpfs"),
        (
            r#""Mounts": [{"Type": "bind", "Source": "/x", "Target": "/a", "TmpfsOptions": {"Mode": 1}}]"#,
            "it has no TmpfsOptions",
        ),
        (r#""Edge": {"Devices": [{"PathOnHost": "ttyUSB0"}]}"#, "write it like /dev/ttyUSB0"),
        (
            r#""Edge": {"Devices": [{"PathOnHost": "/dev/x", "CgroupPermissions": "rx"}]}"#,
            "write rwm",
        ),
        (r#""Healthcheck": {"Interval": 1000000}"#, "give the test along with them"),
    ] {
        let message = refusal(&format!(
            r#"{{"TaskTemplate": {{"ContainerSpec": {{"Image": "a", {fields}}}}}}}"#
        ));
        assert!(message.contains(words), "{message}");
    }
    let little = |amount: &str| {
        format!(
            r#"{{"TaskTemplate": {{"ContainerSpec": {{"Image": "a"}}, "Resources":
            {{"Limits": {{{amount}}}}}}}}}"#
        )
    };
    assert!(refusal(&little(r#""MemoryBytes": 1024"#)).contains("write at least 4m"));
    assert!(refusal(&little(r#""NanoCPUs": 999999"#)).contains("0.001"));
    let upper = refusal(r#"{"TaskTemplate": {"ContainerSpec": {"Image": "Nginx"}}}"#);
    assert!(upper.contains("type \"nginx\""), "{upper}");
    assert_eq!(accept(spec("{}"), None), Err(BadSpec::NoImage));
}

#[test]
fn a_word_that_docker_does_not_know_is_refused_with_the_words_it_knows() {
    let json = r#"{"TaskTemplate": {"RestartPolicy": {"Condition": "always"},
        "ContainerSpec": {"Image": "process:/a"}}}"#;
    assert!(refusal(json).contains("none, on-failure, any"), "{}", refusal(json));
}

#[test]
fn more_replicas_than_a_slot_number_holds_are_refused() {
    let json = r#"{"Mode": {"Replicated": {"Replicas": 5000000000}}}"#;
    assert!(refusal(json).contains("5000000000 is more than"));
}

#[test]
fn the_relations_that_dockers_client_loses_are_kept() {
    let mut current = accept(
        spec(
            r#"{"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a"},
        "Placement": {"Affinities": ["service==db"]}}, "DependsOn": ["db"], "SlotOrder": "ascending"}"#,
        ),
        None,
    )
    .expect("valid");
    assert_eq!(current.relations.affinities.rules, ["service==db"]);
    assert_eq!(current.relations.depends_on.services, ["db"]);
    let mut sent = show(&current);
    (sent.task_template.placement.as_mut().expect("shown").affinities, sent.depends_on) =
        (None, None);
    assert_eq!(sent.slot_order.take().as_deref(), Some("ascending"));
    assert_eq!(accept(sent.clone(), Some(&current)), Ok(current.clone()));
    (sent.task_template.placement.as_mut().expect("shown").affinities, sent.depends_on) =
        (Some(Vec::new()), Some(Vec::new()));
    sent.slot_order = Some("any".to_owned());
    current.relations = Default::default();
    assert_eq!(accept(sent, Some(&current)), Ok(current));
}
