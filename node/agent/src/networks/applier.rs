//! The thread that holds the plan in the kernel.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crdt_state::NetworkId;
use crdt_state::interface::TaskInterface;
use crdt_state::task::Run;
use overlay::change::PlanChange;
use overlay::plan::{OverlayPlan, PATH_NETWORK, PATH_VNI};
use overlay_linux::balancing::{
    BalancingError, Intact, NetworkBalancer, PortBalancer, accept_loopback_clients,
};
use overlay_linux::links::Links;

use super::Order;
use super::concerned::Concerned;
use super::dropped::Dropped;
use super::machine_facts::Reporter;
use super::names::FleetNames;
use super::obstacles::obstacles;
use super::path_links::PathLinks;
use super::resolvers::Resolvers;
use super::tunnel::NodeTunnelHolder;

/// How often the kernel is asked whether tables are still there. One message for each network.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// For how long there must be nothing to do before the links of a task that ended are removed.
const DETACH_PAUSE: Duration = Duration::from_millis(50);

/// How often everything is compared with the kernel, whether or not something changed.
const COMPARE_INTERVAL: Duration = Duration::from_secs(120);

/// Holds the plan in the kernel.
pub(super) struct Applier {
    links: Links,
    tag: String,
    plan: OverlayPlan,
    /// Was any plan applied?
    has_plan: bool,
    balancers: BTreeMap<NetworkId, NetworkBalancer>,
    ports: Option<PortBalancer>,
    resolvers: Resolvers,
    failures: Arc<Mutex<Vec<String>>>,
    /// What could not be done with links and with balancing, what the host's rules drop, and which
    /// ports programs of this machine have.
    failed: [Vec<String>; 4],
    reporter: Reporter,
    tunnel: NodeTunnelHolder,
    compared_at: Instant,
    told: Dropped,
    paths: PathLinks,
}

/// What the thread shares with the rest of the agent.
pub(super) struct Parts {
    pub(super) names: FleetNames,
    pub(super) failures: Arc<Mutex<Vec<String>>>,
    pub(super) reporter: Reporter,
    pub(super) background: tokio::runtime::Handle,
    pub(super) tunnel: NodeTunnelHolder,
    pub(super) paths: PathLinks,
}

impl Applier {
    pub(super) fn new(links: Links, tag: String, parts: Parts) -> Applier {
        let Parts { names, failures, reporter, background, tunnel, paths } = parts;
        Applier {
            links,
            tag,
            plan: OverlayPlan::default(),
            has_plan: false,
            balancers: BTreeMap::new(),
            ports: None,
            resolvers: Resolvers::new(names, background),
            failures,
            failed: Default::default(),
            reporter,
            tunnel,
            compared_at: Instant::now(),
            told: Dropped::default(),
            paths,
        }
    }

    /// Runs until the agent ends. The first plan is awaited: without one nothing is known about
    /// what an earlier agent left.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        let mut waiting = orders.recv().ok();
        loop {
            match waiting.take() {
                Some(Order::Change(change)) => waiting = self.take_latest(*change, orders),
                Some(Order::Attach { run, interfaces, done }) => {
                    // The caller may be gone: then the next plan does not have the run.
                    let _ = done.send(self.attach(run, &interfaces));
                }
                Some(Order::Count { done }) => {
                    let _ = done.send(Dropped::count(self.ports.as_mut(), &mut self.balancers));
                }
                Some(Order::Limits(limits)) => {
                    self.paths.limits = limits;
                    self.apply_links();
                }
                Some(Order::Leave { done }) => {
                    self.remove_all();
                    let _ = done.send(());
                }
                None if self.links.has_ended() => self.detach_next(),
                None => self.look(),
            }
            if waiting.is_none() {
                let pause = if self.links.has_ended() { DETACH_PAUSE } else { LOOK_INTERVAL };
                waiting = match orders.recv_timeout(pause) {
                    Ok(order) => Some(order),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
            }
        }
    }

    /// Applies the changes that wait in a row; returns the order behind them.
    fn take_latest(&mut self, first: PlanChange, orders: &Receiver<Order>) -> Option<Order> {
        let (mut change, mut behind) = (first, None);
        while let Ok(order) = orders.try_recv() {
            match order {
                Order::Change(later) => change.add(*later),
                other => {
                    behind = Some(other);
                    break;
                }
            }
        }
        self.apply(change);
        behind
    }

    fn apply(&mut self, change: PlanChange) {
        let is_first = !std::mem::replace(&mut self.has_plan, true);
        let are_links_changed = is_first || change.networks.is_some() || change.paths.is_some();
        let runs: Vec<Run> = change.tasks.keys().copied().collect();
        let concerned = Concerned::of(&change, &self.plan);
        self.plan.apply(change);
        if are_links_changed {
            self.let_members_in();
            self.apply_links();
        }
        // The removal of a link takes the kernel tens of milliseconds: connections come first.
        match are_links_changed {
            true => self.apply_balancing(),
            false => self.apply_some_balancing(&concerned),
        }
        self.resolvers.apply(&self.plan, &self.links);
        self.apply_tasks(&runs);
    }

