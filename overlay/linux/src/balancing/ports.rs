//! Published ports in the namespace of the host, and the way out of the overlay networks. Who may
//! send packets of VXLAN is in `members`.
//!
//! The rules in the language of `nft`:
//!
//! ```text
//! chain prerouting  { type nat hook prerouting priority dstnat;
//!                     fib daddr type local meta l4proto . th dport vmap @ports4 }
//! chain output      { the same: the node itself, also by 127.0.0.1 }
//! chain pick4-3     { dnat ip to meta l4proto . th dport . numgen random mod 3 map @targets4; … }
//! chain raw         { iifname "ec*" ip daddr 127.0.0.0/8 drop; iifname "ec*" ip6 daddr ::1 drop }
//! chain forward     { oifname "ec*" ct state new ct status & dnat == 0 reject with admin-prohibited }
//! chain postrouting { ct status dnat ip saddr 127.0.0.0/8 snat ip to ip daddr map @nodes4
//!                     ct status dnat iifname "ec*" snat ip to ip daddr map @nodes4
//!                     ct status dnat snat ip to ip daddr map @remotes4
//!                     iifname "ec*" oifname != "ec*" masquerade }
//! ```
//!
//! `nodes4` leads from each task behind a port to this node's address on its network, `remotes4`
//! does so for the tasks of other nodes only: they answer by their own node, so the source must be
//! an address that leads back here. A local task sees the client's own address.
//!
//! A link that takes answers to loopback clients (see `loopback`) takes other packets to 127.0.0.1
//! from the other side too, which would open the host's local services to tasks: chain `raw` drops
//! them before connections are looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use overlay::plan::{OverlayPlan, Port, Protocol};

use elements::{
    FamilyPort, MAPS, NODES, PORTS, REMOTES, SLOT_REGISTER, TARGETS, by_family, name,
    named_protocol, node_elements, node_place, port_elements, reached, wanted,
};

use super::BalancingError;
use super::chains::{Family, IPV4, IPV6, pick_chains, refuse_chain};
use super::expression::{
    Connection, Meta, Rule, STATE_NEW, STATUS_DESTINATION_TRANSLATED, Translate,
};
use super::follower::{FlowFollower, Watched};
use super::layout::{
    Chain, FORWARD, Layout, OUTPUT_TRANSLATE, POSTROUTING_TRANSLATE, PREROUTING_RAW,
    PREROUTING_TRANSLATE,
};
use super::members::{self, VXLAN_CHAIN};
use super::message::family;
use super::reservations::{Reservations, TakenPort};
use super::spread::{Changed, Spread};
use super::table::{Intact, Table};

mod elements;

/// How the names of our links in the host's namespace begin.
pub(super) const LINKS: &[u8] = b"ec";

fn layout(tag: &str) -> Layout {
    let mut chains = vec![refuse_chain()];
    chains.extend(members::chains());
    let (mut destinations, mut sources) = (Vec::new(), Vec::new());
    for family in [IPV4, IPV6] {
        let load = |rule: Rule| rule.meta(Meta::Protocol, 0).destination_port(1);
        let port = family.registers();
        chains.extend(pick_chains(family, SLOT_REGISTER, load, |rule| {
            rule.map(name(family, TARGETS), 0).translate_port(family.number, 0, port)
        }));
        let local = family.rule().destination_is_local();
        destinations.push(load(local).verdict_map(name(family, PORTS)));
        sources.extend(source_rules(family));
    }
    let to_links = Rule::default().meta(Meta::OutputName, 0).is(0, LINKS);
    let unpublished = to_links
        .connection(Connection::State, STATE_NEW)
        .connection_without(Connection::Status, STATUS_DESTINATION_TRANSLATED)
        .prohibit();
    let from_links = || Rule::default().meta(Meta::InputName, 0).is(0, LINKS);
    let to_loopback = [IPV4, IPV6].map(|family| {
        let rule = family.load_destination(from_links().family(family.number), 0);
        rule.is(0, loopback(family)).drop_packet()
    });
    sources.push(from_links().meta(Meta::OutputName, 0).differs(0, LINKS).masquerade());
    chains.push(Chain::at(PREROUTING_RAW, "raw", to_loopback.to_vec()));
    chains.push(Chain::at(PREROUTING_TRANSLATE, "prerouting", destinations.clone()));
    chains.push(Chain::at(OUTPUT_TRANSLATE, "output", destinations));
    chains.push(Chain::at(FORWARD, "forward", vec![unpublished]));
    chains.push(Chain::at(POSTROUTING_TRANSLATE, "postrouting", sources));
    let (family, table) = (family::INET, format!("edgectl-{tag}"));
    Layout { family, table, maps: &MAPS, chains: chains.into() }
}

