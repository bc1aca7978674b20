//! Published ports of a service: numbers that are free, and a number for each that is left open.

use std::collections::BTreeSet;
use std::sync::Arc;

use crdt_state::ServiceId;
use crdt_state::network::PickedPorts;
use crdt_state::service::Service;
use crdt_state::spec::{Endpoint, PublishedPort, Runtime};

use super::Editor;
use crate::addressing::{free_number, is_picked_by_node};
use crate::edit::network::{BadNetwork, OWN_PORTS};
use crate::edit::{Refusal, ServiceSpec};

impl Editor<'_> {
    /// The endpoint with a number for each port of every node that has none, or a refusal. A number
    /// belongs to service, protocol and target for life.
    pub(super) fn endpoint(
        &self,
        id: ServiceId,
        spec: &ServiceSpec,
        held: Option<&Service>,
    ) -> Result<Endpoint, Refusal> {
        let asked = &spec.endpoint;
        let services = self.catalog().services.values();
        let others: Vec<&Arc<Service>> = services.filter(|service| service.id != id).collect();
        let mut taken: BTreeSet<(String, u16)> = BTreeSet::new();
        for port in others.iter().flat_map(|other| &other.endpoint.ports).chain(&asked.ports) {
            taken.insert((port.protocol.clone(), port.published));
        }
        // Nodes give way to what is asked for, but need not.
        let picked = self.catalog().networks.picked_ports.values().flat_map(PickedPorts::values);
        for picked in picked.flatten() {
            taken.insert((picked.protocol.clone(), picked.published));
        }
        let mut endpoint = asked.clone();
        for port in &mut endpoint.ports {
            if port.protocol == "udp" && OWN_PORTS.contains(&port.published) {
                return Err(BadNetwork::OwnPort(port.published).into());
            }
            if is_picked_by_node(port) {
                // Without networks nothing is translated: the port is the one that the task opens.
                if !has_networks(spec) {
                    port.published = port.target;
                }
            } else if port.published == 0 {
                let before = held.and_then(|service| published_before(service, port));
                let chosen = before.or_else(|| choose(id, port, &taken));
                let (protocol, target) = (port.protocol.clone(), port.target);
                let none_left = Refusal::NoPortLeft { protocol: protocol.clone(), target };
                port.published = chosen.ok_or(none_left)?;
                taken.insert((protocol, port.published));
            } else if let Some(other) = others.iter().find(|other| collides(port, other)) {
                return Err(Refusal::PortTaken {
                    port: port.published,
                    protocol: port.protocol.clone(),
                    service: other.name.clone(),
                });
            }
        }
        Ok(endpoint)
    }
}

fn has_networks(spec: &ServiceSpec) -> bool {
    !spec.networks.is_empty() && spec.template.runtime == Runtime::Container
}

/// The number that the service has for this protocol and target.
fn published_before(service: &Service, port: &PublishedPort) -> Option<u16> {
    let same = |held: &&PublishedPort| {
        !held.host && (held.target, &held.protocol) == (port.target, &port.protocol)
    };
    service.endpoint.ports.iter().find(same).map(|held| held.published)
}

/// A free number, from a place that is a hash of what it is for.
fn choose(id: ServiceId, port: &PublishedPort, taken: &BTreeSet<(String, u16)>) -> Option<u16> {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl published port 1");
    hasher.update(&id.0);
    hasher.update(&port.target.to_be_bytes());
    hasher.update(port.protocol.as_bytes());
    free_number(&hasher, |number| taken.contains(&(port.protocol.clone(), number)))
}

/// Does another service publish the number, where either of the two does on every node?
fn collides(port: &PublishedPort, other: &Service) -> bool {
    let same = |held: &PublishedPort| {
        port.published != 0
            && (held.published, &held.protocol) == (port.published, &port.protocol)
            && !(held.host && port.host)
    };
    other.endpoint.ports.iter().any(same)
}
