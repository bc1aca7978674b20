//! The stacks in `examples/stacks`, shaped like those that people publish: each is read as a whole, and
//! nothing in it is without effect.

use std::path::{Path, PathBuf};

use node_docker::service::ServiceSpec;
use node_docker::state::accept;
use node_stack::interpolate::Variables;
use node_stack::template::Templates;
use node_stack::{File, Files, Input, Stack, merge_values, parse_values, read};

macro_rules! example {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../examples/stacks/", $name)))
    };
}

pub const STACKS: [(&str, &str); 10] = [
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

    fn read_bytes(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.read(path).map(String::into_bytes)
    }
}

pub fn stack(file: &str) -> Stack {
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
    let configs = spec.task_template.container_spec.iter_mut().flat_map(|it| &mut it.configs);
    configs.for_each(|config| config.config_id.clone_from(&id));
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

macro_rules! fleet {
    ($name:literal) => {
        ($name.to_owned(), include_str!(concat!("../../../../examples/fleet/", $name)).to_owned())
    };
}

/// The stack of a site, by its values.
fn site(values: (String, String)) -> Stack {
    let sources = [fleet!("cameras.yaml"), fleet!("_camera.yaml")].into();
    let templates = Templates::new(sources).expect("they are templates");
    let tree = |(name, text): (String, String)| parse_values(&name, &text).expect("YAML");
    let values = merge_values(tree(fleet!("all.values")), tree(values));
    let text = templates.render("cameras.yaml", &values).expect("all is defined");
    let (variables, path) = (Variables::new(), PathBuf::from("cameras.yaml"));
    let input = Input {
        name: Some("cameras".to_owned()),
        files: vec![File { path, text }],
        variables: &variables,
        profiles: Vec::new(),
        beside: &Beside,
    };
    read(&input).expect("a stack")
}

#[test]
fn one_folder_serves_two_sites() {
    let names = |stack: &Stack| {
        stack.services.iter().map(|spec| spec.name.clone()).collect::<Vec<_>>().join(" ")
    };
    let north = site(fleet!("north.values"));
    assert_eq!(names(&north), "cameras_camera-door cameras_camera-yard cameras_archive");
    assert_eq!(north.services[2].mode.replicated.and_then(|mode| mode.replicas), Some(2));
    let south = site(fleet!("south.values"));
    assert_eq!(names(&south), "cameras_camera-gate");
    let container = south.services[0].task_template.container_spec.as_ref().expect("a container");
    assert_eq!(container.image, "ghcr.io/example/recorder:5.1");
    assert_eq!(container.hostname, "{{.Node.Hostname}}");
}

macro_rules! site_file {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../examples/sites/stacks/", $name)))
    };
}

#[test]
fn the_files_of_twenty_sites_are_stacks_without_a_note() {
    let files = [
        site_file!("office.yaml"),
        site_file!("site.yaml"),
        site_file!("telemetry.yaml"),
        site_file!("till.yaml"),
    ];
    let mut versions = Vec::new();
    for (name, text) in files {
        let read_as = |text: &str| {
            let variables = Variables::new();
            let input = Input {
                name: Some(name.trim_end_matches(".yaml").to_owned()),
                files: vec![File { path: PathBuf::from(name), text: text.to_owned() }],
                variables: &variables,
                profiles: Vec::new(),
                beside: &Beside,
            };
            read(&input).expect("a stack")
        };
        let stack = read_as(text);
        assert!(stack.notes.is_empty(), "{name}: {:?}", stack.notes);
        assert_eq!(stack.version(), read_as(&format!("# a word\n{text}")).version(), "{name}");
        assert_ne!(stack.version(), read_as(&text.replace("image: ", "image: x/")).version());
        versions.push(stack.version());
        for spec in stack.services {
            assert!(accept(resolved(spec), None).is_ok(), "{name}");
        }
    }
    versions.dedup();
    assert_eq!(versions.len(), 4);
}

#[test]
fn the_example_for_docker_s_client_is_a_stack_without_a_note() {
    let text = include_str!("../../../../examples/visits.yaml").to_owned();
    let variables = Variables::new();
    let input = Input {
        name: Some("visits".to_owned()),
        files: vec![File { path: PathBuf::from("visits.yaml"), text }],
        variables: &variables,
        profiles: Vec::new(),
        beside: &Beside,
    };
    let stack = read(&input).expect("a stack");
    assert_eq!((stack.services.len(), stack.networks.len(), stack.notes.len()), (5, 2, 0));
}
