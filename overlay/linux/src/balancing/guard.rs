//! Keeps the packets of encrypted networks inside the tunnel, in the namespace of the host.
//!
//! The rules in the language of `nft`, for each number of a network:
//!
//! ```text
//! chain arriving { type filter hook prerouting priority raw
//!                  iifname != "ect1a2b3c4d" udp dport 7948 drop
//!                  iifname != "ect1a2b3c4d" udp dport 4789 @th,96,24 0x001388 drop }
//! chain leaving  { type filter hook output priority raw
//!                  oifname != "ect1a2b3c4d" udp dport 4789 @th,96,24 0x001388 drop }
//! ```
//!
//! A VXLAN device takes packets from any link of the host, and `members` looks at their source
//! only, which anybody can write: without the first chain, anybody who reaches this machine could
//! send to the tasks of an encrypted network. The second holds also while somebody changes the
//! host's routes. Networks that are not encrypted have a port of their own for what comes through the
//! tunnel: nothing else may arrive there.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;

use super::BalancingError;
use super::element::Elements;
use super::expression::{Meta, Rule};
use super::flows::UDP;
use super::layout::{Chain, Layout, OUTPUT_RAW, PREROUTING_RAW};
use super::message::family;
use super::table::{Intact, Table};
use overlay::plan::VXLAN_PORT;
use overlay::tunnel::DETOUR_PORT;

/// The rules of one node.
pub struct TunnelGuard {
    table: Table,
}

impl TunnelGuard {
    /// Writes the rules. The table is named `edgectl-`, `tag` and `-tunnel`; `link` is the tunnel's
    /// device, whether or not it is there.
    ///
    /// # Errors
    /// The kernel's; nothing was changed then.
    pub fn write(
        namespace: BorrowedFd<'_>,
        tag: &str,
        link: &str,
        vnis: &BTreeSet<u32>,
    ) -> Result<TunnelGuard, BalancingError> {
        let mut table = Table::open(namespace, layout(tag, link, vnis))?;
        table.replace(Elements::new())?;
        Ok(TunnelGuard { table })
    }

    /// Whether the kernel still holds the rules. Cheap as long as nobody changes any.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_intact(&mut self) -> Result<Intact, BalancingError> {
        if self.table.is_untouched()? {
            return Ok(Intact::Yes);
        }
        self.table.compare(Elements::new())
    }

    /// Removes the rules, also those of an earlier agent.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(namespace: BorrowedFd<'_>, tag: &str) -> Result<(), BalancingError> {
        Table::open(namespace, layout(tag, "", &BTreeSet::new()))?.remove()
    }
}

fn layout(tag: &str, link: &str, vnis: &BTreeSet<u32>) -> Layout {
    let rules = |name: Meta| {
        let of = || elsewhere(name, link, VXLAN_PORT).vni(0);
        let rule = |vni: &u32| of().is(0, &vni.to_be_bytes()[1..]).drop_packet();
        vnis.iter().map(rule).collect()
    };
    let mut arriving = vec![elsewhere(Meta::InputName, link, DETOUR_PORT).drop_packet()];
    arriving.extend(rules(Meta::InputName));
    Layout {
        family: family::INET,
        table: format!("edgectl-{tag}-tunnel"),
        maps: &[],
        chains: vec![
            Chain::at(PREROUTING_RAW, "arriving", arriving),
            Chain::at(OUTPUT_RAW, "leaving", rules(Meta::OutputName)),
        ]
        .into(),
    }
}

/// Goes on with a packet to a port of UDP that passes another link.
fn elsewhere(name: Meta, link: &str, port: u16) -> Rule {
    let mut device = link.as_bytes().to_vec();
    // With the zero at its end: no longer name is meant.
    device.push(0);
    Rule::default()
        .meta(name, 0)
        .differs(0, &device)
        .meta(Meta::Protocol, 0)
        .is(0, &[UDP])
        .destination_port(0)
        .is(0, &port.to_be_bytes())
}
