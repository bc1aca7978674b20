//! A dry run: what an edit would do, by this node's view, with nothing changed.
//!
//! The edit is made by the same editor in a draft of the records, and planned by a copy of the
//! planner. So a dry run is refused what the edit would be refused, and shows the plan that would
//! count. It never writes a record, and starts and stops nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crdt_state::node::Availability;
use crdt_state::service::Service;
use crdt_state::spec::Labels;
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, wire};
use serde::{Deserialize, Serialize};

use crate::edit::{Edit, Edited, PlanDigest, Refusal};
use crate::editor::Editor;
use crate::expand::task_name;
use crate::plan::{Placed, Plan, ServicePlan, plan};
use crate::reason::Unplaced;
use crate::report::NodeReport;
use crate::view::{Presence, View};

/// The most nodes of which a dry run says what happens when they are cut off: each costs two plans
/// of the whole fleet.
pub const CUTS_MAX: usize = 8;

/// What becomes of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// Its task goes on.
    Stays,
    /// Its task is replaced by one of the new template, on the same node.
    Updates,
    /// It gets a task.
    Starts,
    /// Its task goes to another node.
    Moves,
    /// Its task ends for good.
    Stops,
    /// No node can take it.
    Waits,
    /// Of a job: it begins when others have ended, or when a run of its schedule is due.
    Later,
}

/// One slot, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotChange {
    /// Of which service.
    pub service: ServiceId,
    /// `web.3`.
    pub name: String,
    /// The node that owns it now.
    pub before: Option<NodeId>,
    /// The node that would own it.
    pub after: Option<NodeId>,
    /// What becomes of it.
    pub fate: Fate,
    /// Why it has no node; otherwise empty.
    pub reason: String,
}

/// What the edit changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concerned {
    /// A service; `None` where it does not exist.
    Service {
        /// As it is.
        before: Option<Arc<Service>>,
        /// As it would be.
        after: Option<Arc<Service>>,
    },
    /// What operators set on a node.
    Node {
        /// Which one.
        id: NodeId,
        /// As it is.
        before: NodeSettings,
        /// As it would be.
        after: NodeSettings,
    },
}

/// What operators set on a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeSettings {
    /// Does it get tasks?
    pub availability: Availability,
    /// Its labels.
    pub labels: Labels,
    /// It was removed from the fleet.
    pub is_removed: bool,
}

/// How many tasks of each service run on the two sides if one node is cut off from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The node.
    pub node: NodeId,
    /// By the name of the service: on the side of the other nodes, and on that node.
    pub counts: Vec<(String, usize, usize)>,
}

/// What an edit would do.
#[derive(Debug, Clone)]
pub struct DryRun {
    /// The service or node.
    pub concerned: Concerned,
    /// The slots of the service, and all others that would change.
    pub slots: Vec<SlotChange>,
    /// The digest of the edit and its slots.
    pub digest: PlanDigest,
    me: NodeId,
    view: View,
    /// The names of the services that are concerned.
    names: BTreeMap<ServiceId, String>,
    /// The host names of all nodes.
    hosts: BTreeMap<NodeId, String>,
}

