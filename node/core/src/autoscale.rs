//! Autoscaling: the load of this node's tasks, and the counts that this node declares.
//!
//! ```text
//! samples of own tasks ──▶ mean of a minute ──▶ published if it differs ─┐
//!                                                                        ▼
//! counted by all ◀── declared ◀── its turn among the members ◀── damped ◀── load of all nodes
//! ```
//! The members have an order for each service; the first one declares, and each of the others waits
//! [`TURN_MS`] longer. All of them reckon from the same records, so that it does not matter who
//! declares. Nothing here looks at a clock or at random: only at the time that passed. It must never
//! lower a count while a node that has tasks of the service is silent. Decision 26.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::autoscale::{Autoscale, DeclaredCount, ScalingReport, ScalingReports};
use crdt_state::limits::SCALED_SERVICES_MAX;
use crdt_state::replica::Replica;
use crdt_state::service::Service;
use crdt_state::spec::{Scale, TemplateVersion};
use crdt_state::task::{Run, TaskState, TaskStatus};
use crdt_state::{Kind, NodeId, RecordKey, ServiceId, read};
use gossip::{Gossip, MemberState, Now};
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::planner::Planner;
use crate::schedules::{TURN_MS, turn};
use crate::tasks::{StepTime, is_healthy};

mod decision;
mod measured;
mod status;

pub use decision::{DOWN_MS, Damping, Figures, Metric, TOLERANCE_PERCENT, UP_MS, Used, Wanted};
pub use measured::{FRESH_MS, SAMPLES_MIN, STEPS};
pub use status::AutoscaleStatus;

use measured::Measured;

/// Between two writes of this node's record because of a load, in milliseconds.
pub const PUBLISH_MS: u64 = 15_000;

/// For so long after its start an agent reports of no fewer tasks than it did before, in
/// milliseconds: its first figures come after 40 s.
const BOOT_MS: u64 = 60_000;

/// What one run used lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunUse {
    /// Thousandths of a core, over the time since the sample before.
    pub millicores: u64,
    /// Bytes of memory, without files that can be dropped at any time.
    pub memory_bytes: u64,
}

/// The services that are scaled by their load, and this node's part in that.
pub struct Autoscaler {
    me: NodeId,
    services: BTreeMap<ServiceId, Scaling>,
    measured: Measured,
    /// When it is looked at them again.
    deadline: Now,
    started: Option<Now>,
    published: Option<Now>,
}

/// One service that is scaled by its load.
struct Scaling {
    damping: Damping,
    declared: Option<DeclaredCount>,
    hold: Option<Hold>,
}

/// Why a count is not lowered, whatever the load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// This node has tasks of it and is not heard: nobody knows what they use.
    Silent(NodeId),
    /// Tasks are being replaced.
    Updating,
}

/// A change of the count of a service, as this node saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaled {
    /// The service.
    pub service: ServiceId,
    /// The count before, and the count now.
    pub counts: (u32, u32),
}

impl Autoscaler {
    /// No service is known yet.
    pub fn new(me: NodeId) -> Autoscaler {
        Autoscaler {
            me,
            services: BTreeMap::new(),
            measured: Measured::default(),
            deadline: Now::START,
            started: None,
            published: None,
        }
    }

    /// When this node looks at its services again.
    pub fn deadline(&self) -> Now {
        self.deadline
    }

    /// A record changed: a load, a count, what a service asks for, or the order of the members.
    pub fn on_record(&mut self, kind: Kind) {
        let is_any = !self.services.is_empty();
        let concerns = match kind {
            Kind::SERVICE | Kind::SCALING => true,
            Kind::TASK | Kind::NODE => is_any,
            _ => false,
        };
        if concerns {
            self.deadline = Now::START;
        }
    }

    /// A member is silent, or is heard again.
    pub fn on_member(&mut self) {
        if !self.services.is_empty() {
            self.deadline = Now::START;
        }
    }

    /// What this node's tasks used. A run that is not among them is measured anew.
    pub fn on_use(&mut self, now: Now, found: &BTreeMap<Run, RunUse>) {
        self.measured.note(now, found);
        self.deadline = Now::START;
    }

