//! The socket that probes paths: ICMPv6 echo requests through the network of probes, to the
//! link-local addresses of the VXLAN devices of other nodes. Their kernels answer.
//!
//! It never splits a packet, and neither does its VXLAN device over IPv4: a probe that is answered
//! has passed whole, in both directions.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::libc;
use nix::sys::socket::sockopt::Ipv6DontFrag;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6, recvmsg, sendmsg,
    setsockopt, socket,
};
use overlay::plan::PATH_NETWORK;

use crate::item::LinkIndex;
use crate::links::Links;
use crate::names::VXLAN;

/// The header of IPv6, which the socket neither takes nor gives.
const IPV6_HEADER: usize = 40;

/// The header of ICMPv6, this socket's secret, and a number.
const ECHO_BYTES: usize = 8 + 8 + 4;

/// RFC 4443.
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;

/// The option of RFC 3542 that says which messages a socket takes, `linux/icmpv6.h`.
const ICMPV6_FILTER: libc::c_int = 1;

/// Options that `nix` has no name for.
mod options {
    use nix::{libc, setsockopt_impl, sockopt_impl};

    sockopt_impl!(
        /// How a socket finds the largest packet of a path.
        MtuDiscovery,
        SetOnly,
        libc::IPPROTO_IPV6,
        libc::IPV6_MTU_DISCOVER,
        libc::c_int
    );

    sockopt_impl!(
        /// The types of messages that a socket does not take, one bit each.
        Refused,
        SetOnly,
        libc::IPPROTO_ICMPV6,
        super::ICMPV6_FILTER,
        [u32; 8]
    );
}

/// An answer to a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// Who answered.
    pub from: Ipv6Addr,
    /// The number of the probe.
    pub number: u32,
    /// The size of the packet, with all its headers inside the network.
    pub bytes: u32,
}

/// A socket in the network of probes. It never waits.
#[derive(Debug)]
pub struct EchoSocket {
    socket: OwnedFd,
    link: LinkIndex,
    secret: [u8; 8],
}

impl Links {
    /// The device of probes, if the applied plan has paths. Another number: it was made anew, and
    /// sockets that were opened before do not send any more.
    pub fn path_device(&self) -> Option<LinkIndex> {
        self.networks.get(&PATH_NETWORK)?.space.index(VXLAN)
    }

    /// Opens a socket in the network of probes. Nobody else can guess answers who does not know the
    /// secret.
    ///
    /// # Errors
    /// The kernel's; there is no network of probes.
    pub fn open_echo(&self, secret: [u8; 8]) -> io::Result<EchoSocket> {
        let network = self.networks.get(&PATH_NETWORK).ok_or(io::ErrorKind::NotFound)?;
        let link = self.path_device().ok_or(io::ErrorKind::NotFound)?;
        network.space.namespace.enter(|| EchoSocket::open(link, secret))
    }
}

impl EchoSocket {
    fn open(link: LinkIndex, secret: [u8; 8]) -> io::Result<EchoSocket> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let protocol = SockProtocol::IcmpV6;
        let socket = socket(AddressFamily::Inet6, SockType::Raw, flags, protocol)?;
        // What the kernel has learned of the path does not count: it is what is to be found out.
        setsockopt(&socket, options::MtuDiscovery, &libc::IPV6_PMTUDISC_PROBE)?;
        setsockopt(&socket, Ipv6DontFrag, &true)?;
        let mut refused = [u32::MAX; 8];
        refused[usize::from(ECHO_REPLY / 32)] &= !(1 << (ECHO_REPLY % 32));
        setsockopt(&socket, options::Refused, &refused)?;
        Ok(EchoSocket { socket, link, secret })
    }

    /// Sends a probe of a size with all its headers inside the network.
    ///
    /// # Errors
    /// The kernel's: EMSGSIZE if the device itself does not take so much.
    pub fn send(&self, to: Ipv6Addr, number: u32, bytes: u32) -> io::Result<()> {
        let mut packet = vec![0; (bytes as usize).saturating_sub(IPV6_HEADER).max(ECHO_BYTES)];
        packet[0] = ECHO_REQUEST;
        packet[4..6].copy_from_slice(&self.secret[..2]);
        packet[6..8].copy_from_slice(&number.to_be_bytes()[2..]);
        packet[8..16].copy_from_slice(&self.secret);
        packet[16..20].copy_from_slice(&number.to_be_bytes());
        let to = SockaddrIn6::from(SocketAddrV6::new(to, 0, 0, self.link));
        let parts = [IoSlice::new(&packet)];
        sendmsg(self.socket.as_raw_fd(), &parts, &[], MsgFlags::empty(), Some(&to))?;
        Ok(())
    }

    /// The next answer; `None`: the message was something else.
    ///
    /// # Errors
    /// `WouldBlock`: there is none.
    pub fn receive(&self) -> io::Result<Option<Echo>> {
        let mut packet = [0; ECHO_BYTES];
        let mut parts = [IoSliceMut::new(&mut packet)];
        // With this flag the kernel says how long the message is, and copies only its beginning.
        let flags = MsgFlags::MSG_TRUNC;
        let received = recvmsg::<SockaddrIn6>(self.socket.as_raw_fd(), &mut parts, None, flags)?;
        let (len, from) = (received.bytes, received.address.map(|from| from.ip()));
        let is_ours = len >= ECHO_BYTES && packet[0] == ECHO_REPLY && packet[8..16] == self.secret;
        let Some(from) = from.filter(|_| is_ours) else { return Ok(None) };
        let number = u32::from_be_bytes([packet[16], packet[17], packet[18], packet[19]]);
        let bytes = u32::try_from(len + IPV6_HEADER).unwrap_or(u32::MAX);
        Ok(Some(Echo { from, number, bytes }))
    }
}

impl AsRawFd for EchoSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