/// How the loopback addresses of a family begin.
fn loopback(family: Family) -> &'static [u8] {
    if family == IPV4 { &[127] } else { &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] }
}

fn source_rules(family: Family) -> [Rule; 3] {
    let translated = || family.rule().connection(Connection::Status, STATUS_DESTINATION_TRANSLATED);
    let to_node = |rule, number| {
        family.load_destination(rule, 0).map(name(family, number), 0).translate(
            Translate::Source,
            family.number,
            0,
        )
    };
    let from_loopback = family.load_source(translated(), 0).is(0, loopback(family));
    let from_tasks = translated().meta(Meta::InputName, 0).is(0, LINKS);
    [to_node(from_loopback, NODES), to_node(from_tasks, NODES), to_node(translated(), REMOTES)]
}

/// The published ports of one node.
pub struct PortBalancer {
    spread: Spread<FamilyPort>,
    namespace: OwnedFd,
    watched: Watched<FamilyPort>,
    foreign_vnis: BTreeSet<u32>,
    reservations: Reservations,
    /// How many destinations lead to each task.
    led: BTreeMap<IpAddr, usize>,
}

impl PortBalancer {
    /// Opens the host's namespace. The table is named `edgectl-` and `tag`, so that two agents in
    /// one namespace do not meet. Nothing changes before the first [`apply`](Self::apply).
    pub fn open(namespace: BorrowedFd<'_>, tag: &str) -> Result<Self, BalancingError> {
        let spread = Spread::open(namespace, layout(tag), port_elements)?;
        let reservations = Reservations::open(namespace).map_err(BalancingError::Open)?;
        let namespace = namespace.try_clone_to_owned().map_err(BalancingError::Open)?;
        let (watched, foreign_vnis) = (Watched::new(), BTreeSet::new());
        let led = BTreeMap::new();
        Ok(Self { spread, namespace, watched, foreign_vnis, reservations, led })
    }

    /// From the next [`apply`](Self::apply) on, packets of VXLAN with these numbers are left alone,
    /// whatever the plan says: devices of somebody else on this machine have them.
    pub fn leave_alone(&mut self, vnis: BTreeSet<u32>) {
        self.foreign_vnis = vnis;
    }

    /// How many packets of VXLAN were dropped since the table was written, because they came from
    /// the address of no member that takes part in their network.
    pub fn dropped_vxlan(&mut self) -> Result<u64, BalancingError> {
        self.spread.table().counted(VXLAN_CHAIN)
    }

    /// Opens what makes flows follow the changes that this makes.
    pub fn follower(&self) -> Result<FlowFollower, BalancingError> {
        self.watched.follower(self.namespace.as_fd(), |led, flow| {
            let Some(protocol) = named_protocol(flow.protocol) else { return false };
            let port = Port { protocol, number: flow.to.port };
            let key = FamilyPort { port, is_ipv4: flow.to.address.is_ipv4() };
            let Some(led) = led.get(&key) else { return false };
            if !flow.is_translated() {
                return led.is_new;
            }
            let task = (flow.answers_from.address, flow.answers_from.port);
            flow.to.address != flow.answers_from.address && !led.targets.contains(&task)
        })
    }

