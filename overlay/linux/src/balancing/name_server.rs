//! Leads what a container asks 127.0.0.11 at port 53 to the port at which its name server listens.
//!
//! A socket at 127.0.0.11, port 53, would keep programs of the container from listening at port 53
//! of all addresses, as name servers do. The rules in the language of `nft`, in the namespace of a
//! task, for UDP and TCP:
//!
//! ```text
//! chain asked    { type filter hook prerouting priority mangle
//!                  ip daddr 127.0.0.11 udp dport 53 udp dport set 253 }
//! chain answered { type filter hook output priority raw
//!                  ip saddr 127.0.0.11 udp sport 253 udp sport set 53
//!                  ip saddr 127.0.0.11 icmp type 3 @th,240,16 253 @th,240,16 set 53 }
//! ```
//!
//! It must never make the kernel keep a list of a container's flows: that would cost each packet of
//! the container, and new flows are dropped when the list is full. A container that has such a list
//! of its own sees port 53 in both directions: queries change behind it, answers before it.

use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use super::BalancingError;
use super::chains::IPV4;
use super::element::Elements;
use super::expression::{Checksum, Meta, Rule};
use super::flows::{TCP, UDP};
use super::layout::{Chain, Layout, OUTPUT_RAW, PREROUTING_CHANGE};
use super::message::family;
use super::table::{Intact, Table};

/// The address of the name server in every container.
pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
/// Where it listens. No known service has this number, and the kernel gives out none below 1024.
pub const NAME_SERVER_PORT: u16 = 253;

const DNS_PORT: u16 = 53;
const ICMP: u8 = 1;
const SOURCE: u32 = 0;
const DESTINATION: u32 = 2;
/// Of a refused query: behind the headers of ICMP and of IP without options.
const REFUSED_DESTINATION: u32 = 8 + 20 + DESTINATION;

/// Writes the rules unless they are there.
pub(crate) fn lead_to_name_server(namespace: BorrowedFd<'_>) -> Result<(), BalancingError> {
    let mut table = Table::open(namespace, layout())?;
    match table.compare(Elements::new())? {
        Intact::Yes => Ok(()),
        Intact::No => table.replace(Elements::new()),
    }
}

fn layout() -> Layout {
    Layout {
        family: family::INET,
        table: "edgectl".to_owned(),
        maps: &[],
        chains: vec![
            Chain::at(PREROUTING_CHANGE, "asked", vec![from_or_to(Direction::Asked).goto("ask")]),
            Chain::at(OUTPUT_RAW, "answered", vec![from_or_to(Direction::Answered).goto("answer")]),
            Chain::inner(
                "ask",
                vec![
                    change(UDP, DESTINATION, [DNS_PORT, NAME_SERVER_PORT], Checksum::Udp),
                    change(TCP, DESTINATION, [DNS_PORT, NAME_SERVER_PORT], Checksum::Tcp),
                ],
            ),
            Chain::inner(
                "answer",
                vec![
                    change(UDP, SOURCE, [NAME_SERVER_PORT, DNS_PORT], Checksum::Udp),
                    change(TCP, SOURCE, [NAME_SERVER_PORT, DNS_PORT], Checksum::Tcp),
                    refused(),
                ],
            ),
        ]
        .into(),
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Asked,
    Answered,
}

/// Goes on with packets of the name server's address.
fn from_or_to(direction: Direction) -> Rule {
    let load = match direction {
        Direction::Asked => IPV4.load_destination(IPV4.rule(), 0),
        Direction::Answered => IPV4.load_source(IPV4.rule(), 0),
    };
    load.is(0, &NAME_SERVER.octets())
}

fn change(protocol: u8, offset: u32, [from, to]: [u16; 2], checksum: Checksum) -> Rule {
    let of = Rule::default().meta(Meta::Protocol, 0).is(0, &[protocol]);
    of.port_at(offset).is(0, &from.to_be_bytes()).write_port(offset, to, checksum)
}

/// Nobody listens: who asked is to learn it at once, not after its timeout.
fn refused() -> Rule {
    const UNREACHABLE: u8 = 3;
    let of = Rule::default().meta(Meta::Protocol, 0).is(0, &[ICMP]);
    of.transport_byte(0, 0)
        .is(0, &[UNREACHABLE])
        .port_at(REFUSED_DESTINATION)
        .is(0, &NAME_SERVER_PORT.to_be_bytes())
        .write_port(REFUSED_DESTINATION, DNS_PORT, Checksum::Icmp)
}
