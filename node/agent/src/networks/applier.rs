//! The thread that holds the plan in the kernel.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crdt_state::NetworkId;
use crdt_state::interface::TaskInterface;
use crdt_state::task::Run;
use overlay::change::PlanChange;
use overlay::plan::{OverlayPlan, PathPlan};
use overlay::tunnel::TunnelPlan;
use overlay_linux::error::LinkError;
use overlay_linux::links::Links;

use super::Order;
use super::balancers::{Balancers, Looked, foreign_vnis};
use super::concerned::Concerned;
use super::dropped::DroppedPackets;
use super::failed::{Failed, Failures};
use super::hosts_file;
use super::identity_file::IdentityFile;
use super::machine_facts::Reporter;
use super::news::NetworkNews;
use super::path_links::PathLinks;
use super::repair::{Repair, Repaired};
use super::resolvers::Resolvers;
use super::tunnel::NodeTunnelHolder;

/// How often the kernel is asked whether tables are still there, and whether it told of disturbed
/// links. One message for each network.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// For how long there must be nothing to do before the links of a task that ended are removed.
const DETACH_PAUSE: Duration = Duration::from_millis(50);

/// How often everything is compared with the kernel, whether or not something changed.
const COMPARE_INTERVAL: Duration = Duration::from_secs(120);

/// Holds the plan in the kernel.
pub(super) struct Applier {
    links: Links,
    plan: OverlayPlan,
    has_plan: bool,
    balancers: Balancers,
    resolvers: Resolvers,
    failed: Failed,
    reporter: Reporter,
    tunnel: NodeTunnelHolder,
    /// What goes through the tunnel, as it was applied last.
    carried: Option<TunnelPlan>,
    compared_at: Instant,
    looked_at: Instant,
    told: DroppedPackets,
    paths: PathLinks,
    identity: IdentityFile,
    runs: PathBuf,
}

/// What the thread shares with the rest of the agent.
pub(super) struct Parts {
    pub(super) resolvers: Resolvers,
    pub(super) failures: Arc<Mutex<Failures>>,
    pub(super) reporter: Reporter,
    pub(super) tunnel: NodeTunnelHolder,
    pub(super) paths: PathLinks,
    pub(super) identity: IdentityFile,
    /// The folder of all runs.
    pub(super) runs: PathBuf,
}

