//! The stacks in `examples/stacks`, shaped like those that people publish: each is read as a whole, and
//! nothing in it is without effect.

use std::path::{Path, PathBuf};

use node_docker::service::ServiceSpec;
use node_docker::state::accept;
use node_stack::interpolate::Variables;
use node_stack::{File, Files, Input, Stack, read};

macro_rules! example {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../examples/stacks/", $name)))
    };
}

const STACKS: [(&str, &str); 10] = [
    example!("blog.yaml"),
    example!("bridges.yaml"),
    example!("cameras.yaml"),
    example!("home.yaml"),
    example!("jobs.yaml"),
    example!("logs.yaml"),
    example!("monitoring.yaml"),
    example!("postgres.yaml"),
    example!("proxy.yaml"),
    example!("vote.yaml"),
];

const BESIDE: [(&str, &str); 3] =
    [example!("logs/base.yaml"), example!("logs/storage.yaml"), example!("logs/agent.env")];

struct Beside;

impl Files for Beside {
    fn read(&self, path: &Path) -> Result<String, String> {
        let found = BESIDE.iter().find(|(name, _)| path == Path::new(name));
        let missing = || format!("{}: no such file", path.display());
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(missing)
    }
}

fn stack(file: &str) -> Stack {
    let (name, text) = STACKS.iter().find(|(name, _)| *name == file).expect("an example");
    let variables: Variables =
        [("CENTRE".to_owned(), "mqtts://mqtt.example.org".to_owned())].into();
    let input = Input {
        name: Some("example".to_owned()),
        files: vec![File { path: PathBuf::from(name), text: (*text).to_owned() }],
        variables: &variables,
        profiles: vec!["*".to_owned()],
        beside: &Beside,
    };
    let all = |problems: Vec<node_stack::Problem>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    read(&input).unwrap_or_else(|problems| panic!("{file}: {}", all(problems)))
}

/// The spec as an agent accepts it: with the ids of nodes and networks in place of their names.
fn resolved(mut spec: ServiceSpec) -> ServiceSpec {
    let id = "a".repeat(25);
    let placement = spec.task_template.placement.as_mut();
    if let Some(partition) = placement.and_then(|placement| placement.partition.as_mut()) {
        partition.anchors.iter_mut().zip(["1", "2", "3"]).for_each(|(anchor, end)| {
            *anchor = format!("{}{end}", &id[1..]);
        });
    }
    for (network, end) in spec.task_template.networks.iter_mut().zip(["1", "2", "3"]) {
        if network.target != "host" {
            network.target = format!("{}{end}", &id[1..]);
        }
    }
    spec
}

#[test]
fn every_example_is_a_stack_without_a_note() {
    for (name, _) in &STACKS {
        let stack = stack(name);
        assert!(stack.notes.is_empty(), "{name}: {:?}", stack.notes);
        assert!(stack.services.len() >= 2, "{name}");
        for spec in stack.services {
            let service = spec.name.clone();
            let accepted = accept(resolved(spec), None);
            assert!(accepted.is_ok(), "{name}, {service}: {:?}", accepted.err());
        }
    }
}

#[test]
fn what_they_say_reaches_the_services() {
    let of = |file: &str, service: &str| {
        let name = format!("example_{service}");
        let found = stack(file).services.into_iter().find(|spec| spec.name == name);
        serde_json::to_value(found.expect(service)).expect("it is JSON")
    };
    let bridge = of("bridges.yaml", "bridge");
    let env = bridge["TaskTemplate"]["ContainerSpec"]["Env"].to_string();
    assert!(env.contains("KEEP_ALIVE=0060") && env.contains("CLIENT={{.Node.Hostname}}"), "{env}");
    let agent = of("logs.yaml", "agent");
    let env = agent["TaskTemplate"]["ContainerSpec"]["Env"].to_string();
    assert!(env.contains("SITE=north 1"), "{env}");
    assert_eq!(agent["TaskTemplate"]["ContainerSpec"]["Image"], "grafana/promtail:3.1.0");
    let exporter = of("monitoring.yaml", "node-exporter");
    let args = exporter["TaskTemplate"]["ContainerSpec"]["Args"].to_string();
    assert!(args.contains("dev)($|/)"), "{args}");
    let shop = of("proxy.yaml", "shop");
    assert_eq!(shop["Mode"]["Replicated"]["Replicas"], 3);
    assert_eq!(shop["EndpointSpec"]["Mode"], "dnsrr");
    assert_eq!(of("blog.yaml", "database")["Mode"]["Replicated"]["Replicas"], 1);
}
