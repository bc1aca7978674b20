//! What the kernel has: the links and items of one namespace, read by dumps.
//!
//! Objects that cannot be understood are left out; no answer of the kernel causes a panic.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoVxlan, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage, State,
    VxlanDf,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::libc::{EHOSTUNREACH, ENETUNREACH};
use overlay::plan::Mac;

use crate::item::{Item, LinkIndex, Route, Way};
use crate::message::{PROTOCOL, Vxlan};
use crate::netlink::{Netlink, Refusal};

/// A link, as the kernel shows it.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its index in its namespace.
    pub index: LinkIndex,
    /// Its link address.
    pub mac: Mac,
    /// Its largest packet, in bytes.
    pub mtu: u32,
    /// Set up by its administrator.
    pub is_up: bool,
    /// It passes packets on: the kernel has noticed that it has a carrier. Never so of a VXLAN
    /// device, which has none to lose.
    pub is_active: bool,
    /// The loopback link.
    pub is_loopback: bool,
    /// What an operator sees of it besides its name.
    pub alias: String,
    /// The other end of a veth pair, by its index in its own namespace.
    pub peer: LinkIndex,
    /// What a VXLAN device was made with.
    pub vxlan: Option<Vxlan>,
}

/// The links of a namespace, by name.
pub type Links = BTreeMap<String, Link>;

/// Reads the links.
pub fn links(netlink: &mut Netlink) -> Result<Links, Refusal> {
    let mut message = LinkMessage::default();
    message.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    let dump = netlink.dump(&RouteNetlinkMessage::GetLink(message))?;
    Ok(dump.into_iter().filter_map(link).collect())
}

/// Reads one link.
pub fn find_link(netlink: &mut Netlink, name: &str) -> Result<Option<Link>, Refusal> {
    let mut message = LinkMessage::default();
    let mask = LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]);
    message.attributes = vec![LinkAttribute::IfName(name.into()), mask];
    match netlink.find(RouteNetlinkMessage::GetLink(message)) {
        Err(refusal) if refusal.code == nix::libc::ENODEV => Ok(None),
        found => Ok(found?.and_then(link).map(|(_, link)| link)),
    }
}

/// Does the namespace take packets to this address as its own?
pub fn is_local(netlink: &mut Netlink, address: IpAddr) -> Result<bool, Refusal> {
    let mut message = RouteMessage::default();
    let single = IpNet::from(address);
    message.header.address_family = crate::message::family(address);
    message.header.destination_prefix_length = single.prefix_len();
    message.attributes = vec![RouteAttribute::Destination(address.into())];
    match netlink.find(RouteNetlinkMessage::GetRoute(message)) {
        // No route at all leads to it yet.
        Err(refusal) if [ENETUNREACH, EHOSTUNREACH].contains(&refusal.code) => Ok(false),
        found => Ok(matches!(
            found?,
            Some(RouteNetlinkMessage::NewRoute(route)) if route.header.kind == RouteType::Local
        )),
    }
}

/// Reads the addresses of all links, or of one.
pub fn addresses(
    netlink: &mut Netlink,
    of: Option<LinkIndex>,
) -> Result<BTreeSet<(LinkIndex, IpNet)>, Refusal> {
    let mut message = AddressMessage::default();
    message.header.index = of.unwrap_or_default();
    let dump = netlink.dump(&RouteNetlinkMessage::GetAddress(message))?;
    Ok(dump.into_iter().filter_map(address).collect())
}

/// Reads everything but the links, of all links or of one. Of the routes it reads only ours.
pub fn items(netlink: &mut Netlink, of: Option<LinkIndex>) -> Result<BTreeSet<Item>, Refusal> {
    let mut items = BTreeSet::new();
    for (link, address) in addresses(netlink, of)? {
        if !address.addr().is_loopback() {
            items.insert(Item::Address { link, address });
        }
    }
    let mut message = NeighbourMessage::default();
    message.attributes = of.map(NeighbourAttribute::IfIndex).into_iter().collect();
    let dump = netlink.dump(&RouteNetlinkMessage::GetNeighbour(message))?;
    items.extend(dump.into_iter().filter_map(neighbour));
    let mut message = RouteMessage::default();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = PROTOCOL;
    message.attributes = of.map(RouteAttribute::Oif).into_iter().collect();
    let dump = netlink.dump(&RouteNetlinkMessage::GetRoute(message))?;
    items.extend(dump.into_iter().filter_map(route).map(Item::Route));
    Ok(items)
}

/// Reads the forwarding entries of a VXLAN device.
pub fn forwards(netlink: &mut Netlink, device: LinkIndex) -> Result<Vec<Item>, Refusal> {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.attributes = vec![NeighbourAttribute::IfIndex(device)];
    let dump = netlink.dump(&RouteNetlinkMessage::GetNeighbour(message))?;
    Ok(dump.into_iter().filter_map(|entry| forward(entry, device)).collect())
}

