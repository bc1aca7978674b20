//! Whatever happens: who looks only at what is outdated gives the same addresses as who looks at
//! everything, each time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crdt_state::network::{AddressRange, Attachment, Balancing, Block, NetworkSpec, NodeNetworks};
use crdt_state::replica::Replica;
use crdt_state::spec::{
    Endpoint, Facet, Life, PublishedPort, Runtime, StoredTemplate, Template, TemplateVersion,
};
use crdt_state::stamp::Writer;
use crdt_state::task::Slot;
use crdt_state::{HashSigner, HashVerifier, NodeId, Signer, Stamp, StoreId, TaskId};
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{Lease, LiveTask, NetworkFacts};
use super::*;
use crate::event::Event;

/// Two small networks and one with blocks, each with a subnet that it moves to.
const SUBNETS: [[&str; 2]; 3] = [
    ["10.0.0.0/29", "10.0.1.0/29"],
    ["10.1.0.0/28", "10.1.1.0/30"],
    ["10.128.0.0/12", "10.144.0.0/20"],
];

#[derive(Debug, Clone)]
enum Fact {
    Service { number: u8, on: u8, ports: u8, address: u8 },
    ServiceRemoved { number: u8 },
    Live { service: u8, slot: u8, attempt: u32, has_begun: bool },
    Ended { service: u8, slot: u8 },
    Withdrawn { service: u8, slot: u8 },
    Network { number: u8, subnet: u8 },
    NetworkRemoved { number: u8 },
    Claimed { network: u8, at: Vec<u8>, claimed: u64 },
    Refusal { is_refused: bool },
}

fn facts() -> impl Strategy<Value = Fact> {
    let service = || 0..4_u8;
    let slot = || 0..4_u8;
    prop_oneof![
        3 => (service(), 0..8_u8, 0..5_u8, 0..12_u8)
            .prop_map(|(number, on, ports, address)| Fact::Service { number, on, ports, address }),
        1 => service().prop_map(|number| Fact::ServiceRemoved { number }),
        8 => (service(), slot(), 1..3_u32, any::<bool>()).prop_map(
            |(service, slot, attempt, has_begun)| Fact::Live { service, slot, attempt, has_begun }
        ),
        3 => (service(), slot()).prop_map(|(service, slot)| Fact::Ended { service, slot }),
        1 => (service(), slot()).prop_map(|(service, slot)| Fact::Withdrawn { service, slot }),
        2 => (0..3_u8, 0..2_u8).prop_map(|(number, subnet)| Fact::Network { number, subnet }),
        1 => (0..3_u8).prop_map(|number| Fact::NetworkRemoved { number }),
        3 => (0..3_u8, vec(any::<u8>(), 0..8), 0..60_u64)
            .prop_map(|(network, at, claimed)| Fact::Claimed { network, at, claimed }),
        1 => any::<bool>().prop_map(|is_refused| Fact::Refusal { is_refused }),
    ]
}

fn replica(seed: u64) -> Replica {
    let signer = HashSigner::from_seed(seed);
    let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
    Replica::new(writer, Box::new(signer), Arc::new(HashVerifier))
}

fn ranges(number: u8, subnet: u8) -> Vec<AddressRange> {
    let subnet: IpNet = SUBNETS[usize::from(number)][usize::from(subnet)].parse().expect("one");
    let gateway = overlay::pool::default_gateway(&subnet);
    vec![AddressRange { subnet, gateway, range: None, reserved: BTreeMap::new() }]
}

fn network_id(number: u8) -> NetworkId {
    NetworkId([number + 1; 16])
}

