//! The names on one network, as this node sees them.
//!
//! ```text
//! web                      the service: its virtual address, or its tasks
//! tasks.web                its tasks
//! web.1, web.1.<task>      one task
//! <hostname>, <container>  one task
//! store, tasks.store       an alias, as the name of every service that carries it
//! ```
//! A task is in its names while it takes connections. What an unreachable node said last stays, at
//! the end of an answer: nobody knows that the task is gone. Names are compared in lower case.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crdt_state::service::Service;
use crdt_state::stamp::{Stamp, Writer};
use crdt_state::task::{Run, Slot};
use crdt_state::{NetworkId, NodeId, ServiceId, StoreId, TaskId};

use crate::expand::{self, Names, task_name};
use crate::node::Node;

/// The prefix of a name that leads to all tasks of a service.
pub(crate) const TASKS: &str = "tasks.";

/// An address that a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedAddress {
    /// Does this node know of nothing that keeps packets from it? Sorts first.
    pub reach: Reach,
    /// The address.
    pub address: IpAddr,
}

/// Can packets get there?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// As far as this node knows.
    Reachable,
    /// Its node does not answer.
    Unreachable,
}

/// The names on one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkNames {
    /// The name of the network.
    pub network: String,
    services: BTreeMap<Age, NamedService>,
    /// The services of each name and alias, in lower case.
    by_name: BTreeSet<(String, Age)>,
    /// The tasks of each host name and container name, in lower case, by their place in the service.
    by_host: BTreeSet<(String, (Age, usize))>,
}

/// Of two services with one name the older one is asked for first.
pub(crate) type Age = (Stamp, ServiceId);

/// A service as it is found on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedService {
    age: Age,
    name: String,
    aliases: Vec<String>,
    virtual_addresses: Vec<IpAddr>,
    tasks: Vec<NamedTask>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NamedTask {
    /// `1`, or the id of the node for a global service.
    slot: String,
    task: TaskId,
    /// Its host names and container names.
    hosts: Vec<String>,
    addresses: Vec<NamedAddress>,
}

/// All entries of a name, in order.
fn entries<'a, T: Ord + Copy + 'a>(
    set: &'a BTreeSet<(String, T)>,
    name: &str,
    first: T,
) -> impl Iterator<Item = T> + use<'a, T> {
    let name = name.to_owned();
    let from = set.range((name.clone(), first)..);
    from.take_while(move |(other, _)| *other == name).map(|(_, entry)| *entry)
}

const FIRST: Age = (
    Stamp { lamport: 0, writer: Writer { node: NodeId([0; 16]), store: StoreId(0) } },
    ServiceId([0; 16]),
);

impl NetworkNames {
    /// The addresses of a name, in the order in which they should be tried; `None`: there is no
    /// such name here. A service without tasks has a name and no address.
    pub fn addresses(&self, name: &str) -> Option<Vec<NamedAddress>> {
        let name = name.to_ascii_lowercase();
        if let Some(services) = self.named(&name) {
            return Some(sorted(services.into_iter().flat_map(NamedService::answer)));
        }
        if let Some(services) = name.strip_prefix(TASKS).and_then(|name| self.named(name)) {
            return Some(sorted(services.into_iter().flat_map(NamedService::all)));
        }
        let (age, task) = entries(&self.by_host, &name, (FIRST, 0)).next()?;
        Some(sorted(self.services.get(&age)?.tasks.get(task)?.addresses.iter().copied()))
    }

    fn named(&self, name: &str) -> Option<Vec<&NamedService>> {
        let ages = entries(&self.by_name, name, FIRST);
        let services: Vec<&NamedService> = ages.filter_map(|age| self.services.get(&age)).collect();
        Some(services).filter(|services| !services.is_empty())
    }

    /// The name of an address: `web.1.<task>`, or that of the service for a virtual address.
    pub fn name_of(&self, address: IpAddr) -> Option<String> {
        self.services.values().find_map(|service| {
            if service.virtual_addresses.contains(&address) {
                return Some(service.name.clone());
            }
            let has = |task: &&NamedTask| task.addresses.iter().any(|a| a.address == address);
            let task = service.tasks.iter().find(has)?;
            Some(format!("{}.{}.{}", service.name, task.slot, task.task))
        })
    }

    pub(crate) fn add(&mut self, service: NamedService) {
        let age = service.age;
        self.by_name.extend(service.names().map(|name| (name, age)));
        self.by_host.extend(service.hosts().map(|(host, task)| (host, (age, task))));
        self.services.insert(age, service);
    }

    pub(crate) fn remove(&mut self, service: &NamedService) {
        let age = service.age;
        for name in service.names() {
            self.by_name.remove(&(name, age));
        }
        for (host, task) in service.hosts() {
            self.by_host.remove(&(host, (age, task)));
        }
        self.services.remove(&age);
    }
}

impl NamedService {
    /// Its name and aliases, in lower case.
    fn names(&self) -> impl Iterator<Item = String> {
        std::iter::once(&self.name).chain(&self.aliases).map(|name| name.to_ascii_lowercase())
    }