    /// A member's packets are taken before any can be sent to it.
    fn let_members_in(&mut self) {
        let foreign_vnis = self.foreign_vnis();
        if let Some(ports) = &mut self.ports
            && !self.plan.networks.is_empty()
        {
            ports.leave_alone(foreign_vnis);
            // What fails is tried again behind the links, and told there.
            let _ = ports.apply(&self.plan);
        }
    }

    /// The numbers of networks whose device is not there: somebody else's may have them.
    fn foreign_vnis(&self) -> BTreeSet<u32> {
        let networks = self.plan.networks.iter();
        let others = networks.filter(|(id, _)| !self.links.has_vxlan(**id));
        let others = others.map(|(_, network)| network.vni);
        let probes = (!self.links.has_vxlan(PATH_NETWORK)).then_some(PATH_VNI);
        others.chain(probes).collect()
    }

    /// Compares all links, addresses and routes with the kernel.
    fn apply_links(&mut self) {
        self.compared_at = Instant::now();
        let tunnel = self.plan.tunnel();
        let mut failures = self.tunnel.prepare(tunnel.as_ref(), &self.links);
        let applied = self.links.apply(&self.paths.linked(&self.plan));
        let foreign = self.foreign_vnis();
        failures.extend(self.tunnel.finish(tunnel.as_ref(), foreign, &self.links));
        self.reporter.report_tunnel(&self.tunnel.said());
        self.paths.tell_prober(&self.plan, &self.links);
        // What was just done is no disturbance.
        self.links.is_disturbed();
        if applied.changes > 0 {
            tracing::debug!("networks: {} changes in the kernel", applied.changes);
        }
        failures.extend(applied.failures.iter().map(ToString::to_string));
        self.failed[0] = failures;
        self.failed[2] = obstacles(&self.plan, &self.links);
        self.tell_failures();
    }

    /// Brings these tasks to the interfaces that they are to have.
    fn apply_tasks(&mut self, runs: &[Run]) {
        for run in runs {
            let result = match self.plan.tasks.get(run) {
                None => self.links.detach_later(*run),
                Some(task) => {
                    let held = self.links.interfaces(*run);
                    if held.is_none_or(|held| *held == task.interfaces) {
                        continue;
                    }
                    self.links.attach(*run, &task.interfaces).map(drop)
                }
            };
            if let Err(error) = result {
                tracing::warn!("networks: {error}");
            }
        }
        self.links.is_disturbed();
    }

    fn detach_next(&mut self) {
        if let Err(error) = self.links.detach_next() {
            tracing::warn!("networks: {error}");
        }
        self.links.is_disturbed();
    }

    fn attach(&mut self, run: Run, interfaces: &[TaskInterface]) -> Result<PathBuf, String> {
        let path = self.links.attach(run, interfaces).map_err(|error| error.to_string())?;
        self.links.is_disturbed();
        self.resolvers.apply(&self.plan, &self.links);
        Ok(path)
    }

    fn apply_balancing(&mut self) {
        self.balancers.retain(|id, _| self.plan.networks.contains_key(id));
        let mut failed = Vec::new();
        for (id, network) in &self.plan.networks {
            let applied = balancer(&mut self.balancers, &self.links, *id)
                .and_then(|balancer| balancer.map_or(Ok(()), |b| b.apply(network).map(drop)));
            if let Err(error) = applied {
                self.balancers.remove(id);
                failed.push(format!("network {}: {error}", network.name));
            }
        }
        if let Err(error) = self.apply_ports() {
            self.ports = None;
            failed.push(format!("published ports: {error}"));
        }
        self.failed[1] = failed;
        self.note_taken_ports();
        self.tell_failures();
    }

    /// Nothing changed but what these lead to. New connections of all networks come first, then the
    /// flows that there are.
    fn apply_some_balancing(&mut self, concerned: &Concerned) {
        let mut is_done = self.failed[1].is_empty();
        for (id, (addresses, tasks)) in &concerned.networks {
            let Some(network) = self.plan.networks.get(id) else { continue };
            let balancer = self.balancers.get_mut(id);
            is_done &= balancer.is_some_and(|b| b.apply_some(network, addresses, tasks).is_ok());
        }
        let ports = self.ports.as_mut().filter(|_| !concerned.ports.is_empty());
        is_done &= match ports {
            Some(ports) => ports.apply_some(&self.plan, &concerned.ports).is_ok(),
            None => concerned.ports.is_empty(),
        };
        let balancers = self.balancers.values_mut();
        let mut followed: Vec<_> = balancers.map(NetworkBalancer::follow_flows).collect();
        followed.extend(self.ports.as_mut().map(PortBalancer::follow_flows));
        is_done &= followed.iter().all(Result::is_ok);
        if !is_done {
            self.apply_balancing();
        } else if self.note_taken_ports() {
            self.tell_failures();
        }
    }