impl NodeReport<'_> {
    /// What the edit would do. Only edits of services and nodes have a dry run.
    pub fn dry_run(&self, edit: &Edit) -> Result<DryRun, Refusal> {
        let mut replica = self.replica.draft();
        let editor = Editor {
            me: self.me,
            now: self.now,
            wall_ms: 0,
            replica: &mut replica,
            planner: self.planner,
            gossip: self.gossip,
            origin: None,
        };
        if !is_of_placement(edit) {
            return Err(Refusal::NoDryRun);
        }
        let edited = editor.apply(edit.clone())?;
        let mut planner = self.planner.clone();
        for key in replica.drain_changed() {
            planner.on_record(&replica, key);
        }
        planner.replan(self.now, self.gossip, std::iter::empty());
        let after = NodeReport { replica: &replica, planner: &planner, ..*self };
        let concerned = self.concerned(edit, edited, &after);
        let slots = self.slot_changes(&concerned, &after);
        let names = slots.iter().map(|slot| (slot.service, after.name_of(slot.service, self)));
        Ok(DryRun {
            digest: digest(edit, &slots),
            me: self.me,
            view: planner.view().clone(),
            names: names.collect(),
            hosts: self.catalog().nodes.keys().map(|node| (*node, self.shown(*node))).collect(),
            concerned,
            slots,
        })
    }

    /// Refuses an edit that does something else than its operator expects.
    pub fn check_expected(&self, edit: &Edit) -> Result<(), Refusal> {
        let Edit::Expected { digest, edit } = edit else { return Ok(()) };
        match self.dry_run(edit)?.digest {
            has if has == *digest => Ok(()),
            has => Err(Refusal::Unexpected { has }),
        }
    }

    fn name_of(&self, id: ServiceId, before: &NodeReport<'_>) -> String {
        let service = |report: &NodeReport<'_>| {
            report.catalog().services.get(&id).map(|service| report.called(service))
        };
        service(self).or_else(|| service(before)).unwrap_or_default()
    }

    fn concerned(&self, edit: &Edit, edited: Edited, after: &NodeReport<'_>) -> Concerned {
        let service = |report: &NodeReport<'_>, id| report.catalog().services.get(&id).cloned();
        let node = |report: &NodeReport<'_>, id| {
            let entry = report.catalog().nodes.get(&id);
            entry.map_or_else(NodeSettings::default, |entry| NodeSettings {
                availability: entry.availability,
                labels: entry.labels.clone(),
                is_removed: entry.evicted,
            })
        };
        match (edit, edited) {
            (Edit::RemoveService { id }, _) => {
                Concerned::Service { before: service(self, *id), after: service(after, *id) }
            }
            (_, Edited::Service(id)) => {
                Concerned::Service { before: service(self, id), after: service(after, id) }
            }
            (
                Edit::UpdateNode { id, .. }
                | Edit::RemoveNode { id, .. }
                | Edit::ReplaceNode { by: id, .. },
                _,
            ) => Concerned::Node { id: *id, before: node(self, *id), after: node(after, *id) },
            _ => unreachable!("other edits are refused a dry run"),
        }
    }

    fn slot_changes(&self, concerned: &Concerned, after: &NodeReport<'_>) -> Vec<SlotChange> {
        let (of, is_new_template) = match concerned {
            Concerned::Service { before, after } => {
                let id = after.as_ref().or(before.as_ref()).map(|service| service.id);
                let versions = [before, after].map(|s| s.as_ref().map(|s| s.template_version));
                (id, versions[0] != versions[1])
            }
            Concerned::Node { .. } => (None, false),
        };
        let mut changes = Vec::new();
        let plans = [self.plan(), after.plan()];
        let ids: BTreeSet<ServiceId> =
            plans.iter().flat_map(|p| p.services.keys()).copied().collect();
        for id in ids {
            let [old, new] = plans.map(|plan| plan.services.get(&id));
            if old == new && of != Some(id) {
                continue;
            }
            let name = after.name_of(id, self);
            // Of a service with thousands of tasks the reason is one and takes all nodes to tell.
            let mut told = BTreeMap::<&'static str, String>::new();
            for slot in slots_of(old, new) {
                let fate = match fate(old, new, slot) {
                    Fate::Stays if is_new_template && of == Some(id) => Fate::Updates,
                    fate => fate,
                };
                if fate == Fate::Stays && of != Some(id) {
                    continue;
                }
                let placed = new.and_then(|plan| plan.slots.get(&slot));
                let tell = |why: &Unplaced| after.why_nowhere(id, slot, *why);
                let reason = match placed {
                    Some(Placed::Nowhere(why @ (Unplaced::NoNode | Unplaced::Full))) => {
                        told.entry(why.code()).or_insert_with(|| tell(why)).clone()
                    }
                    Some(Placed::Nowhere(why)) => tell(why),
                    _ => String::new(),
                };
                changes.push(SlotChange {
                    service: id,
                    name: task_name(&name, slot),
                    before: owner(old, slot),
                    after: owner(new, slot),
                    fate,
                    reason,
                });
            }
        }
        changes
    }
}

impl DryRun {
    /// The host name of a node; empty: it is not known.
    pub fn host(&self, node: NodeId) -> &str {
        self.hosts.get(&node).map_or("", String::as_str)
    }

    /// Is this the node that made the dry run?
    pub fn is_me(&self, node: NodeId) -> bool {
        node == self.me
    }

