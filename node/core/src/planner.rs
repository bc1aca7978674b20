//! The planner of one node: the records it has read, the plan made from them, and which parts of
//! the plan are out of date.
//!
//! ```text
//! record changed, member changed, timer ──▶ outdated ──replan──▶ plan, services to reconcile
//! ```
//! It reads records and members and changes neither. A service is planned again only when something
//! that its plan depends on changed; [`plan`](mod@crate::plan) itself is a pure function of the view.

use std::collections::BTreeSet;
use std::sync::Arc;

use crdt_state::replica::Replica;
use crdt_state::service::Service;
use crdt_state::spec::TemplateVersion;
use crdt_state::task::Slot;
use crdt_state::{NodeId, RecordKey, ServiceId};
use gossip::{Gossip, MemberState, Now, Profile};

use crate::catalog::{Catalog, Touched};
use crate::plan::{Plan, Planning};
use crate::rollout::RolloutProgress;
use crate::view::{NodeView, Presence, View};

mod views;

/// What one node knows of the fleet, and its plan.
#[derive(Clone)]
pub struct Planner {
    me: NodeId,
    failover_delay_ms: u64,
    /// Until this time, a node that was never heard counts as present: this node has just booted.
    booted_until: Now,
    catalog: Catalog,
    view: View,
    planning: Planning,
    progress: RolloutProgress,
    /// See [`Planner::take_switched`].
    switched: BTreeSet<ServiceId>,
    /// What changed since the last plan.
    outdated: Touched,
    /// When the presence of a member changes by itself: the end of a failover delay or of
    /// `booted_until`.
    presence_deadline: Now,
}

impl Planner {
    /// A planner that has read all records of `replica`; everything is outdated.
    pub fn new(me: NodeId, profile: &Profile, replica: &Replica, booted_until: Now) -> Planner {
        let catalog = Catalog::read(replica);
        let services = catalog.services.keys().chain(catalog.tasks.keys()).copied().collect();
        Planner {
            me,
            failover_delay_ms: profile.failover_delay_ms,
            booted_until,
            catalog,
            view: View::default(),
            planning: Planning::default(),
            progress: RolloutProgress::default(),
            switched: BTreeSet::new(),
            outdated: Touched { services, nodes: true, ..Touched::default() },
            presence_deadline: Now::START,
        }
    }

