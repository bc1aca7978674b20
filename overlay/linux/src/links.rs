//! What holds a node's networks and tasks in the kernel: namespaces, links, addresses and routes.
//!
//! Every operation compares with the kernel and changes only what differs, so it repairs what
//! somebody else changed, and costs no packet where nothing did. State is kept nowhere else but in
//! the namespaces and next to them, in a directory that a restart of the machine empties.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use crdt_state::NetworkId;
use crdt_state::interface::TaskInterface;
use crdt_state::task::Run;
use overlay::plan::OverlayPlan;

use crate::balancing::{BalancingError, lead_to_name_server};
use crate::error::{Applied, LinkError, Subject, Unsupported};
use crate::item::{Item, LinkIndex, Scope};
use crate::kernel;
use crate::names::{self, VXLAN, VXLAN_LINKS};
use crate::namespace::{self, Namespace};
use crate::network::{self, Host, Network};
use crate::space::Space;
use crate::wanted::{self, Wanted};
use crate::watch::{Ours, Watch};
use crate::{probe, sysctl};

/// The namespaces and links of one agent on this machine.
pub struct Links {
    pub(crate) directory: PathBuf,
    pub(crate) host: Space,
    host_watch: Option<Watch>,
    pub(crate) networks: BTreeMap<NetworkId, Network>,
    /// The interfaces of every task that was attached and not detached.
    pub(crate) tasks: BTreeMap<Run, Vec<TaskInterface>>,
    /// Those of them that have ended, and are detached when there is time.
    pub(crate) ended: BTreeSet<Run>,
}

impl Links {
    /// Opens the links that an agent keeps in `directory`, which must be on a file system in
    /// memory. The host's namespace is that of this thread.
    ///
    /// # Errors
    /// What networks need and this machine does not have or allow.
    pub fn open(directory: &Path) -> Result<Links, Unsupported> {
        let unsupported = |error: std::io::Error| {
            Unsupported(format!("cannot keep namespaces in {}: {error}", directory.display()))
        };
        fs::create_dir_all(names::networks(directory)).map_err(unsupported)?;
        fs::create_dir_all(names::tasks(directory)).map_err(unsupported)?;
        let mut host = Space::current().map_err(unsupported)?;
        probe::check(directory, &mut host)?;
        let mut tasks = BTreeMap::new();
        for (name, path) in namespace::files(&names::tasks(directory)).map_err(unsupported)? {
            // The links of a task whose record cannot be read, of another version perhaps, are left
            // alone until it is attached again.
            if let (true, Some(run)) = (name.ends_with(".json"), names::run_of(&name))
                && let Ok(bytes) = fs::read(path)
                && let Ok(interfaces) = serde_json::from_slice(&bytes)
            {
                tasks.insert(run, interfaces);
            }
        }
        let host_watch = Watch::open(&host.namespace, Ours::LinksNamed(names::HOST_LINKS)).ok();
        let (directory, networks) = (directory.into(), BTreeMap::new());
        let ended = BTreeSet::new();
        Ok(Links { directory, host, host_watch, networks, tasks, ended })
    }

    /// Compares the plan with the kernel and changes what differs. Networks and tasks that are not
    /// in the plan are removed; the interfaces of tasks are those that they were attached with.
    pub fn apply(&mut self, plan: &OverlayPlan) -> Applied {
        let mut applied = Applied::default();
        self.remove_absent(plan, &mut applied);
        let read = self.host.read_links();
        applied.note(Subject::Host, "read the links", read.map(|()| 0));
        // Before the networks: their packets leave from its address.
        self.apply_tunnel(plan.tunnel().as_ref(), &mut applied);
        let addresses = kernel::addresses(&mut self.host.netlink, None);
        let addresses = applied.value(Subject::Host, "read the addresses", addresses);
        let Some(addresses) = addresses else { return applied };
        let interfaces = self.planned_interfaces(plan);
        let mut tasks = self.open_tasks(&interfaces, &mut applied);
        let known = self.known_runs().into_iter();
        let unknown: BTreeSet<Run> = known.filter(|run| !interfaces.contains_key(run)).collect();
        let directory = self.directory.clone();
        let mut host = Host { space: &mut self.host, addresses, directory: &directory };
        for (id, local) in &plan.networks {
            if !self.networks.contains_key(id) {
                let Some(space) = network::open(&directory, *id, &mut applied) else { continue };
                let network = Network {
                    watch: Watch::open(&space.namespace, Ours::Everything).ok(),
                    space,
                    mtu: 0,
                };
                self.networks.insert(*id, network);
            }
            let Some(network) = self.networks.get_mut(id) else { continue };
            network.keep(*id, &directory, &mut applied);
            let own: Vec<(Run, &TaskInterface)> = interfaces
                .iter()
                .flat_map(|(run, all)| all.iter().map(|interface| (*run, interface)))
                .filter(|(_, interface)| interface.network == *id)
                .collect();
            network.apply_links(*id, local, &mut host, &mut applied);
            network.apply_pairs(*id, &mut tasks, &own, &unknown, &mut applied);
            network.apply_items(*id, local, &own, &mut applied);
        }
        self.apply_host(plan, &mut applied);
        for (run, space) in &mut tasks {
            let own = interfaces.get(run).map_or(&[][..], Vec::as_slice);
            hold_task(*run, own, space, &mut applied);
        }
        self.host.await_ready();
        tasks.values_mut().for_each(Space::await_ready);
        self.networks.values_mut().for_each(|network| network.space.await_ready());
        applied
    }

