//! Copies of multicast: what a task sends to a group reaches every task of its network, wherever it
//! runs, as on one link.
//!
//! Networks are routed, and routers pass no multicast on. So a datagram of UDP to a group, or to
//! everybody, is copied as it comes in by a device, before IP sees it: from a task to the other tasks
//! of this node and to the VXLAN device, which sends it to every peer; from a peer to the tasks of this
//! node only. Neither its hop limit nor its addresses change. The rules in the language of `nft`:
//!
//! ```text
//! table netdev edgectl
//! chain arriving { type filter hook ingress devices = { vxlan0, t1a…, t2b… } priority filter
//!                  meta pkttype != host udp fib saddr . iif oif exists goto copies
//!                  meta pkttype != host udp iifname "vxlan*" fib saddr oifname "vxlan*" goto copies }
//! chain copies   { iif != t1a… dup to t1a…; iif != t2b… dup to t2b…
//!                  iifname "vxlan*" accept; dup to vxlan0 }
//! ```
//!
//! Sources are judged as in `sources`. Nothing else is copied: neither the questions of IPv6 who has
//! an address, which nobody but the gateway may answer, nor who is in which group. Everybody gets
//! everything, and kernels of tasks drop what nobody joined.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::BalancingError;
use super::element::Elements;
use super::expression::{Meta, Rule};
use super::flows::UDP;
use super::layout::{Chain, DEVICE_INPUT, Layout};
use super::message::family;
use super::table::{Intact, Table};
use crate::item::LinkIndex;
use crate::names::VXLAN_LINKS;

const TABLE: &str = "edgectl";
const COPIES: &str = "copies";
/// A packet that is for this machine alone.
const FOR_HOST: u8 = 0;

/// Indices of links by name: those that lead to tasks, and VXLAN devices.
pub type Devices = BTreeMap<String, LinkIndex>;

/// The rules that copy the multicast of one network.
pub struct Multicast {
    namespace: OwnedFd,
    /// What was written, and for which devices.
    written: Option<(Table, Devices)>,
}

impl Multicast {
    /// Opens the network's namespace; nothing changes before the first [`apply`](Self::apply).
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(namespace: BorrowedFd<'_>) -> Result<Multicast, BalancingError> {
        let namespace = namespace.try_clone_to_owned().map_err(BalancingError::Open)?;
        Ok(Multicast { namespace, written: None })
    }

    /// Copies between these devices from now on, and no others.
    ///
    /// # Errors
    /// The kernel's; nothing was changed then, and the next call tries again.
    pub fn apply(&mut self, devices: &Devices) -> Result<(), BalancingError> {
        if self.written.as_ref().is_some_and(|(_, written)| written == devices) {
            return Ok(());
        }
        self.written = None;
        let mut table = Table::open(self.namespace.as_fd(), layout(devices))?;
        table.write(Elements::new())?;
        self.written = Some((table, devices.clone()));
        Ok(())
    }

    /// Whether the kernel still holds the rules. Cheap as long as nobody changes any.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_intact(&mut self) -> Result<Intact, BalancingError> {
        let Some((table, _)) = &mut self.written else { return Ok(Intact::No) };
        let intact = match table.is_untouched()? {
            true => Intact::Yes,
            false => table.compare(Elements::new())?,
        };
        if intact == Intact::No {
            self.written = None;
        }
        Ok(intact)
    }
}

fn layout(devices: &Devices) -> Layout {
    let is_vxlan = |name: &&String| name.starts_with(VXLAN_LINKS);
    let from_nodes = |rule: Rule| rule.meta(Meta::InputName, 0).is(0, VXLAN_LINKS.as_bytes());
    let for_many = || {
        let not_for_host = Rule::default().meta(Meta::Kind, 0).differs(0, &[FOR_HOST]);
        not_for_host.meta(Meta::Protocol, 0).is(0, &[UDP])
    };
    let behind_input = for_many().source_is_behind_input().goto(COPIES);
    let on_other_way = from_nodes(for_many()).source_device().is(0, VXLAN_LINKS.as_bytes());
    let tasks = devices.iter().filter(|(name, _)| !is_vxlan(name));
    let mut copies: Vec<Rule> = tasks
        .map(|(_, task)| {
            let from_others = Rule::default().meta(Meta::Input, 0).differs(0, &task.to_ne_bytes());
            from_others.copy_to(*task)
        })
        .collect();
    // Every node sends to all others itself.
    copies.push(from_nodes(Rule::default()).accept());
    let nodes = devices.iter().filter(|(name, _)| is_vxlan(name));
    copies.extend(nodes.map(|(_, device)| Rule::default().copy_to(*device)));
    let mut arriving =
        Chain::at(DEVICE_INPUT, "arriving", vec![behind_input, on_other_way.goto(COPIES)]);
    arriving.devices = devices.keys().cloned().collect();
    let chains = vec![Chain::inner(COPIES, copies), arriving].into();
    Layout { family: family::DEVICE, table: TABLE.into(), maps: &[], chains }
}
