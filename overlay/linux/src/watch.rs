//! Notices that somebody else changed what we hold: a link removed, routes flushed, a link set down
//! and up. The kernel tells it to a socket that is read without waiting; what changed is found by the
//! next comparison.

use std::io;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::libc;

use crate::message::PROTOCOL;
use crate::namespace::Namespace;

/// The groups of links, addresses, routes and neighbours, as `bind` takes them (rtnetlink(7)).
const GROUPS: u32 = (libc::RTMGRP_LINK
    | libc::RTMGRP_NEIGH
    | libc::RTMGRP_IPV4_IFADDR
    | libc::RTMGRP_IPV4_ROUTE
    | libc::RTMGRP_IPV6_IFADDR
    | libc::RTMGRP_IPV6_ROUTE) as u32;

/// The kernel sends at most a page for each change.
const RECEIVE_BYTES: usize = 16 * 1024;

/// What is ours in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    /// Everything: the namespace belongs to a network.
    Everything,
    /// Links whose names begin so, and routes of our protocol.
    LinksNamed(&'static str),
}

/// A socket to which the kernel tells changes of one namespace.
pub struct Watch {
    socket: Socket,
    ours: Ours,
}

impl Watch {
    /// Watches a namespace from now on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(namespace: &Namespace, ours: Ours) -> io::Result<Watch> {
        let socket = namespace.enter(|| {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind(&SocketAddr::new(0, GROUPS))?;
            socket.set_non_blocking(true)?;
            Ok(socket)
        })?;
        Ok(Watch { socket, ours })
    }

    /// Did something of ours change since the last call? Also if changes were lost, because there
    /// were too many.
    pub fn drain(&mut self) -> bool {
        let mut is_disturbed = false;
        let mut buffer = Vec::with_capacity(RECEIVE_BYTES);
        loop {
            buffer.clear();
            match self.socket.recv(&mut buffer, 0) {
                Ok(_) => is_disturbed |= self.concerns_us(&buffer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return is_disturbed,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => is_disturbed = true,
                Err(_) => return is_disturbed,
            }
        }
    }

    fn concerns_us(&self, bytes: &[u8]) -> bool {
        let Ours::LinksNamed(beginning) = self.ours else { return true };
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes);
        let payload = message.map(|message| message.payload);
        match payload {
            Ok(NetlinkPayload::InnerMessage(
                RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link),
            )) => name(&link).is_some_and(|name| name.starts_with(beginning)),
            Ok(NetlinkPayload::InnerMessage(
                RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route),
            )) => route.header.protocol == PROTOCOL,
            _ => false,
        }
    }
}

fn name(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}
