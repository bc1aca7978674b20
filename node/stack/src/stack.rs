//! A whole stack: what its files say, as what the API is asked for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use node_docker::config::ConfigSpec;
use node_docker::network::{Ipam, IpamConfig, NetworkCreate};
use node_docker::service::ServiceSpec;

use crate::configs::{CONFIGS, Reading, SECRETS};
use crate::context::{Context, Declared, Files};
use crate::fields::Fields;
use crate::interpolate::Variables;
use crate::load::{File, Loading};
use crate::log::Log;
use crate::problem::{Note, Problem};
use crate::service::{self, STACK_LABEL};
use crate::tree::{Entry, Node, Place, Value};

/// What is read.
pub struct Input<'a> {
    /// The stack's name, where it is given beside the files.
    pub name: Option<String>,
    /// The files, each on top of those before it.
    pub files: Vec<File>,
    /// The variables of whoever deploys.
    pub variables: &'a Variables,
    /// The profiles that are asked for; `*` is all.
    pub profiles: Vec<String>,
    /// The files beside them.
    pub beside: &'a dyn Files,
}

/// What is to be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// The networks that its services are on and that belong to it.
    pub networks: Vec<NetworkCreate>,
    /// The names of the networks that have to be there before.
    pub external_networks: Vec<String>,
    /// The configs that its services use and that belong to it.
    pub configs: Vec<ConfigSpec>,
    /// The names of the configs that have to be there before.
    pub external_configs: Vec<String>,
    /// The secrets that its services use and that belong to it.
    pub secrets: Vec<ConfigSpec>,
    /// The names of the secrets that have to be there before.
    pub external_secrets: Vec<String>,
    /// Its services, each after those that it depends on.
    pub services: Vec<ServiceSpec>,
    /// What in the files has no effect.
    pub notes: Vec<Note>,
}

impl Stack {
    /// The hash of all that the files ask for, which is the same for every writing of the same thing. What
    /// is in secrets is not in it: everybody may read the version, and could try what they are.
    pub fn version(&self) -> [u8; 32] {
        let own = (&self.networks, &self.configs, &self.services);
        let all = (&self.name, own, &self.external_networks, &self.external_configs);
        let names: Vec<&str> = self.secrets.iter().map(|secret| secret.name.as_str()).collect();
        // A stack without secrets has the version that it always had.
        let text = match names.is_empty() && self.external_secrets.is_empty() {
            true => serde_json::to_vec(&all),
            false => serde_json::to_vec(&(all, names, &self.external_secrets)),
        };
        let text = text.expect("values of the API are plain JSON");
        *blake3::hash(&text).as_bytes()
    }
}

/// Reads a stack, or says all that is wrong with its files.
pub fn read(input: &Input<'_>) -> Result<Stack, Vec<Problem>> {
    let log = Log::default();
    let stack = of_files(input, &log);
    let notes = log.finish()?;
    stack.map(|stack| Stack { notes, ..stack }).ok_or_else(Vec::new)
}

/// The files as one tree, with everything but their meaning resolved; for `stack config`.
pub fn merged(input: &Input<'_>) -> Result<(Node, Vec<Note>), Vec<Problem>> {
    let log = Log::default();
    let loading = Loading { variables: input.variables, files: input.beside, log: &log };
    let node = loading.all(&input.files);
    let notes = log.finish()?;
    node.map(|node| (node, notes)).ok_or_else(Vec::new)
}

