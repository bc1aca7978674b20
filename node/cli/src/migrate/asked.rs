//! What operators asked of a service, without what Docker adds by itself: ids in place of names,
//! digests, platforms, and empty settings.

use serde_json::{Map, Value};

use super::swarm::{Swarm, text};
use node_stack::{IMAGE_LABEL, STACK_LABEL};

/// What becomes of the digests of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digests {
    /// They stay in the name.
    Kept,
    /// The registry is asked again.
    Left,
}

/// The spec of a service as it is meant in the stack of this name.
pub fn asked(service: &Value, swarm: &Swarm, stack: &str, digests: Digests) -> Value {
    let mut spec = service.get("Spec").cloned().unwrap_or_default();
    in_stack(spec.get_mut("Labels"), stack);
    if let Some(Value::Object(endpoint)) = spec.get_mut("EndpointSpec") {
        endpoint.retain(|name, value| name != "Mode" || value != "vip");
        drop_empty(&mut spec, &["EndpointSpec"]);
    }
    let Some(Value::Object(task)) = spec.get_mut("TaskTemplate") else { return spec };
    // What Docker says by itself: it is what an empty one means.
    task.remove("ForceUpdate");
    if task.get("Runtime").is_some_and(|runtime| runtime == "container") {
        task.remove("Runtime");
    }
    if let Some(Value::Object(placement)) = task.get_mut("Placement") {
        placement.remove("Platforms");
    }
    for network in task.get_mut("Networks").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = swarm.network(text(network, "/Target")).map(|network| network.name.clone());
        if let (Some(name), Some(target)) = (name, network.get_mut("Target")) {
            *target = Value::String(name);
        }
    }
    if let Some(Value::Object(container)) = task.get_mut("ContainerSpec") {
        of_container(container, stack, digests);
    }
    if let Some(resources) = task.get_mut("Resources") {
        drop_empty(resources, &["Limits", "Reservations"]);
    }
    drop_empty(&mut spec["TaskTemplate"], &["Placement", "Resources", "RestartPolicy"]);
    spec
}

/// Docker shows parts in which nobody asked for anything.
fn drop_empty(value: &mut Value, names: &[&str]) {
    let Value::Object(fields) = value else { return };
    let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
    fields.retain(|name, value| !(names.contains(&name.as_str()) && is_empty(value)));
}

fn of_container(container: &mut Map<String, Value>, stack: &str, digests: Digests) {
    // Secrets have a section of their own in the report, and configs other names here.
    container.remove("Secrets");
    for config in container.get_mut("Configs").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(config) = config {
            config.retain(|name, _| name != "ConfigID" && name != "ConfigName");
        }
    }
    in_stack(container.get_mut("Labels"), stack);
    if container.get("Isolation").is_some_and(|isolation| isolation == "default") {
        container.remove("Isolation");
    }
    if let (Digests::Left, Some(Value::String(image))) = (digests, container.get_mut("Image")) {
        *image = without_digest(image).to_owned();
    }
    for mount in container.get_mut("Mounts").and_then(Value::as_array_mut).into_iter().flatten() {
        in_stack(mount.pointer_mut("/VolumeOptions/Labels"), stack);
        if mount.get("Consistency").is_some_and(|word| word == "default") {
            mount.as_object_mut().map(|mount| mount.remove("Consistency"));
        }
    }
    if let Some(Value::Array(hosts)) = container.get_mut("Hosts") {
        *hosts = hosts.iter().flat_map(one_name_each).collect();
    }
}

/// A name that has a tag. Without one the digest is all that says which image it is.
pub fn without_digest(image: &str) -> &str {
    match image.split_once('@') {
        Some((name, _)) if name.rsplit('/').next().is_some_and(|last| last.contains(':')) => name,
        _ => image,
    }
}

/// `10.0.0.1 a b` as a line for each name.
fn one_name_each(line: &Value) -> Vec<Value> {
    let text = line.as_str().unwrap_or_default();
    let mut words = text.split_whitespace();
    let address = words.next().unwrap_or_default().to_owned();
    words.map(|name| Value::String(format!("{address} {name}"))).collect()
}

/// The labels of Docker's client are those of the stack that is written.
fn in_stack(labels: Option<&mut Value>, stack: &str) {
    let Some(Value::Object(labels)) = labels else { return };
    labels.remove(IMAGE_LABEL);
    if let Some(label) = labels.get_mut(STACK_LABEL) {
        *label = Value::String(stack.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_left_out_where_a_tag_says_which_image_it_is() {
        for (image, left) in [
            ("nginx:1.27@sha256:ab", "nginx:1.27"),
            ("lan:5000/a/b:1@sha256:ab", "lan:5000/a/b:1"),
            ("nginx@sha256:ab", "nginx@sha256:ab"),
            ("lan:5000/nginx@sha256:ab", "lan:5000/nginx@sha256:ab"),
            ("nginx:1", "nginx:1"),
        ] {
            assert_eq!(without_digest(image), left);
        }
    }
}
