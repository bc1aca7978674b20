//! What stands behind a name: which services and tasks it means, and why each task is in the answer
//! or not.

use std::net::IpAddr;

use crdt_state::network::Attachment;
use crdt_state::service::Service;
use crdt_state::task::{Run, TaskState};
use crdt_state::{NetworkId, NodeId, ServiceId, TaskId};
use gossip::Now;

use super::TaskView;
use crate::expand::task_name;
use crate::names::{NamedAddress, TASKS};
use crate::node::Node;
use crate::tasks::is_healthy;

/// A name on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRow {
    /// The network.
    pub network: NetworkId,
    /// The name that is asked there: without the name of the network.
    pub asked: String,
    /// What this node answers; `None`: it does not know the name, and others are asked.
    pub answer: Option<Vec<NamedAddress>>,
    /// The services that the name means, the older one first.
    pub services: Vec<NameService>,
}

/// A service that a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameService {
    /// The service.
    pub service: ServiceId,
    /// Its name.
    pub service_name: String,
    /// How the name means it.
    pub meaning: NameMeaning,
    /// Its virtual addresses, if the name may lead to them.
    pub virtual_addresses: Vec<IpAddr>,
    /// The tasks that the name means, also those that are in no answer.
    pub tasks: Vec<NameTask>,
}

/// How a name means a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameMeaning {
    /// It is the service's name.
    Service,
    /// It is an alias of the service on the network.
    Alias,
    /// It stands for all tasks of the service.
    Tasks,
    /// It is the name of one task.
    Task,
}

/// A task that a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTask {
    /// `web.1`.
    pub name: String,
    /// The task.
    pub task: TaskId,
    /// Its node, if it has one.
    pub node: Option<NodeId>,
    /// Its addresses on the network.
    pub addresses: Vec<IpAddr>,
    /// Its state.
    pub state: TaskState,
    /// Is it in the answer, and why?
    pub standing: NameStanding,
}

/// Is a task in the answer about a name?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameStanding {
    /// Its address is in the answer.
    Answered,
    /// Its address is at the end of the answer: its node does not answer.
    Last,
    /// The virtual address in the answer leads to it.
    Balanced,
    /// It is not, with the reason.
    Absent(String),
}

impl NameTask {
    /// Of several that have a host name the first one answers to it, and a name of a service comes
    /// before it.
    fn compare(&mut self, answer: &[NamedAddress]) {
        let is_said = matches!(self.standing, NameStanding::Answered | NameStanding::Last);
        let is_in = |address: &IpAddr| answer.iter().any(|found| found.address == *address);
        if is_said && !self.addresses.iter().any(is_in) {
            let reason = "another task or service has the name, and comes first";
            self.standing = NameStanding::Absent(reason.to_owned());
        }
    }
}

impl Node {
    /// What stands behind a name, by network: on one network, or on all that know the name.
    /// `container_name` gives the name of a container that is given none.
    pub fn name_rows(
        &self,
        now: Now,
        name: &str,
        on: Option<NetworkId>,
        container_name: fn(Run) -> String,
    ) -> Vec<NameRow> {
        let networks = self.catalog().networks.networks.values();
        let wanted = networks.filter(|network| on.is_none_or(|on| on == network.id));
        let rows = wanted.filter_map(|network| {
            let whole = self.name_row(now, name, network.id, container_name);
            if !whole.services.is_empty() {
                return Some(whole);
            }
            // `name.network` asks that network only.
            let inner = name.strip_suffix(network.name.as_str());
            let inner = inner.and_then(|inner| inner.strip_suffix('.'));
            let row = match inner {
                Some(inner) => self.name_row(now, inner, network.id, container_name),
                None => whole,
            };
            (on.is_some() || !row.services.is_empty()).then_some(row)
        });
        rows.collect()
    }

    fn name_row(
        &self,
        now: Now,
        name: &str,
        network: NetworkId,
        container_name: fn(Run) -> String,
    ) -> NameRow {
        let asked = name.to_ascii_lowercase();
        let mut services: Vec<&Service> = self.services().collect();
        services.sort_unstable_by_key(|service| (service.created, service.id));
        let of_service = services.into_iter().filter(|service| self.catalog().owns_name(service));
        let meant = of_service.filter_map(|service| {
            let attachment = service.networks.iter().find(|a| a.network == network)?;
            let named = Named { node: self, service, network, now, container_name };
            named.by(&asked, attachment)
        });
        let answer = self.network_names(network, container_name).addresses(name);
        let mut services: Vec<NameService> = meant.collect();
        let tasks = services.iter_mut().flat_map(|service| &mut service.tasks);
        tasks.for_each(|task| task.compare(answer.as_deref().unwrap_or_default()));
        NameRow { network, asked: name.to_owned(), services, answer }
    }
}