impl Applier {
    pub(super) fn new(links: Links, tag: String, parts: Parts) -> Applier {
        let Parts { resolvers, failures, reporter, tunnel, paths, identity, runs } = parts;
        Applier {
            links,
            plan: OverlayPlan::default(),
            has_plan: false,
            balancers: Balancers::new(tag),
            resolvers,
            failed: Failed::new(failures),
            reporter,
            tunnel,
            carried: None,
            compared_at: Instant::now(),
            looked_at: Instant::now(),
            told: DroppedPackets::default(),
            paths,
            identity,
            runs,
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
                Some(Order::Find { done }) => {
                    let _ = done.send(self.reporter.find(&mut self.links));
                }
                Some(Order::Count { done }) => {
                    let _ = done.send(self.dropped());
                }
                Some(Order::Limits(limits)) => {
                    self.paths.limits = limits;
                    self.apply_links();
                }
                Some(Order::Detours(nodes)) => {
                    self.paths.take_detours(nodes);
                    self.apply_links();
                }
                Some(Order::Lossy(nodes)) => {
                    self.paths.lossy = nodes;
                    self.tell_failures();
                }
                Some(Order::Leave { done }) => {
                    self.remove_all();
                    let _ = done.send(());
                }
                None if self.links.has_ended() => self.detach_next(),
                None => {}
            }
            // Not only when there is a pause: a busy fleet may order something every moment.
            let due = LOOK_INTERVAL.saturating_sub(self.looked_at.elapsed());
            if due.is_zero() {
                self.look();
            }
            if waiting.is_none() {
                let pause = if self.links.has_ended() { DETACH_PAUSE.min(due) } else { due };
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
        let probed = self.plan.paths.as_ref().map(PathPlan::network);
        let held = self.paths.held(&self.plan);
        let (are_networks_changed, are_paths_changed) =
            (change.networks.is_some(), change.paths.is_some());
        let runs: Vec<Run> = change.tasks.keys().copied().collect();
        let concerned = Concerned::of(&change, &self.plan);
        self.plan.apply(change);
        // Who is heard changes no link, and connections to its tasks are what matters then.
        let is_probed_alike =
            !are_paths_changed || self.plan.paths.as_ref().map(PathPlan::network) == probed;
        let is_held_alike = self.paths.held(&self.plan) == held;
        let are_links_changed =
            is_first || are_networks_changed || !is_probed_alike || !is_held_alike;
        if are_links_changed {
            self.balancers.admit_members(&self.plan, &self.links);
            self.apply_links();
        }
        // The removal of a link takes the kernel tens of milliseconds: connections come first.
        match are_links_changed {
            true => self.apply_balancing(),
            false => self.apply_some_balancing(&concerned),
        }
        if are_paths_changed {
            self.paths.tell_prober(&self.plan, &self.links, &self.tunnel);
        }
        self.resolvers.apply(&self.plan, &self.links);
        self.apply_tasks(&runs);
        self.resolvers.hold(&self.plan, &self.links);
    }

    /// Compares all links, addresses and routes with the kernel. Returns the networks of which
    /// something was changed.
    fn apply_links(&mut self) -> BTreeSet<NetworkId> {
        self.compared_at = Instant::now();
        // What is told from here on is not discarded, though most of it is what this does: somebody
        // else may change something meanwhile. The next look finds nothing to do, or that.
        self.links.is_disturbed();
        let linked = self.paths.linked(&self.plan, &self.tunnel);
        self.carried = linked.tunnel();
        let tunnel = self.carried.clone();
        let mut failures = self.tunnel.prepare(tunnel.as_ref(), &self.links);
        let applied = self.links.apply(&linked);
        let foreign = foreign_vnis(&self.plan, &self.links);
        failures.extend(self.tunnel.finish(tunnel.as_ref(), foreign, &self.links));
        self.reporter.report_tunnel(&self.tunnel.said());
        self.paths.tell_prober(&self.plan, &self.links, &self.tunnel);
        if applied.changes > 0 {
            tracing::debug!("networks: {} changes in the kernel", applied.changes);
        }
        failures.extend(applied.failures.iter().map(ToString::to_string));
        self.failed.links = failures;
        self.failed.host.look(&self.plan, &self.links);
        self.tell_failures();
        applied.networks
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
                    let before = held.unwrap_or_default().to_vec();
                    let followed = hosts_file::follow(&self.runs, *run, &before, &task.interfaces);
                    if let Err(error) = followed {
                        tracing::warn!("networks: /etc/hosts of a task is not up to date: {error}");
                    }
                    self.links.attach(*run, &task.interfaces).map(drop)
                }
            };
            self.note_tried(result);
        }
        self.follow_links();
    }

    fn detach_next(&mut self) {
        let result = self.links.detach_next();
        self.note_tried(result);
    }

    /// What failed is tried again with all links.
    fn note_tried(&mut self, result: Result<(), LinkError>) {
        if let Err(error) = result {
            self.failed.links.push(error.to_string());
            self.tell_failures();
        }
        self.follow_links();
    }

    fn follow_links(&mut self) {
        if !self.balancers.follow_links(&self.plan, &self.links) {
            self.apply_balancing();
        }
    }

    fn attach(&mut self, run: Run, interfaces: &[TaskInterface]) -> Result<PathBuf, String> {
        let path = self.links.attach(run, interfaces).map_err(|error| error.to_string())?;
        self.follow_links();
        self.resolvers.apply(&self.plan, &self.links);
        Ok(path)
    }

    fn apply_balancing(&mut self) {
        self.failed.balancing = self.balancers.apply(&self.plan, &self.links);
        self.note_taken_ports();
        self.tell_failures();
    }

    fn apply_some_balancing(&mut self, concerned: &Concerned) {
        let is_known = self.failed.balancing.is_empty();
        if !is_known || !self.balancers.apply_some(&self.plan, concerned) {
            self.apply_balancing();
        } else if self.note_taken_ports() {
            self.tell_failures();
        }
    }

    /// Returns whether programs of this machine have other ports than before.
    fn note_taken_ports(&mut self) -> bool {
        let taken = self.balancers.taken();
        let before = std::mem::replace(&mut self.failed.taken, taken);
        before != self.failed.taken
    }

    /// Is everything still there?
    fn look(&mut self) {
        self.looked_at = Instant::now();
        self.resolvers.follow_host();
        if self.has_plan {
            self.resolvers.hold(&self.plan, &self.links);
        }
        self.reporter.report(&mut self.links);
        self.failed.host.look_again(&self.plan, &self.links);
        let is_tunnel_lost = self.tunnel.is_lost(self.carried.as_ref());
        self.reporter.report_tunnel(&self.tunnel.said());
        self.tell_failures();
        match self.balancers.look() {
            Looked::Intact => {}
            Looked::PortFree => self.apply_balancing(),
            Looked::Lost(networks) => {
                self.apply_balancing();
                self.tell_repair(Repaired::Rules, &networks);
            }
        }
        let is_due = self.compared_at.elapsed() >= COMPARE_INTERVAL;
        if is_due {
            let dropped = self.dropped();
            self.told.tell(dropped);
        }
        let is_disturbed = self.links.is_disturbed();
        let is_detour_over = self.paths.detours.close();
        let is_wanted = is_due
            || is_disturbed
            || is_tunnel_lost
            || is_detour_over
            || !self.failed.links.is_empty();
        let is_empty = self.plan.networks.is_empty() && self.plan.paths.is_none();
        if !is_empty && is_wanted {
            let networks = self.apply_links();
            if is_disturbed && !networks.is_empty() {
                // A link that is down for a moment loses the routes of clients at ::1.
                self.apply_balancing();
                self.tell_repair(Repaired::Links, &networks);
            }
            // A task that was to have other interfaces may have to wait for a network.
            let runs: Vec<Run> = self.plan.tasks.keys().copied().collect();
            self.apply_tasks(&runs);
        }
        // The kernel refused something, or a network's namespace could not be made before.
        let is_refused = !self.failed.balancing.is_empty();
        if self.has_plan && (is_refused || !self.balancers.are_complete(&self.plan)) {
            self.apply_balancing();
        }
    }

    fn tell_repair(&self, what: Repaired, networks: &BTreeSet<NetworkId>) {
        let plan = &self.plan.networks;
        let networks = networks.iter().filter_map(|id| plan.get(id)).map(|n| n.name.clone());
        let repair = Repair { what, networks: networks.collect() };
        tracing::warn!("{repair}");
        self.reporter.tell(NetworkNews::Repaired(repair));
    }

    fn remove_all(&mut self) {
        self.resolvers.clear();
        if let Err(error) = self.balancers.remove() {
            tracing::warn!("networks: {error}");
        }
        self.plan = OverlayPlan::default();
        self.carried = None;
        self.paths.detours.clear();
        self.tunnel.end(&self.links);
        self.identity.remove();
        for failure in self.links.remove_all().failures {
            tracing::warn!("networks: {failure}");
        }
        self.paths.tell_prober(&self.plan, &self.links, &self.tunnel);
    }

    /// As of now; what cannot be counted now, as it was told last.
    fn dropped(&mut self) -> DroppedPackets {
        self.balancers.dropped().unwrap_or(self.told)
    }

    /// Tells failures when they begin, and when they are over.
    fn tell_failures(&mut self) {
        let paths = self.paths.failures(&self.plan, &self.tunnel);
        let resolvers = self.resolvers.failures().collect();
        self.failed.tell(resolvers, paths, (&self.plan, &self.reporter));
    }
}
