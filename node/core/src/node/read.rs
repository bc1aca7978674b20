//! What can be asked of a node. Every answer comes from its own state, at once.

use std::net::SocketAddr;

use crdt_state::condition::NodeConditions;
use crdt_state::conflict::Conflict;
use crdt_state::node::{Availability, NodeDescription};
use crdt_state::replica::Replica;
use crdt_state::service::{self, NameConflict, Service};
use crdt_state::spec::{Facet, Labels, Life, TemplateVersion};
use crdt_state::task::{Health, Slot, TaskState, TaskStatus};
use crdt_state::{NodeId, RecordKey, ServiceId, TaskId};
use gossip::{Evidence, Gossip, MemberState, Now};

use super::Node;
use crate::catalog::NodeEntry;
use crate::plan::{Placed, Plan};
use crate::reason::Unplaced;
use crate::tasks::is_healthy;
use crate::view::View;

/// A task as operators see it: what its owner says of it, or a slot that nobody has yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    /// Its id; of a slot without owner, one made for display.
    pub id: TaskId,
    /// Of which service.
    pub service: ServiceId,
    /// What the service is called by: its name, or its id while the name is another one's.
    pub service_name: String,
    /// Which slot.
    pub slot: Slot,
    /// Where.
    pub node: Option<NodeId>,
    /// What its owner says; nothing if it has not said anything yet.
    pub status: Option<TaskStatus>,
    /// Should it run, as far as its owner knows?
    pub desired_running: bool,
    /// The version of the template it runs, or will run.
    pub template: TemplateVersion,
    /// Why it does not run; absent exactly when it runs healthy or is not wanted.
    pub reason: Option<String>,
    /// For how long its node has not been heard, in milliseconds: what is shown is so old.
    pub unreachable_ms: Option<u64>,
}

/// A node as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Which.
    pub id: NodeId,
    /// What it says of itself.
    pub description: Option<NodeDescription>,
    /// What operators allow.
    pub availability: Availability,
    /// What operators call it.
    pub labels: Labels,
    /// As seen from here.
    pub state: MemberState,
    /// Why it counts as unreachable, if it does; absent if it was not heard since the start.
    pub evidence: Option<Evidence>,
    /// For how long it has been in this state, in milliseconds.
    pub since_ms: u64,
    /// For how long it has not been heard, in milliseconds; 0 for this node.
    pub heard_ms: u64,
    /// Where it was last heard.
    pub addr: Option<SocketAddr>,
    /// Docker's `Version.Index`.
    pub version: u64,
    /// Why it cannot start tasks, as it says itself.
    pub conditions: NodeConditions,
    /// Is it this node?
    pub is_me: bool,
}

impl Node {
    /// This node.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// The records.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The membership and its counters.
    pub fn gossip(&self) -> &Gossip {
        &self.gossip
    }

    /// How often it settled since it started: a ping that brings no news is none of them.
    pub fn settlings(&self) -> u64 {
        self.settlings
    }