fn link(message: RouteNetlinkMessage) -> Option<(String, Link)> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let mut link = Link {
        index: message.header.index,
        mac: Mac::default(),
        mtu: 0,
        is_up: message.header.flags.contains(LinkFlags::Up),
        is_active: false,
        alias: String::new(),
        is_loopback: message.header.flags.contains(LinkFlags::Loopback),
        peer: 0,
        vxlan: None,
    };
    let mut name = None;
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(value) => name = Some(value),
            LinkAttribute::Address(value) => link.mac = mac(&value).unwrap_or_default(),
            LinkAttribute::Mtu(value) => link.mtu = value,
            LinkAttribute::Link(value) => link.peer = value,
            LinkAttribute::IfAlias(value) => link.alias = value,
            LinkAttribute::OperState(State::Up) => link.is_active = true,
            LinkAttribute::LinkInfo(infos) => link.vxlan = infos.into_iter().find_map(vxlan),
            _ => {}
        }
    }
    let mac = link.mac;
    if let Some(vxlan) = &mut link.vxlan {
        vxlan.mac = mac;
    }
    Some((name?, link))
}

fn vxlan(info: LinkInfo) -> Option<Vxlan> {
    let LinkInfo::Data(InfoData::Vxlan(infos)) = info else { return None };
    let mut vxlan = Vxlan {
        vni: 0,
        port: 0,
        local: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        lower: 0,
        learning: true,
        is_whole: false,
        mac: Mac::default(),
    };
    for info in infos {
        match info {
            InfoVxlan::Id(value) => vxlan.vni = value,
            InfoVxlan::Port(value) => vxlan.port = value,
            InfoVxlan::Local(value) => vxlan.local = value.into(),
            InfoVxlan::Local6(value) => vxlan.local = value.into(),
            InfoVxlan::Link(value) => vxlan.lower = value,
            InfoVxlan::Learning(value) => vxlan.learning = value,
            InfoVxlan::Df(value) => vxlan.is_whole = value == VxlanDf::Set,
            _ => {}
        }
    }
    Some(vxlan)
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok()
}

fn address(message: RouteNetlinkMessage) -> Option<(LinkIndex, IpNet)> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return None };
    let (mut local, mut other) = (None, None);
    for attribute in message.attributes {
        match attribute {
            AddressAttribute::Local(value) => local = Some(value),
            AddressAttribute::Address(value) => other = Some(value),
            _ => {}
        }
    }
    // IPv6 shows only one of the two, and the end of a point-to-point link both.
    let address = IpNet::new(local.or(other)?, message.header.prefix_len).ok()?;
    Some((message.header.index, address))
}

/// Entries that are not permanent are the kernel's own.
fn neighbour(message: RouteNetlinkMessage) -> Option<Item> {
    let RouteNetlinkMessage::NewNeighbour(message) = message else { return None };
    if message.header.state != NeighbourState::Permanent {
        return None;
    }
    let (mut address, mut lladdr) = (None, None);
    for attribute in message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(value)) => {
                address = Some(IpAddr::V4(value));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(value)) => {
                address = Some(IpAddr::V6(value));
            }
            NeighbourAttribute::LinkLayerAddress(value) => lladdr = mac(&value),
            _ => {}
        }
    }
    Some(Item::Neighbour { link: message.header.ifindex, address: address?, mac: lladdr? })
}

fn forward(message: RouteNetlinkMessage, device: LinkIndex) -> Option<Item> {
    let RouteNetlinkMessage::NewNeighbour(message) = message else { return None };
    if message.header.ifindex != device {
        return None;
    }
    let (mut underlay, mut lladdr) = (None, None);
    for attribute in message.attributes {
        match attribute {
            NeighbourAttribute::Destination(value) => underlay = any_address(value),
            NeighbourAttribute::LinkLayerAddress(value) => lladdr = mac(&value),
            _ => {}
        }
    }
    Some(Item::Forward { link: device, mac: lladdr?, underlay: underlay? })
}

/// The destination of a forwarding entry: its length tells the family.
fn any_address(address: NeighbourAddress) -> Option<IpAddr> {
    match address {
        NeighbourAddress::Inet(value) => Some(value.into()),
        NeighbourAddress::Inet6(value) => Some(value.into()),
        NeighbourAddress::Other(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
            16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
            _ => None,
        },
        _ => None,
    }
}

fn route(message: RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    let header = message.header;
    if header.protocol != PROTOCOL || header.table != RouteHeader::RT_TABLE_MAIN {
        return None;
    }
    let mut to = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut way = Way { link: 0, via: None, source: None, mtu: None };
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Destination(value) => to = ip(value)?,
            RouteAttribute::Oif(value) => way.link = value,
            RouteAttribute::Gateway(value) => way.via = ip(value),
            RouteAttribute::Via(RouteVia::Inet(value)) => way.via = Some(value.into()),
            RouteAttribute::Via(RouteVia::Inet6(value)) => way.via = Some(value.into()),
            RouteAttribute::PrefSource(value) => way.source = ip(value),
            RouteAttribute::Metrics(metrics) => way.mtu = metrics.iter().find_map(mtu),
            _ => {}
        }
    }
    let to = IpNet::new(to, header.destination_prefix_length).ok()?;
    // An unreachable IPv6 route shows the loopback link.
    Some(Route { to, way: (header.kind == RouteType::Unicast).then_some(way) })
}

pub fn ip(address: RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(value) => Some(value.into()),
        RouteAddress::Inet6(value) => Some(value.into()),
        _ => None,
    }
}

fn mtu(metric: &RouteMetric) -> Option<u32> {
    if let RouteMetric::Mtu(value) = metric { Some(*value) } else { None }
}
