//! bollard, a client in Rust: it decodes every field of an answer by Docker's description of the
//! API, with its words, numbers and times, so that what it cannot decode is a fault of ours.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::{
    ConfigSpec, EventMessage, NetworkCreateRequest, NodeSpecAvailabilityEnum, ServiceSpec,
    TaskState, VolumeCreateRequest,
};
use bollard::query_parameters::{
    DataUsageOptions, EventsOptionsBuilder, InspectNetworkOptionsBuilder,
    InspectServiceOptionsBuilder, ListNetworksOptionsBuilder, ListServicesOptionsBuilder,
    ListTasksOptionsBuilder, ListVolumesOptions, LogsOptionsBuilder, PruneVolumesOptions,
    RemoveVolumeOptionsBuilder, UpdateConfigOptionsBuilder, UpdateNodeOptionsBuilder,
    UpdateServiceOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::TryStreamExt;

use crate::fleet::Fleet;

/// A service with a value in every part of its spec that an agent takes.
const FULL: &str = r#"{
    "Name": "full", "Labels": {"tier": "front"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "registry.invalid/a:1", "Command": ["/bin/a"], "Args": ["-b"], "Env": ["A=1"],
            "Hostname": "h", "Dir": "/srv", "User": "1:2", "Groups": ["3"], "Labels": {"c": "d"},
            "TTY": true, "OpenStdin": true, "ReadOnly": true, "Init": true, "OomScoreAdj": 5,
            "StopSignal": "SIGTERM", "StopGracePeriod": 1000000000, "Hosts": ["10.0.0.1 db"],
            "HealthCheck": {"Test": ["CMD", "true"], "Interval": 1000000000, "Timeout": 1000000000,
                "Retries": 2, "StartPeriod": 1000000000, "StartInterval": 1000000000},
            "DNSConfig": {"Nameservers": ["10.0.0.2"], "Search": ["x"], "Options": ["ndots:1"]},
            "CapabilityAdd": ["CAP_NET_ADMIN"], "CapabilityDrop": ["CAP_CHOWN"],
            "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
            "Sysctls": {"kernel.shm_rmid_forced": "1"},
            "Mounts": [
                {"Type": "volume", "Source": "data", "Target": "/data",
                    "VolumeOptions": {"NoCopy": true, "Labels": {"a": "b"}}},
                {"Type": "bind", "Source": "/etc", "Target": "/h", "ReadOnly": true,
                    "BindOptions": {"Propagation": "rprivate"}},
                {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 448}}]},
        "Resources": {"Limits": {"NanoCPUs": 500000000, "MemoryBytes": 64000000, "Pids": 50},
            "Reservations": {"NanoCPUs": 100000000, "MemoryBytes": 32000000,
                "GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]},
            "SwapBytes": 1000000},
        "RestartPolicy": {"Condition": "on-failure", "Delay": 1000000000, "MaxAttempts": 3,
            "Window": 5000000000},
        "Placement": {"Constraints": ["node.role==manager"], "MaxReplicas": 1,
            "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.rack"}}],
            "Platforms": [{"Architecture": "x86_64", "OS": "linux"}]},
        "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
        "ForceUpdate": 3},
    "Mode": {"Replicated": {"Replicas": 2}},
    "UpdateConfig": {"Parallelism": 2, "Delay": 1000000000, "FailureAction": "rollback",
        "Monitor": 2000000000, "MaxFailureRatio": 0.25, "Order": "start-first"},
    "RollbackConfig": {"Parallelism": 1, "Delay": 1000000000, "FailureAction": "continue",
        "Monitor": 2000000000, "MaxFailureRatio": 0.5, "Order": "stop-first"},
    "EndpointSpec": {"Mode": "vip", "Ports": [{"Protocol": "tcp", "TargetPort": 80,
        "PublishedPort": 8080, "PublishMode": "host"}]}}"#;

fn spec(text: &str) -> ServiceSpec {
    serde_json::from_str(text).expect("bollard knows every field and word of it")
}

fn client(socket: &Path) -> Docker {
    let path = socket.display().to_string();
    Docker::connect_with_unix(&path, 30, API_DEFAULT_VERSION).expect("a client")
}

/// Runs what a client asks.
fn wait<T>(asked: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(asked)
}

/// A program that writes a line, as a service of two.
fn talker() -> ServiceSpec {
    spec(
        r#"{"Name": "talk", "Mode": {"Replicated": {"Replicas": 2}},
        "TaskTemplate": {"ContainerSpec": {"Image": "process:/bin/sh", "StopGracePeriod": 1000000000,
            "Args": ["-c", "echo out; while :; do sleep 1; done"]}}}"#,
    )
}