    /// The plan as this node sees it.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the plan was made from.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Living services, by id.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.catalog.services.values()
    }

    /// One living service.
    pub fn service(&self, id: ServiceId) -> Option<&Service> {
        self.catalog.services.get(&id)
    }

    /// Every task of every living service: what owners say, and the slots that nobody has yet.
    pub fn tasks(&self, now: Now) -> Vec<TaskView> {
        self.catalog.services.values().flat_map(|service| self.tasks_of(now, service)).collect()
    }

    /// The tasks of one service.
    pub fn tasks_of(&self, now: Now, service: &Service) -> Vec<TaskView> {
        let mut views = Vec::new();
        let called = self.called(service);
        for ((slot, node), record) in self.catalog.tasks.get(&service.id).into_iter().flatten() {
            let has_left = self.has_left(*node);
            let unreachable_ms = self.unreachable_ms(now, *node).filter(|_| !has_left);
            for said in &record.tasks {
                let status = if has_left { &orphaned(said) } else { said };
                views.push(TaskView {
                    id: status.id,
                    service: service.id,
                    service_name: called.clone(),
                    slot: *slot,
                    node: Some(*node),
                    desired_running: status.desired_running,
                    template: status.template,
                    reason: not_running(status),
                    unreachable_ms,
                    status: Some(status.clone()),
                });
            }
        }
        let plan = self.plan.services.get(&service.id);
        for (slot, placed) in plan.into_iter().flat_map(|plan| &plan.slots) {
            let owner = match placed {
                Placed::On(node, _) => Some(*node),
                Placed::Nowhere(_) => None,
            };
            let said = owner.and_then(|node| self.catalog.said(service.id, *slot, node));
            if said.is_some_and(|record| record.tasks.iter().any(|s| s.desired_running)) {
                continue;
            }
            views.push(self.unsaid(now, service, *slot, *placed));
        }
        views.sort_by_key(|view| (view.slot, !view.desired_running));
        views
    }

    /// A slot of which its owner, if it has one, has not said anything yet.
    fn unsaid(&self, now: Now, service: &Service, slot: Slot, placed: Placed) -> TaskView {
        let owner = match placed {
            Placed::On(node, _) => Some(node),
            Placed::Nowhere(_) => None,
        };
        let nobody = NodeId([0; 16]);
        let reason = match placed {
            Placed::On(node, _) => {
                format!("its owner {} has not reported it yet", self.hostname(node))
            }
            Placed::Nowhere(why) => self.why_nowhere(now, service.id, slot, why),
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
        }
    }

    fn why_nowhere(&self, now: Now, service: ServiceId, slot: Slot, why: Unplaced) -> String {
        if let Unplaced::Volume(holder) = why {
            return self.why_bound(now, service, slot, holder);
        }
        let mut counted = std::collections::BTreeMap::<String, usize>::new();
        for reason in self.plan.services.get(&service).into_iter().flat_map(|p| p.excluded.values())
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
            Unplaced::NoNode => "no suitable node",
            Unplaced::Full | Unplaced::Volume(_) => "the suitable nodes are full",
        };
        if reasons.is_empty() {
            what.to_owned()
        } else {
            format!("{what} ({})", reasons.join("; "))
        }
    }

    /// For how long a node has been silent, if it is taken for unreachable.
    pub(super) fn unreachable_ms(&self, now: Now, id: NodeId) -> Option<u64> {
        if id == self.me {
            return None;
        }
        match self.gossip.member(id) {
            Some(member) if member.state.is_active() => None,
            Some(member) => Some(now.since(member.since)),
            None => Some(now.since(Now::START)),
        }
    }

    /// The node on which operators removed this one from the fleet, by host name or id; `None` if they
    /// did not.
    pub fn removed_by(&self) -> Option<String> {
        let (stamp, life) = self.replica.facet(&RecordKey::eviction(self.me), Facet::LIFE)?;
        let by = stamp.writer.node;
        let name = Some(self.hostname(by)).filter(|name| !name.is_empty());
        matches!(life, Life::Present { .. }).then(|| name.unwrap_or_else(|| by.to_string()))
    }

    /// Has the node said goodbye, or did operators remove it? What it last said is over.
    pub(super) fn has_left(&self, id: NodeId) -> bool {
        let gone = |node: &NodeEntry| {
            node.evicted || node.description.as_ref().is_some_and(|said| said.left)
        };
        // A node that leaves goes on for others until they took over, and says so itself.
        id != self.me
            && self.catalog.nodes.get(&id).is_some_and(gone)
            && self.gossip.member(id).is_none_or(|member| !member.state.is_active())
    }

    /// Members and known nodes that are not evicted, this one first, then by id.
    pub fn nodes(&self, now: Now) -> Vec<NodeRow> {
        let mut rows: Vec<NodeRow> = self
            .catalog
            .nodes
            .iter()
            .filter(|(_, node)| !node.evicted)
            .map(|(id, node)| {
                let member = self.gossip.member(*id);
                let is_me = *id == self.me;
                let left = node.description.as_ref().is_some_and(|d| d.left);
                let (state, since_ms, heard_ms) = match member {
                    _ if left => (MemberState::Left, 0, 0),
                    _ if is_me => (MemberState::Alive, now.since(Now::START), 0),
                    Some(member) => {
                        (member.state, now.since(member.since), now.since(member.heard))
                    }
                    None => (MemberState::Unreachable, now.0, now.0),
                };
                NodeRow {
                    id: *id,
                    description: node.description.clone(),
                    availability: node.availability,
                    labels: node.labels.clone(),
                    state,
                    evidence: member
                        .and_then(|member| member.evidence)
                        .filter(|_| state == MemberState::Unreachable),
                    since_ms,
                    heard_ms,
                    addr: member.map(|member| member.addr),
                    version: self.node_version(*id),
                    conditions: node.conditions.clone(),
                    is_me,
                }
            })
            .collect();
        rows.sort_by_key(|row| (!row.is_me, row.id));
        rows
    }

    /// Facets with values that did not win, and edits that a removal did not see.
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.replica.conflicts()
    }

    /// What a service is called by: its name, or its id while an older one has that name too.
    pub fn called(&self, service: &Service) -> String {
        match self.catalog.owns_name(service) {
            true => service.name.clone(),
            false => service.id.to_string(),
        }
    }

    /// Services that share a name with an older one, which the name means.
    pub fn name_conflicts(&self) -> Vec<NameConflict> {
        service::name_conflicts(&self.replica)
    }

    /// How many tasks of a service run healthy, as far as this node knows, and how many should.
    pub fn running(&self, service: &Service) -> (usize, usize) {
        let planned = self.plan.services.get(&service.id);
        let wanted = super::desired(service.scale, planned);
        let slots: std::collections::BTreeSet<Slot> = self
            .catalog
            .tasks
            .get(&service.id)
            .into_iter()
            .flatten()
            .filter(|((_, node), _)| self.view.nodes.get(node).is_some_and(is_here))
            .filter(|((slot, _), _)| planned.is_some_and(|plan| plan.slots.contains_key(slot)))
            .filter(|(_, record)| record.tasks.iter().any(is_healthy))
            .map(|((slot, _), _)| *slot)
            .collect();
        (slots.len(), wanted)
    }
}

fn is_here(node: &crate::view::NodeView) -> bool {
    node.presence == crate::view::Presence::Here
}

/// A task of a node that is no member any more: nobody looks after it.
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
