//! The networks of a stack: its own, and those that have to be there before.

use node_docker::network::{Ipam, Network, NetworkCreate};
use node_docker::service::ServiceSpec;
use node_docker::task_spec::PROCESS_SCHEME;
use node_stack::STACK_LABEL;
use serde_json::{Value, json};

use crate::migrate::swarm::{Swarm, text};

/// What Docker keeps there by itself.
const OWN_OPTION: &str = "com.docker.network.driver.overlay.vxlanid_list";

/// Of one machine, and named by what they do.
pub const BUILTIN: [&str; 2] = ["host", "none"];

/// The network of the services that name none.
const DEFAULT: &str = "default";

/// The name of a stack here, and in the swarm.
pub type Stack<'a> = (&'a str, Option<&'a str>);

/// The name here of a network of the stack.
fn here(network: &Network, name: &str, origin: &str) -> String {
    match network.name.strip_prefix(origin).and_then(|rest| rest.strip_prefix('_')) {
        Some(rest) => format!("{name}_{rest}"),
        None => network.name.clone(),
    }
}

fn is_own(network: &Network, origin: Option<&str>) -> bool {
    origin.is_some() && network.labels.get(STACK_LABEL).map(String::as_str) == origin
}

/// Gives the networks of a service the names that they have here. A service without any is on the
/// default network of its stack: in a swarm it reaches others and is not reached, while here it would be
/// on the network of its node.
pub fn place(asked: &mut Value, service: &str, (name, origin): Stack<'_>, swarm: &Swarm) {
    let is_program = text(asked, "/TaskTemplate/ContainerSpec/Image").starts_with(PROCESS_SCHEME);
    let Some(Value::Object(task)) = asked.get_mut("TaskTemplate") else { return };
    let networks = task.entry("Networks").or_insert(Value::Null);
    if !is_program && networks.as_array().is_none_or(Vec::is_empty) {
        *networks = json!([{"Target": format!("{name}_{DEFAULT}")}]);
    }
    for attachment in networks.as_array_mut().into_iter().flatten() {
        if let Some(Value::Array(aliases)) = attachment.get_mut("Aliases") {
            // Its own name is first, as in the stacks of this fleet.
            let own = aliases.iter().filter(|alias| *alias == service).count();
            aliases.retain(|alias| alias != service);
            if own > 0 {
                aliases.insert(0, service.into());
            }
        }
        let Some(target) = attachment.get_mut("Target") else { continue };
        let network = target.as_str().and_then(|target| swarm.network(target));
        if let Some(network) = network.filter(|network| is_own(network, origin)) {
            *target = Value::String(here(network, name, origin.unwrap_or_default()));
        }
    }
}

/// The networks that the stack makes, and the names of the others.
pub fn of(
    swarm: &Swarm,
    (name, origin): Stack<'_>,
    specs: &[ServiceSpec],
) -> (Vec<NetworkCreate>, Vec<String>) {
    let mut own: Vec<NetworkCreate> = swarm
        .networks
        .iter()
        .filter(|network| is_own(network, origin))
        .map(|network| create(network, name, origin.unwrap_or_default(), swarm))
        .collect();
    let default = format!("{name}_{DEFAULT}");
    let is_default = |spec: &ServiceSpec| {
        spec.task_template.networks.iter().any(|attachment| attachment.target == default)
    };
    if specs.iter().any(is_default) && !own.iter().any(|network| network.name == default) {
        own.push(new(default, name));
    }
    let used = specs.iter().flat_map(|spec| &spec.task_template.networks);
    let mut others: Vec<String> = used.map(|attachment| attachment.target.clone()).collect();
    others.sort();
    others.dedup();
    others.retain(|other| {
        !BUILTIN.contains(&other.as_str()) && !own.iter().any(|network| network.name == *other)
    });
    (own, others)
}

fn new(name: String, stack: &str) -> NetworkCreate {
    NetworkCreate {
        name,
        check_duplicate: true,
        driver: "overlay".to_owned(),
        labels: [(STACK_LABEL.to_owned(), stack.to_owned())].into(),
        ..NetworkCreate::default()
    }
}

fn create(network: &Network, name: &str, origin: &str, swarm: &Swarm) -> NetworkCreate {
    let mut made = new(here(network, name, origin), name);
    let labels = network.labels.iter().filter(|(label, _)| *label != STACK_LABEL);
    made.labels.extend(labels.map(|(label, value)| (label.clone(), value.clone())));
    let mut options = network.options.clone();
    options.remove(OWN_OPTION);
    NetworkCreate {
        enable_ipv6: Some(true).filter(|_| network.enable_ipv6),
        internal: network.internal,
        attachable: network.attachable,
        ipam: ipam(network, swarm),
        options,
        ..made
    }
}

/// Docker shows the subnet that it gave as if it had been asked for. Outside of the pool that it gives
/// from it was.
fn ipam(network: &Network, swarm: &Swarm) -> Option<Ipam> {
    let config: Vec<_> = network
        .ipam
        .config
        .iter()
        .filter(|config| !config.subnet.is_empty() && !is_given(&config.subnet, swarm))
        .cloned()
        .collect();
    let ipam = Ipam { driver: String::new(), options: None, config };
    (!ipam.config.is_empty()).then_some(ipam)
}

/// Is it of the pool that the swarm gives subnets from?
pub fn is_given(subnet: &str, swarm: &Swarm) -> bool {
    let pools = swarm.info.pointer("/Swarm/Cluster/DefaultAddrPool").and_then(Value::as_array);
    let mut pools: Vec<&str> = pools.into_iter().flatten().filter_map(Value::as_str).collect();
    if pools.is_empty() {
        pools.push("10.0.0.0/8");
    }
    let Ok(subnet) = subnet.parse::<ipnet::IpNet>() else { return false };
    let pools = pools.into_iter().filter_map(|pool| pool.parse::<ipnet::IpNet>().ok());
    pools.into_iter().any(|pool| pool.contains(&subnet))
}