fn of_files(input: &Input<'_>, log: &Log) -> Option<Stack> {
    let loading = Loading { variables: input.variables, files: input.beside, log };
    let tree = loading.all(&input.files)?;
    let place = tree.place.clone();
    let mut top = Fields::of(tree, String::new(), log)?;
    top.string("version");
    let name = name(input, &mut top, &place)?;
    let all = top.entries("services");
    if all.is_empty() {
        log.refuse(&place, "there are no services: write them under `services`");
    }
    let (services, left_out): (Vec<Entry>, Vec<Entry>) =
        all.into_iter().partition(|entry| is_asked_for(&entry.node, &input.profiles));
    let mut networks = top.entries("networks");
    if !networks.iter().any(|entry| entry.key == service::DEFAULT_NETWORK) {
        let key = service::DEFAULT_NETWORK.to_owned();
        networks.push(Entry { place: place.clone(), key, node: Node::null(&place) });
    }
    let (declared, creates) = self::networks(networks, &name, log);
    let (variables, files) = (input.variables, input.beside);
    let reading = |kind| Reading { kind, stack: &name, variables, files, log };
    let (configs, made) = reading(CONFIGS).read(top.entries(CONFIGS));
    let (secrets, made_secrets) = reading(SECRETS).read(top.entries(SECRETS));
    let context = Context {
        variables: input.variables,
        files: input.beside,
        services: services.iter().map(|entry| entry.key.clone()).collect(),
        left_out: left_out.iter().map(|entry| entry.key.clone()).collect(),
        volumes: volumes(top.entries("volumes"), &name, log),
        networks: declared,
        configs,
        secrets,
        used: RefCell::default(),
        used_configs: RefCell::default(),
        used_secrets: RefCell::default(),
        stack: name,
        log,
    };
    top.refuse(&[("models", "a fleet has no such thing")]);
    top.finish();
    let specs = services.iter().filter_map(|entry| service::read(entry, &context)).collect();
    let (used, used_configs) = (context.used.into_inner(), context.used_configs.into_inner());
    let used_secrets = context.used_secrets.into_inner();
    Some(Stack {
        external_networks: external(&context.networks, &used),
        networks: only(creates, &used),
        external_configs: external(&context.configs, &used_configs),
        configs: only(made, &used_configs),
        external_secrets: external(&context.secrets, &used_secrets),
        secrets: only(made_secrets, &used_secrets),
        services: in_order(specs, &place, log),
        name: context.stack,
        notes: Vec::new(),
    })
}

/// The names of those that others made, of those that are used.
fn external(all: &BTreeMap<String, Declared>, used: &BTreeSet<String>) -> Vec<String> {
    let external = all.iter().filter(|(key, one)| one.is_external && used.contains(*key));
    external.map(|(_, one)| one.name.clone()).collect()
}

/// Those that are used.
fn only<T>(all: Vec<(String, T)>, used: &BTreeSet<String>) -> Vec<T> {
    all.into_iter().filter(|(key, _)| used.contains(key)).map(|(_, one)| one).collect()
}

fn name(input: &Input<'_>, top: &mut Fields<'_>, place: &Place) -> Option<String> {
    let written = top.string("name");
    let Some(name) = input.name.clone().or(written) else {
        top.log().refuse(place, "the stack has no name: write it behind the files, or as `name`");
        return None;
    };
    let is_sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(is_sign);
    if !is_name {
        let what = format!(
            "{name:?} is no name of a stack: small letters, digits, `-` and `_`, a letter or digit first"
        );
        top.log().refuse(place, what);
        return None;
    }
    Some(name)
}

fn is_asked_for(service: &Node, asked: &[String]) -> bool {
    let Value::Map(map) = &service.value else { return true };
    let Some(Value::List(profiles)) = map.get("profiles").map(|node| &node.value) else {
        return true;
    };
    let mut names = profiles.iter().filter_map(|node| match &node.value {
        Value::Text(text) => Some(text),
        _ => None,
    });
    profiles.is_empty() || names.any(|name| asked.iter().any(|asked| asked == "*" || asked == name))
}

/// What a network or a volume is called in the fleet.
fn declared(fields: &mut Fields<'_>, key: &str, stack: &str) -> Declared {
    let written = fields.string("name");
    let external = Declared::external(fields);
    let is_external = external.is_some();
    let own = || if is_external { key.to_owned() } else { format!("{stack}_{key}") };
    let name = external.flatten().or(written).unwrap_or_else(own);
    Declared { name, is_external, ..Declared::default() }
}

type Networks = BTreeMap<String, Declared>;