    /// The names of its tasks, in lower case, with their places.
    fn hosts(&self) -> impl Iterator<Item = (String, usize)> {
        let tasks = self.tasks.iter().enumerate();
        tasks.flat_map(|(at, task)| {
            task.hosts.iter().map(move |host| (host.to_ascii_lowercase(), at))
        })
    }

    fn all(&self) -> impl Iterator<Item = NamedAddress> {
        self.tasks.iter().flat_map(|task| task.addresses.iter().copied())
    }

    /// The virtual addresses while there is a task behind them; else its tasks, if any.
    fn answer(&self) -> Vec<NamedAddress> {
        if self.virtual_addresses.is_empty() || self.tasks.is_empty() {
            return self.all().collect();
        }
        let reach = Reach::Reachable;
        let virtual_addresses = self.virtual_addresses.iter().copied();
        virtual_addresses.map(|address| NamedAddress { reach, address }).collect()
    }
}

fn sorted(addresses: impl IntoIterator<Item = NamedAddress>) -> Vec<NamedAddress> {
    let mut sorted: Vec<NamedAddress> = addresses.into_iter().collect();
    sorted.sort_unstable();
    sorted.dedup_by_key(|found| found.address);
    sorted
}

impl Node {
    /// The names on a network. `container_name` gives the name of a container that is given none.
    pub fn network_names(&self, id: NetworkId, container_name: fn(Run) -> String) -> NetworkNames {
        let catalog = self.catalog();
        let network = catalog.networks.networks.get(&id);
        let mut names = NetworkNames {
            network: network.map(|network| network.name.clone()).unwrap_or_default(),
            ..NetworkNames::default()
        };
        let virtual_addresses = catalog.networks.virtual_addresses(&catalog.services, id);
        for service in catalog.services.values() {
            let given = virtual_addresses.get(&service.id).cloned().unwrap_or_default();
            if let Some(named) = self.named_service(service, id, given, container_name) {
                names.add(named);
            }
        }
        names
    }

    /// A service as it is found on a network; `None`: it is not on it, or does not own its name.
    pub(crate) fn named_service(
        &self,
        service: &Service,
        id: NetworkId,
        virtual_addresses: Vec<IpAddr>,
        container_name: fn(Run) -> String,
    ) -> Option<NamedService> {
        let attachment = service.networks.iter().find(|a| a.network == id)?;
        if !self.catalog().owns_name(service) {
            return None;
        }
        let tasks = self.ready_tasks(service.id, id).into_iter().map(|placed| {
            let run = Run { task: placed.status.id, attempt: placed.status.current.number };
            let reach = match self.is_reachable(placed.node) {
                true => Reach::Reachable,
                false => Reach::Unreachable,
            };
            let slot = slot_word(placed.slot);
            let mut hosts = self.host_names(service, placed.slot, placed.node, run);
            hosts.push(container_name(service.template.known_as(run)));
            let addresses = placed.addresses.iter();
            let addresses = addresses.map(|address| NamedAddress { reach, address: *address });
            NamedTask { slot, task: run.task, hosts, addresses: addresses.collect() }
        });
        Some(NamedService {
            age: (service.created, service.id),
            name: service.name.clone(),
            aliases: attachment.aliases.clone(),
            virtual_addresses,
            tasks: tasks.collect(),
        })
    }

    /// The names of one task, without that of its container.
    pub(crate) fn host_names(
        &self,
        service: &Service,
        slot: Slot,
        node: NodeId,
        run: Run,
    ) -> Vec<String> {
        let own = task_name(&service.name, slot);
        let mut names = vec![format!("{own}.{}", run.task), own];
        names.extend(self.hostname_of(service, slot, node, run.task));
        names
    }

    /// The host name that the template gives a task.
    fn hostname_of(
        &self,
        service: &Service,
        slot: Slot,
        node: NodeId,
        task: TaskId,
    ) -> Option<String> {
        let text = service.template.hostname.as_deref()?;
        let names = Names {
            service: service.id,
            service_name: &service.name,
            service_labels: &service.labels,
            node,
            hostname: &self.hostname(node),
            task,
            slot,
        };
        expand::expand(text, &names).ok()
    }

    /// The networks that a live task of this node is on.
    pub fn networks_of_task(&self, task: TaskId) -> Vec<NetworkId> {
        let lease = self.addressing().leases().get(task);
        let leased = lease.into_iter().flat_map(|lease| &lease.interfaces);
        leased.map(|leased| leased.network).collect()
    }

    /// The service of a live task of this node.
    pub fn service_of_task(&self, task: TaskId) -> Option<ServiceId> {
        self.addressing().leases().get(task).map(|lease| lease.service)
    }
}

fn slot_word(slot: Slot) -> String {
    match slot {
        Slot::Number(number) => number.to_string(),
        Slot::Node(id) => id.to_string(),
    }
}
