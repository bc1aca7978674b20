//! A packet that makes the client of a lost task say something.
//!
//! A client that only reads never learns that its task is gone: nobody sends, so nobody refuses. An
//! acknowledgement with a number that cannot be right makes its kernel send one in return (RFC 9293,
//! 3.10.7.4), and that one is refused with a reset whose numbers are right. The packet pretends to
//! come from where the client sent to. The kernel of the namespace must not take it for a packet of
//! the flow, nor for a new flow: rule [`untracked`] exempts it by its priority, which unlike a mark
//! never changes a route.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, setsockopt,
    socket, sockopt,
};

use super::BalancingError;
use super::expression::{Meta, Rule};
use super::flows::{Among, Flow, Flows, TCP};
use super::layout::{Chain, OUTPUT_RAW};
use super::socket::inside;

/// Two numbers that are half the space apart: no window holds both.
const NUMBERS: [u32; 2] = [0x2000_0000, 0xa000_0000];
/// What no other program gives its packets.
const PRIORITY: i32 = 0xec01;
const HOPS: u8 = 64;
const SEGMENT_BYTES: u8 = 20;

/// Sends probes from a namespace.
pub(super) struct Prober {
    ipv4: OwnedFd,
    ipv6: OwnedFd,
}

impl Prober {
    /// Opens a namespace.
    pub(super) fn open(namespace: BorrowedFd<'_>) -> io::Result<Self> {
        let raw = |family| {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let socket = socket(family, SockType::Raw, flags, SockProtocol::Raw)?;
            setsockopt(&socket, sockopt::Priority, &PRIORITY)?;
            nix::Result::Ok(socket)
        };
        inside(namespace, || {
            Ok(Self { ipv4: raw(AddressFamily::Inet)?, ipv6: raw(AddressFamily::Inet6)? })
        })
    }

    /// Tells the clients chosen by `is_near` that the task at `address` is gone: UDP flows to it are
    /// deleted, clients of TCP are made to send a packet to it. Returns the number of flows.
    pub(super) fn tell_clients(
        &self,
        flows: &mut Flows,
        address: IpAddr,
        is_near: impl Fn(IpAddr) -> bool,
    ) -> Result<usize, BalancingError> {
        let mut connections = Vec::new();
        let deleted = flows.delete(Among::All, |flow| {
            let is_lost = flow.answers_from.address == address;
            if is_lost && flow.protocol == TCP && is_near(flow.from.address) {
                connections.push(*flow);
            }
            is_lost && flow.protocol != TCP
        })?;
        for flow in &connections {
            // A client that cannot be reached cannot be told.
            _ = self.probe(flow);
        }
        Ok(deleted + connections.len())
    }

    fn probe(&self, flow: &Flow) -> io::Result<()> {
        let task = SocketAddr::from(flow.to);
        let client = SocketAddr::from(flow.from);
        // A raw socket has no port.
        let to = SockaddrStorage::from(SocketAddr::new(flow.from.address, 0));
        let socket = if client.is_ipv4() { &self.ipv4 } else { &self.ipv6 };
        for number in NUMBERS {
            let packet = packet(task, client, number);
            sendto(socket.as_raw_fd(), &packet, &to, MsgFlags::empty())?;
        }
        Ok(())
    }
}

/// The chain that keeps probes out of the list of flows.
pub(super) fn untracked() -> Chain {
    let probes = Rule::default().meta(Meta::Priority, 0).is(0, &PRIORITY.to_ne_bytes());
    Chain::at(OUTPUT_RAW, "probes", vec![probes.untracked()])
}

/// An IP packet with a TCP acknowledgement that carries nothing.
fn packet(from: SocketAddr, to: SocketAddr, number: u32) -> Vec<u8> {
    let mut segment = Vec::with_capacity(usize::from(SEGMENT_BYTES));
    segment.extend_from_slice(&from.port().to_be_bytes());
    segment.extend_from_slice(&to.port().to_be_bytes());
    segment.extend_from_slice(&number.to_be_bytes());
    segment.extend_from_slice(&number.to_be_bytes());
    // Length in words, flag ACK, no window, checksum later, nothing urgent.
    segment.extend_from_slice(&[(SEGMENT_BYTES / 4) << 4, 0x10, 0, 0, 0, 0, 0, 0]);
    let addresses = [octets(from.ip()), octets(to.ip())].concat();
    let pseudo = [&addresses[..], &[0, TCP, 0, SEGMENT_BYTES], &segment].concat();
    segment[16..18].copy_from_slice(&checksum(&pseudo).to_be_bytes());
    // The kernel fills in IPv4's length, identification and checksum.
    let header = match from.ip() {
        IpAddr::V4(_) => vec![0x45, 0, 0, 0, 0, 0, 0, 0, HOPS, TCP, 0, 0],
        IpAddr::V6(_) => vec![0x60, 0, 0, 0, 0, SEGMENT_BYTES, TCP, HOPS],
    };
    [header, addresses, segment].concat()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The checksum of the Internet over an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).expect("folded twice")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_segment_with_its_checksum_is_zero() {
        let (from, to) = ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:4000".parse().unwrap());
        let packet = packet(from, to, NUMBERS[0]);
        let pseudo = [&packet[12..20], &[0, TCP, 0, SEGMENT_BYTES], &packet[20..]].concat();
        assert_eq!(checksum(&pseudo), 0);
    }
}
