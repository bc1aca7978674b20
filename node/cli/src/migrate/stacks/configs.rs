//! Configs: their data is in the API, and is written as files that the stack names. Secrets are named
//! too: nobody can read what is in them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use node_docker::config::Config;
use node_stack::write::{Keys, key, node};
use node_stack::{Node, STACK_LABEL, Value};

use crate::migrate::swarm::{Swarm, text};

/// The folder of the files, below that of the stacks.
const FOLDER: &str = "configs";

/// Adds what the services of a stack use of both; returns the files.
pub fn add(
    tree: &mut Node,
    services: &[(String, &serde_json::Value)],
    swarm: &Swarm,
) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let (mut configs, mut secrets) = (Keys::default(), Keys::default());
    for (entry, service) in services {
        let (mut of_configs, mut of_secrets) = (Vec::new(), Vec::new());
        for reference in references(service, "Configs") {
            let name = text(reference, "/ConfigName");
            let found = swarm.configs.iter().find(|config| config.spec.name == name);
            let Some(path) = found.and_then(path) else { continue };
            files.extend(found.map(|config| (path.clone(), config.spec.data.0.clone())));
            configs.map(&local(found, name, swarm), declared(found, name, &path));
            of_configs.push(used(reference, &local(found, name, swarm)));
        }
        for reference in references(service, "Secrets") {
            let name = text(reference, "/SecretName");
            let mut inner = Keys::default();
            inner.text("external", "true");
            secrets.map(name, inner);
            of_secrets.push(used(reference, name));
        }
        put(tree, entry, [("configs", of_configs), ("secrets", of_secrets)]);
    }
    let Value::Map(top) = &mut tree.value else { return files };
    for (kind, keys) in [("configs", configs), ("secrets", secrets)] {
        let mut one = Keys::default();
        one.map_unless_empty(kind, keys);
        if let Value::Map(one) = one.into_value() {
            one.entries().iter().for_each(|entry| top.put(entry.clone()));
        }
    }
    files
}

/// What a service uses.
pub fn references<'a>(service: &'a serde_json::Value, kind: &str) -> Vec<&'a serde_json::Value> {
    let path = format!("/Spec/TaskTemplate/ContainerSpec/{kind}");
    let found = service.pointer(&path).and_then(serde_json::Value::as_array);
    found.into_iter().flatten().filter(|one| one.get("File").is_some()).collect()
}

/// The file of a config. Docker's names hold nothing that leads elsewhere; what does is no such name.
fn path(config: &Config) -> Option<PathBuf> {
    let name = &config.spec.name;
    let is_sign = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name =
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_sign);
    is_name.then(|| PathBuf::from(FOLDER).join(name))
}

/// The name of a config in the file: without the stack's in front, unless that is another config.
fn local(config: Option<&Config>, name: &str, swarm: &Swarm) -> String {
    let origin = config.and_then(|config| config.spec.labels.get(STACK_LABEL));
    let short = origin.map_or(name, |origin| key(origin, name));
    let is_other = swarm.configs.iter().any(|other| other.spec.name == short);
    if is_other { name.to_owned() } else { short.to_owned() }
}

fn declared(config: Option<&Config>, name: &str, path: &std::path::Path) -> Keys {
    let mut inner = Keys::default();
    inner.text("file", format!("./{}", path.display()));
    let Some(config) = config else { return inner };
    let mut labels = config.spec.labels.clone();
    if labels.remove(STACK_LABEL).is_none() {
        inner.text("name", name);
    }
    inner.pairs("labels", &labels);
    if let Some(driver) = &config.spec.templating {
        inner.filled("template_driver", &driver.name);
    }
    inner
}

/// The long form of a use.
fn used(reference: &serde_json::Value, source: &str) -> Node {
    let mut keys = Keys::default();
    keys.text("source", source);
    keys.filled("target", text(reference, "/File/Name"));
    keys.filled("uid", text(reference, "/File/UID"));
    keys.filled("gid", text(reference, "/File/GID"));
    if let Some(mode) = reference.pointer("/File/Mode").and_then(serde_json::Value::as_u64) {
        keys.text("mode", format!("0{mode:o}"));
    }
    node(keys.into_value())
}

/// Adds lists to a service, by its key.
fn put(tree: &mut Node, service: &str, lists: [(&str, Vec<Node>); 2]) {
    let Value::Map(top) = &mut tree.value else { return };
    let Some(Node { value: Value::Map(services), .. }) = top.get_mut("services") else { return };
    let Some(Node { value: Value::Map(service), .. }) = services.get_mut(service) else { return };
    for (kind, items) in lists.into_iter().filter(|(_, items)| !items.is_empty()) {
        let mut one = Keys::default();
        one.list(kind, items);
        if let Value::Map(one) = one.into_value() {
            one.entries().iter().for_each(|entry| service.put(entry.clone()));
        }
    }
}