/// A service on a network, about which a name is asked.
struct Named<'a> {
    node: &'a Node,
    service: &'a Service,
    network: NetworkId,
    now: Now,
    container_name: fn(Run) -> String,
}

impl Named<'_> {
    fn by(&self, asked: &str, attachment: &Attachment) -> Option<NameService> {
        let plain = asked.strip_prefix(TASKS).unwrap_or(asked);
        let is_own = self.service.name.to_ascii_lowercase() == plain;
        let is_alias = attachment.aliases.iter().any(|alias| alias.to_ascii_lowercase() == plain);
        let views = self.views();
        let (meaning, views) = match (is_own, is_alias) {
            (true, _) | (_, true) if plain.len() < asked.len() => (NameMeaning::Tasks, views),
            (true, _) => (NameMeaning::Service, views),
            (_, true) => (NameMeaning::Alias, views),
            _ => {
                let mut views = views;
                views.retain(|view| self.is_called(view, asked));
                (NameMeaning::Task, views)
            }
        };
        if meaning == NameMeaning::Task && views.is_empty() {
            return None;
        }
        let is_balanced = matches!(meaning, NameMeaning::Service | NameMeaning::Alias);
        let virtual_addresses = match is_balanced {
            true => self.virtual_addresses(),
            false => Vec::new(),
        };
        let tasks = views.iter().map(|view| self.task(view, &virtual_addresses));
        Some(NameService {
            service: self.service.id,
            service_name: self.service.name.clone(),
            meaning,
            tasks: tasks.collect(),
            virtual_addresses,
        })
    }

    /// The tasks that have not ended, and those that should run.
    fn views(&self) -> Vec<TaskView> {
        let mut views = self.node.report(self.now).tasks_of(self.service);
        views.retain(|view| view.desired_running || !state(view).is_terminal());
        views
    }

    fn virtual_addresses(&self) -> Vec<IpAddr> {
        let catalog = self.node.catalog();
        let given = catalog.networks.virtual_addresses(&catalog.services, self.network);
        given.get(&self.service.id).cloned().unwrap_or_default()
    }

    fn is_called(&self, view: &TaskView, asked: &str) -> bool {
        let (Some(node), Some(status)) = (view.node, &view.status) else {
            return task_name(&self.service.name, view.slot).to_ascii_lowercase() == asked;
        };
        let run = Run { task: view.id, attempt: status.current.number };
        let names = self.node.host_names(self.service, view.slot, node, run);
        let container = (self.container_name)(self.service.template.known_as(run));
        names.iter().chain([&container]).any(|name| name.to_ascii_lowercase() == asked)
    }

    fn task(&self, view: &TaskView, virtual_addresses: &[IpAddr]) -> NameTask {
        let said = view.node.and_then(|node| {
            let records = self.node.catalog().networks.addresses.get(&self.service.id)?;
            records.get(&(view.slot, node))?.tasks.iter().find(|said| said.task == view.id)
        });
        let addresses = said.and_then(|said| said.networks.get(&self.network)).cloned();
        let is_withdrawn = said.is_some_and(|said| said.withdrawn);
        let standing = match (&view.status, view.node) {
            (Some(status), Some(_)) if is_withdrawn || !status.desired_running => {
                NameStanding::Absent("it is to stop, and takes no new connections".to_owned())
            }
            (Some(status), Some(node)) if is_healthy(status) => {
                let is_reachable = self.node.is_reachable(node);
                match (&addresses, is_reachable, !virtual_addresses.is_empty()) {
                    (None, ..) => NameStanding::Absent(
                        "its node has not said its address here yet".to_owned(),
                    ),
                    (_, true, true) => NameStanding::Balanced,
                    (_, true, false) => NameStanding::Answered,
                    (_, false, true) => NameStanding::Absent(
                        "its node does not answer: no new connections go there".to_owned(),
                    ),
                    (_, false, false) => NameStanding::Last,
                }
            }
            _ => NameStanding::Absent(
                view.reason.clone().unwrap_or_else(|| state(view).as_str().into()),
            ),
        };
        NameTask {
            name: task_name(&self.service.name, view.slot),
            task: view.id,
            node: view.node,
            addresses: addresses.unwrap_or_default(),
            state: state(view),
            standing,
        }
    }
}

fn state(view: &TaskView) -> TaskState {
    view.status.as_ref().map_or(TaskState::Pending, |status| status.current.state)
}