    /// The interfaces of attached tasks on the networks where the plan has the task.
    fn planned_interfaces(&self, plan: &OverlayPlan) -> BTreeMap<Run, Vec<TaskInterface>> {
        let is_planned = |run: &Run, interface: &&TaskInterface| {
            let network = plan.networks.get(&interface.network);
            network.is_some_and(|network| network.tasks.contains_key(run))
        };
        let planned = |(run, all): (&Run, &Vec<TaskInterface>)| {
            let all = all.iter().filter(|interface| is_planned(run, interface));
            (*run, all.cloned().collect())
        };
        self.tasks.iter().map(planned).collect()
    }

    fn apply_host(&mut self, plan: &OverlayPlan, applied: &mut Applied) {
        let read = self.host.read_links();
        if applied.value(Subject::Host, "read the links", read).is_none() {
            return;
        }
        let (mut links, mut wanted) = (BTreeSet::new(), Wanted::new());
        if plan.tunnel().is_some() {
            wanted.insert(Item::no_way_out_of_tunnel(), Subject::Host);
        }
        for (id, local) in &plan.networks {
            let name = names::host_link(&self.directory, *id);
            let (Some(link), Some(network)) = (self.host.index(&name), self.networks.get(id))
            else {
                continue;
            };
            let own = Subject::Network(*id);
            // Nodes where IPv6 is switched off for new links need it on this one: it carries the
            // next hops.
            let setting = format!("ipv6/conf/{name}/disable_ipv6");
            let allowed = self.host.namespace.enter(|| sysctl::set(&setting, "0"));
            applied.note(own, "allow IPv6 on its link", allowed.map(usize::from));
            self.host.settle(&name, network.mtu, own, applied);
            let explained = self.host.explain(&name, &format!("edgectl network {}", local.name));
            applied.note(own, "explain its link", explained);
            links.insert(link);
            wanted.extend(wanted::host(*id, local, link));
        }
        self.host.hold(&wanted, &Scope::Shared(&links), &[], Subject::Host, applied);
    }

    fn remove_absent(&mut self, plan: &OverlayPlan, applied: &mut Applied) {
        // Networks first: what they take with them need not be removed link by link, each of which
        // waits for all processors to forget it.
        for id in self.known_networks() {
            if !plan.networks.contains_key(&id) {
                self.remove_network(id, applied);
            }
        }
        let planned: BTreeSet<Run> =
            plan.networks.values().flat_map(|network| network.tasks.keys().copied()).collect();
        for run in self.known_runs() {
            if !planned.contains(&run) {
                self.remove_task(run, applied);
            }
        }
    }

    fn known_networks(&self) -> BTreeSet<NetworkId> {
        let files = namespace::files(&names::networks(&self.directory)).unwrap_or_default();
        files.iter().filter_map(|(name, _)| name.parse().ok()).collect()
    }

    fn remove_network(&mut self, id: NetworkId, applied: &mut Applied) {
        self.networks.remove(&id);
        network::remove(&self.directory, id, applied);
        // The other end has gone with the network's, if the namespace was still there.
        let name = names::host_link(&self.directory, id);
        if self.host.read_links().is_ok() {
            let removed = self.host.remove_link(&name);
            applied.note(Subject::Network(id), "remove its link to the host", removed);
        }
    }

    /// Removes everything of this agent from the machine.
    pub fn remove_all(&mut self) -> Applied {
        let applied = self.apply(&OverlayPlan::default());
        for directory in [names::networks(&self.directory), names::tasks(&self.directory)] {
            // What could not be removed is already among the failures.
            let _ = fs::remove_dir(directory);
        }
        let _ = fs::remove_dir(&self.directory);
        applied
    }

