//! With the answers of a dockerd 20.10 that has a stack of three services, and two services of none.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::parse_for_tests;

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("recorded/", $name, ".json"))
    };
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
    node_docker::read(text.as_bytes()).expect("it was recorded")
}

fn swarm() -> Swarm {
    let volumes: Value = read(recorded!("volumes"));
    Swarm {
        info: read(recorded!("info")),
        services: read(recorded!("services")),
        tasks: read(recorded!("tasks")),
        networks: read(recorded!("networks")),
        configs: read(recorded!("configs")),
        secrets: read(recorded!("secrets")),
        nodes: read(recorded!("nodes")),
        volumes: volumes["Volumes"].as_array().cloned().unwrap_or_default(),
    }
}

fn written(swarm: &Swarm) -> Vec<Written> {
    stacks::written(swarm, "swarm", Digests::Left).expect("it is written")
}

/// What the file of a stack makes of a service.
fn spec(written: &[Written], name: &str) -> Value {
    let specs = written.iter().flat_map(|stack| &stack.fitted.stack.services);
    let found = specs.into_iter().find(|spec| spec.name == name).expect(name);
    serde_json::to_value(found).expect("it is JSON")
}

#[test]
fn every_stack_is_a_file_that_says_what_the_swarm_runs() {
    let written = written(&swarm());
    let names: Vec<_> = written.iter().map(|stack| (stack.file(), stack.services.len())).collect();
    assert_eq!(names, [("shop.yaml".to_owned(), 3), ("swarm.yaml".to_owned(), 2)]);
    let web = spec(&written, "shop_web");
    let container = &web["TaskTemplate"]["ContainerSpec"];
    assert_eq!(container["Image"], "nginx:1.27");
    assert_eq!(container["Args"], json!(["nginx", "-g", "daemon off; # $HOME"]));
    assert_eq!(container["Env"], json!(["COST=5$", "EMPTY=", "RELEASE=1.10"]));
    assert_eq!(container["Configs"][0]["File"]["Name"], "/etc/nginx/conf.d/site.conf");
    assert_eq!(container["Configs"][0]["File"]["Mode"], 0o440);
    let (path, data) = written[0].configs.first_key_value().expect("a config");
    assert_eq!(path, std::path::Path::new("configs/shop_site"));
    assert_eq!(written[0].fitted.stack.configs[0].data.0, *data);
    assert_eq!(web["TaskTemplate"]["Networks"][0]["Target"], "shop_back");
    assert_eq!(web["TaskTemplate"]["Networks"][1]["Aliases"], json!(["web", "www"]));
    assert_eq!(web["Mode"]["Replicated"]["Replicas"], 3);
    assert_eq!(web["UpdateConfig"]["Order"], "start-first");
    assert_eq!(spec(&written, "shop_agent")["Mode"], json!({"Global": {}}));
    let job = &spec(&written, "swarm_nightly")["Mode"]["ReplicatedJob"];
    assert_eq!(*job, json!({"MaxConcurrent": 2, "TotalCompletions": 6}));
    let lost: Vec<_> = written
        .iter()
        .flat_map(|stack| &stack.services)
        .flat_map(|one| one.lost.iter().map(|lost| (one.name.as_str(), lost.value.as_str())))
        .collect();
    let nfs = ["device", "o", "type"].iter().zip([":/export", "addr=10.0.0.9,rw", "nfs"]);
    assert_eq!(lost, nfs.map(|(_, value)| ("shop_db", value)).collect::<Vec<_>>());
    assert!(written.iter().flat_map(|stack| &stack.services).all(|one| one.refusal.is_none()));
}

/// Without a network it would be on that of its node here, with all of its ports open.
#[test]
fn a_service_on_no_network_is_on_the_default_network_of_its_stack() {
    let written = written(&swarm());
    let networks = &spec(&written, "swarm_nightly")["TaskTemplate"]["Networks"];
    assert_eq!(*networks, json!([{"Target": "swarm_default", "Aliases": ["nightly"]}]));
}

