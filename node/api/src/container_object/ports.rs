//! The ports of a node that lead to one container, in Docker's terms.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::is_running;
use crate::container::Container;
use node_docker::service::PortConfig;

/// A port of its node that leads to a container, at the addresses of one family.
struct HostPort<'a> {
    port: &'a PortConfig,
    address: &'static str,
}

/// For a listing.
pub fn port_list(container: &Container) -> Vec<Value> {
    let shown = |HostPort { port, address }: HostPort<'_>| {
        json!({
            "IP": address, "PrivatePort": port.target_port,
            "PublicPort": port.published_port, "Type": port.protocol,
        })
    };
    ports(container).map(shown).collect()
}

/// Those of `mode=host` while it runs, as Docker has it. A port of all nodes belongs to its service,
/// and leads to any of its tasks.
fn ports(container: &Container) -> impl Iterator<Item = HostPort<'_>> {
    let attachments = &container.task.networks_attachments;
    let has = |is_ipv6: bool| {
        let mut addresses = attachments.iter().flat_map(|attachment| &attachment.addresses);
        addresses.any(|address| address.contains(':') == is_ipv6)
    };
    let all = [("0.0.0.0", has(false) || attachments.is_empty()), ("::", has(true))];
    let addresses = all.into_iter().filter(|(_, is_published)| *is_published);
    let addresses: Vec<&str> = addresses.map(|(address, _)| address).collect();
    let ports = container.task.status.port_status.ports.iter();
    let ports = ports.filter(|_| is_running(&container.task));
    ports.flat_map(move |port| {
        addresses.clone().into_iter().map(move |address| HostPort { port, address })
    })
}

/// For the full description.
pub fn port_map(container: &Container) -> BTreeMap<String, Vec<Value>> {
    let mut map: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for HostPort { port, address } in ports(container) {
        let number = port.published_port.to_string();
        let name = format!("{}/{}", port.target_port, port.protocol);
        map.entry(name).or_default().push(json!({ "HostIp": address, "HostPort": number }));
    }
    map
}