#[test]
fn bollard_creates_reads_updates_and_removes_services() {
    let fleet = Fleet::start(143, 2);
    let docker = client(&fleet.socket(1));
    let created = wait(docker.create_service(talker(), None)).expect("it is created");
    let id = created.id.expect("an id");
    fleet.until("both run", || fleet.running(1, "talk") == 2);

    let filters = HashMap::from([("name", vec!["talk"])]);
    let options = ListServicesOptionsBuilder::default().filters(&filters).status(true).build();
    let listed = wait(docker.list_services(Some(options))).expect("decoded");
    let status = listed[0].service_status.as_ref().expect("it was asked for");
    assert_eq!((status.running_tasks, status.desired_tasks), (Some(2), Some(2)));

    // A client that reads a service and sends it back restarts nothing.
    let runs = || -> Vec<_> {
        let filters =
            HashMap::from([("service", vec!["talk"]), ("desired-state", vec!["running"])]);
        let options = ListTasksOptionsBuilder::default().filters(&filters).build();
        let mut tasks = wait(docker.list_tasks(Some(options))).expect("decoded");
        tasks.sort_by_key(|task| task.slot);
        let all_run = |task: &bollard::models::Task| {
            task.status.as_ref().and_then(|status| status.state) == Some(TaskState::RUNNING)
        };
        tasks.into_iter().filter(all_run).map(|task| task.id.expect("an id")).collect()
    };
    let before = runs();
    assert_eq!(before.len(), 2);
    let send_back = |change: &dyn Fn(&mut ServiceSpec)| {
        let options = InspectServiceOptionsBuilder::default().insert_defaults(true).build();
        let found = wait(docker.inspect_service("talk", Some(options))).expect("decoded");
        let version = found.version.and_then(|version| version.index).expect("a version");
        let mut spec = found.spec.expect("a spec");
        change(&mut spec);
        let version = i32::try_from(version).expect("small");
        let options = UpdateServiceOptionsBuilder::default().version(version).build();
        wait(docker.update_service(&id, spec, options, None)).expect("it is updated")
    };
    send_back(&|_| {});
    send_back(&|spec| spec.labels = Some(HashMap::from([("a".to_owned(), "b".to_owned())])));
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(runs(), before);
    let task = wait(docker.inspect_task(&before[0])).expect("decoded");
    assert_eq!(task.desired_state, Some(TaskState::RUNNING));
    assert!(task.created_at.is_some() && task.version.and_then(|version| version.index).is_some());

    let options = LogsOptionsBuilder::default().stdout(true).build();
    let lines: Vec<_> =
        wait(docker.service_logs("talk", Some(options)).try_collect()).expect("read");
    assert_eq!(lines.len(), 2);
    wait(docker.delete_service("talk")).expect("it is removed");
    let gone = wait(docker.inspect_service("talk", None)).expect_err("it is gone");
    assert!(gone.to_string().contains("404"), "{gone}");
}

#[test]
fn bollard_knows_every_field_of_a_service_with_all_of_them() {
    let fleet = Fleet::start(144, 1);
    let docker = client(&fleet.socket(1));
    let mut full = spec(FULL);
    full.task_template.as_mut().expect("it has one").runtime = Some("container".to_owned());
    wait(docker.create_service(full.clone(), None)).expect("it is created");
    let found = wait(docker.inspect_service("full", None)).expect("decoded");
    let mut shown = found.spec.expect("a spec");
    // What an agent fills in, or says otherwise.
    let task = shown.task_template.as_mut().expect("a template");
    assert!(task.networks.take().is_some_and(|networks| networks.len() == 1));
    // Docker shows it under another name than its description says: `Healthcheck`.
    let container = task.container_spec.as_mut().expect("of a container");
    assert!(container.health_check.is_none());
    let check = fleet.get(1, "/services/full").json()["Spec"]["TaskTemplate"]["ContainerSpec"]
        ["Healthcheck"]
        .take();
    container.health_check = serde_json::from_value(check).expect("bollard knows it");
    assert_eq!(shown, spec(FULL));
}

