//! Loopback clients of published ports: `localhost:8080` on the node itself.
//!
//! What the node sends to 127.0.0.1 or `::1` is translated and leaves by one of our links with a
//! source of this node; the answer is translated back and is then a packet to a loopback address
//! from a link that is not `lo`. IPv4 takes it if the link's `route_localnet` is set. IPv6 has no such
//! setting, and without more the client waits in vain: the kernel looks for a route to `::1` that
//! leads to the very link. So one is made. Packets that arrive with such a destination are dropped,
//! by chain `raw` and for IPv6 by the kernel itself.

use std::io;
use std::net::Ipv6Addr;
use std::os::fd::BorrowedFd;

use netlink_packet_core::NetlinkBuffer;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;

use super::BalancingError;
use super::message::{ACKNOWLEDGE, Attributes, CREATE, EXCLUSIVE, REQUEST};
use super::ports::LINKS;
use super::socket::inside;

/// Behind the kernel's own route, which has 0, and routes without a number, which get 1024.
const METRIC: u32 = 4096;

/// Lets clients at 127.0.0.1 and `::1` reach published ports whose tasks are behind `link`, one of
/// our links in the host's namespace, which is up. To be repeated when the link was down.
pub fn accept_loopback_clients(
    namespace: BorrowedFd<'_>,
    link: &str,
) -> Result<(), BalancingError> {
    assert!(link.as_bytes().starts_with(LINKS), "{link} is not one of our links");
    let setting = format!("net/ipv4/conf/{link}/route_localnet");
    // The directory shows the namespace of the thread that reads it.
    inside(namespace, || std::fs::write(format!("/proc/sys/{setting}"), "1"))
        .map_err(|source| BalancingError::Setting { setting, source })?;
    match inside(namespace, || add_route(link)) {
        Err(error) if error.raw_os_error() != Some(Errno::EEXIST as i32) => {
            let setting = format!("route local ::1 dev {link}");
            Err(BalancingError::Setting { setting, source: error })
        }
        _ => Ok(()),
    }
}

/// Makes the route `local ::1 dev LINK table local`.
fn add_route(link: &str) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.send_to(&route_message(if_nametoindex(link)?), &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkBuffer::new_checked(&answer[..]).map_err(|_| io::ErrorKind::InvalidData)?;
    match answer.payload().first_chunk().map(|code| -i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn route_message(link: u32) -> Vec<u8> {
    const NEW_ROUTE: u16 = 24;
    const IPV6: u8 = 10;
    const TABLE_LOCAL: u8 = 255;
    const PROTOCOL_STATIC: u8 = 4;
    const SCOPE_UNIVERSE: u8 = 0;
    const KIND_LOCAL: u8 = 2;
    let mut message = vec![0; 4];
    message.extend_from_slice(&NEW_ROUTE.to_ne_bytes());
    message.extend_from_slice(&(REQUEST | ACKNOWLEDGE | CREATE | EXCLUSIVE).to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    let route = [IPV6, 128, 0, 0, TABLE_LOCAL, PROTOCOL_STATIC, SCOPE_UNIVERSE, KIND_LOCAL];
    message.extend_from_slice(&route);
    message.extend_from_slice(&[0; 4]);
    Attributes::into_buffer(&mut message)
        .bytes(1, &Ipv6Addr::LOCALHOST.octets())
        .bytes(4, &link.to_ne_bytes())
        .bytes(6, &METRIC.to_ne_bytes());
    let length = u32::try_from(message.len()).expect("a message of a few bytes");
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message
}
