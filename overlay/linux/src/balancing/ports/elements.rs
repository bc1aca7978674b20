//! Published ports as elements of maps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use overlay::plan::{LocalNetwork, OverlayPlan, Port, Protocol};

use crate::balancing::chains::{Family, IPV4, IPV6, pick_chain};
use crate::balancing::element::{Elements, Fields, Place, Value};
use crate::balancing::field::Field;
use crate::balancing::flows::{SCTP, TCP, UDP};
use crate::balancing::layout::{Holds, Map};
use crate::balancing::members;
use crate::balancing::reservations::Reservations;
use crate::balancing::spread::{Target, Wanted};

use Field::{Address4, Address6, Port as PortField, Protocol as ProtocolField, Slot};

pub(super) const PORTS: usize = 0;
pub(super) const TARGETS: usize = 1;
pub(super) const NODES: usize = 2;
pub(super) const REMOTES: usize = 3;
pub(super) const MAPS_PER_FAMILY: usize = 4;

pub(super) const PORT_KEY: &[Field] = &[ProtocolField, PortField];
pub(super) const TARGET_KEY: &[Field] = &[ProtocolField, PortField, Slot];
/// The register after a protocol and a port.
pub(super) const SLOT_REGISTER: u32 = 2;

pub(super) static MAPS: [Map; 2 * MAPS_PER_FAMILY + 3] = [
    Map { name: "ports4", key: PORT_KEY, holds: Holds::Chain },
    Map { name: "targets4", key: TARGET_KEY, holds: Holds::Fields(&[Address4, PortField]) },
    Map { name: "nodes4", key: &[Address4], holds: Holds::Fields(&[Address4]) },
    Map { name: "remotes4", key: &[Address4], holds: Holds::Fields(&[Address4]) },
    Map { name: "ports6", key: PORT_KEY, holds: Holds::Chain },
    Map { name: "targets6", key: TARGET_KEY, holds: Holds::Fields(&[Address6, PortField]) },
    Map { name: "nodes6", key: &[Address6], holds: Holds::Fields(&[Address6]) },
    Map { name: "remotes6", key: &[Address6], holds: Holds::Fields(&[Address6]) },
    members::VNIS,
    members::MEMBERS_4,
    members::MEMBERS_6,
];
pub(super) const FIRST_OF_MEMBERS: usize = 2 * MAPS_PER_FAMILY;

pub(super) fn map(family: Family, map: usize) -> usize {
    if family == IPV4 { map } else { MAPS_PER_FAMILY + map }
}

pub(super) fn name(family: Family, number: usize) -> &'static str {
    MAPS[map(family, number)].name
}

/// A published port in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FamilyPort {
    pub(super) port: Port,
    pub(super) is_ipv4: bool,
}

impl FamilyPort {
    fn family(self) -> Family {
        if self.is_ipv4 { IPV4 } else { IPV6 }
    }
}

pub(super) fn protocol(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
        Protocol::Sctp => SCTP,
    }
}

/// The protocol with this number, if ports of it can be published.
pub(super) fn named_protocol(number: u8) -> Option<Protocol> {
    let all = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    all.into_iter().find(|one| protocol(*one) == number)
}

pub(super) fn port_elements(port: &FamilyPort, slots: &[Target]) -> Elements {
    let family = port.family();
    let key = || Fields::default().protocol(protocol(port.port.protocol)).port(port.port.number);
    let mut elements = Elements::new();
    let chain = Value::Chain(pick_chain(family, slots.len()));
    elements.insert(Place { map: map(family, PORTS), key: key() }, chain);
    for (slot, (address, target)) in (0..).zip(slots) {
        let place = Place { map: map(family, TARGETS), key: key().slot(slot) };
        elements.insert(place, Value::Fields(Fields::default().address(*address).port(*target)));
    }
    elements
}

pub(super) fn wanted(
    plan: &OverlayPlan,
    foreign_vnis: &BTreeSet<u32>,
    reservations: &Reservations,
) -> Wanted<FamilyPort> {
    let others = members::elements(plan, foreign_vnis, FIRST_OF_MEMBERS);
    let mut wanted = Wanted { destinations: BTreeMap::new(), others };
    for port in plan.ports.keys().filter(|port| !reservations.is_taken(port)) {
        let (network, reached) = reached(plan, *port).expect("it is one of them");
        for (address, _) in &reached {
            wanted.others.extend(node_elements(network, *address));
        }
        wanted.destinations.extend(by_family(*port, &reached));
    }
    wanted
}

/// The tasks behind a published port, all different, and their network; `None`: nobody publishes it.
pub(super) fn reached(
    plan: &OverlayPlan,
    port: Port,
) -> Option<(Option<&LocalNetwork>, Vec<Target>)> {
    let targets = plan.ports.get(&port)?;
    let network = plan.networks.get(&targets.network);
    let addresses = targets.addresses.iter().filter(|_| network.is_some());
    let mut reached: Vec<Target> = addresses.map(|task| (*task, targets.target)).collect();
    reached.sort_unstable();
    reached.dedup();
    Some((network, reached))
}

pub(super) fn by_family(port: Port, reached: &[Target]) -> [(FamilyPort, Vec<Target>); 2] {
    [true, false].map(|is_ipv4| {
        let of_family = reached.iter().filter(|(task, _)| task.is_ipv4() == is_ipv4);
        (FamilyPort { port, is_ipv4 }, of_family.copied().collect())
    })
}

/// The source by which a task is reached where the client's own address cannot be kept.
pub(super) fn node_elements(network: Option<&LocalNetwork>, task: IpAddr) -> Elements {
    let family = Family::of(task);
    let mut elements = Elements::new();
    let Some(network) = network else { return elements };
    let mut nodes = network.node_addresses.iter();
    if let Some(node) = nodes.find(|node| Family::of(**node) == family) {
        let is_local = network.tasks.values().flatten().any(|local| *local == task);
        let value = || Value::Fields(Fields::default().address(*node));
        elements.insert(node_place(NODES, task), value());
        if !is_local {
            elements.insert(node_place(REMOTES, task), value());
        }
    }
    elements
}

pub(super) fn node_place(number: usize, task: IpAddr) -> Place {
    Place { map: map(Family::of(task), number), key: Fields::default().address(task) }
}