#[test]
fn a_subnet_of_the_pool_is_given_anew_and_another_one_stays() {
    let mut swarm = swarm();
    let back = swarm.networks.iter_mut().find(|network| network.name == "shop_back").expect("it");
    back.ipam.config[0].subnet = "192.168.9.0/24".to_owned();
    let written = written(&swarm);
    let of = |name: &str| {
        let networks = written.iter().flat_map(|stack| &stack.fitted.stack.networks);
        networks.into_iter().find(|network| network.name == name).expect(name).clone()
    };
    assert_eq!(of("shop_front").ipam, None);
    assert_eq!(of("shop_back").ipam.expect("kept").config[0].subnet, "192.168.9.0/24");
    assert_eq!(of("shop_back").options, [("encrypted".to_owned(), String::new())].into());
}

#[test]
fn the_report_says_what_is_left_to_do() {
    let swarm = swarm();
    let text = report::text_of(&swarm, &written(&swarm));
    for part in [
        "- `lonely` is `swarm_lonely` here",
        "VolumeOptions.DriverConfig.Options.o` = `addr=10.0.0.9,rw` is not in the file: a volume is",
        "| shop_key | shop_web | tls.key | 101:0 | 0444 |",
        "| shop_site | shop_web | /etc/nginx/conf.d/site.conf | 0:0 | 0440 |",
        "edgectl node update --label-add 'disk=ssd' --label-add 'zone=a' node-1\n",
        "- shop_web: `node.role == worker`: every node here is a manager, so no node fits",
        "ids are others here. It is node-1: write `node.hostname`, or a label",
        "edgectl network create --attachable --subnet 192.168.50.0/24 outer\n",
        "| 30000 (given by the swarm: here it is another) | tcp | ingress | swarm_nightly | 9000 |",
        "| `/etc/ssl` | ",
        "| shop_data | `/var/lib/docker/volumes/shop_data/_data` | ",
        "edgectl stack deploy --dry-run -c shop.yaml shop\n",
        "docker service rm lonely\n",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn what_nothing_here_knows_is_told() {
    let mut swarm = swarm();
    let spec = &mut swarm.services[0]["Spec"];
    spec["TaskTemplate"]["ContainerSpec"]["Warp"] = json!({"Factor": 9});
    spec["TaskTemplate"]["ContainerSpec"]["CapabilityAdd"] = json!(["CAP_FLY"]);
    spec["TaskTemplate"]["ContainerSpec"]["Env"] = json!(["ONLY=1", "GONE"]);
    spec["TaskTemplate"]["ContainerSpec"]["Hosts"] = json!(["10.0.0.1 a b"]);
    let written = written(&swarm);
    let stack = written.last().expect("the services of no stack");
    let one = stack.services.iter().find(|one| one.name == "lonely").expect("it");
    let lost: Vec<_> =
        one.lost.iter().map(|lost| (lost.path.as_str(), lost.value.as_str())).collect();
    let container = "TaskTemplate.ContainerSpec";
    assert_eq!(
        lost,
        [
            (&*format!("{container}.CapabilityAdd"), "CAP_FLY"),
            (&*format!("{container}.Env"), "GONE"),
            (&*format!("{container}.Warp.Factor"), "9"),
        ]
    );
    let text = report::text_of(&swarm, &written);
    assert!(text.contains("CapabilityAdd` = `CAP_FLY` is not in the file: "), "{text}");
    assert!(stack.other_cuts().is_empty(), "told once: {:?}", stack.other_cuts());
}

#[test]
fn names_that_a_stack_cannot_have_here_become_others() {
    let mut swarm = swarm();
    for service in &mut swarm.services {
        if let Some(label) = service.pointer_mut("/Spec/Labels/com.docker.stack.namespace") {
            *label = json!("Shop.Two");
            let name =
                service["Spec"]["Name"].as_str().expect("a name").replace("shop_", "Shop.Two_");
            service["Spec"]["Name"] = json!(name);
        }
    }
    let written = written(&swarm);
    assert_eq!(written[0].file(), "shop-two.yaml");
    let clash = stacks::written(&swarm, "shop-two", Digests::Left).expect("it is written");
    let files: Vec<String> = clash.iter().map(Written::file).collect();
    assert_eq!(files, ["shop-two.yaml", "shop-two-2.yaml"]);
    assert!(clash[1].origin.is_none(), "the services of no stack");
    assert_eq!(written[0].services[0].here, "shop-two_agent");
    assert!(stacks::name_of("Shop").expect_err("no name").to_string().contains("--name shop"));
}

/// Somebody who speaks HTTP, and answers everything alike.
async fn answering(answer: &'static str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).expect("bind");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        while stream.read(&mut [0; 4096]).await.is_ok_and(|bytes| bytes > 0) {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (dir, socket)
}

async fn failure(socket: &std::path::Path, output: &std::path::Path) -> String {
    let (host, output) = (format!("unix://{}", socket.display()), output.display().to_string());
    let line = ["migrate", "from-swarm", "--docker-host", &host, "--output", &output];
    let args: FromSwarmArgs = parse_for_tests(&line).expect("it is valid");
    let failure = run(MigrateCommand::FromSwarm(args)).await.expect_err("it fails");
    assert_eq!(failure.code(), Exit::Failed);
    failure.to_string()
}

#[tokio::test]
async fn who_cannot_be_asked_is_told_in_one_sentence_and_nothing_is_written() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (output, nowhere) = (dir.path().join("out"), dir.path().join("nowhere"));
    let said = failure(&nowhere, &output).await;
    assert!(said.starts_with(&format!("there is no Docker at {}\n", nowhere.display())), "{said}");
    let worker = r#"{"ApiVersion": "1.41", "Swarm": {"LocalNodeState": "active", "ControlAvailable": false, "RemoteManagers": [{"Addr": "10.0.0.1:2377"}]}}"#;
    let alone = r#"{"ApiVersion": "1.41", "Swarm": {"LocalNodeState": "inactive", "ControlAvailable": false}}"#;
    for (body, what) in [
        (worker, "this node is not a swarm manager\n  why: it is a worker"),
        (alone, "this node is not a swarm manager\n  why: its Docker is in no swarm"),
        (r#"{"ok": true}"#, "what answers there is not Docker\n"),
        ("hey!", "what answers at "),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let (_dir, socket) = answering(answer.leak()).await;
        let said = failure(&socket, &output).await;
        assert!(said.starts_with(what), "{said}");
        let (_dir, socket) = answering("SSH-2.0-OpenSSH_9.2\r\n").await;
        assert!(failure(&socket, &output).await.contains(" is not Docker\n"));
    }
    assert!(!output.exists(), "nothing was written");
}

#[test]
fn files_that_are_there_are_written_over_only_by_force() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let files = |text: &str| {
        ["a.yaml", "configs/b"].map(|path| (PathBuf::from(path), text.as_bytes().to_vec()))
    };
    let folder = |is_forced| Folder { path: dir.path().join("out"), is_forced };
    folder(false).write(&files("1")).expect("a new folder");
    std::fs::remove_file(dir.path().join("out/a.yaml")).expect("it was written");
    let said = folder(false).write(&files("2")).expect_err("one is there").to_string();
    assert!(said.contains("out/configs/b is there already"), "{said}");
    assert!(!dir.path().join("out/a.yaml").exists(), "all or nothing");
    folder(true).write(&files("2")).expect("forced");
    let text = std::fs::read_to_string(dir.path().join("out/configs/b")).expect("it is there");
    assert_eq!(text, "2");
}

#[test]
fn configs_that_would_have_one_key_keep_their_whole_names() {
    let mut swarm = swarm();
    let mut other = swarm.configs[0].clone();
    other.spec.name = "site".to_owned();
    other.spec.labels.clear();
    other.spec.data.0 = b"other".to_vec();
    other.spec.templating =
        Some(node_docker::config::Driver { name: "golang".to_owned(), ..Default::default() });
    swarm.configs.push(other);
    let web = swarm.services.iter_mut().find(|one| one["Spec"]["Name"] == "shop_web").expect("it");
    let configs = &mut web["Spec"]["TaskTemplate"]["ContainerSpec"]["Configs"];
    let mut second = configs[0].clone();
    second["ConfigName"] = json!("site");
    second["File"]["Name"] = json!("/other");
    configs.as_array_mut().expect("a list").push(second);
    let written = written(&swarm);
    let made = &written[0].fitted.stack.configs;
    let data: Vec<_> = made.iter().map(|config| config.data.0.as_slice()).collect();
    assert_eq!(data, [&b"server { listen 80; root $document_root; }\n"[..], b"other"]);
    let text = report::text_of(&swarm, &written);
    assert!(!text.contains("template_driver"), "{text}");
    let driver = made[1].templating.as_ref().map(|driver| driver.name.as_str());
    assert_eq!((made[0].templating.as_ref(), driver), (None, Some("golang")));
    assert!(!text.contains("secrets come later"), "{text}");
    assert!(!written[0].fitted.stack.external_secrets.is_empty(), "they are made before");
}