fn networks(
    entries: Vec<Entry>,
    stack: &str,
    log: &Log,
) -> (Networks, Vec<(String, NetworkCreate)>) {
    let (mut all, mut creates) = (Networks::new(), Vec::new());
    for Entry { key, node, .. } in entries {
        let Some(mut fields) = Fields::of(node, format!("networks.{key}"), log) else { continue };
        let declared = declared(&mut fields, &key, stack);
        let mut create = NetworkCreate {
            name: declared.name.clone(),
            check_duplicate: true,
            driver: "overlay".to_owned(),
            enable_ipv6: fields.flag("enable_ipv6").filter(|wanted| *wanted),
            enable_ipv4: fields.flag("enable_ipv4").filter(|wanted| !*wanted),
            internal: fields.flag("internal").unwrap_or_default(),
            attachable: fields.flag("attachable").unwrap_or_default(),
            options: service::labels(&mut fields, "driver_opts"),
            labels: service::labels(&mut fields, "labels"),
            ipam: ipam(&mut fields),
            ..NetworkCreate::default()
        };
        create.labels.insert(STACK_LABEL.to_owned(), stack.to_owned());
        if let Some(driver) = fields.text("driver") {
            match driver.text.as_str() {
                "overlay" | "" => {}
                "bridge" => log.note(
                    &driver.place,
                    format!("`networks.{key}.driver`: the network spans all nodes (overlay)"),
                ),
                other => log.refuse(
                    &driver.place,
                    format!("`networks.{key}.driver`: there is overlay, not {other:?}"),
                ),
            }
        }
        fields.finish();
        if !declared.is_external {
            creates.push((key.clone(), create));
        }
        all.insert(key, declared);
    }
    (all, creates)
}

fn ipam(fields: &mut Fields<'_>) -> Option<Ipam> {
    let mut found = fields.fields("ipam")?;
    let path = found.path("config");
    let mut config = Vec::new();
    for item in found.items("config").unwrap_or_default() {
        let Some(mut one) = Fields::of(item, path.clone(), fields.log()) else { continue };
        config.push(IpamConfig {
            subnet: one.string("subnet").unwrap_or_default(),
            ip_range: one.string("ip_range").unwrap_or_default(),
            gateway: one.string("gateway").unwrap_or_default(),
            auxiliary_addresses: service::labels(&mut one, "aux_addresses"),
        });
        one.finish();
    }
    let driver = found.string("driver").unwrap_or_default();
    let options = found.entries("options");
    if !options.is_empty() {
        fields.log().refuse(&options[0].place, "`ipam.options`: addresses are given by the fleet");
    }
    found.finish();
    Some(Ipam { driver, options: None, config })
}

fn volumes(entries: Vec<Entry>, stack: &str, log: &Log) -> BTreeMap<String, Declared> {
    let mut all = BTreeMap::new();
    for Entry { key, node, .. } in entries {
        let Some(mut fields) = Fields::of(node, format!("volumes.{key}"), log) else { continue };
        let declared = declared(&mut fields, &key, stack);
        let labels = service::labels(&mut fields, "labels");
        let driver = fields.string("driver").filter(|driver| !driver.is_empty());
        fields.refuse(&[(
            "driver_opts",
            "a volume is a folder of its node; mount what has options on the nodes, and bind it",
        )]);
        fields.finish();
        all.insert(key, Declared { labels, driver, ..declared });
    }
    all
}

/// Each service after those that it depends on; a circle is a fault.
fn in_order(mut specs: Vec<ServiceSpec>, place: &Place, log: &Log) -> Vec<ServiceSpec> {
    let mut ordered: Vec<ServiceSpec> = Vec::new();
    let mut done: BTreeSet<String> = BTreeSet::new();
    while !specs.is_empty() {
        let names: BTreeSet<String> = specs.iter().map(|spec| spec.name.clone()).collect();
        let is_ready = |spec: &ServiceSpec| {
            let needed = spec.depends_on.iter().flatten();
            needed.into_iter().all(|name| done.contains(name) || !names.contains(name))
        };
        let (ready, waiting): (Vec<_>, Vec<_>) = specs.into_iter().partition(is_ready);
        if ready.is_empty() {
            let names: Vec<&str> = waiting.iter().map(|spec| spec.name.as_str()).collect();
            log.refuse(
                place,
                format!("these depend on each other in a circle: {}", names.join(", ")),
            );
            return ordered;
        }
        done.extend(ready.iter().map(|spec| spec.name.clone()));
        ordered.extend(ready);
        specs = waiting;
    }
    ordered
}
