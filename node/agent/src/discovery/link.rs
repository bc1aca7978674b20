//! The links of this machine on which members are found, and a socket for each.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU32;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::own_addresses::OwnAddresses;

/// The group and port of multicast DNS.
pub(super) const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);

/// A receiver may ask for this value to know that a packet was not routed (RFC 6762, 11).
const TTL: u32 = 255;

/// A link, and where the agent listens on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    name: String,
    addr: SocketAddrV4,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The links on which other machines may be; of each the first address.
pub(super) fn all(own: &OwnAddresses) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for (name, addr) in own.on_links() {
        if let SocketAddr::V4(addr) = addr
            && !links.iter().any(|link| link.name == name)
        {
            links.push(Link { name, addr });
        }
    }
    links
}

impl Link {
    /// Where the agent is reached on this link.
    pub(super) fn addr(&self) -> SocketAddrV4 {
        self.addr
    }

    /// A socket that hears the group on this link, and sends there. Other programs of the machine that
    /// speak multicast DNS hear it as well: nothing is taken from them.
    pub(super) fn open(&self) -> io::Result<UdpSocket> {
        let index = nix::net::if_::if_nametoindex(self.name.as_str())?;
        let index = NonZeroU32::new(index).ok_or(io::ErrorKind::NotFound)?;
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        // With its own address it would take packets that are for one of the other programs only.
        socket.bind(&GROUP.into())?;
        socket.join_multicast_v4_n(GROUP.ip(), &InterfaceIndexOrAddress::Index(index.get()))?;
        // Without this it would hear what came in on any link.
        socket.set_multicast_all_v4(false)?;
        socket.set_multicast_if_v4(self.addr.ip())?;
        socket.set_multicast_ttl_v4(TTL)?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket.into())
    }
}
