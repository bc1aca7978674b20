//! Settling: from changed records to a new plan, to orders, to further records, until nothing
//! changes any more.

use crdt_state::spec::{Life, Scale};
use crdt_state::task::{Exit, Run, RunEvent, TaskRecord, TaskState};
use crdt_state::{NodeId, RecordKey, ServiceId};
use gossip::{MemberState, Now};

use super::{Departure, Node, task_events};
use crate::assign;
use crate::catalog::NodeEntry;
use crate::constraint::Constraint;
use crate::input::Action;
use crate::ledger::{self, Ledger};
use crate::plan;
use crate::tasks::TaskOrder;
use crate::view::{Holder, NodeView, Presence, ServiceView, Standing};
use crate::volumes;

/// Rounds of one settling. Each round but the last changed a record of this node; two are usual.
/// What is left after that is taken up by the next step, at once.
const ROUNDS_MAX: usize = 8;

impl Node {
    /// Settles, unless nothing changed and nothing is due: a ping costs no look at the tasks.
    pub(super) fn settle_if_due(&mut self, now: Now, wall_ms: u64) {
        self.drain_gossip(now, wall_ms);
        if !self.is_settled(now) {
            self.settle(now, wall_ms);
        }
    }

    /// Would settling do nothing? It stands beside [`Node::settle`]: what that looks at is asked
    /// here, and nothing else may make it act.
    fn is_settled(&self, now: Now) -> bool {
        let unchanged = !self.replica.has_changed() && !self.is_unfinished();
        let is_departing = matches!(self.departure, Departure::HandingOver { .. });
        unchanged
            && !is_departing
            && self.tasks.is_settled()
            && !self.outbox.is_due()
            && self.own_timers().iter().all(|(_, at)| *at > now)
    }