#[test]
fn bollard_reads_nodes_and_the_swarm() {
    let fleet = Fleet::start(145, 2);
    let docker = client(&fleet.socket(1));
    assert_eq!(wait(docker.ping()).expect("it answers"), "OK");
    let version = wait(docker.version()).expect("decoded");
    assert_eq!(version.os.as_deref(), Some("linux"));
    let info = wait(docker.info()).expect("decoded");
    let swarm = info.swarm.expect("it is in one");
    assert_eq!((swarm.nodes, swarm.managers), (Some(2), Some(2)));
    wait(docker.inspect_swarm()).expect("decoded");
    wait(docker.df(None::<DataUsageOptions>)).expect("decoded");

    let nodes = wait(docker.list_nodes(None)).expect("decoded");
    assert_eq!(nodes.len(), 2);
    let is_second = |node: &&bollard::models::Node| {
        let hostname = node.description.as_ref().and_then(|said| said.hostname.as_deref());
        hostname == Some("shop-2")
    };
    let id = nodes.iter().find(is_second).and_then(|node| node.id.clone()).expect("it is there");
    let node = wait(docker.inspect_node(&id)).expect("decoded");
    let mut spec = node.spec.expect("a spec");
    spec.availability = Some(NodeSpecAvailabilityEnum::DRAIN);
    spec.labels = Some(HashMap::from([("rack".to_owned(), "1".to_owned())]));
    let version = node.version.and_then(|version| version.index).expect("a version");
    let options =
        UpdateNodeOptionsBuilder::default().version(i64::try_from(version).expect("small")).build();
    wait(docker.update_node(&id, spec, options)).expect("it is updated");
    let node = wait(docker.inspect_node(&id)).expect("decoded").spec.expect("a spec");
    assert_eq!(node.availability, Some(NodeSpecAvailabilityEnum::DRAIN));
    assert_eq!(node.labels.expect("labels")["rack"], "1");
}

#[test]
fn bollard_makes_networks_volumes_and_configs_and_hears_of_them() {
    let fleet = Fleet::start(146, 1);
    let docker = client(&fleet.socket(1));
    let network = NetworkCreateRequest {
        name: "back".to_owned(),
        driver: Some("overlay".to_owned()),
        attachable: Some(true),
        labels: Some(HashMap::from([("a".to_owned(), "b".to_owned())])),
        ..NetworkCreateRequest::default()
    };
    let created = wait(docker.create_network(network)).expect("it is created");
    let filters = HashMap::from([("scope", vec!["swarm"]), ("name", vec!["back"])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let listed = wait(docker.list_networks(Some(options))).expect("decoded");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id.as_ref(), Some(&created.id));
    let verbose = InspectNetworkOptionsBuilder::default().verbose(true).build();
    let found = wait(docker.inspect_network("back", Some(verbose))).expect("decoded");
    assert_eq!(found.driver.as_deref(), Some("overlay"));

    let volume = VolumeCreateRequest { name: Some("data".to_owned()), ..Default::default() };
    assert_eq!(wait(docker.create_volume(volume)).expect("decoded").name, "data");
    assert_eq!(wait(docker.inspect_volume("data")).expect("decoded").driver, "local");
    let volumes = wait(docker.list_volumes(None::<ListVolumesOptions>)).expect("decoded").volumes;
    assert_eq!(volumes.expect("a list").len(), 1);

    let config = ConfigSpec {
        name: Some("page".to_owned()),
        data: Some("aGVsbG8=".to_owned()),
        ..ConfigSpec::default()
    };
    let id = wait(docker.create_config(config)).expect("it is created").id;
    let found = wait(docker.inspect_config(&id)).expect("decoded");
    let mut spec = found.spec.expect("a spec");
    assert_eq!(spec.data.as_deref(), Some("aGVsbG8="));
    spec.labels = Some(HashMap::from([("a".to_owned(), "b".to_owned())]));
    let version = found.version.and_then(|version| version.index).expect("a version");
    let options = UpdateConfigOptionsBuilder::default()
        .version(i64::try_from(version).expect("small"))
        .build();
    wait(docker.update_config(&id, spec, options)).expect("it is updated");
    let configs = wait(docker.list_configs(None)).expect("decoded");
    let labels = configs[0].spec.as_ref().and_then(|spec| spec.labels.as_ref());
    assert_eq!(labels.expect("labels")["a"], "b");

    wait(docker.delete_config("page")).expect("it is removed");
    let options = RemoveVolumeOptionsBuilder::default().force(true).build();
    wait(docker.remove_volume("data", Some(options))).expect("it is removed");
    wait(docker.remove_network("back")).expect("it is removed");
    wait(docker.prune_networks(None)).expect("decoded");
    wait(docker.prune_volumes(None::<PruneVolumesOptions>)).expect("decoded");

    let options = EventsOptionsBuilder::default().since("0").until("1").build();
    let heard: Vec<EventMessage> =
        wait(docker.events(Some(options)).try_collect()).expect("decoded");
    let heard: Vec<String> = heard
        .into_iter()
        .map(|event| {
            let kind = event.typ.map(|kind| kind.to_string()).unwrap_or_default();
            format!("{kind} {}", event.action.unwrap_or_default())
        })
        .filter(|event| !event.starts_with("node"))
        .collect();
    let wanted = ["network create", "volume create", "config create", "config update"];
    let removed = ["config remove", "volume destroy", "network remove"];
    let pruned = ["network prune", "volume prune"];
    assert_eq!(heard, [&wanted[..], &removed, &pruned].concat());
}