    /// Did somebody, perhaps these links themselves, change links, addresses or routes of ours since
    /// the last call? [`Links::apply`] finds and repairs what somebody else did.
    pub fn is_disturbed(&mut self) -> bool {
        let watches = self.networks.values_mut().filter_map(|network| network.watch.as_mut());
        let watches = watches.chain(&mut self.host_watch);
        // Every one is drained.
        watches.fold(false, |disturbed, watch| watch.drain() | disturbed)
    }

    /// The interfaces that an attached task has; `None`: it was not attached.
    pub fn interfaces(&self, run: Run) -> Option<&[TaskInterface]> {
        self.tasks.get(&run).map(Vec::as_slice)
    }

    /// The host's end of the pair that leads to a network.
    pub fn host_link(&self, network: NetworkId) -> String {
        names::host_link(&self.directory, network)
    }

    /// The namespace of an attached task.
    pub fn task_namespace(&self, run: Run) -> TaskNamespace {
        TaskNamespace::at(names::task_file(&self.directory, run))
    }

    /// Is there a VXLAN device of ours for the network, as far as the last application knows?
    pub fn has_vxlan(&self, network: NetworkId) -> bool {
        self.networks.get(&network).is_some_and(|network| network.space.index(VXLAN).is_some())
    }

    /// The links of a network, as far as is known, that lead to tasks and to other nodes.
    pub fn devices(&self, network: NetworkId) -> BTreeMap<String, LinkIndex> {
        let links = self.networks.get(&network).into_iter().flat_map(|held| &held.space.links);
        let leads = |name: &str| names::is_task_link(name) || name.starts_with(VXLAN_LINKS);
        let links = links.filter(|(name, _)| leads(name));
        links.map(|(name, link)| (name.clone(), link.index)).collect()
    }

    /// The namespace of a network of the applied plan.
    pub fn namespace(&self, network: NetworkId) -> Option<BorrowedFd<'_>> {
        self.networks.get(&network).map(|network| network.space.namespace.as_fd())
    }

    /// The namespace that the agent was started in.
    pub fn host_namespace(&self) -> BorrowedFd<'_> {
        self.host.namespace.as_fd()
    }
}

/// The namespace of a task, for who opens sockets in it. It does not keep the namespace alive.
#[derive(Debug, Clone)]
pub struct TaskNamespace(PathBuf);

impl TaskNamespace {
    /// The namespace that is kept in this file, now or later.
    pub fn at(file: PathBuf) -> TaskNamespace {
        TaskNamespace(file)
    }

    /// Does something in the namespace, on a thread that ends with it.
    ///
    /// # Errors
    /// That of `work`, or the namespace is not there.
    pub fn enter<T: Send>(
        &self,
        work: impl FnOnce() -> std::io::Result<T> + Send,
    ) -> std::io::Result<T> {
        self.open()?.enter(work)
    }

    /// Leads what the task asks its name server at port 53 to the port at which that listens.
    ///
    /// # Errors
    /// The kernel's, or the namespace is not there.
    pub fn lead_to_name_server(&self) -> Result<(), BalancingError> {
        let namespace = self.open().map_err(BalancingError::Open)?;
        lead_to_name_server(namespace.as_fd())
    }

    fn open(&self) -> std::io::Result<Namespace> {
        Ok(Namespace::open(&self.0)?.ok_or(std::io::ErrorKind::NotFound)?)
    }
}

/// Removes the namespaces below a directory of an agent that is not there any more. Their links and
/// rules end with them, unless a process is left in one.
///
/// # Errors
/// The first file that could not be removed.
pub fn sweep(directory: &Path) -> std::io::Result<()> {
    for kept in [names::networks(directory), names::tasks(directory)] {
        for (_, path) in namespace::files(&kept)? {
            namespace::remove(&path)?;
        }
    }
    namespace::remove(&names::probe(directory))?;
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes a task's namespace hold what its interfaces need.
pub(crate) fn hold_task(
    run: Run,
    interfaces: &[TaskInterface],
    space: &mut Space,
    applied: &mut Applied,
) {
    let (mut links, mut wanted) = (BTreeSet::new(), Wanted::new());
    for interface in interfaces {
        if let Some(link) = space.index(&interface.name) {
            links.insert(link);
            wanted.extend(wanted::task(run, interface, link));
        }
    }
    space.hold(&wanted, &Scope::Links(&links), &[], Subject::Task(run), applied);
    for interface in interfaces.iter().filter(|interface| !interface.settings.is_empty()) {
        let own = Subject::Interface(interface.network, run);
        let written = space.namespace.enter(|| sysctl::apply_to_interface(&interface.settings));
        applied.note(own, "write its settings", written);
    }
}

/// The first thing that failed.
pub(crate) fn first_failure(applied: Applied) -> Result<(), LinkError> {
    applied.failures.into_iter().next().map_or(Ok(()), Err)
}
