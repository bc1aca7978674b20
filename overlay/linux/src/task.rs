//! Tasks: a namespace is made before the task starts, changed while it runs, and removed after it
//! has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use crdt_state::NetworkId;
use crdt_state::interface::TaskInterface;
use crdt_state::task::Run;

use crate::error::{Applied, Cause, LinkError, Subject};
use crate::item::Scope;
use crate::links::{Links, first_failure, hold_task};
use crate::names;
use crate::namespace::{self, Namespace};
use crate::space::Space;
use crate::sysctl;

/// The most tasks that wait to be detached.
const ENDED_MAX: usize = 64;

impl Links {
    /// Gives a task exactly these interfaces and returns the file of its namespace, which is made
    /// if it is not there. Of a running task this adds, renumbers and removes interfaces.
    ///
    /// The networks must be in the plan that was applied last, and the next plan must have the
    /// task: [`Links::apply`] removes tasks that it does not know.
    ///
    /// # Errors
    /// The first thing that could not be done. A call with the same arguments goes on from there.
    pub fn attach(&mut self, run: Run, interfaces: &[TaskInterface]) -> Result<PathBuf, LinkError> {
        let mut applied = Applied::default();
        if let Some(interface) =
            interfaces.iter().find(|interface| !self.networks.contains_key(&interface.network))
        {
            let own = Subject::Interface(interface.network, run);
            applied.fail(own, "attach it", Cause::NoNetwork);
            return first_failure(applied).map(|()| PathBuf::new());
        }
        self.detach_holders(run, interfaces, &mut applied);
        self.record(run, interfaces, &mut applied);
        let path = names::task_file(&self.directory, run);
        let space = self.task_space(run, &mut applied);
        if let Some(space) = space {
            self.remove_interfaces(run, interfaces, &mut applied);
            self.set_interfaces(run, interfaces, space, &mut applied);
        }
        first_failure(applied).map(|()| path)
    }

    /// Removes a task's namespace and all links to it. The task's processes should have ended: one
    /// that goes on keeps the namespace, without interfaces.
    ///
    /// # Errors
    /// The first thing that could not be removed.
    pub fn detach(&mut self, run: Run) -> Result<(), LinkError> {
        let mut applied = Applied::default();
        self.remove_task(run, &mut applied);
        first_failure(applied)
    }

    /// As [`Links::detach`], when there is time: by [`Links::detach_next`]. The kernel takes tens of
    /// milliseconds to remove a link, and a task that starts should not wait for those that ended.
    ///
    /// # Errors
    /// That of another task: if too many wait, the first of them is removed now.
    pub fn detach_later(&mut self, run: Run) -> Result<(), LinkError> {
        self.ended.insert(run);
        match self.ended.len() > ENDED_MAX {
            true => self.detach_next(),
            false => Ok(()),
        }
    }

    /// Is there a task to detach?
    pub fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Removes one of the tasks that wait for it.
    ///
    /// # Errors
    /// The first thing that could not be removed.
    pub fn detach_next(&mut self) -> Result<(), LinkError> {
        self.ended.pop_first().map_or(Ok(()), |run| self.detach(run))
    }

    /// The tasks that ended and had an address that another one is to have now.
    fn detach_holders(&mut self, run: Run, interfaces: &[TaskInterface], applied: &mut Applied) {
        self.ended.remove(&run);
        let wanted: BTreeSet<&IpAddr> = interfaces.iter().flat_map(|one| &one.addresses).collect();
        let holds = |run: &&Run| {
            let mut held = self.tasks.get(run).into_iter().flatten().flat_map(|one| &one.addresses);
            held.any(|address| wanted.contains(address))
        };
        for holder in self.ended.iter().filter(holds).copied().collect::<Vec<_>>() {
            self.remove_task(holder, applied);
        }
    }

    pub(crate) fn remove_task(&mut self, run: Run, applied: &mut Applied) {
        self.ended.remove(&run);
        self.remove_interfaces(run, &[], applied);
        let own = Subject::Task(run);
        let path = names::task_file(&self.directory, run);
        if path.exists() {
            let removed = namespace::remove(&path).map(|()| 1);
            applied.note(own, "remove its namespace", removed);
        }
        let record = names::record_file(&self.directory, run);
        if record.exists() {
            applied.note(own, "remove its record", fs::remove_file(record).map(|()| 0));
        }
        self.tasks.remove(&run);
    }

