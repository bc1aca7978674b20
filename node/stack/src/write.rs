//! A stack as a Compose file: the way back from what is read.
//!
//! What `read` makes of the file that is written is the same stack again. What Compose has no words for
//! is left out, so whoever writes what did not come from a file compares afterwards.

mod configs;
mod container;
mod deploy;
mod fit;
mod keys;
mod mounts;
mod networks;

use std::collections::BTreeMap;

use node_docker::config::ConfigReference;
use node_docker::container_spec::{ContainerSpec, Mount};
use node_docker::service::ServiceSpec;

pub use fit::{Cut, Fitted, fitted};
pub use keys::{Keys, node, place};

use crate::service::STACK_LABEL;
use crate::stack::Stack;
use crate::tree::{Node, Value};
use mounts::Volumes;
use networks::Networks;

/// The file of a stack. Its texts are as they are meant: see [`fitted`] for the sign `$`.
pub fn write(stack: &Stack) -> Node {
    let networks = Networks::of(stack);
    let mut volumes = Volumes::new(&stack.name);
    let mut services = Keys::default();
    for spec in &stack.services {
        services.map(key(&stack.name, &spec.name), service(spec, stack, &networks, &mut volumes));
    }
    let mut top = Keys::default();
    top.text("name", &stack.name);
    top.map("services", services);
    top.map_unless_empty("networks", networks.declared(stack));
    top.map_unless_empty("volumes", volumes.declared());
    top.map_unless_empty("configs", configs::declared(stack));
    top.map_unless_empty("secrets", configs::secrets(stack));
    node(top.into_value())
}

/// The name in the file of something that has this name in the fleet.
pub fn key<'a>(stack: &str, name: &'a str) -> &'a str {
    let own = name.strip_prefix(stack).and_then(|rest| rest.strip_prefix('_'));
    own.filter(|rest| !rest.is_empty()).unwrap_or(name)
}

fn service(spec: &ServiceSpec, stack: &Stack, networks: &Networks, volumes: &mut Volumes) -> Keys {
    let mut keys = Keys::default();
    let nothing = ContainerSpec::default();
    let container = spec.task_template.container_spec.as_ref().unwrap_or(&nothing);
    container::write(container, spec, &stack.name, &mut keys);
    let mounts: Vec<Node> =
        container.mounts.iter().map(|mount: &Mount| volumes.written(mount)).collect();
    if !mounts.is_empty() {
        keys.list("volumes", mounts);
    }
    configs::write("configs", &container.configs, &stack.name, &mut keys);
    let secrets = container.secrets.iter().cloned().map(ConfigReference::from);
    configs::write("secrets", &secrets.collect::<Vec<_>>(), &stack.name, &mut keys);
    networks.write(spec, key(&stack.name, &spec.name), &mut keys);
    deploy::write_ports(spec, &mut keys);
    deploy::write(spec, &stack.name, &mut keys);
    if let Some(names) = &spec.depends_on {
        let names = names.iter().map(|name| key(&stack.name, name).to_owned());
        keys.list("depends_on", names.map(|name| node(Value::Text(name))).collect());
    }
    keys
}

/// Labels without the one of the stack, which reading adds.
fn without_own(labels: &BTreeMap<String, String>, stack: &str) -> BTreeMap<String, String> {
    let is_own = |name: &str, value: &str| name == STACK_LABEL && value == stack;
    let kept = labels.iter().filter(|(name, value)| !is_own(name, value));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
