//! Which sources packets of a network may have: those that an answer reaches by the same link.
//!
//! A task could pretend to be another one, and so pass for a client that a server trusts, or turn
//! answers against it. The rules in the language of `nft`:
//!
//! ```text
//! chain sources   { type filter hook prerouting priority raw;
//!                   fib saddr . iif oif missing goto strangers }
//! chain strangers { iifname "vxlan*" fib saddr oifname "vxlan*" accept
//!                   iifname "vxlan*" icmp type 3 fib saddr type local accept; … 11; … 12
//!                   iifname "vxlan*" icmpv6 type & 0x80 == 0 fib saddr type local accept
//!                   ip6 saddr :: drop; counter drop }
//! ```
//!
//! Routes say who is behind which link: the task behind its pair, each peer's blocks behind VXLAN,
//! everything else, if there is a way out, behind the host. So a task that comes or goes changes
//! nothing here. A node that is reached through the tunnel now may still send as before, or the other
//! way round: both of its VXLAN devices are one link here. The gateway has one address on all nodes: what another node's gateway has to say
//! about a packet comes from an address that is ours too. A task without an address yet asks whether
//! anybody has it, from `::`: nobody answers here, and it pretends nothing.

use super::chains::{IPV4, IPV6};
use super::expression::{Meta, Rule};
use super::layout::{Chain, PREROUTING_RAW};
use crate::names::VXLAN_LINKS;

/// The chain of packets whose source is not behind the link by which they came.
pub(super) const STRANGERS_CHAIN: &str = "strangers";

const ICMP: u8 = 1;
const ICMP_6: u8 = 58;
/// Unreachable (also "too large"), time exceeded, bad header.
const ICMP_ERRORS: [u8; 3] = [3, 11, 12];
/// All errors of ICMPv6 are below this.
const ICMP_6_INFORMATION: u8 = 0x80;

/// The chains that drop packets with a source that is not the sender's.
pub(super) fn chains() -> [Chain; 2] {
    let from_nodes = || Rule::default().meta(Meta::InputName, 0).is(0, VXLAN_LINKS.as_bytes());
    let kind = |family: u8, protocol: u8| {
        let icmp = from_nodes().family(family).meta(Meta::Protocol, 0).is(0, &[protocol]);
        icmp.transport_byte(0, 0)
    };
    let errors = ICMP_ERRORS.map(|error| kind(IPV4.number, ICMP).is(0, &[error]));
    let errors_6 = kind(IPV6.number, ICMP_6).mask(0, &[ICMP_6_INFORMATION]).is(0, &[0]);
    let told = errors.into_iter().chain([errors_6]);
    let on_other_way = from_nodes().source_device().is(0, VXLAN_LINKS.as_bytes()).accept();
    let mut strangers = vec![on_other_way];
    strangers.extend(told.map(|rule| rule.source_is_local().accept()));
    let without_address = IPV6.load_source(IPV6.rule(), 0).is(0, &[0; 16]);
    strangers.extend([without_address.drop_packet(), Rule::default().counted().drop_packet()]);
    let is_stranger = Rule::default().source_is_not_behind_input();
    [
        Chain::inner(STRANGERS_CHAIN, strangers),
        Chain::at(PREROUTING_RAW, "sources", vec![is_stranger.goto(STRANGERS_CHAIN)]),
    ]
}
