//! Tasks for operators: what their owners report, and the slots that no node has yet.

use std::collections::BTreeSet;

use crdt_state::service::Service;
use crdt_state::spec::TemplateVersion;
use crdt_state::task::{Health, Slot, TaskState, TaskStatus};
use crdt_state::{NodeId, ServiceId, TaskId};

use super::NodeReport;
use crate::plan::{self, Placed};
use crate::reason::Unplaced;
use crate::tasks::is_healthy;

mod past;

/// A task as operators see it: what its owner reports, or a slot that no node has yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    /// Its id; for a slot without owner, an id made for display.
    pub id: TaskId,
    /// Of which service.
    pub service: ServiceId,
    /// How the service is shown: by its name, or by its id while another service owns the name.
    pub service_name: String,
    /// Which slot.
    pub slot: Slot,
    /// The node that has it.
    pub node: Option<NodeId>,
    /// What its owner reports; `None` if the owner has not reported it yet.
    pub status: Option<TaskStatus>,
    /// Should it run, as far as its owner knows?
    pub desired_running: bool,
    /// The version of the template it runs, or will run.
    pub template: TemplateVersion,
    /// Why it does not run, or what it runs without; absent when it runs healthy or is not wanted.
    pub reason: Option<String>,
    /// For how long its node has not been heard, in milliseconds: the report is that old.
    pub unreachable_ms: Option<u64>,
    /// It is a slot of a job that waits until others have ended: Docker has no task for it.
    pub waits_for_others: bool,
}