    /// Nothing is measured or declared any more: the node leaves.
    pub fn rest(&mut self) {
        self.deadline = Now::NEVER;
    }

    /// Publishes the load of this node's tasks, and declares the counts whose time has come. Returns
    /// whether its record changed, and which counts changed.
    pub fn handle_due(
        &mut self,
        time: StepTime,
        planner: &Planner,
        gossip: &Gossip,
        replica: &mut Replica,
    ) -> (bool, Vec<Scaled>) {
        let now = time.now;
        if now < self.deadline {
            return (false, Vec::new());
        }
        self.deadline = Now::NEVER;
        self.measured.forget_old(now);
        let catalog = planner.catalog();
        let scaled = self.read(catalog);
        let said = read::scaling_of(replica, self.me);
        let mut says = said.clone();
        self.publish(now, catalog, replica, &mut says);
        for (id, scaling) in &mut self.services {
            let Some((service, asked, count)) = asked_of(catalog, *id) else { continue };
            scaling.hold = hold(self.me, service, catalog, gossip);
            let figures = figures(service, asked, count, planner);
            let damped = scaling.damping.note(now, &figures, asked, scaling.hold);
            let (Some((due, next)), Some(turn)) = (damped, turn(self.me, *id, planner)) else {
                continue;
            };
            let due = due.plus(turn.saturating_mul(TURN_MS));
            if due <= now {
                let last = service.declared.unwrap_or(DeclaredCount { round: 0, count });
                let is_lower = u32::from(next < count);
                let round = last.round.saturating_add(is_lower);
                says.entry(*id).or_default().declared = Some(DeclaredCount { round, count: next });
            } else {
                self.deadline = self.deadline.min(due);
            }
        }
        self.deadline = self.deadline.min(self.measured.fresh_until());
        let is_changed = says != said && says.len() <= SCALED_SERVICES_MAX;
        if is_changed {
            replica.put_owned(RecordKey::scaling(self.me), &says, time.wall_ms);
        }
        (is_changed, scaled)
    }

    /// The runs of this node that are to be measured.
    pub fn measured_runs(&self, catalog: &Catalog) -> Vec<Run> {
        let services = self.services.keys().filter_map(|id| catalog.services.get(id));
        let tasks = services.flat_map(|service| own_tasks(self.me, service, catalog));
        let running = tasks.filter(|task| task.current.state == TaskState::Running);
        running.map(run_of).collect()
    }

    /// Notes the services that are scaled by their load now, and returns whose count was declared
    /// anew.
    fn read(&mut self, catalog: &Catalog) -> Vec<Scaled> {
        let mut scaled = Vec::new();
        self.services.retain(|id, _| asked_of(catalog, *id).is_some());
        for (id, service) in &catalog.services {
            let Some((_, _, count)) = asked_of(catalog, *id) else { continue };
            let declared = service.declared;
            let known = self.services.entry(*id).or_insert_with(|| Scaling {
                damping: Damping::new(count),
                declared,
                hold: None,
            });
            let before = known.damping.count();
            if declared != known.declared && count != before {
                scaled.push(Scaled { service: *id, counts: (before, count) });
            }
            known.declared = declared;
        }
        scaled
    }

    /// Brings what this node says of the load of its tasks up to date, unless it said so lately.
    fn publish(
        &mut self,
        now: Now,
        catalog: &Catalog,
        replica: &Replica,
        says: &mut ScalingReports,
    ) {
        let boots_until = self.started.get_or_insert(now).plus(BOOT_MS);
        // What it declared stays as long as the service: who has not heard yet that autoscaling was
        // taken off must not fall back to another count.
        says.retain(|id, _| {
            catalog.services.contains_key(id) || replica.is_unfit(&RecordKey::service(*id))
        });
        let services: BTreeSet<ServiceId> =
            self.services.keys().chain(says.keys()).copied().collect();
        let mut loads = BTreeMap::new();
        for id in services {
            let before = says.get(&id).copied().unwrap_or_default();
            let is_scaled = asked_of(catalog, id);
            let load = match is_scaled {
                Some((service, asked, _)) => {
                    self.measured.load(asked, service, own_tasks(self.me, service, catalog))
                }
                None => ScalingReport::default(),
            };
            let asked = is_scaled.map(|(_, asked, _)| asked).unwrap_or_default();
            let is_early = is_scaled.is_some() && load.tasks < before.tasks && now < boots_until;
            if is_early {
                self.deadline = self.deadline.min(boots_until);
            } else if measured::differs(asked, &before, &load) {
                loads.insert(id, ScalingReport { declared: before.declared, ..load });
            }
        }
        let due = self.published.map_or(now, |published| published.plus(PUBLISH_MS));
        match () {
            () if loads.is_empty() => {}
            () if due > now => self.deadline = self.deadline.min(due),
            () => {
                self.published = Some(now);
                says.extend(loads);
                says.retain(|_, said| said.tasks > 0 || said.declared.is_some());
            }
        }
    }
}