fn service_id(number: u8) -> ServiceId {
    ServiceId([number + 1; 16])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Looks {
    AtWhatIsOutdated,
    AtEverything,
}

struct Side {
    looks: Looks,
    replica: Replica,
    catalog: Catalog,
    addressing: Addressing,
    live: BTreeMap<(ServiceId, Slot), LiveTask>,
    events: Vec<Event>,
}

impl Side {
    fn new(looks: Looks) -> Side {
        let (replica, catalog) = (replica(1), Catalog::default());
        let facts = NetworkFacts { refusal: String::new(), ..NetworkFacts::default() };
        let addressing = Addressing::new(replica.me(), facts, &catalog.networks);
        let (live, events) = (BTreeMap::new(), Vec::new());
        Side { looks, replica, catalog, addressing, live, events }
    }

    fn hear(&mut self, fact: &Fact, other: &Replica) {
        match *fact {
            Fact::Service { number, on, ports: kind, address } => {
                let key = RecordKey::service(service_id(number));
                self.write_life(key, number);
                let (runtime, image) = (Runtime::Container, "app:1".to_owned());
                let template = Template { runtime, image, ..Template::default() };
                self.replica.edit(key, Facet::TEMPLATE, &StoredTemplate(template), 0);
                let (mut networks, mut balancing) = (Vec::new(), Balancing::default());
                for network in (0..3).filter(|network| on & (1 << network) != 0) {
                    let (aliases, options) = (Vec::new(), BTreeMap::new());
                    let network_id = network_id(network);
                    networks.push(Attachment { network: network_id, aliases, options });
                    let at = IpAddr::from([10, network, 0, address]);
                    balancing.virtual_addresses.insert(network_id, vec![at]);
                }
                self.replica.edit(key, Facet::NETWORKS, &networks, 0);
                self.replica.edit(key, Facet::BALANCING, &balancing, 0);
                let endpoint = Endpoint { ports: self.ports(kind) };
                self.replica.edit(key, Facet::ENDPOINT, &endpoint, 0);
            }
            Fact::ServiceRemoved { number } => {
                let life = Life::Removed { name: format!("n{number}") };
                self.replica.edit(RecordKey::service(service_id(number)), Facet::LIFE, &life, 0);
            }
            Fact::Live { service, slot, attempt, has_begun } => {
                let (of, at) = (service_id(service), Slot::Number(slot.into()));
                let task = TaskId([16 * service + slot; 16]);
                let template = TemplateVersion(0);
                let live = LiveTask { service: of, slot: at, task, template, attempt, has_begun };
                self.live.insert((of, at), live);
                self.addressing.on_live_changed(BTreeSet::from([of]));
            }
            Fact::Ended { service, slot } => {
                let of = service_id(service);
                self.live.remove(&(of, Slot::Number(slot.into())));
                self.addressing.on_live_changed(BTreeSet::from([of]));
            }
            Fact::Withdrawn { service, slot } => {
                self.addressing.withdraw(TaskId([16 * service + slot; 16]));
            }
            Fact::Network { number, subnet } => {
                let key = RecordKey::network(network_id(number));
                self.write_life(key, number);
                let (ranges, vni) = (ranges(number, subnet), 5_000 + u32::from(number));
                let spec = NetworkSpec { ranges, vni, ..NetworkSpec::default() };
                self.replica.edit(key, Facet::NETWORK, &spec, 0);
            }
            Fact::NetworkRemoved { number } => {
                let life = Life::Removed { name: format!("n{number}") };
                self.replica.edit(RecordKey::network(network_id(number)), Facet::LIFE, &life, 0);
            }
            Fact::Claimed { .. } => {
                let key = RecordKey::node_networks(other.me());
                self.replica.merge(&other.delta([key]));
            }
            Fact::Refusal { is_refused } => {
                let refusal = if is_refused { "no VXLAN".to_owned() } else { String::new() };
                let facts = NetworkFacts { refusal, ..NetworkFacts::default() };
                self.addressing.on_facts_found(facts);
            }
        }
    }

    fn ports(&self, kind: u8) -> Vec<PublishedPort> {
        let mut picked = self.addressing.picked_ports.values().flatten();
        let picked = picked.next().map_or(30_000, |picked| picked.published);
        let (published, host) = match kind {
            0 | 1 => return Vec::new(),
            2 => (8080, false),
            3 => (0, true),
            _ => (picked, false),
        };
        vec![PublishedPort { published, target: 80, protocol: "tcp".to_owned(), host }]
    }

    fn write_life(&mut self, key: RecordKey, number: u8) {
        let created = Stamp { lamport: 1 + u64::from(number), writer: self.replica.writer() };
        let life = Life::Present { name: format!("n{number}"), created };
        self.replica.edit(key, Facet::LIFE, &life, 0);
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            for key in self.replica.drain_changed() {
                let mut touched = Touched::default();
                self.catalog.update(&self.replica, key, &mut touched);
                self.addressing.on_record(key, &touched, &self.catalog);
            }
            if self.looks == Looks::AtEverything {
                self.addressing.outdated = Outdated::everything();
            } else if self.addressing.is_settled() {
                return;
            }
            let local = self.live.keys().map(|(service, _)| *service);
            let outdated = self.addressing.take_outdated(&self.catalog, local);
            let live = self.live.values().filter(|live| outdated.services.contains(&live.service));
            let live: Vec<LiveTask> = live.copied().collect();
            let (catalog, replica) = (&self.catalog, &mut self.replica);
            let events = &mut self.events;
            let wrote = self.addressing.settle((&outdated, &live), catalog, replica, 0, events);
            if self.looks == Looks::AtEverything && !wrote {
                return;
            }
        }
        panic!("it comes to rest");
    }
}

