//! Virtual addresses in the namespace of one overlay network. What else its table does is in
//! `sources` and `segments`.
//!
//! Every packet of a task passes here, so here the first packet of a connection to a virtual address
//! gets its task, whatever its protocol and port. The rules in the language of `nft`:
//!
//! ```text
//! chain prerouting  { type nat hook prerouting priority dstnat; ip daddr vmap @services4 }
//! chain pick4-3     { dnat ip to ip daddr . numgen random mod 3 map @tasks4; goto last4 }
//! chain last4       { dnat ip to ip daddr . numgen random mod 1 map @tasks4; goto refuse }
//! chain refuse      { meta l4proto tcp reject with tcp reset; reject }
//! chain postrouting { type nat hook postrouting priority srcnat;
//!                     snat ip to ip saddr . ip daddr map @own4 }
//! ```
//!
//! A task that reaches itself by a virtual address would drop the packet, which comes from its own
//! address: `own4` holds the pairs of a local task with itself, and the gateway as the source to use.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::LazyLock;

use overlay::blocks::is_divided;
use overlay::plan::LocalNetwork;

use super::BalancingError;
use super::chains::{Family, IPV4, IPV6, pick_chain, pick_chains, refuse_chain};
use super::element::{Elements, Fields, Place, Value};
use super::expression::Translate;
use super::field::Field;
use super::follower::{FlowFollower, Watched};
use super::layout::{Chain, Holds, Layout, Map, POSTROUTING_TRANSLATE, PREROUTING_TRANSLATE};
use super::message::family;
use super::segments;
use super::socket::inside;
use super::sources::{self, STRANGERS_CHAIN};
use super::spread::{Changed, Spread, Target, Wanted};
use super::table::Intact;

use Field::{Address4, Address6, Slot};

const TABLE: &str = "edgectl";

const SERVICES: usize = 0;
const TASKS: usize = 1;
const OWN: usize = 2;
const MAPS_PER_FAMILY: usize = 3;

static MAPS: [Map; 2 * MAPS_PER_FAMILY] = [
    Map { name: "services4", key: &[Address4], holds: Holds::Chain },
    Map { name: "tasks4", key: &[Address4, Slot], holds: Holds::Fields(&[Address4]) },
    Map { name: "own4", key: &[Address4, Address4], holds: Holds::Fields(&[Address4]) },
    Map { name: "services6", key: &[Address6], holds: Holds::Chain },
    Map { name: "tasks6", key: &[Address6, Slot], holds: Holds::Fields(&[Address6]) },
    Map { name: "own6", key: &[Address6, Address6], holds: Holds::Fields(&[Address6]) },
];

fn map(family: Family, map: usize) -> usize {
    if family == IPV4 { map } else { MAPS_PER_FAMILY + map }
}

fn name(family: Family, number: usize) -> &'static str {
    MAPS[map(family, number)].name
}

/// The chains of every network's table, once in memory.
static CHAINS: LazyLock<Vec<Chain>> = LazyLock::new(chains);

fn chains() -> Vec<Chain> {
    let mut chains = vec![refuse_chain(), segments::chain()];
    chains.extend(sources::chains());
    let (mut prerouting, mut postrouting) = (Vec::new(), Vec::new());
    for family in [IPV4, IPV6] {
        let address = family.registers();
        let load = |rule| family.load_destination(rule, 0);
        chains.extend(pick_chains(family, address, load, |rule| {
            rule.map(name(family, TASKS), 0).translate(Translate::Destination, family.number, 0)
        }));
        prerouting.push(load(family.rule()).verdict_map(name(family, SERVICES)));
        let pair = family.load_destination(family.load_source(family.rule(), 0), address);
        let own = pair.map(name(family, OWN), 0);
        postrouting.push(own.translate(Translate::Source, family.number, 0));
    }
    chains.push(Chain::at(PREROUTING_TRANSLATE, "prerouting", prerouting));
    chains.push(Chain::at(POSTROUTING_TRANSLATE, "postrouting", postrouting));
    chains
}

fn layout() -> Layout {
    let chains = Cow::Borrowed(CHAINS.as_slice());
    Layout { family: family::INET, table: TABLE.into(), maps: &MAPS, chains }
}

fn service_elements(address: &IpAddr, slots: &[Target]) -> Elements {
    let family = Family::of(*address);
    let service = Place { map: map(family, SERVICES), key: Fields::default().address(*address) };
    let mut elements = Elements::new();
    elements.insert(service, Value::Chain(pick_chain(family, slots.len())));
    for (slot, (task, _)) in (0..).zip(slots) {
        let key = Fields::default().address(*address).slot(slot);
        let place = Place { map: map(family, TASKS), key };
        elements.insert(place, Value::Fields(Fields::default().address(*task)));
    }
    elements
}

