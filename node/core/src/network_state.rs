//! The networks of one node, kept up to date: what its kernel must hold, and what names lead to.
//!
//! ```text
//! record, member, lease changed ──▶ NetworkNews ──update──▶ PlanChange, names
//! ```
//! What a service contributes is made anew when something changed on which it depends, and compared
//! with what it contributed before. So a task that changes costs the same among ten services and
//! among thousands. Made from nothing, the state is the same.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crdt_state::task::Run;
use crdt_state::{NetworkId, ServiceId};
use overlay::change::PlanChange;
use overlay::plan::{LocalNetwork, PathPlan, Port, PortTargets, TaskPlan};

use crate::catalog::Asked;
use crate::names::{Age, NamedService, NetworkNames};
use crate::network_news::NetworkNews;
use crate::node::Node;

/// The networks of one node.
#[derive(Debug)]
pub struct NetworkState {
    container_name: fn(Run) -> String,
    /// Without tasks and virtual addresses.
    links: BTreeMap<NetworkId, LocalNetwork>,
    paths: Option<PathPlan>,
    /// The virtual addresses on each of these networks.
    given: BTreeMap<NetworkId, BTreeMap<ServiceId, Vec<IpAddr>>>,
    names: BTreeMap<NetworkId, NetworkNames>,
    services: BTreeMap<ServiceId, Contribution>,
    /// Who asks for each port: the oldest service has it.
    ports: BTreeMap<Port, BTreeMap<Age, PortTargets>>,
}

/// What one service contributes to this node's networks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contribution {
    /// On what its virtual addresses depend.
    asked: Option<Asked>,
    age: Option<Age>,
    virtual_addresses: BTreeMap<(NetworkId, IpAddr), Vec<IpAddr>>,
    ports: BTreeMap<Port, PortTargets>,
    tasks: BTreeMap<Run, TaskPlan>,
    names: BTreeMap<NetworkId, NamedService>,
}

impl NetworkState {
    /// Of a node without networks. `container_name` gives the name of a container that is given
    /// none.
    pub fn new(container_name: fn(Run) -> String) -> NetworkState {
        NetworkState {
            container_name,
            links: BTreeMap::new(),
            paths: None,
            given: BTreeMap::new(),
            names: BTreeMap::new(),
            services: BTreeMap::new(),
            ports: BTreeMap::new(),
        }
    }

    /// The names on one of this node's networks.
    pub fn names(&self, network: NetworkId) -> Option<&NetworkNames> {
        self.names.get(&network)
    }

    /// Is any task of this node on the network?
    pub fn has_tasks_on(&self, network: NetworkId) -> bool {
        let tasks = self.services.values().flat_map(|service| service.tasks.values());
        tasks.flat_map(|task| &task.interfaces).any(|interface| interface.network == network)
    }

    /// Brings the state up to date. Returns what this node's kernel must change.
    pub fn update(&mut self, node: &Node, news: NetworkNews) -> PlanChange {
        let mut change = PlanChange::default();
        let mut outdated = news.services;
        if news.everything {
            outdated.extend(self.services.keys());
            outdated.extend(node.catalog().services.keys());
            // Tasks of a service that is gone may still have connections.
            outdated.extend(node.addressing().leases().services());
        }
        if news.everything || news.links || !news.claims.is_empty() {
            outdated.extend(self.update_links(node, &mut change));
            let paths = node.path_plan(&self.links);
            if paths != self.paths {
                self.paths.clone_from(&paths);
                change.paths = Some(paths);
            }
        }
        let concerned = match news.everything {
            true => self.links.keys().copied().collect(),
            false => news.claims,
        };
        outdated.extend(self.settle_virtual_addresses(node, &outdated, concerned));
        for id in outdated {
            self.update_service(node, id, &mut change);
        }
        change
    }

    /// Returns the services on networks that came, or whose name changed.
    fn update_links(&mut self, node: &Node, change: &mut PlanChange) -> BTreeSet<ServiceId> {
        let links = node.network_links();
        if links == self.links {
            return BTreeSet::new();
        }
        change.networks = Some(links.clone());
        let before = std::mem::replace(&mut self.links, links);
        self.names.retain(|id, _| self.links.contains_key(id));
        self.given.retain(|id, _| self.links.contains_key(id));
        for (id, network) in &self.links {
            self.names.entry(*id).or_default().network.clone_from(&network.name);
        }
        let concerned = |id: &NetworkId| before.contains_key(id) != self.links.contains_key(id);
        let services = node.catalog().services.values();
        let on_such = services.filter(|s| s.networks.iter().any(|a| concerned(&a.network)));
        on_such.map(|service| service.id).collect()
    }