    /// The runs with a namespace or a record, also of an earlier life of the agent.
    pub(crate) fn known_runs(&self) -> BTreeSet<Run> {
        let files = namespace::files(&names::tasks(&self.directory)).unwrap_or_default();
        let files = files.iter().filter_map(|(name, _)| names::run_of(name));
        files.chain(self.tasks.keys().copied()).collect()
    }

    /// Opens the namespaces of tasks and reads their links.
    pub(crate) fn open_tasks(
        &self,
        tasks: &BTreeMap<Run, Vec<TaskInterface>>,
        applied: &mut Applied,
    ) -> BTreeMap<Run, Space> {
        let mut spaces = BTreeMap::new();
        for run in tasks.keys() {
            let own = Subject::Task(*run);
            let found = Namespace::open(&names::task_file(&self.directory, *run));
            match applied.value(own, "open its namespace", found) {
                Some(Some(namespace)) => {
                    spaces.extend(open_space(*run, namespace, applied).map(|space| (*run, space)));
                }
                // A namespace made anew would not be that of the running process.
                Some(None) => applied.fail(own, "open its namespace", Cause::NoNamespace),
                None => {}
            }
        }
        spaces
    }

    /// The record goes first: a crash then leaves nothing that the next life does not know of.
    fn record(&mut self, run: Run, interfaces: &[TaskInterface], applied: &mut Applied) {
        if self.tasks.get(&run).is_some_and(|known| known == interfaces) {
            return;
        }
        let record = names::record_file(&self.directory, run);
        let draft = record.with_extension("new");
        let bytes = serde_json::to_vec(interfaces).unwrap_or_default();
        let written = fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, &record));
        applied.note(Subject::Task(run), "keep its interfaces", written.map(|()| 1));
        self.tasks.insert(run, interfaces.to_vec());
    }

    /// The task's namespace, made if it is not there.
    fn task_space(&self, run: Run, applied: &mut Applied) -> Option<Space> {
        let (own, path) = (Subject::Task(run), names::task_file(&self.directory, run));
        let found = applied.value(own, "open its namespace", Namespace::open(&path))?;
        let namespace = match found {
            Some(namespace) => namespace,
            None => {
                let made = Namespace::create(&path);
                let made = applied.value(own, "make its namespace", made)?;
                let settings = made.enter(|| sysctl::apply(sysctl::OF_TASK));
                applied.note(own, "write the settings of its namespace", settings);
                made
            }
        };
        open_space(run, namespace, applied)
    }

    /// Removes the task's links on all networks that it has no interface on.
    fn remove_interfaces(&mut self, run: Run, keep: &[TaskInterface], applied: &mut Applied) {
        let is_kept = |id: &NetworkId| keep.iter().any(|interface| interface.network == *id);
        for (id, network) in self.networks.iter_mut().filter(|(id, _)| !is_kept(id)) {
            let (own, name) = (Subject::Interface(*id, run), names::task_link(run, *id));
            let read = network.space.read_link(&name);
            applied.note(own, "read the links of the network", read.map(|()| 0));
            let removed = network.space.remove_link(&name);
            applied.note(own, "remove its interface", removed);
        }
    }

    fn set_interfaces(
        &mut self,
        run: Run,
        interfaces: &[TaskInterface],
        space: Space,
        applied: &mut Applied,
    ) {
        let mut tasks = BTreeMap::from([(run, space)]);
        for interface in interfaces {
            let own = Subject::Interface(interface.network, run);
            let Some(network) = self.networks.get_mut(&interface.network) else { continue };
            let name = names::task_link(run, interface.network);
            let read = network.space.read_link(&name);
            applied.note(own, "read the links of the network", read.map(|()| 0));
            network.make_pairs(&mut tasks, &[(run, interface)], applied);
            if let Some(link) = network.space.index(&name) {
                let wanted = network.items_of_task(run, interface, link);
                let links = BTreeSet::from([link]);
                network.space.hold(&wanted, &Scope::Links(&links), &[], own, applied);
            }
        }
        for (run, space) in &mut tasks {
            hold_task(*run, interfaces, space, applied);
            space.await_ready();
        }
        self.networks.values_mut().for_each(|network| network.space.await_ready());
    }
}

fn open_space(run: Run, namespace: Namespace, applied: &mut Applied) -> Option<Space> {
    let own = Subject::Task(run);
    let mut space = applied.value(own, "open its namespace", Space::open(namespace))?;
    applied.value(own, "read its links", space.read_links())?;
    Some(space)
}
