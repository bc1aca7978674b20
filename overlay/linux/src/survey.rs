//! What this machine's own network is like: the size of packets, and the routes of its site.
//!
//! A network of the fleet must not have addresses that the machine reaches otherwise.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteType};

use crate::kernel;
use crate::links::Links;
use crate::message::PROTOCOL;
use crate::netlink::{Netlink, Refusal};

/// Routes that are reported at most: a site has a handful; a machine that speaks BGP has more than
/// a record holds.
const ROUTES_MAX: usize = 64;

/// What a machine's own network is like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The largest packet of the link that has the address, in bytes; 0: no link has it.
    pub mtu: u32,
    /// The routes of the site, without default routes and without those of the fleet's networks.
    pub routes: Vec<IpNet>,
}

impl Links {
    /// Reads what this machine's own network is like. `address` is that of its agent.
    ///
    /// # Errors
    /// The kernel's refusal to answer.
    pub fn survey(&mut self, address: IpAddr) -> Result<Survey, Refusal> {
        let netlink = &mut self.host.netlink;
        let links = kernel::links(netlink)?;
        let addresses = kernel::addresses(netlink, None)?;
        let holder = addresses.iter().find(|(_, net)| net.addr() == address).map(|(link, _)| *link);
        let link = links.values().find(|link| Some(link.index) == holder);
        let mtu = link.filter(|link| !link.is_loopback).map_or(0, |link| link.mtu);
        let routes = site_routes(netlink)?.into_iter().take(ROUTES_MAX).collect();
        Ok(Survey { mtu, routes })
    }
}

fn site_routes(netlink: &mut Netlink) -> Result<BTreeSet<IpNet>, Refusal> {
    let mut message = RouteMessage::default();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    let dump = netlink.dump(&RouteNetlinkMessage::GetRoute(message))?;
    Ok(dump.into_iter().filter_map(site_route).collect())
}

fn site_route(message: RouteNetlinkMessage) -> Option<IpNet> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    let header = message.header;
    let is_site = header.kind == RouteType::Unicast
        && header.protocol != PROTOCOL
        && header.table == RouteHeader::RT_TABLE_MAIN;
    let destination = message.attributes.into_iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(to) => kernel::ip(to),
        _ => None,
    });
    let net =
        IpNet::new(destination.filter(|_| is_site)?, header.destination_prefix_length).ok()?;
    let is_local = match net.addr() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_multicast(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_multicast(),
    };
    (net.prefix_len() > 0 && !is_local).then(|| net.trunc())
}
