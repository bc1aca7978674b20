//! The messages of route netlink that this package sends.
//!
//! Values only: nothing here talks to the kernel.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, InfoVxlan,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage, VxlanDf,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric,
    RouteProtocol, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use overlay::plan::Mac;

use crate::item::{Item, LinkIndex, Route, Way};
use crate::netlink::Request;

/// The mark of our routes: a number that no routing daemon in `/etc/iproute2/rt_protos` has.
pub const PROTOCOL: RouteProtocol = RouteProtocol::Other(236);

/// One end of a veth pair.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// The name of the link.
    pub name: &'a str,
    /// Its link address.
    pub mac: Mac,
    /// Its namespace.
    pub namespace: BorrowedFd<'a>,
}

/// What a VXLAN device is made with. None of it can differ later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vxlan {
    /// The number of the network.
    pub vni: u32,
    /// The UDP port of both sides.
    pub port: u16,
    /// The address that packets leave from.
    pub local: IpAddr,
    /// The link of the host that packets leave by; 0: any.
    pub lower: LinkIndex,
    /// Whether it learns from what it receives.
    pub learning: bool,
    /// Whether its packets may not be split on the way.
    pub is_whole: bool,
    /// Its link address.
    pub mac: Mac,
}

/// The family of an address.
pub fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// Makes an item, with the flags for a replacement.
pub fn add(item: &Item) -> RouteNetlinkMessage {
    match item {
        Item::Address { link, address } => {
            RouteNetlinkMessage::NewAddress(address_message(*link, *address))
        }
        Item::Neighbour { link, address, mac } => {
            RouteNetlinkMessage::NewNeighbour(neighbour_message(*link, *address, *mac))
        }
        Item::Forward { link, mac, underlay } => {
            RouteNetlinkMessage::NewNeighbour(forward_message(*link, *mac, *underlay))
        }
        Item::Route(route) => RouteNetlinkMessage::NewRoute(route_message(route)),
    }
}

/// Removes an item.
pub fn remove(item: &Item) -> RouteNetlinkMessage {
    match item {
        Item::Address { link, address } => {
            RouteNetlinkMessage::DelAddress(address_message(*link, *address))
        }
        Item::Neighbour { link, address, mac } => {
            RouteNetlinkMessage::DelNeighbour(neighbour_message(*link, *address, *mac))
        }
        Item::Forward { link, mac, underlay } => {
            RouteNetlinkMessage::DelNeighbour(forward_message(*link, *mac, *underlay))
        }
        Item::Route(route) => RouteNetlinkMessage::DelRoute(route_message(route)),
    }
}

fn address_message(link: LinkIndex, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.addr());
    message.header.prefix_len = address.prefix_len();
    message.header.index = link;
    message.header.flags = AddressHeaderFlags::Nodad;
    if is_link_local(address.addr()) {
        message.header.scope = AddressScope::Link;
    }
    message.attributes = vec![
        AddressAttribute::Local(address.addr()),
        AddressAttribute::Address(address.addr()),
        AddressAttribute::Flags(AddressFlags::Nodad | AddressFlags::Noprefixroute),
    ];
    message
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn neighbour_message(link: LinkIndex, address: IpAddr, mac: Mac) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = link;
    message.header.state = NeighbourState::Permanent;
    message.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::from(address)),
        NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
    ];
    message
}

fn forward_message(link: LinkIndex, mac: Mac, underlay: IpAddr) -> NeighbourMessage {
    let mut message = neighbour_message(link, underlay, mac);
    message.header.family = AddressFamily::Bridge;
    message.header.flags = NeighbourFlags::Own;
    message
}

fn route_message(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.to.addr());
    message.header.destination_prefix_length = route.to.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = PROTOCOL;
    message.header.kind = RouteType::Unreachable;
    if route.to.prefix_len() > 0 {
        message.attributes.push(RouteAttribute::Destination(route.to.addr().into()));
    }
    if let Some(way) = &route.way {
        message.header.kind = RouteType::Unicast;
        add_way(&mut message, way);
    }
    message
}

