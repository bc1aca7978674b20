//! Why: the recorded reasons of the plan and of the tasks' owners, gathered for one question.
//!
//! No decision is computed again here: `why` shows the reasons that decisions were made by.

use crdt_state::node::Availability;
use crdt_state::service::Service;
use crdt_state::task::{Slot, TaskState, TaskStatus};
use crdt_state::{NodeId, ServiceId};
use gossip::{Evidence, MemberState};

use super::{NodeReport, TaskView};
use crate::expand::task_name;
use crate::plan::Placed;
use crate::reason::{Choice, NodeReason, Unplaced};
use crate::tasks::is_healthy;

/// Why one node has one slot, or does not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeVerdict {
    /// Which node.
    pub node: NodeId,
    /// Its host name.
    pub hostname: String,
    /// A code of [`NodeReason`] or [`Choice`], or `share`: it has its share of this service.
    pub code: &'static str,
    /// A text for operators.
    pub detail: String,
}

/// Why a slot is where it is, or nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotWhy {
    /// `web.3`.
    pub name: String,
    /// Which slot.
    pub slot: Slot,
    /// The node that should run it.
    pub owner: Option<NodeId>,
    /// A code of [`Choice`], or of [`Unplaced`] if it has no owner.
    pub code: &'static str,
    /// Does it run healthy, or is it a slot of a job that is complete or waits for others?
    pub running: bool,
    /// One sentence.
    pub summary: String,
    /// Every node, the owner first, then the closest to fitting.
    pub nodes: Vec<NodeVerdict>,
    /// Commands that may change it.
    pub fixes: Vec<String>,
}

/// A task that goes on running where it is until its successor runs healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldMove {
    /// The node that runs it meanwhile.
    pub node: NodeId,
    /// Of which service.
    pub service: ServiceId,
    /// `web.3`.
    pub name: String,
    /// Where the successor is, and why it does not run.
    pub reason: String,
    /// The successor fits nowhere or has failed before: waiting does not help.
    pub is_failing: bool,
}

/// What this node knows of a node, and what will happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeWhy {
    /// Its id.
    pub node: NodeId,
    /// Its host name.
    pub hostname: String,
    /// One sentence.
    pub summary: String,
    /// The tasks that it last reported as running.
    pub tasks: Vec<String>,
    /// Those of these tasks that should run elsewhere, and do not run there yet.
    pub held: Vec<HeldMove>,
    /// Commands that may change it.
    pub fixes: Vec<String>,
}

