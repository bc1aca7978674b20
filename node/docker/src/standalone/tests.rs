//! What Docker's client asks for, and what it is told.

use crdt_state::NodeId;
use crdt_state::spec::{MountSource, RestartCondition, Swap};
use serde_json::{Value, json};

use super::*;

const NODE: NodeId = NodeId([7; 16]);

fn read(host: Value) -> Result<ServiceSpec, BadSpec> {
    let body = json!({"Image": "app:1", "Cmd": ["a"], "HostConfig": host});
    let (asked, _) = read_create(body.to_string().as_bytes(), "one", NODE)?;
    asked.accept("app:1".to_owned())
}

#[test]
fn a_request_of_docker_s_client_becomes_a_service_that_stays_on_its_node() {
    let spec = read(json!({
        "Binds": ["/srv:/srv:ro", "data:/data"], "Memory": 64 << 20, "MemorySwap": 65 << 20,
        "NanoCpus": 500_000_000, "PidsLimit": 20, "AutoRemove": true, "NetworkMode": "default",
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "ConsoleSize": [24, 80],
        "LogConfig": {"Type": "", "Config": {}}, "MemorySwappiness": -1, "OomKillDisable": false,
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, "ShmSize": 0,
        "ExtraHosts": ["db:10.0.0.7"], "SecurityOpt": [
            "no-new-privileges", "seccomp={\"defaultAction\": \"SCMP_ACT_ALLOW\"}", "apparmor=shop"],
        "Devices": [],
    }));
    let spec = spec.expect("accepted");
    let standalone = spec.template.extension.standalone.expect("it is one");
    assert_eq!((standalone.node, standalone.auto_remove), (NODE, true));
    assert_eq!(spec.scale, Scale::Replicated { replicas: 0 });
    assert_eq!(spec.placement.constraints, [format!("node.id=={NODE}")]);
    assert_eq!(spec.partition.policy, PartitionPolicy::Stay);
    assert_eq!(spec.template.args, ["a"]);
    assert_eq!(spec.template.restart.condition, RestartCondition::None);
    assert_eq!(spec.template.extension.swap, Some(Swap::Bytes(1 << 20)));
    assert_eq!(spec.template.container.hosts, ["10.0.0.7 db"]);
    assert!(spec.template.container.no_new_privileges);
    let extension = &spec.template.extension;
    let profile = "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}";
    assert_eq!(extension.seccomp.as_deref(), Some(profile));
    assert_eq!(extension.apparmor.as_deref(), Some("shop"));
    let mounts = &spec.template.container.mounts;
    assert!(mounts[0].read_only && matches!(mounts[0].source, MountSource::Bind { .. }));
    assert!(matches!(&mounts[1].source, MountSource::Volume { name, .. } if name == "data"));
    let port = &spec.endpoint.ports[0];
    assert_eq!((port.published, port.target, port.host), (8080, 80, true));
}

#[test]
fn restart_policies_are_docker_s() {
    let of = |name: &str, times: u32| {
        let policy = json!({"Name": name, "MaximumRetryCount": times});
        read(json!({"RestartPolicy": policy})).expect("accepted").template
    };
    assert_eq!(of("always", 0).restart.condition, RestartCondition::Any);
    let unless = of("unless-stopped", 0);
    assert!(unless.extension.standalone.expect("it is one").unless_stopped);
    let failing = of("on-failure", 3).restart;
    assert_eq!((failing.condition, failing.max_attempts), (RestartCondition::OnFailure, Some(3)));
}