fn add_way(message: &mut RouteMessage, way: &Way) {
    message.attributes.push(RouteAttribute::Oif(way.link));
    let family = message.header.address_family;
    match way.via {
        None => message.header.scope = RouteScope::Link,
        // The next hop is on the link although no route says so: its neighbour entry does.
        Some(via) if self::family(via) == family => {
            message.header.flags = RouteFlags::Onlink;
            message.attributes.push(RouteAttribute::Gateway(RouteAddress::from(via)));
        }
        Some(via) => {
            message.header.flags = RouteFlags::Onlink;
            message.attributes.push(RouteAttribute::Via(RouteVia::from(via)));
        }
    }
    if let Some(source) = way.source {
        message.attributes.push(RouteAttribute::PrefSource(RouteAddress::from(source)));
    }
    if let Some(mtu) = way.mtu {
        message.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));
    }
}

fn end(end: &End<'_>, mtu: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(end.name.into()),
        LinkAttribute::Address(end.mac.to_vec()),
        LinkAttribute::Mtu(mtu),
        LinkAttribute::NetNsFd(end.namespace.as_raw_fd()),
    ];
    message
}

/// One end of a pair. It has one queue for each direction, where the kernel would give it one for
/// every processor that the machine can have: each is two objects in sysfs, and the removal of each
/// waits until all processors have forgotten it.
fn veth_end(end: &End<'_>, mtu: u32) -> LinkMessage {
    let mut message = self::end(end, mtu);
    message.attributes.extend([LinkAttribute::NumTxQueues(1), LinkAttribute::NumRxQueues(1)]);
    message
}

/// Makes a veth pair, each end in its namespace. It fails if a name is taken.
pub fn new_veth(near: &End<'_>, far: &End<'_>, mtu: u32) -> Request {
    let mut message = veth_end(near, mtu);
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(veth_end(far, mtu)))),
    ]));
    new_link(message)
}

/// Makes a VXLAN device in another namespace. It sends and receives in the namespace of the socket
/// that this is sent on.
pub fn new_vxlan(name: &str, vxlan: &Vxlan, mtu: u32, namespace: BorrowedFd<'_>) -> Request {
    let mut message = end(&End { name, mac: vxlan.mac, namespace }, mtu);
    let mut data = vec![
        InfoVxlan::Id(vxlan.vni),
        InfoVxlan::Port(vxlan.port),
        InfoVxlan::Learning(vxlan.learning),
        match vxlan.local {
            IpAddr::V4(local) => InfoVxlan::Local(local),
            IpAddr::V6(local) => InfoVxlan::Local6(local),
        },
    ];
    if vxlan.is_whole {
        data.push(InfoVxlan::Df(VxlanDf::Set));
    }
    if vxlan.lower != 0 {
        data.push(InfoVxlan::Link(vxlan.lower));
    }
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Vxlan),
        LinkInfo::Data(InfoData::Vxlan(data)),
    ]));
    new_link(message)
}

fn new_link(message: LinkMessage) -> Request {
    Request { message: RouteNetlinkMessage::NewLink(message), flags: NLM_F_CREATE | NLM_F_EXCL }
}

/// Takes from a link the addresses that the kernel would give it.
pub fn no_automatic_address(link: LinkIndex) -> Request {
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    set_link(link, vec![LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])])])
}

/// Sets the largest packet of a link.
pub fn set_mtu(link: LinkIndex, mtu: u32) -> Request {
    set_link(link, vec![LinkAttribute::Mtu(mtu)])
}

/// Says what a link is for.
pub fn set_alias(link: LinkIndex, alias: &str) -> Request {
    set_link(link, vec![LinkAttribute::IfAlias(alias.into())])
}

fn set_link(link: LinkIndex, attributes: Vec<LinkAttribute>) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = link;
    message.attributes = attributes;
    Request { message: RouteNetlinkMessage::SetLink(message), flags: 0 }
}

/// Sets a link up.
pub fn up(link: LinkIndex) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = link;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    Request { message: RouteNetlinkMessage::SetLink(message), flags: 0 }
}

/// Removes a link, and with one end of a pair also the other.
pub fn delete_link(link: LinkIndex) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = link;
    Request { message: RouteNetlinkMessage::DelLink(message), flags: 0 }
}