impl NodeReport<'_> {
    /// Why every slot of a service is where it is.
    pub fn why_service(&self, id: ServiceId) -> Vec<SlotWhy> {
        let Some(service) = self.catalog().services.get(&id) else { return Vec::new() };
        let tasks = self.tasks_of(service);
        let plan = self.plan().services.get(&id);
        plan.into_iter()
            .flat_map(|plan| &plan.slots)
            .map(|(slot, placed)| self.why_slot(service, *slot, *placed, &tasks))
            .collect()
    }

    fn why_slot(
        &self,
        service: &Service,
        slot: Slot,
        placed: Placed,
        tasks: &[TaskView],
    ) -> SlotWhy {
        if let Placed::Nowhere(why) = placed
            && let Some(why) = self.why_job(service, slot, why)
        {
            return why;
        }
        let (owner, code) = match placed {
            Placed::On(node, choice) => (Some(node), choice.code()),
            Placed::Nowhere(why) => (None, why.code()),
        };
        let task = tasks.iter().find(|t| t.slot == slot && t.desired_running && t.node == owner);
        let running = task.and_then(|t| t.status.as_ref()).is_some_and(is_healthy);
        let name = task_name(&self.called(service), slot);
        let reason = task.and_then(|t| t.reason.clone()).unwrap_or_default();
        let note = task.and_then(|t| t.status.as_ref()?.current.note());
        let note = note.map(|note| format!("; {note}")).unwrap_or_default();
        let copy = owner.map(|node| self.second_copy(service, slot, node)).unwrap_or_default();
        let is_up = task.and_then(|t| t.status.as_ref()).is_some_and(is_up);
        let summary = match (owner, placed) {
            (Some(node), Placed::On(_, choice)) if running => {
                let (node, choice) = (self.shown(node), self.choice_text(service.id, choice));
                let without = if reason.is_empty() { reason } else { format!("; {reason}") };
                format!("{name} runs on {node}: {choice}{note}{without}{copy}")
            }
            (Some(node), _) if is_up => {
                format!("{name} runs on {} and is NOT HEALTHY: {reason}", self.shown(node))
            }
            (Some(node), _) => {
                format!("{name} is NOT RUNNING on {}, which owns it: {reason}", self.shown(node))
            }
            (None, _) => format!("{name} is NOT RUNNING: {reason}"),
        };
        let holder = tasks.iter().find(|t| t.slot == slot && t.node != owner && runs_healthy(t));
        let summary = match holder.and_then(|task| task.node) {
            Some(node) if !running => format!("{summary}; {} runs it meanwhile", self.shown(node)),
            _ => summary,
        };
        let nodes = self.verdicts(service, placed);
        let fixes = if running { Vec::new() } else { self.fixes(service, owner) };
        SlotWhy { name, slot, owner, code, running, summary, nodes, fixes }
    }

    fn choice_text(&self, service: ServiceId, choice: Choice) -> String {
        let over = self.spread_over(service);
        match choice {
            Choice::Held => "it has it already, and its share allows it to keep it".to_owned(),
            Choice::Assigned if !over.is_empty() => format!(
                "in the group with the fewest tasks of this service by {}, among the nodes with the fewest, it has the highest hash",
                over.join(", then ")
            ),
            Choice::Assigned => {
                "among the nodes with the fewest tasks of this service it has the highest hash"
                    .to_owned()
            }
            Choice::Moved { from } => format!("{} has more than its share", self.shown(from)),
            Choice::OnEveryNode => "a global service has one task on each node".to_owned(),
            Choice::Stays => {
                "no node may take it: it goes on here as it is until there is a place for it"
                    .to_owned()
            }
        }
    }

    fn verdicts(&self, service: &Service, placed: Placed) -> Vec<NodeVerdict> {
        let plan = self.plan().services.get(&service.id);
        let count = |node: NodeId| {
            let slots = plan.into_iter().flat_map(|plan| plan.slots.values());
            slots.filter(|p| matches!(p, Placed::On(owner, _) if *owner == node)).count()
        };
        let mut verdicts: Vec<(u8, NodeVerdict)> = Vec::new();
        for id in self.view().nodes.keys() {
            let excluded = plan.and_then(|plan| plan.excluded.get(id));
            let (rank, code, detail) = match (placed, excluded) {
                (Placed::On(owner, choice), _) if owner == *id => {
                    (0, choice.code(), self.choice_text(service.id, choice))
                }
                (_, None) => (1, "share", self.share_text(service.id, *id, count(*id))),
                (_, Some(reason)) => (distance(reason), reason.code(), reason.to_string()),
            };
            let hostname = self.shown(*id);
            verdicts.push((rank, NodeVerdict { node: *id, hostname, code, detail }));
        }
        verdicts.sort_by_key(|(rank, verdict)| (*rank, verdict.code, verdict.node));
        verdicts.into_iter().map(|(_, verdict)| verdict).collect()
    }

    fn fixes(&self, service: &Service, owner: Option<NodeId>) -> Vec<String> {
        let name = &self.called(service);
        if owner.is_some() {
            return vec![format!("edgectl service logs {name}")];
        }
        let plan = self.plan().services.get(&service.id);
        let taker = plan.into_iter().flat_map(|plan| plan.slots.values()).find_map(|placed| {
            let Placed::Nowhere(Unplaced::Preempted(by)) = placed else { return None };
            self.catalog().service(*by)
        });
        let above = |taker: &Service| {
            let priority = taker.placement.priority.saturating_add(1);
            format!(
                "edgectl service update --priority {priority} {name}    # to take the room instead"
            )
        };
        let mut fixes: Vec<String> = taker.map(above).into_iter().collect();
        let excluded = plan.into_iter().flat_map(|plan| &plan.excluded);
        for (node, reason) in excluded {
            let fix = match reason {
                NodeReason::Drained | NodeReason::Paused => {
                    format!("edgectl node update --availability active {}", self.shown(*node))
                }
                NodeReason::Constraint(text) | NodeReason::UnreadableConstraint(text) => {
                    format!("edgectl service update --constraint-rm '{text}' {name}")
                }
                NodeReason::Affinity(text, _) => {
                    format!("edgectl service update --affinity-rm '{text}' {name}")
                }
                NodeReason::VolumeMissing(volume) | NodeReason::VolumeGivenUp(volume) => {
                    format!("edgectl volume rm --node {} {volume}", self.shown(*node))
                }
                NodeReason::VolumeElsewhere(volume, holder) => format!(
                    "edgectl volume rm --force --node {holder} {volume}    # gives its data up"
                ),
                NodeReason::Platform(arch, _) => {
                    format!("edgectl service update --image IMAGE {name}    # one built for {arch}")
                }
                NodeReason::Memory(..) => {
                    format!("edgectl service update --reserve-memory LESS {name}")
                }
                NodeReason::Cpu(..) => format!("edgectl service update --reserve-cpu LESS {name}"),
                NodeReason::MaxPerNode(_) => {
                    format!("edgectl service update --replicas-max-per-node MORE {name}")
                }
                NodeReason::NoNetworks(_) | NodeReason::NoTunnel(_) => {
                    format!(
                        "edgectl service update --constraint-add 'node.hostname!={}' {name}",
                        self.shown(*node)
                    )
                }
                NodeReason::HostPort(port) => {
                    format!("edgectl service update --publish-rm {port} {name}")
                }
                NodeReason::Unreachable | NodeReason::Unable(_) => {
                    format!("edgectl why {}", self.shown(*node))
                }
                NodeReason::NoGeneric(kind) => format!(
                    "edgectl service update --generic-resource-rm {kind} {name}    # or plug one in"
                ),
                NodeReason::Generic(kind, ..) => {
                    format!("edgectl service update --generic-resource-add {kind}=FEWER {name}")
                }
            };
            if !fixes.contains(&fix) {
                fixes.push(fix);
            }
        }
        fixes
    }

    /// What this node knows of a node; `None` if the node is unknown or evicted.
    pub fn why_node(&self, id: NodeId) -> Option<NodeWhy> {
        let row = self.nodes().into_iter().find(|row| row.id == id)?;
        let all = self.tasks();
        let here = |task: &&TaskView| {
            task.node == Some(id) && task.status.as_ref().is_some_and(is_healthy)
        };
        let tasks: Vec<String> =
            all.iter().filter(here).map(|task| task_name(&task.service_name, task.slot)).collect();
        let mut held = self.held_moves(&all);
        held.retain(|held| held.node == id);
        let hostname = self.shown(id);
        let seconds = row.since_ms / 1_000;
        let summary = match row.state {
            _ if row.is_me => format!("{hostname} is this node"),
            MemberState::Alive => format!("{hostname} answers, for {seconds} s"),
            MemberState::Suspect => format!(
                "{hostname} has missed a probe; if nobody hears it, it counts as unreachable; it keeps its tasks"
            ),
            MemberState::Unreachable => format!(
                "{hostname} has not been heard for {seconds} s ({}) and may be alive on its own; its tasks run elsewhere {} s after that began, and it keeps its share when it returns",
                evidence_text(row.evidence),
                self.planner.failover_delay_ms() / 1_000
            ),
            MemberState::Left => format!("{hostname} has left the fleet"),
        };
        let summary = match row.availability {
            Availability::Drain if row.state != MemberState::Left => {
                format!("{summary}; {}", drained(tasks.len(), &held))
            }
            Availability::Pause => format!("{summary}; it is paused and takes no new tasks"),
            _ => summary,
        };
        let summary = match row.conditions.is_empty() {
            true => summary,
            false => {
                let texts: Vec<&str> = row.conditions.values().map(String::as_str).collect();
                format!(
                    "{summary}; it cannot start tasks now: {}; what runs there stays, new tasks go elsewhere",
                    texts.join(", ")
                )
            }
        };
        let fixes = match row.state {
            MemberState::Unreachable if !row.is_me => {
                vec![format!("edgectl node rm {hostname}    # if it will never return")]
            }
            _ => held.iter().map(|held| format!("edgectl why {}", held.name)).collect(),
        };
        Some(NodeWhy { node: id, hostname, summary, tasks, held, fixes })
    }

    /// The tasks that run healthy on a node that no longer owns them, because their successors do
    /// not run healthy yet.
    pub fn held_moves(&self, tasks: &[TaskView]) -> Vec<HeldMove> {
        let moves = tasks.iter().filter(|task| runs_healthy(task)).filter_map(|task| {
            let node = task.node?;
            let service = self.plan().services.get(&task.service)?;
            let owner = match service.slots.get(&task.slot)? {
                Placed::On(owner, _) if *owner == node => return None,
                Placed::On(owner, _) => Some(*owner),
                Placed::Nowhere(_) => None,
            };
            let next = tasks.iter().find(|other| {
                let same = other.service == task.service && other.slot == task.slot;
                same && other.node == owner && other.desired_running
            })?;
            let reason = next.reason.as_ref().filter(|_| !runs_healthy(next))?;
            let place = owner.map(|owner| format!(" on {}", self.shown(owner)));
            Some(HeldMove {
                node,
                service: task.service,
                name: task_name(&task.service_name, task.slot),
                reason: format!("its successor{}: {reason}", place.unwrap_or_default()),
                is_failing: owner.is_none() || next.status.as_ref().is_some_and(has_failed),
            })
        });
        moves.collect()
    }

    /// A node's host name, or its id if it has not reported a host name.
    pub(crate) fn shown(&self, id: NodeId) -> String {
        let hostname = self.catalog().hostname(id);
        if hostname.is_empty() { id.to_string() } else { hostname }
    }
}

