//! From the addresses of a task to its interfaces: link addresses, gateways, routes.

use std::net::{IpAddr, Ipv4Addr};

use crdt_state::NetworkId;
use crdt_state::interface::{InterfaceOptions, TaskInterface};
use crdt_state::network::Attachment;
use crdt_state::service::Service;
use crdt_state::spec::{Runtime, Template, TemplateVersion};
use ipnet::{IpNet, Ipv4Net};

use super::{Lease, Leased};
use crate::catalog::NetworkCatalog;

/// All groups of IPv4.
const GROUPS_4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4);

/// Does the service have networks, and can tasks of its present template be on them?
pub fn is_on_networks(service: &Service) -> bool {
    has_networks(service, &service.template)
}

/// Is a task of this template on the networks of its service? Its own template counts, and not the
/// present one: a slot that goes back from a failed update runs in a container also while the
/// service asks for a process.
pub fn has_networks(service: &Service, template: &Template) -> bool {
    !service.networks.is_empty() && template.runtime == Runtime::Container
}

/// As [`has_networks`], by the version of the template. If the service no longer knows it, the
/// present one counts.
pub fn has_task_networks(service: &Service, version: TemplateVersion) -> bool {
    has_networks(service, service.template_of(version).unwrap_or(&service.template))
}

/// The network by which a service reaches the outside, and the outside its published ports: the
/// first that is not internal; if all are, the first.
pub fn gateway_network(service: &Service, networks: &NetworkCatalog) -> Option<NetworkId> {
    let ids = || service.networks.iter().map(|attachment| attachment.network);
    let known = |id: &NetworkId| networks.networks.get(id);
    let open = ids().find(|id| known(id).is_some_and(|network| !network.spec.internal));
    open.or_else(|| ids().find(|id| known(id).is_some()))
}

/// The network by which the ports of a service are published on every node, if any are.
pub fn mesh_network(service: &Service, networks: &NetworkCatalog) -> Option<NetworkId> {
    let is_meshed = service.endpoint.ports.iter().any(|port| !port.host);
    gateway_network(service, networks).filter(|_| is_meshed && is_on_networks(service))
}

/// The network to which the default route of a service's tasks leads, if one has a way out.
pub fn way_out(service: &Service, networks: &NetworkCatalog) -> Option<NetworkId> {
    let open = |id: &NetworkId| !networks.networks.get(id).is_some_and(|n| n.spec.internal);
    gateway_network(service, networks).filter(open)
}

/// Does the task have a lease on each network of its service?
pub fn check(
    lease: Option<&Lease>,
    service: &Service,
    networks: &NetworkCatalog,
) -> Result<(), String> {
    if let Some(gone) = networks.removed_of(service) {
        return Err(gone);
    }
    let leased = lease.map_or(&[][..], |lease| lease.interfaces.as_slice());
    for attachment in &service.networks {
        if !leased.iter().any(|leased| leased.network == attachment.network) {
            let id = attachment.network;
            return Err(format!("network {id} is not known on this node yet"));
        }
    }
    Ok(())
}

/// The interfaces of a task, or why it cannot have them.
pub fn of_lease(
    lease: Option<&Lease>,
    networks: &NetworkCatalog,
) -> Result<Vec<TaskInterface>, String> {
    let leased = lease.map_or(&[][..], |lease| lease.interfaces.as_slice());
    leased.iter().map(|leased| interface(leased, networks)).collect()
}

/// The interfaces of a task on the networks that have addresses for it.
pub fn that_can_be(lease: &Lease, networks: &NetworkCatalog) -> Vec<TaskInterface> {
    lease.interfaces.iter().filter_map(|leased| interface(leased, networks).ok()).collect()
}

fn interface(leased: &Leased, networks: &NetworkCatalog) -> Result<TaskInterface, String> {
    let network = networks.networks.get(&leased.network);
    let settled = networks.settled.get(&leased.network);
    let Some((network, settled)) = network.zip(settled) else {
        return Err(format!("network {} is gone", leased.network));
    };
    if leased.addresses.len() < settled.ranges.len() {
        let subnets: Vec<String> =
            settled.ranges.iter().map(|range| range.subnet.to_string()).collect();
        return Err(format!(
            "no free address is left on network {} ({}): remove tasks from it, or put the service \
             on a larger network",
            network.name,
            subnets.join(", ")
        ));
    }
    let mut subnets: Vec<IpNet> = settled.ranges.iter().map(|range| range.subnet).collect();
    // Where the default route leads elsewhere, groups would be looked for there. IPv6 asks the
    // program by which interface.
    if network.spec.is_multicast() && subnets.iter().any(|subnet| subnet.addr().is_ipv4()) {
        subnets.push(GROUPS_4.into());
    }
    Ok(TaskInterface {
        network: leased.network,
        name: leased.name.clone(),
        addresses: leased.addresses.clone(),
        mac: mac(&leased.addresses),
        gateways: settled.ranges.iter().map(|range| range.gateway).collect(),
        subnets,
        is_default: leased.is_default,
        settings: leased.settings.clone(),
    })
}

/// The options of a service's interfaces on a network. What is no option was refused when it was
/// typed.
pub fn options(attachment: &Attachment) -> InterfaceOptions {
    InterfaceOptions::read(&attachment.options).unwrap_or_default()
}

/// The name of a task's interface on a network of its service: the one that the operator asks for;
/// else the one that it has, or the first `eth0`, `eth1` … that no other interface has or is to
/// have.
pub fn name(service: &Service, network: NetworkId, held: &[Leased], given: &[Leased]) -> String {
    let asked = |attachment: &Attachment| options(attachment).name;
    let (own, others): (Vec<_>, Vec<_>) =
        service.networks.iter().partition(|attachment| attachment.network == network);
    if let Some(name) = own.into_iter().find_map(asked) {
        return name;
    }
    let others: Vec<String> = others.into_iter().filter_map(asked).collect();
    let has = |leased: &&Leased| leased.network == network && !others.contains(&leased.name);
    if let Some(has) = held.iter().find(has) {
        return has.name.clone();
    }
    let is_taken = |name: &String| {
        held.iter().chain(given).any(|leased| leased.name == *name) || others.contains(name)
    };
    let mut names = (0..).map(|number| format!("eth{number}"));
    names.find(|name| !is_taken(name)).expect("there are enough numbers")
}

/// Docker's rule, on which tools count: `02:42` and the IPv4 address. Without one, `02:43` and the
/// last bytes of the IPv6 address.
pub fn mac(addresses: &[IpAddr]) -> [u8; 6] {
    let mut mac = [0x02, 0x43, 0, 0, 0, 0];
    match addresses.iter().min_by_key(|ip| ip.is_ipv6()) {
        Some(IpAddr::V4(ip)) => {
            mac[1] = 0x42;
            mac[2..].copy_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => mac[2..].copy_from_slice(&ip.octets()[12..]),
        None => {}
    }
    mac
}