    /// Returns whether programs of this machine have other ports than before.
    fn note_taken_ports(&mut self) -> bool {
        let taken = self.ports.iter().flat_map(PortBalancer::taken);
        let taken = taken.map(ToString::to_string).collect();
        let before = std::mem::replace(&mut self.failed[3], taken);
        before != self.failed[3]
    }

    /// The host's table is there while this node takes part in any network.
    fn apply_ports(&mut self) -> Result<(), BalancingError> {
        if self.plan.networks.is_empty() {
            return self.ports.take().map_or(Ok(()), |mut ports| ports.remove());
        }
        let foreign_vnis = self.foreign_vnis();
        let namespace = self.links.host_namespace();
        let ports = match &mut self.ports {
            Some(ports) => ports,
            closed => {
                if let Err(error) = self.links.allow_forwarding() {
                    tracing::warn!("networks: packets are not forwarded to the outside: {error}");
                }
                closed.insert(PortBalancer::open(namespace, &self.tag)?)
            }
        };
        ports.leave_alone(foreign_vnis);
        ports.apply(&self.plan)?;
        for id in self.plan.networks.keys() {
            accept_loopback_clients(namespace, &self.links.host_link(*id))?;
        }
        Ok(())
    }

    /// Nothing was ordered for a second: is everything still there?
    fn look(&mut self) {
        self.resolvers.follow_host();
        self.reporter.report(&mut self.links);
        let is_tunnel_lost = self.tunnel.is_lost(self.plan.tunnel().as_ref());
        self.reporter.report_tunnel(&self.tunnel.said());
        self.tell_failures();
        let is_gone = |intact: Result<Intact, BalancingError>| !matches!(intact, Ok(Intact::Yes));
        let mut lost: Vec<NetworkId> = Vec::new();
        for (id, balancer) in &mut self.balancers {
            if is_gone(balancer.is_intact()) {
                lost.push(*id);
            }
        }
        let are_ports_lost = self.ports.as_mut().is_some_and(|ports| is_gone(ports.is_intact()));
        if !lost.is_empty() || are_ports_lost {
            tracing::warn!("somebody removed tables of networks; they are made again");
            lost.iter().for_each(|id| drop(self.balancers.remove(id)));
            if are_ports_lost {
                self.ports = None;
            }
            self.apply_balancing();
        }
        if self.ports.as_mut().is_some_and(PortBalancer::look_for_free_ports) {
            self.apply_balancing();
        }
        let is_due = self.compared_at.elapsed() >= COMPARE_INTERVAL;
        if is_due {
            self.told.tell(Dropped::count(self.ports.as_mut(), &mut self.balancers));
        }
        let is_disturbed = self.links.is_disturbed();
        let is_wanted = is_due || is_disturbed || is_tunnel_lost || !self.failed[0].is_empty();
        let is_empty = self.plan.networks.is_empty() && self.plan.paths.is_none();
        if !is_empty && is_wanted {
            self.apply_links();
            if !self.failed[1].is_empty() {
                self.apply_balancing();
            }
        }
    }

    fn remove_all(&mut self) {
        self.resolvers.clear();
        self.balancers.clear();
        if let Some(mut ports) = self.ports.take()
            && let Err(error) = ports.remove()
        {
            tracing::warn!("networks: {error}");
        }
        self.plan = OverlayPlan::default();
        self.tunnel.end(&self.links);
        for failure in self.links.remove_all().failures {
            tracing::warn!("networks: {failure}");
        }
        self.paths.tell_prober(&self.plan, &self.links);
    }

    /// Logs failures when they begin, and when all are over.
    fn tell_failures(&self) {
        let now = self.failed.iter().flatten().chain(self.tunnel.silent());
        let now: Vec<String> = now.cloned().collect();
        let mut told = self.failures.lock().expect("nothing panics while it holds this");
        for failure in now.iter().filter(|failure| !told.contains(failure)) {
            tracing::warn!("networks: {failure}");
        }
        if now.is_empty() && !told.is_empty() {
            tracing::info!("networks: everything is as planned again");
        }
        *told = now;
    }
}

/// The balancer of a network whose namespace is there.
fn balancer<'a>(
    balancers: &'a mut BTreeMap<NetworkId, NetworkBalancer>,
    links: &Links,
    id: NetworkId,
) -> Result<Option<&'a mut NetworkBalancer>, BalancingError> {
    let Some(namespace) = links.namespace(id) else { return Ok(None) };
    Ok(Some(match balancers.entry(id) {
        Entry::Occupied(held) => held.into_mut(),
        Entry::Vacant(free) => free.insert(NetworkBalancer::open(namespace)?),
    }))
}
