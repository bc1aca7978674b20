//! What a namespace holds besides its links: addresses, neighbours, forwarding entries and routes.
//!
//! Values only: [`crate::kernel`] reads the items that the kernel has, [`crate::wanted`] says which
//! it must have, and [`crate::difference`] compares.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use overlay::plan::Mac;
use overlay::tunnel::tunnel_subnet;

/// The index of a link in its namespace.
pub type LinkIndex = u32;

/// A forwarding entry with it is for frames to groups and to everybody. It has a destination for each
/// peer, and the device sends a copy to every one.
pub const ANY_MAC: Mac = [0; 6];

/// One thing that a namespace holds. The order is the order in which they can be made: a route
/// needs the address that it prefers as source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// An address of a link.
    Address {
        /// The link.
        link: LinkIndex,
        /// The address with its prefix length.
        address: IpNet,
    },
    /// A permanent neighbour: nothing is asked on the wire.
    Neighbour {
        /// The link that leads to it.
        link: LinkIndex,
        /// Its address.
        address: IpAddr,
        /// Its link address.
        mac: Mac,
    },
    /// An entry of the forwarding table of a VXLAN device.
    Forward {
        /// The device.
        link: LinkIndex,
        /// The link address of frames.
        mac: Mac,
        /// Where VXLAN packets with them go.
        underlay: IpAddr,
    },
    /// A route.
    Route(Route),
}

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The destinations.
    pub to: IpNet,
    /// The way; `None`: the kernel answers that they are unreachable.
    pub way: Option<Way>,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// The link.
    pub link: LinkIndex,
    /// The next hop; for IPv4 routes also an IPv6 address.
    pub via: Option<IpAddr>,
    /// The preferred source address.
    pub source: Option<IpAddr>,
    /// The largest packet on this way, if less than the link's.
    pub mtu: Option<u32>,
}

/// What tells apart items that can be held at the same time: of two items with one key the later
/// replaces the earlier.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// An address of a link.
    Address(LinkIndex, IpNet),
    /// The neighbour with an address.
    Neighbour(LinkIndex, IpAddr),
    /// A forwarding entry: one link address can have several destinations.
    Forward(LinkIndex, Mac, IpAddr),
    /// The route to a destination.
    Route(IpNet),
}

/// The part of a namespace that a comparison is about.
#[derive(Debug)]
pub enum Scope<'a> {
    /// Everything on these links, and routes that lead nowhere.
    Namespace(&'a BTreeSet<LinkIndex>),
    /// Only what is on these links.
    Links(&'a BTreeSet<LinkIndex>),
    /// Only what is on these links, and the tunnel's route that leads nowhere, in a namespace with
    /// routes of others, which are not replaced.
    Shared(&'a BTreeSet<LinkIndex>),
}

impl Item {
    /// Packets for nodes that the tunnel does not lead to are answered here: no default route may
    /// take them to the network below.
    pub fn no_way_out_of_tunnel() -> Item {
        Item::Route(Route { to: tunnel_subnet().into(), way: None })
    }

    /// What it replaces.
    pub fn key(&self) -> Key {
        match self {
            Item::Address { link, address } => Key::Address(*link, *address),
            Item::Neighbour { link, address, .. } => Key::Neighbour(*link, *address),
            Item::Forward { link, mac, underlay } => Key::Forward(*link, *mac, *underlay),
            Item::Route(route) => Key::Route(route.to),
        }
    }

    fn link(&self) -> Option<LinkIndex> {
        match self {
            Item::Address { link, .. }
            | Item::Neighbour { link, .. }
            | Item::Forward { link, .. } => Some(*link),
            Item::Route(route) => route.way.as_ref().map(|way| way.link),
        }
    }

    /// For messages.
    pub fn describe(&self) -> String {
        match self {
            Item::Address { address, .. } => format!("address {address}"),
            Item::Neighbour { address, .. } => format!("neighbour {address}"),
            Item::Forward { underlay, .. } => format!("forwarding entry to {underlay}"),
            Item::Route(route) => format!("route to {}", route.to),
        }
    }
}

impl Scope<'_> {
    /// Is an item of the kernel in this part?
    pub fn covers(&self, item: &Item) -> bool {
        match (self, item.link()) {
            (Scope::Namespace(links) | Scope::Links(links) | Scope::Shared(links), Some(link)) => {
                links.contains(&link)
            }
            (Scope::Namespace(_), None) => true,
            (Scope::Shared(_), None) => *item == Item::no_way_out_of_tunnel(),
            (Scope::Links(_), None) => false,
        }
    }
}