    /// Returns the services that have other virtual addresses than before, on the `networks` that
    /// are concerned anyway, and on those on which the services that are outdated ask for others.
    fn settle_virtual_addresses(
        &mut self,
        node: &Node,
        outdated: &BTreeSet<ServiceId>,
        mut networks: BTreeSet<NetworkId>,
    ) -> BTreeSet<ServiceId> {
        let catalog = node.catalog();
        networks.extend(self.links.keys().filter(|id| !self.given.contains_key(id)));
        for id in outdated {
            let before = self.services.get(id).and_then(|service| service.asked.as_ref());
            let after = catalog.services.get(id).map(|service| Asked::of(service));
            if before != after.as_ref() {
                let both = before.into_iter().chain(&after);
                networks.extend(both.flat_map(|asked| asked.networks.keys().copied()));
            }
        }
        let mut moved = BTreeSet::new();
        for id in networks.iter().filter(|id| self.links.contains_key(id)) {
            let after = catalog.networks.virtual_addresses(&catalog.services, *id);
            let before = self.given.entry(*id).or_default();
            let both = before.keys().chain(after.keys());
            moved.extend(both.filter(|service| before.get(service) != after.get(service)));
            *before = after;
        }
        moved
    }

    fn update_service(&mut self, node: &Node, id: ServiceId, change: &mut PlanChange) {
        let after = self.contribution(node, id);
        let before = self.services.remove(&id).unwrap_or_default();
        differences(&before.virtual_addresses, &after.virtual_addresses, |at, tasks| {
            change.virtual_addresses.insert(*at, tasks.cloned());
        });
        differences(&before.tasks, &after.tasks, |run, task| {
            change.tasks.insert(*run, task.cloned());
        });
        self.update_ports(&before, &after, change);
        for (network, named) in &before.names {
            if after.names.get(network) != Some(named)
                && let Some(names) = self.names.get_mut(network)
            {
                names.remove(named);
            }
        }
        for (network, named) in &after.names {
            if before.names.get(network) != Some(named)
                && let Some(names) = self.names.get_mut(network)
            {
                names.add(named.clone());
            }
        }
        if after != Contribution::default() {
            self.services.insert(id, after);
        }
    }

    fn update_ports(
        &mut self,
        before: &Contribution,
        after: &Contribution,
        change: &mut PlanChange,
    ) {
        if before.age == after.age && before.ports == after.ports {
            return;
        }
        let concerned: BTreeSet<Port> =
            before.ports.keys().chain(after.ports.keys()).copied().collect();
        for port in concerned {
            let mut asking = match self.ports.entry(port) {
                Entry::Occupied(held) => held,
                Entry::Vacant(free) => free.insert_entry(BTreeMap::new()),
            };
            let of = |asking: &BTreeMap<Age, PortTargets>| {
                asking.first_key_value().map(|(_, targets)| targets.clone())
            };
            let had = of(asking.get());
            before.age.and_then(|age| asking.get_mut().remove(&age));
            if let Some((age, targets)) = after.age.zip(after.ports.get(&port)) {
                asking.get_mut().insert(age, targets.clone());
            }
            let has = of(asking.get());
            if asking.get().is_empty() {
                asking.remove();
            }
            if has != had {
                change.ports.insert(port, has);
            }
        }
    }

    fn contribution(&self, node: &Node, id: ServiceId) -> Contribution {
        let mut made = Contribution::default();
        if node.addressing().is_able() {
            made.tasks = node.task_plans(id);
        }
        let Some(service) = node.catalog().services.get(&id) else { return made };
        let on_any = !service.networks.is_empty();
        made.age = on_any.then_some((service.created, id));
        made.asked = on_any.then(|| Asked::of(service));
        if on_any && node.addressing().is_able() {
            made.ports = node.published_ports(service);
        }
        for attachment in &service.networks {
            let network = attachment.network;
            let Some(given) = self.given.get(&network) else { continue };
            let given = given.get(&id).cloned().unwrap_or_default();
            let tasks = node.ready_addresses(id, network);
            for address in &given {
                let same = |task: &&IpAddr| task.is_ipv4() == address.is_ipv4();
                let tasks = tasks.iter().filter(same).copied().collect();
                made.virtual_addresses.insert((network, *address), tasks);
            }
            let named = node.named_service(service, network, given, self.container_name);
            made.names.extend(named.map(|named| (network, named)));
        }
        made
    }
}

/// Calls `tell` for each entry that differs, with its value afterwards.
fn differences<K: Ord, V: PartialEq>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
    mut tell: impl FnMut(&K, Option<&V>),
) {
    for (key, value) in after.iter().filter(|(key, value)| before.get(key) != Some(value)) {
        tell(key, Some(value));
    }
    for key in before.keys().filter(|key| !after.contains_key(key)) {
        tell(key, None);
    }
}
