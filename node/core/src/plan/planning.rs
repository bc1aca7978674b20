//! A plan that is kept up to date: what did not change is not planned again.
//!
//! A service depends on the nodes, on itself, and on what the services before it reserve. So when
//! one changes, those after it are planned again only if it now takes other amounts, or takes them
//! elsewhere. The result is always that of [`plan`](super::plan()).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crdt_state::ServiceId;
use crdt_state::spec::{PublishedPort, Resources};
use crdt_state::stamp::Stamp;

use super::{Plan, ServicePlan, plan_service};
use crate::ledger::{Ledger, is_counted};
use crate::view::{ServiceView, View};

/// Where a service comes in the order of placement.
type Rank = (Reverse<i32>, Stamp, ServiceId);

/// What a service takes from those after it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    rank: Rank,
    reservations: Resources,
    ports: Vec<PublishedPort>,
    /// The number of its tasks on nodes, by their places in the ledger.
    counts: Vec<(usize, u32)>,
}

/// A plan, and what its services take.
#[derive(Debug, Clone, Default)]
pub struct Planning {
    plan: Plan,
    /// Of the services that reserve what others may lack.
    taken: BTreeMap<ServiceId, Taken>,
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
        for service in view.canonical_order() {
            self.plan_again(view, service, &mut ledger);
        }
    }

    /// Plans again what depends on these services, which were created, changed or removed. The nodes
    /// are those of the last plan. Returns the services that were planned again or are gone.
    pub fn update(&mut self, view: &View, changed: &BTreeSet<ServiceId>) -> BTreeSet<ServiceId> {
        let mut planned = changed.clone();
        // From here on, others may have more or less than they had.
        let mut outdated_from: Option<Rank> = None;
        let mut is_anything_counted = false;
        for id in changed {
            let now = view.services.get(id);
            let counted = now.filter(|service| is_counted(service));
            is_anything_counted |= counted.is_some();
            if let Some(taken) = self.taken.get(id)
                && counted.is_none_or(|service| rank(service) != taken.rank)
            {
                is_anything_counted = true;
                let from = counted.map_or(taken.rank, |service| rank(service).min(taken.rank));
                outdated_from = Some(outdated_from.map_or(from, |known| known.min(from)));
                self.taken.remove(id);
            }
            match now {
                None => _ = self.plan.services.remove(id),
                Some(service) if counted.is_none() => {
                    self.plan_again(view, service, &mut Ledger::new(view));
                }
                Some(_) => {}
            }
        }
        if is_anything_counted {
            planned.extend(self.update_counted(view, changed, outdated_from));
        }
        planned
    }

    fn update_counted(
        &mut self,
        view: &View,
        changed: &BTreeSet<ServiceId>,
        outdated_from: Option<Rank>,
    ) -> BTreeSet<ServiceId> {
        let mut planned = BTreeSet::new();
        let mut ledger = Ledger::new(view);
        let mut is_outdated = false;
        for service in view.canonical_order().into_iter().filter(|service| is_counted(service)) {
            is_outdated |= outdated_from.is_some_and(|from| from <= rank(service));
            match self.taken.get(&service.id) {
                Some(taken) if !is_outdated && !changed.contains(&service.id) => {
                    for (place, count) in &taken.counts {
                        ledger.enter(*place, service, *count);
                    }
                }
                before => {
                    let before = before.cloned();
                    self.plan_again(view, service, &mut ledger);
                    is_outdated |= self.taken.get(&service.id) != before.as_ref();
                    planned.insert(service.id);
                }
            }
        }
        planned
    }

    fn plan_again(&mut self, view: &View, service: &ServiceView, ledger: &mut Ledger) {
        let planned = plan_service(view, service, ledger);
        if is_counted(service) {
            self.taken.insert(service.id, taken(service, &planned, ledger));
        }
        self.plan.services.insert(service.id, planned);
    }
}

fn rank(service: &ServiceView) -> Rank {
    (Reverse(service.priority), service.created, service.id)
}

fn taken(service: &ServiceView, planned: &ServicePlan, ledger: &Ledger) -> Taken {
    let counts = planned.counts().into_iter();
    Taken {
        rank: rank(service),
        reservations: service.reservations.clone(),
        ports: service.host_ports.clone(),
        counts: counts.map(|(node, count)| (ledger.place(node), count)).collect(),
    }
}