    /// Makes the kernel hold the published ports of `plan`. A port that a program of this machine
    /// has is left to it.
    pub fn apply(&mut self, plan: &OverlayPlan) -> Result<Changed, BalancingError> {
        self.reservations.retain(|port| plan.ports.contains_key(port));
        self.reservations.reserve(plan.ports.keys().copied());
        let wanted = wanted(plan, &self.foreign_vnis, &self.reservations);
        let known = self.spread.destinations();
        let is_new = |port: &FamilyPort| known.is_none_or(|known| !known.contains_key(port));
        let is_udp = |port: &FamilyPort| port.port.protocol == Protocol::Udp;
        let new = wanted.destinations.keys().copied();
        let new: Vec<FamilyPort> = new.filter(|port| is_udp(port) && is_new(port)).collect();
        self.led.clear();
        for (address, _) in wanted.destinations.values().flatten() {
            *self.led.entry(*address).or_default() += 1;
        }
        let applied = self.spread.apply(wanted)?;
        // A client that sent to a port of UDP before it was published has a flow that leads past it.
        self.watched.note(&applied, &new, self.spread.destinations());
        Ok(applied.changed)
    }

    /// As [`apply`](Self::apply), where nothing changed but where these ports lead.
    pub fn apply_some(
        &mut self,
        plan: &OverlayPlan,
        ports: &BTreeSet<Port>,
    ) -> Result<Changed, BalancingError> {
        let Some(known) = self.spread.destinations() else { return self.apply(plan) };
        let (mut wanted, mut others) = (BTreeMap::new(), BTreeMap::new());
        let mut left: Vec<IpAddr> = Vec::new();
        let is_left =
            |port: &&Port| self.reservations.is_taken(port) && plan.ports.contains_key(port);
        for port in ports.iter().filter(|port| !is_left(port)) {
            let Some((network, targets)) = reached(plan, *port) else { return self.apply(plan) };
            for (key, targets) in by_family(*port, &targets) {
                let Some(before) = known.get(&key) else { return self.apply(plan) };
                left.extend(before.targets.iter().map(|(address, _)| *address));
                let elements = targets.iter().flat_map(|(at, _)| node_elements(network, *at));
                others.extend(elements.map(|(place, value)| (place, Some(value))));
                wanted.insert(key, Some(targets));
            }
        }
        for address in &left {
            self.led.entry(*address).and_modify(|led| *led = led.saturating_sub(1));
        }
        for (address, _) in wanted.values().flatten().flatten() {
            *self.led.entry(*address).or_default() += 1;
        }
        for address in &left {
            if self.led.get(address) == Some(&0) {
                self.led.remove(address);
            }
        }
        let gone = left.into_iter().filter(|address| !self.led.contains_key(address));
        let gone = gone.flat_map(|address| [NODES, REMOTES].map(|at| node_place(at, address)));
        others.extend(gone.map(|place| (place, None)));
        match self.spread.apply_some(wanted, others)? {
            Some(applied) => {
                self.watched.note(&applied, &[], self.spread.destinations());
                Ok(applied.changed)
            }
            None => self.apply(plan),
        }
    }

    /// The ports of the plan that were left to programs of this machine.
    pub fn taken(&self) -> impl Iterator<Item = &TakenPort> {
        self.reservations.taken()
    }

    /// Looks whether these programs are gone; to be called each second. If this returns true, other
    /// ports can be published, and the plan has to be applied.
    pub fn look_for_free_ports(&mut self) -> bool {
        self.reservations.try_again()
    }

    /// Whether the kernel still holds what was written; to be called each second. Cheap as long as
    /// nobody changes rules in the namespace.
    pub fn is_intact(&mut self) -> Result<Intact, BalancingError> {
        self.spread.is_intact()
    }

    /// Compares all elements with what was written.
    pub fn compare(&mut self) -> Result<Intact, BalancingError> {
        self.spread.compare()
    }

    /// Removes the table.
    pub fn remove(&mut self) -> Result<(), BalancingError> {
        self.spread.remove()
    }

    /// Removes the table of an agent that is not there any more.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_table(namespace: BorrowedFd<'_>, tag: &str) -> Result<(), BalancingError> {
        Table::open(namespace, layout(tag))?.remove()
    }
}
