//! The ports of a node that lead to one container, in Docker's terms.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::is_running;
use crate::container::Container;
use node_docker::service::PortConfig;
use node_docker::task::Task;

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
    ports(&container.task).map(shown).collect()
}

/// Those of `mode=host` while it runs, as Docker has it. A port of all nodes belongs to its service,
/// and leads to any of its tasks.
fn ports(task: &Task) -> impl Iterator<Item = HostPort<'_>> {
    let attachments = &task.networks_attachments;
    let has = |is_ipv6: bool| {
        let mut addresses = attachments.iter().flat_map(|attachment| &attachment.addresses);
        addresses.any(|address| address.contains(':') == is_ipv6)
    };
    let all = [("0.0.0.0", has(false) || attachments.is_empty()), ("::", has(true))];
    let addresses = all.into_iter().filter(|(_, is_published)| *is_published);
    let addresses: Vec<&str> = addresses.map(|(address, _)| address).collect();
    let ports = task.status.port_status.ports.iter().filter(|_| is_running(task));
    ports.flat_map(move |port| {
        addresses.clone().into_iter().map(move |address| HostPort { port, address })
    })
}

/// For the full description.
pub fn port_map(container: &Container) -> BTreeMap<String, Vec<Value>> {
    let mut map: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for HostPort { port, address } in ports(&container.task) {
        let number = port.published_port.to_string();
        let name = format!("{}/{}", port.target_port, port.protocol);
        map.entry(name).or_default().push(json!({ "HostIp": address, "HostPort": number }));
    }
    map
}

#[cfg(test)]
mod tests {
    use node_docker::task::NetworkAttachment;

    use super::*;

    #[test]
    fn a_port_is_at_the_addresses_of_the_families_that_its_task_has() {
        let shown = |state: &str, addresses: &[&[&str]]| -> Vec<&'static str> {
            let mut task = Task::default();
            task.status.state = state.to_owned();
            task.status.port_status.ports = vec![PortConfig::default()];
            let attachment = |addresses: &&[&str]| {
                let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
                NetworkAttachment { addresses, ..NetworkAttachment::default() }
            };
            task.networks_attachments = addresses.iter().map(attachment).collect();
            ports(&task).map(|port| port.address).collect()
        };
        let (four, six) = ("10.1.0.5/24", "fd00::5/64");
        assert_eq!(shown("running", &[]), ["0.0.0.0"], "a process of the host");
        assert_eq!(shown("running", &[&[four]]), ["0.0.0.0"]);
        assert_eq!(shown("running", &[&[six]]), ["::"]);
        assert_eq!(shown("running", &[&[four, six]]), ["0.0.0.0", "::"]);
        assert_eq!(shown("running", &[&[four], &[six]]), ["0.0.0.0", "::"]);
        assert_eq!(shown("complete", &[&[four]]), [""; 0]);
    }
}