#[test]
fn what_has_no_effect_is_refused_by_its_flag() {
    for (host, words) in [
        (json!({"CpuShares": 512}), "--cpu-shares"),
        (json!({"CpusetCpus": "0"}), "--cpuset-cpus"),
        (json!({"PidMode": "host"}), "--pid"),
        (json!({"IpcMode": "host"}), "--ipc"),
        (json!({"UsernsMode": "auto"}), "service create --userns auto"),
        (json!({"UTSMode": "host"}), "--uts"),
        (json!({"VolumesFrom": ["db"]}), "--volumes-from"),
        (json!({"OomKillDisable": true}), "--oom-kill-disable"),
        (json!({"DeviceRequests": [{"Count": -1}]}), "--gpus"),
        (json!({"Runtime": "kata"}), "--runtime"),
        (json!({"Links": ["db:db"]}), "--link"),
        (json!({"Annotations": {"a": "b"}}), "--annotation"),
        (json!({"Frob": 1}), "HostConfig.Frob"),
        (json!({"NetworkMode": "container:x"}), "put both on one network"),
        (json!({"SecurityOpt": ["seccomp=/x.json"]}), "--security-opt"),
        (json!({"LogConfig": {"Type": "syslog"}}), "json-file, local"),
        (json!({"Tmpfs": {"/run": "uid=5"}}), "--tmpfs"),
        (json!({"Binds": ["/a:/b:frob"]}), "--volume"),
        (json!({"MemorySwap": 5}), "--memory-swap"),
        (json!({"AutoRemove": true, "RestartPolicy": {"Name": "always"}}), "--restart"),
        (json!({"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1"}]}}), "leave the address out"),
        (json!({"ExtraHosts": ["a:host-gateway"]}), "address of the node"),
        (json!({"Mounts": [{"Type": "volume", "Target": "/a", "Frob": 1}]}), "Mounts.Frob"),
    ] {
        let said = read(host.clone()).expect_err(&host.to_string()).to_string();
        assert!(said.contains(words), "{host}: {said}");
    }
}

#[test]
fn what_is_asked_of_an_interface_is_known_or_refused() {
    let with = |mode: &str, endpoint: Value| {
        let body = json!({
            "Image": "app:1", "HostConfig": {"NetworkMode": mode},
            "NetworkingConfig": {"EndpointsConfig": {mode: endpoint}},
        });
        let (mut asked, _) = read_create(body.to_string().as_bytes(), "one", NODE)?;
        Ok::<_, BadSpec>(asked.spec_mut().task_template.networks.clone())
    };
    let back = with("back", json!({"Aliases": ["b", "a"]})).expect("accepted");
    assert_eq!(
        (back[0].target.as_str(), &back[0].aliases[..]),
        ("back", &["a".into(), "b".into()][..])
    );
    assert_eq!(with("bridge", Value::Null).map(|networks| networks.len()), Ok(0));
    for (mode, endpoint, words) in [
        ("back", json!({"IPAMConfig": {"IPv4Address": "10.0.0.9"}}), "--ip"),
        ("back", json!({"IPAMConfig": {"LinkLocalIPs": ["169.254.1.1"]}}), "--link-local-ip"),
        ("back", json!({"Links": ["db:db"]}), "--link"),
        ("back", json!({"MacAddress": "02:42:00:00:00:01"}), "--mac-address"),
        ("bridge", json!({"Aliases": ["a"]}), "--network"),
    ] {
        let said = with(mode, endpoint.clone()).expect_err(words).to_string();
        assert!(said.contains(words), "{endpoint}: {said}");
    }
}

#[test]
fn an_entrypoint_that_is_taken_off_leaves_the_command() {
    let words = |sent: Value| {
        let (asked, _) = read_create(sent.to_string().as_bytes(), "one", NODE)?;
        asked.accept("app:1".to_owned()).map(|spec| (spec.template.command, spec.template.args))
    };
    let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let none = words(json!({"Image": "a", "Entrypoint": [""], "Cmd": ["sh", "-c"]}));
    assert_eq!(none, Ok((owned(&["sh"]), owned(&["-c"]))));
    let own = words(json!({"Image": "a", "Entrypoint": "top", "Cmd": null}));
    assert_eq!(own, Ok((owned(&["top"]), Vec::new())));
    assert!(words(json!({"Image": "a", "Entrypoint": [""]})).is_err());
}