    /// What happens to the services concerned when single nodes are cut off from all others: this
    /// node, and those with the most tasks of these services. Plans the whole fleet twice for each.
    pub fn cuts(&self) -> Vec<Cut> {
        let mut counts = BTreeMap::<NodeId, usize>::new();
        for node in self.slots.iter().filter_map(|slot| slot.after) {
            *counts.entry(node).or_default() += 1;
        }
        let is_here = |node: &NodeId| {
            self.view.nodes.get(node).is_some_and(|view| view.presence == Presence::Here)
        };
        let mut nodes: Vec<NodeId> = self.view.nodes.keys().copied().filter(is_here).collect();
        if nodes.len() < 2 {
            return Vec::new();
        }
        nodes.retain(|node| *node == self.me || counts.contains_key(node));
        let count = |node: &NodeId| counts.get(node).copied().unwrap_or(0);
        nodes.sort_by_key(|node| (*node != self.me, usize::MAX - count(node), *node));
        nodes.truncate(CUTS_MAX);
        nodes.into_iter().map(|node| self.cut(node)).collect()
    }

    fn cut(&self, node: NodeId) -> Cut {
        let others = self.side(|other| other != node);
        let alone = self.side(|other| other == node);
        let counts = self
            .names
            .iter()
            .map(|(id, name)| (name.clone(), placed(&others, *id), placed(&alone, *id)));
        Cut { node, counts: counts.collect() }
    }

    /// The plan of those who still see each other.
    fn side(&self, is_here: impl Fn(NodeId) -> bool) -> Plan {
        let mut view = self.view.clone();
        for (id, node) in &mut view.nodes {
            if !is_here(*id) {
                node.presence = Presence::Gone;
            }
        }
        let mut plan = plan(&view);
        for service in plan.services.values_mut() {
            service
                .slots
                .retain(|_, placed| matches!(placed, Placed::On(node, _) if is_here(*node)));
        }
        plan
    }
}

fn placed(plan: &Plan, service: ServiceId) -> usize {
    plan.services.get(&service).map_or(0, |plan| plan.slots.len())
}

/// Does the edit concern what the plan is made from?
fn is_of_placement(edit: &Edit) -> bool {
    matches!(
        edit,
        Edit::CreateService(_)
            | Edit::UpdateService { .. }
            | Edit::RollBackService { .. }
            | Edit::RemoveService { .. }
            | Edit::UpdateNode { .. }
            | Edit::RemoveNode { .. }
            | Edit::ReplaceNode { .. }
    )
}

fn slots_of(old: Option<&ServicePlan>, new: Option<&ServicePlan>) -> BTreeSet<Slot> {
    [old, new].into_iter().flatten().flat_map(|plan| plan.slots.keys().copied()).collect()
}

fn owner(plan: Option<&ServicePlan>, slot: Slot) -> Option<NodeId> {
    match plan?.slots.get(&slot)? {
        Placed::On(node, _) => Some(*node),
        Placed::Nowhere(_) => None,
    }
}

/// What becomes of a slot whose template stays the same.
fn fate(old: Option<&ServicePlan>, new: Option<&ServicePlan>, slot: Slot) -> Fate {
    let placed = new.and_then(|plan| plan.slots.get(&slot));
    match (owner(old, slot), placed) {
        (_, None) => Fate::Stops,
        (_, Some(Placed::Nowhere(Unplaced::Concurrent(_) | Unplaced::NotDue))) => Fate::Later,
        (_, Some(Placed::Nowhere(why))) if why.is_of_job() => Fate::Stays,
        (_, Some(Placed::Nowhere(_))) => Fate::Waits,
        (None, Some(Placed::On(..))) => Fate::Starts,
        (Some(before), Some(Placed::On(after, _))) if before != *after => Fate::Moves,
        (Some(_), Some(Placed::On(..))) => Fate::Stays,
    }
}

/// By names, not ids: the id of a service that is not there yet is not decided.
fn digest(edit: &Edit, slots: &[SlotChange]) -> PlanDigest {
    let slots: Vec<_> =
        slots.iter().map(|slot| (&slot.name, slot.before, slot.after, slot.fate)).collect();
    let mut hasher = blake3::Hasher::new_derive_key("edgectl dry run 1");
    hasher.update(&wire::encode(&(edit, slots)));
    PlanDigest::of(hasher.finalize().as_bytes())
}