fn same(one: &Side, other: &Side) -> Result<(), TestCaseError> {
    let (one, other, records) =
        (&one.addressing, &other.addressing, (&one.replica, &other.replica));
    prop_assert_eq!(one.leases.iter().collect::<Vec<_>>(), other.leases.iter().collect::<Vec<_>>());
    prop_assert_eq!(&one.blocks, &other.blocks);
    prop_assert_eq!(&one.last, &other.last);
    prop_assert_eq!(&one.picked_ports, &other.picked_ports);
    prop_assert_eq!(&one.own_needed, &other.own_needed);
    prop_assert_eq!(&one.own_addresses, &other.own_addresses);
    prop_assert_eq!(records.0.digest(), records.1.digest());
    Ok(())
}

proptest! {
    #[test]
    fn what_is_outdated_is_all_that_there_is_to_look_at(history in vec(facts(), 1..60)) {
        let (mut some, mut all) = (Side::new(Looks::AtWhatIsOutdated), Side::new(Looks::AtEverything));
        let mut other = replica(2);
        let mut said = NodeNetworks::default();
        for fact in &history {
            if let Fact::Claimed { network, at, claimed } = fact {
                let division = Division::of(&ranges(*network, 0)[0]);
                let block = |at: &u8| division.block(u64::from(*at) % division.claimable());
                let block = |at| Block { subnet: block(at), claimed: *claimed };
                said.blocks.insert(network_id(*network), at.iter().map(block).collect());
                other.put_owned(RecordKey::node_networks(other.me()), &said, 0);
            }
            for side in [&mut some, &mut all] {
                side.hear(fact, &other);
                side.settle();
            }
            same(&some, &all)?;
        }
        prop_assert_eq!(&some.events, &all.events);
    }
}

/// A block is not given back when one of its addresses is free again, so no record tells of it.
#[test]
fn who_lacks_an_address_gets_that_of_another_services_task() {
    let (mut side, mut other) = (Side::new(Looks::AtWhatIsOutdated), replica(2));
    let (network, subnet) = (2, 1);
    let division = Division::of(&ranges(network, subnet)[0]);
    let theirs =
        (1..division.claimable()).map(|at| Block { subnet: division.block(at), claimed: 1 });
    let blocks = BTreeMap::from([(network_id(network), theirs.collect())]);
    let said = NodeNetworks { blocks, ..NodeNetworks::default() };
    other.put_owned(RecordKey::node_networks(other.me()), &said, 0);
    let claimed = Fact::Claimed { network, at: Vec::new(), claimed: 1 };
    let of = |number| Fact::Service { number, on: 1 << network, ports: 0, address: 0 };
    let live = |service, slot| Fact::Live { service, slot, attempt: 1, has_begun: false };
    let mut facts = vec![Fact::Network { number: network, subnet }, claimed, of(0), of(1)];
    facts.push(live(1, 200));
    facts.extend((0..6).map(|slot| live(0, slot)));
    for fact in &facts {
        side.hear(fact, &other);
        side.settle();
    }
    let lacking = |side: &Side| {
        let leases = side.addressing.leases.of(service_id(0));
        leases.filter(|(_, lease)| lease.interfaces[0].addresses.is_empty()).count()
    };
    let before = lacking(&side);
    assert!(before > 0, "the network is full");
    side.hear(&Fact::Ended { service: 1, slot: 200 }, &other);
    side.settle();
    assert_eq!(lacking(&side), before - 1);
}

/// The address that a node needs no more is free for a task in the same settling: nothing is written
/// that would lead to another one.
#[test]
fn who_lacks_an_address_gets_the_nodes_own_when_that_is_not_needed_any_more() {
    let (mut side, other) = (Side::new(Looks::AtWhatIsOutdated), replica(2));
    let live = |service, slot| Fact::Live { service, slot, attempt: 1, has_begun: false };
    let of = |number, on, ports| Fact::Service { number, on, ports, address: 0 };
    let tasks = [live(1, 0), live(1, 1), live(2, 0)];
    let services = [of(3, 1, 2), of(0, 0, 0), of(1, 1, 0), of(2, 1, 0)];
    let network = [Fact::Network { number: 0, subnet: 0 }, Fact::ServiceRemoved { number: 3 }];
    for fact in services.iter().chain(&tasks).chain(&network) {
        side.hear(fact, &other);
        side.settle();
    }
    let lacks = |(_, lease): (TaskId, &Lease)| lease.interfaces[0].addresses.is_empty();
    assert!(!side.addressing.leases.iter().any(lacks));
}