impl NodeReport<'_> {
    /// Every task of every living service: what owners report, and the slots that no node has yet.
    pub fn tasks(&self) -> Vec<TaskView> {
        self.catalog().services.values().flat_map(|service| self.tasks_of(service)).collect()
    }

    /// The tasks of one service.
    pub fn tasks_of(&self, service: &Service) -> Vec<TaskView> {
        let mut views = Vec::new();
        let called = self.called(service);
        // What a job did in earlier iterations is over.
        let version = service.template_version;
        let is_of_now = |s: &TaskStatus| !service.scale.is_job() || s.template == version;
        for ((slot, node), record) in self.catalog().tasks.get(&service.id).into_iter().flatten() {
            let has_left = self.has_left(*node);
            let unreachable_ms = self.unreachable_ms(*node).filter(|_| !has_left);
            for said in &record.tasks {
                let status = if has_left { &orphaned(said) } else { said };
                views.push(TaskView {
                    id: status.id,
                    service: service.id,
                    service_name: called.clone(),
                    slot: *slot,
                    node: Some(*node),
                    desired_running: status.desired_running && is_of_now(status),
                    template: status.template,
                    reason: not_running(status).or_else(|| self.runs_without(service, status)),
                    unreachable_ms,
                    status: Some(status.clone()),
                    waits_for_others: false,
                });
            }
        }
        let listed: BTreeSet<Slot> =
            views.iter().filter(|view| view.desired_running).map(|view| view.slot).collect();
        let plan = self.plan().services.get(&service.id);
        for (slot, placed) in plan.into_iter().flat_map(|plan| &plan.slots) {
            let owner = match placed {
                Placed::On(node, _) => Some(*node),
                Placed::Nowhere(_) => None,
            };
            let said = owner.and_then(|node| self.catalog().said(service.id, *slot, node));
            let is_said = |s: &TaskStatus| s.desired_running && is_of_now(s);
            if said.is_some_and(|record| record.tasks.iter().any(is_said)) {
                continue;
            }
            // Of a slot of a job that is over its last owner speaks, if its report is still there.
            let is_of_job = matches!(placed, Placed::Nowhere(why) if why.is_of_job());
            if !is_of_job || !listed.contains(slot) {
                let completed = self.completed_elsewhere(service, *slot, *placed);
                views.push(completed.unwrap_or_else(|| self.unsaid(service, *slot, *placed)));
            }
        }
        past::cut(&mut views, self.catalog().past_max(service.id));
        views.sort_by_key(|view| (view.slot, !view.desired_running));
        views
    }

    /// What a task that runs is without: a network of its service was removed.
    fn runs_without(&self, service: &Service, status: &TaskStatus) -> Option<String> {
        let is_up = status.desired_running && is_healthy(status);
        self.catalog().networks.removed_of(service).filter(|_| is_up)
    }

    /// A slot that has no owner, or that its owner has not reported yet.
    fn unsaid(&self, service: &Service, slot: Slot, placed: Placed) -> TaskView {
        let owner = match placed {
            Placed::On(node, _) => Some(node),
            Placed::Nowhere(_) => None,
        };
        let nobody = NodeId([0; 16]);
        let reason = match placed {
            Placed::On(node, _) => self
                .why_unleased(service, slot, node)
                .or_else(|| self.why_in_order(service, slot))
                .unwrap_or_else(|| {
                    format!("its owner {} has not reported it yet", self.catalog().hostname(node))
                }),
            Placed::Nowhere(why) => self.why_nowhere(service.id, slot, why),
        };
        TaskView {
            id: TaskId::of(service.id, slot, owner.unwrap_or(nobody), service.template_version),
            service: service.id,
            service_name: self.called(service),
            slot,
            node: owner,
            status: None,
            desired_running: true,
            template: service.template_version,
            reason: Some(reason),
            unreachable_ms: None,
            waits_for_others: self.waits_for_others(service.id, slot, placed),
        }
    }

    fn why_preempted(&self, by: ServiceId) -> String {
        let taker = self.catalog().services.get(&by);
        let priority = taker.map_or(0, |service| service.placement.priority);
        let name = taker.map_or_else(|| by.to_string(), |service| self.called(service));
        format!("its room was taken by service {name} of priority {priority}")
    }

    pub(crate) fn why_nowhere(&self, service: ServiceId, slot: Slot, why: Unplaced) -> String {
        match why {
            Unplaced::Volume(holder) => return self.why_bound(service, slot, holder),
            Unplaced::Concurrent(most) => return format!("at most {most} run at a time"),
            Unplaced::NotDue => return "no run of its schedule is due".to_owned(),
            Unplaced::Complete => return "complete".to_owned(),
            Unplaced::Failed => return "failed for good".to_owned(),
            Unplaced::Leaving(node) => return format!("it ends on {} first", self.shown(node)),
            Unplaced::Preempted(by) => return self.why_preempted(by),
            Unplaced::Holder(node) => return self.why_stays(node),
            Unplaced::NoMajority => return self.why_no_majority(service),
            Unplaced::NoNode | Unplaced::Full => {}
        }
        let mut counted = std::collections::BTreeMap::<String, usize>::new();
        for reason in
            self.plan().services.get(&service).into_iter().flat_map(|p| p.excluded.values())
        {
            *counted.entry(reason.to_string()).or_default() += 1;
        }
        let reasons: Vec<String> = counted
            .into_iter()
            .map(|(reason, nodes)| match nodes {
                1 => format!("{reason} on 1 node"),
                _ => format!("{reason} on {nodes} nodes"),
            })
            .collect();
        let what = match why {
            Unplaced::Full | Unplaced::Volume(_) => "the suitable nodes are full",
            _ => "no suitable node",
        };
        if reasons.is_empty() {
            what.to_owned()
        } else {
            format!("{what} ({})", reasons.join("; "))
        }
    }

    /// How many tasks of a service run healthy, as far as this node knows, and how many should.
    pub fn running(&self, service: &Service) -> (usize, usize) {
        let planned = self.plan().services.get(&service.id);
        let wanted = plan::desired(service.scale, planned);
        let version = Some(service.template_version).filter(|_| service.scale.is_job());
        let is_running =
            |s: &TaskStatus| is_healthy(s) && version.is_none_or(|version| s.template == version);
        let slots: std::collections::BTreeSet<Slot> = self
            .catalog()
            .tasks
            .get(&service.id)
            .into_iter()
            .flatten()
            .filter(|((_, node), _)| self.planner.is_here(*node))
            .filter(|((slot, _), _)| planned.is_some_and(|plan| plan.slots.contains_key(slot)))
            .filter(|(_, record)| record.tasks.iter().any(is_running))
            .map(|((slot, _), _)| *slot)
            .collect();
        (slots.len(), wanted)
    }
}

/// A task whose node is no longer a member: no agent supervises it.
fn orphaned(said: &TaskStatus) -> TaskStatus {
    let mut status = said.clone();
    status.desired_running = false;
    if !status.current.state.is_terminal() {
        let wall_ms = status.current.wall_ms;
        status.current.enter(TaskState::Orphaned, wall_ms);
        status.current.message = "its node left the fleet".to_owned();
    }
    status
}

/// Why a task that is wanted does not run healthy.
fn not_running(status: &TaskStatus) -> Option<String> {
    if !status.desired_running || is_healthy(status) {
        return None;
    }
    let state = status.current.state.as_str();
    Some(match (status.current.health, status.current.message.as_str()) {
        (Health::Unhealthy, _) => {
            "its health command fails; it is stopped and started again".into()
        }
        (Health::Starting, _) => "its health command has not succeeded yet".into(),
        (_, "") => state.to_owned(),
        (_, message) => format!("{state}: {message}"),
    })
}
