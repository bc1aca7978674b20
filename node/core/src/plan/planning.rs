//! A plan that is kept up to date: what did not change is not planned again.
//!
//! A service depends on the nodes, on itself, on what the services before it reserve, and on where
//! those are that its affinities name. So when one changes, those after it are planned again only if
//! it now takes other amounts, or takes them elsewhere, or if they name it and it has other nodes.
//! The result is always that of [`plan`](super::plan()).

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::ServiceId;
use crdt_state::spec::{PublishedPort, Resources};

use super::{Plan, ServicePlan, plan_service};
use crate::affinity::Affinity;
use crate::ledger::{Ledger, is_counted};
use crate::neighbours;
use crate::priority;
use crate::view::{NodeView, ServiceView, View};

/// What a service takes from those after it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    priority: i32,
    reservations: Resources,
    ports: Vec<PublishedPort>,
    /// The number of its tasks on nodes, by their places in the ledger.
    counts: Vec<(usize, u32)>,
}

/// A plan, and what its services take.
#[derive(Debug, Clone, Default)]
pub struct Planning {
    plan: Plan,
    /// The services whose plan depends on that of others, in the order of the last plan.
    order: Vec<ServiceId>,
    /// What those of them take that reserve what others may lack.
    taken: BTreeMap<ServiceId, Taken>,
    /// What the affinities of those of them met that have any.
    met: BTreeMap<ServiceId, Affinities>,
}

type Affinities = Vec<Result<Affinity, String>>;

/// Does the plan of a service depend on the services before it?
fn is_ordered(service: &ServiceView) -> bool {
    is_counted(service) || !service.affinities.is_empty()
}

impl Planning {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Plans everything again, for example because nodes changed.
    pub fn renew(&mut self, view: &View) {
        *self = Planning::default();
        let mut ledger = Ledger::new(view);
        for service in neighbours::canonical_order(view) {
            let met = neighbours::meet(view, service, |id| self.plan.services.get(&id));
            self.plan_again(view, &met, &mut ledger);
            if is_ordered(service) {
                self.order.push(service.id);
            }
        }
    }

    /// Plans again what depends on these services, which were created, changed or removed. The nodes
    /// are those of the last plan. Returns the services that were planned again or are gone.
    pub fn update(&mut self, view: &View, changed: &BTreeSet<ServiceId>) -> BTreeSet<ServiceId> {
        let mut planned = changed.clone();
        // Whoever looked for free room may find other tasks of lower priority there.
        let mut lowest: Option<i32> = None;
        for id in changed {
            let now = view.services.get(id);
            let counted = now.filter(|service| is_counted(service));
            let before = self.taken.get(id).map(|taken| taken.priority);
            let priorities = before.into_iter().chain(counted.map(|service| service.priority));
            lowest = lowest.into_iter().chain(priorities).min();
            // One that still has its turn gives back there what it had.
            if !now.is_some_and(is_ordered) {
                self.taken.remove(id);
            }
            if now.is_none_or(|service| service.affinities.is_empty()) {
                self.met.remove(id);
            }
            match now {
                None => _ = self.plan.services.remove(id),
                Some(service) if !is_ordered(service) => {
                    self.plan_again(view, service, &mut Ledger::new(view));
                }
                Some(_) => {}
            }
        }
        let names_others = |service: &ServiceView| !service.affinities.is_empty();
        if lowest.is_some() || !self.met.is_empty() || view.services.values().any(names_others) {
            planned.extend(self.update_ordered(view, changed, lowest.unwrap_or(i32::MAX)));
        }
        planned
    }

    fn update_ordered(
        &mut self,
        view: &View,
        changed: &BTreeSet<ServiceId>,
        lowest: i32,
    ) -> BTreeSet<ServiceId> {
        let mut planned = BTreeSet::new();
        let mut ledger = Ledger::new(view);
        let ordered =
            neighbours::canonical_order(view).into_iter().filter(|service| is_ordered(service));
        let ordered: Vec<&ServiceView> = ordered.collect();
        let order = ordered.iter().map(|service| service.id).collect();
        let order_before = std::mem::replace(&mut self.order, order);
        let mut to_come: BTreeSet<ServiceId> = self.order.iter().copied().collect();
        // From here on, others may have more or less than they had.
        let mut is_outdated = false;
        for (at, service) in ordered.into_iter().enumerate() {
            let id = service.id;
            is_outdated |= order_before.get(at) != Some(&id);
            let before = self.plan.services.get(&id);
            let looks_again =
                before.is_some_and(|plan| plan.looked_below) && lowest < service.priority;
            let is_done = |other: &ServiceId| !to_come.contains(other);
            let met = neighbours::meet(view, service, |other| {
                self.plan.services.get(&other).filter(|_| is_done(&other))
            });
            let meets_others = self.met.get(&id).is_some_and(|before| *before != met.affinities);
            match self.taken.get(&id) {
                _ if changed.contains(&id) || meets_others || before.is_none() => {}
                Some(_) if is_outdated || looks_again => {}
                taken => {
                    for (place, count) in taken.into_iter().flat_map(|taken| &taken.counts) {
                        ledger.enter(*place, service, *count);
                    }
                    to_come.remove(&id);
                    continue;
                }
            }
            let taken_before = self.taken.get(&id).cloned();
            self.plan_again(view, &met, &mut ledger);
            is_outdated |= self.taken.get(&id) != taken_before.as_ref();
            to_come.remove(&id);
            planned.insert(id);
        }
        planned
    }

    /// Does a service of higher priority need the room that a task of this service has on a node
    /// on which it has no place? Returns that service.
    pub fn taker_on(
        &self,
        view: &View,
        node: &NodeView,
        service: &ServiceView,
    ) -> Option<ServiceId> {
        let mut ledger = Ledger::new(view);
        let place = ledger.place(node.id);
        for id in &self.order {
            let (Some(other), Some(taken)) = (view.services.get(id), self.taken.get(id)) else {
                continue;
            };
            let count = taken.counts.iter().find(|(at, _)| *at == place);
            ledger.enter(place, other, count.map_or(0, |(_, count)| *count));
            // Who is placed after it has only what it left.
            if *id == service.id {
                break;
            }
        }
        priority::taker(view, &ledger, node, service)
    }

    fn plan_again(&mut self, view: &View, service: &ServiceView, ledger: &mut Ledger) {
        let planned = plan_service(view, service, ledger);
        if !service.affinities.is_empty() {
            self.met.insert(service.id, service.affinities.clone());
        }
        if is_counted(service) {
            self.taken.insert(service.id, taken(service, &planned, ledger));
        } else {
            self.taken.remove(&service.id);
        }
        self.plan.services.insert(service.id, planned);
    }
}

fn taken(service: &ServiceView, planned: &ServicePlan, ledger: &Ledger) -> Taken {
    let counts = planned.counts().into_iter();
    Taken {
        priority: service.priority,
        reservations: service.reservations.clone(),
        ports: service.host_ports.clone(),
        counts: counts.map(|(node, count)| (ledger.place(node), count)).collect(),
    }
}
