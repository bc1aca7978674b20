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

use std::collections::BTreeMap;
use std::net::IpAddr;

use crdt_state::service::Service;
use crdt_state::task::{Run, Slot};
use crdt_state::{NetworkId, NodeId, ServiceId, TaskId};

use crate::expand::{self, Names};
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
    services: Vec<NamedService>,
    /// Places in `services`, by name and alias, in lower case.
    by_name: BTreeMap<String, Vec<usize>>,
    /// Places in `services` and in its tasks, by host name and container name, in lower case.
    by_host: BTreeMap<String, (usize, usize)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct NamedService {
    name: String,
    virtual_addresses: Vec<IpAddr>,
    tasks: Vec<NamedTask>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NamedTask {
    /// `1`, or the id of the node for a global service.
    slot: String,
    task: TaskId,
    addresses: Vec<NamedAddress>,
}

impl NetworkNames {
    /// The addresses of a name, in the order in which they should be tried; `None`: there is no
    /// such name here. A service without tasks has a name and no address.
    pub fn addresses(&self, name: &str) -> Option<Vec<NamedAddress>> {
        let name = name.to_ascii_lowercase();
        if let Some(places) = self.by_name.get(&name) {
            let services = places.iter().map(|at| &self.services[*at]);
            return Some(sorted(services.flat_map(NamedService::answer)));
        }
        if let Some(places) = name.strip_prefix(TASKS).and_then(|name| self.by_name.get(name)) {
            let services = places.iter().map(|at| &self.services[*at]);
            return Some(sorted(services.flat_map(NamedService::all)));
        }
        let (service, task) = self.by_host.get(&name)?;
        Some(sorted(self.services[*service].tasks[*task].addresses.iter().copied()))
    }

    /// The name of an address: `web.1.<task>`, or that of the service for a virtual address.
    pub fn name_of(&self, address: IpAddr) -> Option<String> {
        self.services.iter().find_map(|service| {
            if service.virtual_addresses.contains(&address) {
                return Some(service.name.clone());
            }
            let has = |task: &&NamedTask| task.addresses.iter().any(|a| a.address == address);
            let task = service.tasks.iter().find(has)?;
            Some(format!("{}.{}.{}", service.name, task.slot, task.task))
        })
    }

    fn add(&mut self, service: NamedService, aliases: &[String], hosts: Vec<Vec<String>>) {
        let at = self.services.len();
        let names = std::iter::once(&service.name).chain(aliases);
        for name in names {
            let places = self.by_name.entry(name.to_ascii_lowercase()).or_default();
            if places.last() != Some(&at) {
                places.push(at);
            }
        }
        for (task, hosts) in hosts.into_iter().enumerate() {
            for host in hosts {
                self.by_host.entry(host.to_ascii_lowercase()).or_insert((at, task));
            }
        }
        self.services.push(service);
    }
}

impl NamedService {
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
        // Of two services with one name the older is asked for first.
        let mut services: Vec<&Service> = catalog.services.values().collect();
        services.sort_unstable_by_key(|service| (service.created, service.id));
        for service in services {
            let Some(attachment) = service.networks.iter().find(|a| a.network == id) else {
                continue;
            };
            if !catalog.owns_name(service) {
                continue;
            }
            let mut hosts = Vec::new();
            let mut named = NamedService {
                name: service.name.clone(),
                virtual_addresses: virtual_addresses.get(&service.id).cloned().unwrap_or_default(),
                tasks: Vec::new(),
            };
            for placed in self.placed_tasks(service.id, id).filter(|placed| placed.is_ready()) {
                let run = Run { task: placed.status.id, attempt: placed.status.current.number };
                let reach = match self.is_reachable(placed.node) {
                    true => Reach::Reachable,
                    false => Reach::Unreachable,
                };
                let slot = slot_word(placed.slot);
                let own = format!("{}.{slot}", service.name);
                let mut of_task = vec![format!("{own}.{}", run.task), own];
                of_task.push(container_name(run));
                of_task.extend(self.hostname_of(service, placed.slot, placed.node, run.task));
                hosts.push(of_task);
                named.tasks.push(NamedTask {
                    slot,
                    task: run.task,
                    addresses: placed
                        .addresses
                        .iter()
                        .map(|address| NamedAddress { reach, address: *address })
                        .collect(),
                });
            }
            names.add(named, &attachment.aliases, hosts);
        }
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
        let lease = self.addressing().leases().get(&task);
        let leased = lease.into_iter().flat_map(|lease| &lease.interfaces);
        leased.map(|leased| leased.network).collect()
    }

    /// The service of a live task of this node.
    pub fn service_of_task(&self, task: TaskId) -> Option<ServiceId> {
        self.addressing().leases().get(&task).map(|lease| lease.service)
    }
}

fn slot_word(slot: Slot) -> String {
    match slot {
        Slot::Number(number) => number.to_string(),
        Slot::Node(id) => id.to_string(),
    }
}
