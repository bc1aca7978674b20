//! Neighbours: where the services are that others name in their affinities, and who is placed first.
//!
//! What counts is the plan, not what runs. So a service is placed after those that it names,
//! whatever its priority and age, and follows them when they move. Services that name each other in
//! a circle are refused when they are written. Two sides of a partition can still make a circle: the
//! first of them is then placed as if the others had no tasks.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crdt_state::ServiceId;

use crate::affinity::{Affinity, Met};
use crate::plan::ServicePlan;
use crate::view::{ServiceView, View};

/// The services that a service names, itself apart.
fn named<'a>(view: &'a View, service: &'a ServiceView) -> impl Iterator<Item = ServiceId> + 'a {
    service.affinities.iter().flatten().flat_map(|affinity| meant(view, service, affinity))
}

fn meant<'a>(
    view: &'a View,
    service: &'a ServiceView,
    affinity: &'a Affinity,
) -> impl Iterator<Item = ServiceId> + 'a {
    let is_meant = |other: &&ServiceView| {
        other.id != service.id && affinity.other().is(&other.name, &other.image)
    };
    view.services.values().filter(is_meant).map(|other| other.id)
}

/// The service with what its affinities have met in the plans of the services before it.
pub fn meet<'a, 'p>(
    view: &View,
    service: &'a ServiceView,
    planned: impl Fn(ServiceId) -> Option<&'p ServicePlan>,
) -> Cow<'a, ServiceView> {
    if service.affinities.is_empty() {
        return Cow::Borrowed(service);
    }
    let mut met = service.clone();
    for affinity in met.affinities.iter_mut().flatten() {
        let meant: Vec<ServiceId> = meant(view, service, affinity).collect();
        let plans: Vec<&ServicePlan> = meant.iter().filter_map(|id| planned(*id)).collect();
        let met = match () {
            () if meant.is_empty() => Met::Nobody,
            () if plans.is_empty() => Met::Circle,
            () => Met::On(plans.iter().flat_map(|plan| plan.counts().into_keys()).collect()),
        };
        *affinity = affinity.having_met(met);
    }
    Cow::Owned(met)
}

/// Services in the order in which they are placed: priority, then age. A new service comes last in
/// its priority and never moves tasks of the services before it. Whoever names other services in its
/// affinities comes after them.
pub fn canonical_order(view: &View) -> Vec<&ServiceView> {
    let mut services: Vec<&ServiceView> = view.services.values().collect();
    services.sort_by_key(|s| (Reverse(s.priority), s.created, s.id));
    after_those_they_name(view, services)
}

fn after_those_they_name<'a>(view: &View, order: Vec<&'a ServiceView>) -> Vec<&'a ServiceView> {
    if order.iter().all(|service| service.affinities.is_empty()) {
        return order;
    }
    let places: BTreeMap<ServiceId, usize> =
        order.iter().enumerate().map(|(at, service)| (service.id, at)).collect();
    let mut waits_for: Vec<BTreeSet<usize>> = order
        .iter()
        .map(|service| named(view, service).filter_map(|id| places.get(&id).copied()).collect())
        .collect();
    let mut waiters: Vec<Vec<usize>> = vec![Vec::new(); order.len()];
    for (at, named) in waits_for.iter().enumerate() {
        named.iter().for_each(|other| waiters[*other].push(at));
    }
    let mut ready: BTreeSet<usize> =
        (0..order.len()).filter(|at| waits_for[*at].is_empty()).collect();
    let mut left: BTreeSet<usize> = (0..order.len()).collect();
    let mut sorted = Vec::with_capacity(order.len());
    while let Some(first) = left.first().copied() {
        let next = ready.pop_first().unwrap_or_else(|| first_of_circle(&waits_for, first));
        left.remove(&next);
        sorted.push(order[next]);
        waits_for[next].clear();
        for waiter in std::mem::take(&mut waiters[next]) {
            if waits_for[waiter].remove(&next) && waits_for[waiter].is_empty() {
                ready.insert(waiter);
            }
        }
    }
    sorted
}

/// The first service, in their order, of a circle that this one is in or waits for.
fn first_of_circle(waits_for: &[BTreeSet<usize>], start: usize) -> usize {
    let next = |at: usize| *waits_for[at].first().expect("it is not ready");
    let mut seen = BTreeSet::new();
    let mut at = start;
    while seen.insert(at) {
        at = next(at);
    }
    let (entry, mut first) = (at, at);
    loop {
        at = next(at);
        first = first.min(at);
        if at == entry {
            return first;
        }
    }
}
