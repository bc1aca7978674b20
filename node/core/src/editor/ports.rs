//! Published ports of a service: numbers that are free, and a number for each that is left open.

use std::collections::BTreeSet;

use crdt_state::ServiceId;
use crdt_state::service::Service;
use crdt_state::spec::{Endpoint, PublishedPort};

use super::Editor;
use crate::edit::Refusal;
use crate::edit::network::{BadNetwork, VXLAN_PORT};

/// Numbers that are chosen for ports of every node: Docker's range.
pub const AUTOMATIC: std::ops::RangeInclusive<u16> = 30_000..=32_767;

impl Editor<'_> {
    /// The endpoint with a number for each port of every node that has none, or a refusal. A number
    /// belongs to service, protocol and target for life.
    pub(super) fn endpoint(
        &self,
        id: ServiceId,
        asked: &Endpoint,
        held: Option<&Service>,
    ) -> Result<Endpoint, Refusal> {
        let services = self.catalog().services.values();
        let others: Vec<&Service> = services.filter(|service| service.id != id).collect();
        let mut taken: BTreeSet<(String, u16)> = BTreeSet::new();
        for port in others.iter().flat_map(|other| &other.endpoint.ports).chain(&asked.ports) {
            taken.insert((port.protocol.clone(), port.published));
        }
        let mut endpoint = asked.clone();
        for port in &mut endpoint.ports {
            if (port.published, port.protocol.as_str()) == (VXLAN_PORT, "udp") {
                return Err(BadNetwork::OwnPort.into());
            }
            if port.published == 0 && !port.host {
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
    let hash = hasher.finalize();
    let start = u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]);
    let count = AUTOMATIC.end() - AUTOMATIC.start() + 1;
    let numbers = (0..count).map(|step| {
        AUTOMATIC.start() + (u32::from(start) + u32::from(step)).rem_euclid(count.into()) as u16
    });
    numbers.into_iter().find(|number| !taken.contains(&(port.protocol.clone(), *number)))
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