    /// The records, decoded.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The view that the plan was made from.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        self.planning.plan()
    }

    /// How far the rollout of each service is, as this node saw it.
    pub fn progress(&self) -> &RolloutProgress {
        &self.progress
    }

    /// How long an unreachable member keeps its tasks, in milliseconds.
    pub fn failover_delay_ms(&self) -> u64 {
        self.failover_delay_ms
    }

    /// Is the node present, by the view of the last plan?
    pub fn is_here(&self, node: NodeId) -> bool {
        self.view.nodes.get(&node).is_some_and(|view| view.presence == Presence::Here)
    }

    /// Does a service of higher priority take the room of one more task of this service on this node?
    /// Returns that service.
    pub fn taker_here(&self, id: ServiceId) -> Option<ServiceId> {
        let (node, service) = (self.view.nodes.get(&self.me)?, self.view.services.get(&id)?);
        self.planning.taker_on(&self.view, node, service)
    }

    /// Has this node the leases of a majority of the anchors for the slot?
    pub fn has_lease(&self, service: ServiceId, slot: Slot, node: NodeId) -> bool {
        let leases = self.view.services.get(&service).map(|service| &service.leases);
        leases.is_some_and(|leases| leases.get(&slot) == Some(&node))
    }

    /// The members that a service may be placed on by its constraints, whatever else keeps them.
    pub fn eligible(&self, id: ServiceId) -> impl Iterator<Item = NodeId> {
        let service = self.view.services.get(&id);
        let nodes = service.into_iter().flat_map(|service| {
            let fits = |node: &&NodeView| {
                service.constraints.iter().all(|one| one.as_ref().is_ok_and(|c| c.fits(node)))
            };
            self.view.nodes.values().filter(fits)
        });
        nodes.map(|node| node.id)
    }

    /// This node.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// When the presence of a member changes by itself.
    pub fn presence_deadline(&self) -> Now {
        self.presence_deadline
    }

    /// Did anything change since the last plan?
    pub fn is_outdated(&self) -> bool {
        self.outdated != Touched::default()
    }

    /// Reads one record again. Returns what that affects.
    pub fn on_record(&mut self, replica: &Replica, key: RecordKey) -> Touched {
        let mut touched = Touched::default();
        self.catalog.update(replica, key, &mut touched);
        self.outdated.add(&touched);
        touched
    }

    /// The state of a member changed.
    pub fn on_member(&mut self) {
        self.outdated.nodes = true;
    }

    /// These services are due by themselves, without any change of a record.
    pub fn on_due(&mut self, services: impl IntoIterator<Item = ServiceId>) {
        self.outdated.services.extend(services);
    }

    /// Notes what the owners of a service's slots report now.
    pub fn note_progress(&mut self, now: Now, id: ServiceId) {
        match self.catalog.services.get(&id) {
            Some(service) => {
                let plan = self.planning.plan().services.get(&id);
                let records = self.catalog.tasks.get(&id);
                let before = self.progress.side_by_side(id);
                self.progress.note(now, service, plan, records, self.me);
                if self.progress.side_by_side(id) != before {
                    self.switched.insert(id);
                }
            }
            None => self.progress.forget(id),
        }
    }

    /// The services of which connections go to the tasks of another template than when this was last
    /// called.
    pub fn take_switched(&mut self) -> BTreeSet<ServiceId> {
        std::mem::take(&mut self.switched)
    }

    /// The version of a service's template of which tasks go on beside those of the current one,
    /// and until when.
    pub fn beside(&self, now: Now, service: &Service) -> Option<(TemplateVersion, Now)> {
        let plan = self.plan().services.get(&service.id);
        let version = self.progress.beside(now, service, plan)?;
        Some((version, self.progress.beside_until(service)))
    }

    /// Plans again everything that is outdated. Returns the services to reconcile; `local` are those
    /// of which this node has tasks.
    pub fn replan(
        &mut self,
        now: Now,
        gossip: &Gossip,
        local: impl Iterator<Item = ServiceId>,
    ) -> Vec<ServiceId> {
        if self.presence_deadline <= now {
            self.outdated.nodes = true;
        }
        let outdated = std::mem::take(&mut self.outdated);
        let dependents = self.dependents_of(&outdated.services);
        for id in &outdated.services {
            self.view_service(*id);
        }
        if outdated.nodes && self.view_nodes(now, gossip) {
            let mut concerned: BTreeSet<ServiceId> = outdated.services.clone();
            concerned.extend(self.plan().services.keys());
            self.planning.renew(&self.view);
            concerned.extend(self.plan().services.keys());
            concerned.extend(local);
            concerned.extend(outdated.handovers);
            return concerned.into_iter().collect();
        }
        let planned = self.planning.update(&self.view, &outdated.services);
        let others = outdated.handovers.union(&dependents).copied().collect();
        planned.union(&others).copied().collect()
    }

    /// The services that depend on one of these, by the name that it has or had.
    fn dependents_of(&self, ids: &BTreeSet<ServiceId>) -> BTreeSet<ServiceId> {
        let had = |id: &ServiceId| self.view.services.get(id).map(|view| view.name.as_str());
        let has = |id: &ServiceId| self.catalog.services.get(id).map(|s| s.name.as_str());
        let names: BTreeSet<&str> =
            ids.iter().flat_map(|id| had(id).into_iter().chain(has(id))).collect();
        let depends = |service: &&Arc<Service>| {
            let mut on = service.relations.depends_on.services.iter();
            on.any(|name| names.contains(name.as_str()))
        };
        self.catalog.services.values().filter(depends).map(|service| service.id).collect()
    }

    /// Builds the views of all members again. Returns whether any changed, which concerns every
    /// service.
    fn view_nodes(&mut self, now: Now, gossip: &Gossip) -> bool {
        self.presence_deadline = Now::NEVER;
        let mut nodes = std::collections::BTreeMap::new();
        for (id, entry) in self.catalog.nodes.iter().filter(|(_, entry)| entry.is_member()) {
            let gone_at = self.gone_at(gossip, *id);
            if gone_at > now {
                self.presence_deadline = self.presence_deadline.min(gone_at);
            }
            let presence = if gone_at > now { Presence::Here } else { Presence::Gone };
            let networks = &self.catalog.networks;
            nodes.extend(views::node(*id, entry, presence, networks).map(|view| (*id, view)));
        }
        let is_changed = nodes != self.view.nodes;
        self.view.nodes = nodes;
        is_changed
    }

    /// The time from which a node counts as gone for placement.
    fn gone_at(&self, gossip: &Gossip, id: NodeId) -> Now {
        if id == self.me {
            return Now::NEVER;
        }
        match gossip.member(id) {
            Some(member) => match member.state {
                MemberState::Alive | MemberState::Suspect => Now::NEVER,
                MemberState::Left => Now::START,
                MemberState::Unreachable => member.since.plus(self.failover_delay_ms),
            },
            None => self.booted_until,
        }
    }

    /// Builds the view of one service again.
    fn view_service(&mut self, id: ServiceId) {
        match views::service(&self.catalog, id) {
            Some(view) => _ = self.view.services.insert(id, view),
            None => _ = self.view.services.remove(&id),
        }
    }
}