/// A service that is scaled by its load, what was asked of it, and its count in force.
fn asked_of(catalog: &Catalog, id: ServiceId) -> Option<(&Service, Autoscale, u32)> {
    let service = catalog.services.get(&id)?;
    match service.scale {
        Scale::Replicated { replicas } => Some((service, service.autoscale?, replicas)),
        _ => None,
    }
}

fn own_tasks<'a>(
    me: NodeId,
    service: &Service,
    catalog: &'a Catalog,
) -> impl Iterator<Item = &'a TaskStatus> {
    let records = catalog.tasks.get(&service.id).into_iter().flatten();
    let own = records.filter(move |((_, node), _)| *node == me);
    own.flat_map(|(_, record)| &record.tasks)
}

fn run_of(task: &TaskStatus) -> Run {
    Run { task: task.id, attempt: task.current.number }
}

/// The load of a service over the nodes that are present.
fn figures(service: &Service, asked: Autoscale, count: u32, planner: &Planner) -> Figures {
    let reports = planner.catalog().scaling.iter().filter(|(node, _)| planner.is_here(**node));
    let said: Vec<ScalingReport> =
        reports.filter_map(|(_, said)| said.get(&service.id).copied()).collect();
    let sum = |of: fn(&ScalingReport) -> u32| said.iter().map(|said| u64::from(of(said))).sum();
    let (cpu, memory) = (sum(|said| said.cpu), sum(|said| said.memory));
    let used = |metric, percent: u64, target: Option<u32>| {
        target.map(|target| Used { metric, percent, target: u64::from(target) })
    };
    let all = [used(Metric::Cpu, cpu, asked.cpu), used(Metric::Memory, memory, asked.memory)];
    let known = said.iter().map(|said| said.tasks).fold(0, u32::saturating_add);
    Figures { count, known, used: all.into_iter().flatten().collect() }
}

/// Why the count of a service is not to be lowered now.
fn hold(me: NodeId, service: &Service, catalog: &Catalog, gossip: &Gossip) -> Option<Hold> {
    let records = catalog.tasks.get(&service.id)?;
    let is_heard = |node: NodeId| {
        let member = gossip.member(node);
        let alive = [MemberState::Alive, MemberState::Suspect];
        node == me || member.is_some_and(|member| alive.contains(&member.state))
    };
    let live = records.iter().filter(|((_, node), record)| {
        let is_live = |task: &TaskStatus| !task.current.state.is_terminal();
        record.tasks.iter().any(is_live) && !catalog.is_leaving(*node)
    });
    let silent = live.map(|((_, node), _)| *node).find(|node| !is_heard(*node));
    silent.map(Hold::Silent).or_else(|| is_updating(service, catalog).then_some(Hold::Updating))
}

/// Does a task run another template than the one that counts, and will it be replaced?
fn is_updating(service: &Service, catalog: &Catalog) -> bool {
    let is_old = |version: TemplateVersion| version != service.template_version;
    let records = catalog.tasks.get(&service.id).into_iter().flatten();
    let mut tasks = records.flat_map(|(_, record)| &record.tasks);
    let is_live = |task: &TaskStatus| task.desired_running && !task.current.state.is_terminal();
    !service.is_halted() && tasks.any(|task| is_live(task) && is_old(task.template))
}

/// Is the task one whose load counts?
fn counts(task: &TaskStatus) -> bool {
    task.desired_running && is_healthy(task)
}