fn targets(address: IpAddr, tasks: &[IpAddr]) -> Vec<Target> {
    let same_family = tasks.iter().filter(|task| task.is_ipv4() == address.is_ipv4());
    let mut targets: Vec<Target> = same_family.map(|task| (*task, 0)).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// Where it stands which source a local task has that reaches itself by a virtual address.
fn own_place(task: IpAddr) -> Place {
    let key = Fields::default().address(task).address(task);
    Place { map: map(Family::of(task), OWN), key }
}

fn own_source(network: &LocalNetwork, task: IpAddr) -> Option<Value> {
    let gateways = network.gateways.iter();
    let mut gateways = gateways.filter(|gateway| Family::of(**gateway) == Family::of(task));
    gateways.next().map(|gateway| Value::Fields(Fields::default().address(*gateway)))
}

fn wanted(network: &LocalNetwork) -> Wanted<IpAddr> {
    let destinations = network.virtual_addresses.iter();
    let destinations = destinations.map(|(address, tasks)| (*address, targets(*address, tasks)));
    let tasks = network.tasks.values().flatten();
    let others = tasks.filter_map(|task| Some((own_place(*task), own_source(network, *task)?)));
    Wanted { destinations: destinations.collect(), others: others.collect() }
}

/// Settings of the network's own namespace. They exist once the kernel tracks connections.
fn set_up(namespace: BorrowedFd<'_>) -> Result<(), BalancingError> {
    for (setting, value) in [
        // A packet outside the window would pass untranslated, and the client would reset the
        // connection: the ends judge, not the way.
        ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
        // Clients of UDP are refused each time: no kind of ICMP is limited, neither to one packet
        // per second and client nor to 50 for all at once. Kind 2 of IPv6 never is; a list of none
        // cannot be written.
        ("ipv4/icmp_ratemask", "0"),
        ("ipv6/icmp/ratemask", "2"),
    ] {
        let path = format!("/proc/sys/net/{setting}");
        inside(namespace, || match std::fs::write(&path, value) {
            // The kernel has no IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
        .map_err(|source| BalancingError::Setting { setting: format!("net/{setting}"), source })?;
    }
    Ok(())
}

/// The virtual addresses of one network on this node.
pub struct NetworkBalancer {
    spread: Spread<IpAddr>,
    namespace: OwnedFd,
    watched: Watched<IpAddr>,
}

impl NetworkBalancer {
    /// Opens the network's namespace; nothing changes before the first [`apply`](Self::apply).
    pub fn open(namespace: BorrowedFd<'_>) -> Result<Self, BalancingError> {
        Ok(Self {
            spread: Spread::open(namespace, layout(), service_elements)?,
            namespace: namespace.try_clone_to_owned().map_err(BalancingError::Open)?,
            watched: Watched::new(),
        })
    }

    /// Opens what makes flows follow the changes that this makes.
    pub fn follower(&self) -> Result<FlowFollower, BalancingError> {
        self.watched.follower(self.namespace.as_fd(), |led, flow| {
            let led = led.get(&flow.to.address);
            led.is_some_and(|led| !led.targets.contains(&(flow.answers_from.address, 0)))
        })
    }

    /// Makes the kernel hold the network's virtual addresses. The first time it replaces the whole
    /// table, while an equal one stands in: connections do not notice.
    pub fn apply(&mut self, network: &LocalNetwork) -> Result<Changed, BalancingError> {
        let wanted = wanted(network);
        let new = self.new_again(network, wanted.destinations.keys());
        let applied = self.spread.apply(wanted)?;
        if matches!(applied.changed, Changed::Everything(_)) {
            set_up(self.namespace.as_fd())?;
        }
        self.watched.note(&applied, &new, self.spread.destinations());
        Ok(applied.changed)
    }

    /// As [`apply`](Self::apply), where nothing changed but what these virtual addresses and local
    /// tasks lead to.
    pub fn apply_some(
        &mut self,
        network: &LocalNetwork,
        virtual_addresses: &BTreeSet<IpAddr>,
        tasks: &BTreeSet<IpAddr>,
    ) -> Result<Changed, BalancingError> {
        let wanted = virtual_addresses.iter().map(|address| {
            let tasks = network.virtual_addresses.get(address);
            (*address, tasks.map(|tasks| targets(*address, tasks)))
        });
        let wanted: BTreeMap<IpAddr, Option<Vec<Target>>> = wanted.collect();
        let local: BTreeSet<&IpAddr> = match tasks.is_empty() {
            true => BTreeSet::new(),
            false => network.tasks.values().flatten().collect(),
        };
        let others = tasks.iter().map(|task| {
            let source = local.contains(task).then(|| own_source(network, *task));
            (own_place(*task), source.flatten())
        });
        let is_there = wanted.iter().filter(|(_, targets)| targets.is_some());
        let new = self.new_again(network, is_there.map(|(address, _)| address));
        match self.spread.apply_some(wanted, others.collect())? {
            Some(applied) => {
                self.watched.note(&applied, &new, self.spread.destinations());
                Ok(applied.changed)
            }
            None => self.apply(network),
        }
    }

    /// Those of these virtual addresses that are not there yet and may have been a task's before:
    /// flows that were begun with it lead past them. What is sent to an address that nobody has had
    /// is refused before it becomes a flow.
    fn new_again<'a>(
        &self,
        network: &LocalNetwork,
        wanted: impl Iterator<Item = &'a IpAddr>,
    ) -> Vec<IpAddr> {
        let known = self.spread.destinations();
        let is_new = |ip: &IpAddr| known.is_none_or(|known| !known.contains_key(ip));
        let shared = network.subnets.iter().filter(|subnet| !is_divided(subnet));
        let shared: Vec<_> = shared.collect();
        let is_shared = |ip: &IpAddr| shared.iter().any(|subnet| subnet.contains(ip));
        wanted.filter(|ip| is_shared(ip) && is_new(ip)).copied().collect()
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

    /// How many packets were dropped since the table was written, because their source is not behind
    /// the link by which they came.
    pub fn dropped_by_source(&mut self) -> Result<u64, BalancingError> {
        self.spread.table().counted(STRANGERS_CHAIN)
    }

    /// Removes the table.
    pub fn remove(&mut self) -> Result<(), BalancingError> {
        self.spread.remove()
    }
}