fn evidence_text(evidence: Option<Evidence>) -> &'static str {
    match evidence {
        Some(Evidence::Probe) => "it answered none of this node's probes",
        Some(Evidence::Others) => "others say so, and it did not answer this node",
        Some(Evidence::Island) => "this node hears nobody at all",
        None => "nor since this agent started",
    }
}

fn drained(tasks: usize, held: &[HeldMove]) -> String {
    let tasks = match tasks {
        0 => return "it is drained: nothing runs on it any more".to_owned(),
        1 => "1 task".to_owned(),
        number => format!("{number} tasks"),
    };
    match held {
        [] => format!("it is being drained and still runs {tasks}"),
        [first, ..] => format!(
            "it is drained and still runs {tasks} until the successors run healthy; {}: {}",
            first.name, first.reason
        ),
    }
}

/// Did the task end without being asked to, now or in an attempt before?
fn has_failed(status: &TaskStatus) -> bool {
    status.current.state.is_terminal() || status.current.number > 1
}

/// Does its process run, healthy or not?
fn is_up(status: &TaskStatus) -> bool {
    status.current.state == TaskState::Running
}

fn runs_healthy(task: &TaskView) -> bool {
    task.unreachable_ms.is_none() && task.status.as_ref().is_some_and(is_healthy)
}

/// How far a reason is from fitting: the closest is shown first.
fn distance(reason: &NodeReason) -> u8 {
    match reason {
        NodeReason::MaxPerNode(_) => 2,
        NodeReason::HostPort(_) | NodeReason::Memory(..) | NodeReason::Cpu(..) => 3,
        NodeReason::Generic(..) | NodeReason::NoGeneric(_) | NodeReason::VolumeElsewhere(..) => 4,
        NodeReason::Paused | NodeReason::Drained | NodeReason::Unable(_) => 5,
        NodeReason::VolumeMissing(_) | NodeReason::VolumeGivenUp(_) => 1,
        NodeReason::Constraint(_)
        | NodeReason::UnreadableConstraint(_)
        | NodeReason::Affinity(..)
        | NodeReason::NoNetworks(_)
        | NodeReason::NoTunnel(_)
        | NodeReason::Platform(..) => 6,
        NodeReason::Unreachable => 7,
    }
}