    pub(super) fn settle(&mut self, now: Now, wall_ms: u64) {
        self.settlings += 1;
        let time = self.step_time(now, wall_ms);
        self.replica.let_in();
        for _ in 0..ROUNDS_MAX {
            self.drain_gossip(now, wall_ms);
            let changed = self.replica.drain_changed();
            self.on_records(now, wall_ms, changed);
            // A node that lost its store meets what it said before: it must not plan by that, or it
            // stops what runs for the sake of what does not.
            if self.write_own_tasks(wall_ms) {
                let refuted = self.replica.drain_changed();
                self.on_records(now, wall_ms, refuted);
            }
            if self.presence_deadline <= now {
                self.dirty.nodes = true;
            }
            let due = self.due_at.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id);
            self.dirty.services.extend(due.collect::<Vec<_>>());
            let concerned = self.replan(now);
            for service in concerned {
                self.reconcile(now, wall_ms, service);
            }
            let services = &self.catalog.services;
            // Nothing begins on half of what is known: see `Replica::let_in`.
            if !self.replica.is_holding_back() {
                self.tasks.handle_due(time, |id| services.get(&id));
            }
            self.go_on_departing(time);
            if !self.write_own_tasks(wall_ms) && self.dirty == Default::default() {
                break;
            }
        }
        self.drain_gossip(now, wall_ms);
        self.give_orders(now, wall_ms);
        self.outbox.flush(&self.replica);
        if self.is_unfinished() {
            self.presence_deadline = now;
        }
        if self.dirty == Default::default() {
            self.replica.applied();
        }
    }

    /// Makes the plan of everything that changed anew; the services concerned.
    fn replan(&mut self, now: Now) -> Vec<ServiceId> {
        let dirty = std::mem::take(&mut self.dirty);
        let mut all = false;
        if dirty.nodes {
            let nodes = self.node_views(now);
            all = nodes != self.view.nodes;
            self.view.nodes = nodes;
        }
        for id in &dirty.services {
            let before = self.view.services.get(id);
            let after = self.service_view(*id);
            // A service that takes what others may lack concerns all of them.
            all |= before.is_some_and(ledger::is_counted)
                || after.as_ref().is_some_and(ledger::is_counted);
            match after {
                Some(view) => self.view.services.insert(*id, view),
                None => self.view.services.remove(id),
            };
        }
        if all {
            let before = std::mem::replace(&mut self.plan, plan::plan(&self.view));
            let mut concerned: Vec<ServiceId> = dirty.services.iter().copied().collect();
            concerned.extend(before.services.keys());
            concerned.extend(self.plan.services.keys());
            concerned.extend(self.tasks.slots().map(|(service, _)| service));
            concerned.extend(dirty.handovers);
            concerned.sort_unstable();
            concerned.dedup();
            return concerned;
        }
        for id in &dirty.services {
            match self.view.services.get(id) {
                Some(service) => {
                    let planned = plan::plan_service(&self.view, service, &mut Ledger::default());
                    self.plan.services.insert(*id, planned);
                }
                None => {
                    self.plan.services.remove(id);
                }
            }
        }
        dirty.services.union(&dirty.handovers).copied().collect()
    }

    fn node_views(&mut self, now: Now) -> std::collections::BTreeMap<NodeId, NodeView> {
        self.presence_deadline = Now::NEVER;
        let mut views = std::collections::BTreeMap::new();
        let members: Vec<NodeId> = self
            .catalog
            .nodes
            .iter()
            .filter(|(_, node)| node.is_member())
            .map(|(id, _)| *id)
            .collect();
        for id in members {
            let presence = self.presence(now, id);
            if let Some(view) = self.catalog.nodes.get(&id).and_then(|e| node_view(id, e, presence))
            {
                views.insert(id, view);
            }
        }
        views
    }

    /// Is the node there, as far as placement cares? Notes when that may change by itself.
    fn presence(&mut self, now: Now, id: NodeId) -> Presence {
        if id == self.me {
            return Presence::Here;
        }
        let gone_at = match self.gossip.member(id) {
            Some(member) => match member.state {
                MemberState::Alive | MemberState::Suspect => return Presence::Here,
                MemberState::Left => return Presence::Gone,
                MemberState::Unreachable => member.since.plus(self.failover_delay_ms),
            },
            None => self.booted_until,
        };
        if gone_at <= now {
            return Presence::Gone;
        }
        self.presence_deadline = self.presence_deadline.min(gone_at);
        Presence::Here
    }

    fn service_view(&self, id: ServiceId) -> Option<ServiceView> {
        let service = self.catalog.services.get(&id)?;
        let mut holders = Vec::new();
        for ((slot, node), record) in self.catalog.tasks.get(&id).into_iter().flatten() {
            let best = record
                .tasks
                .iter()
                .filter(|s| s.desired_running)
                .filter(|s| {
                    !s.current.state.is_terminal() || s.template == service.template_version
                })
                .map(|s| (assign::standing(s), s.running_since))
                .min();
            if let Some((standing, running_since)) = best {
                holders.push(Holder { slot: *slot, node: *node, standing, running_since });
            }
        }
        Some(ServiceView {
            id,
            created: service.created,
            scale: service.scale,
            constraints: service
                .placement
                .constraints
                .iter()
                .map(|text| Constraint::parse(text).map_err(|_| text.clone()))
                .collect(),
            platforms: service.template.container.platforms.clone(),
            max_per_node: service.placement.max_per_node,
            priority: service.placement.priority,
            reservations: service.template.reservations.clone(),
            host_ports: service.endpoint.ports.iter().filter(|p| p.host).cloned().collect(),
            volumes: volumes::named_by(service),
            holders,
        })
    }

    /// Writes what changed in this node's own slots; whether anything did.
    fn write_own_tasks(&mut self, wall_ms: u64) -> bool {
        let touched = self.tasks.drain_touched();
        for ((service, slot), record) in &touched {
            let key = RecordKey::task(self.me, *service, *slot);
            let before = self.replica.owned::<TaskRecord>(&key).map(|(_, before)| before);
            let called = self.replica.life(&RecordKey::service(*service)).map(Life::into_name);
            let of = task_events::SlotService {
                name: called.as_deref(),
                service: self.catalog.services.get(service),
            };
            for event in task_events::between(before.as_ref(), record.as_ref(), of, wall_ms) {
                self.outbox.push(Action::Event(event));
            }
            match record {
                Some(record) => self.replica.put_owned(key, record, wall_ms),
                None if self.replica.record(&key).is_some() => {
                    self.replica.retire_owned(key, wall_ms);
                }
                None => {}
            }
        }
        self.say_handovers(wall_ms) || !touched.is_empty()
    }

    fn give_orders(&mut self, now: Now, wall_ms: u64) {
        while let Some(order) = self.tasks.poll_order() {
            let action = match order {
                TaskOrder::Start(start) => Action::StartRun(start),
                TaskOrder::Stop { run, .. } if self.outbox.take_back_start(run) => {
                    self.never_started(now, wall_ms, run);
                    continue;
                }
                TaskOrder::Stop { run, signal, grace_ms } => {
                    Action::StopRun { run, signal, grace_ms }
                }
                TaskOrder::Forget(run) => Action::ForgetRun { run },
            };
            self.outbox.push_held(action);
        }
    }

    /// A slow disk held back a start until the task was no longer wanted: it is over, and no
    /// program of a removed service runs for the time of a write.
    fn never_started(&mut self, now: Now, wall_ms: u64, run: Run) {
        let time = self.step_time(now, wall_ms);
        let exited = RunEvent::Exited { exit: Exit::Unknown, oom: false };
        let service = self.tasks.slot_of(run).and_then(|(id, _)| self.catalog.services.get(&id));
        self.tasks.handle_run(time, run, exited, service);
        if self.write_own_tasks(wall_ms) {
            let changed = self.replica.drain_changed();
            self.on_records(now, wall_ms, changed);
        }
    }

    /// The node has said goodbye and does nothing more.
    pub fn has_departed(&self) -> bool {
        self.departure == Departure::Gone
    }
}

fn node_view(id: NodeId, entry: &NodeEntry, presence: Presence) -> Option<NodeView> {
    let description = entry.description.as_ref()?;
    let ip = |text: &String| {
        text.parse::<std::net::SocketAddr>()
            .map(|addr| addr.ip())
            .or_else(|_| text.parse::<std::net::IpAddr>())
            .ok()
    };
    Some(NodeView {
        id,
        presence,
        availability: entry.availability,
        hostname: description.hostname.clone(),
        os: description.os.clone(),
        arch: description.arch.clone(),
        labels: entry.labels.clone(),
        engine_labels: description.engine_labels.clone(),
        ips: description.addresses.iter().filter_map(ip).collect(),
        resources: description.resources.clone(),
        volumes: entry.volumes.clone(),
        unable: unable(entry),
    })
}

/// Why a node cannot start tasks, in one line.
fn unable(entry: &NodeEntry) -> Option<String> {
    let texts: Vec<&str> = entry.conditions.values().map(String::as_str).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// How many tasks of a service should run: the wanted slots of a replicated service, the eligible
/// nodes of a global one.
pub fn desired(scale: Scale, planned: Option<&plan::ServicePlan>) -> usize {
    match scale {
        Scale::Replicated { replicas } => usize::try_from(replicas).unwrap_or(usize::MAX),
        Scale::Global => planned.map_or(0, |plan| plan.slots.len()),
    }
}

const _: () = {
    // Terminal states come last: `is_terminal` and the order of standings rely on it.
    assert!((TaskState::Running as u8) < (TaskState::Complete as u8));
    assert!((Standing::Running as u8) < (Standing::Ended as u8));
};
