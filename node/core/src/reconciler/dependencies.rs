//! Dependencies: a task starts when each service that its own depends on has one that runs healthy,
//! and when the data of its configs and secrets is here.
//!
//! They hold starts only: what runs goes on without them, and a new template waits for its turn
//! while they are missing. What counts is what this node sees. Who does not exist any more is not
//! waited for, and neither is who waits for this service in turn: nobody waits for ever for what
//! two sides of a partition wrote.

use std::collections::BTreeSet;

use crdt_state::ServiceId;
use crdt_state::service::Service;

use crate::catalog::Catalog;
use crate::plan::Placed;
use crate::planner::Planner;
use crate::reason::Unplaced;
use crate::tasks::is_healthy;

/// Why no task of the service starts yet, if it has to wait for another one.
pub(super) fn waits_for(planner: &Planner, id: ServiceId) -> Option<String> {
    let catalog = planner.catalog();
    let service = catalog.services.get(&id)?;
    if let Some(reason) = catalog.missing_of(planner.me(), &service.template) {
        return Some(reason);
    }
    let missing = service.relations.depends_on.services.iter().find_map(|name| {
        let other = catalog.named(name).filter(|other| !leads_to(catalog, other, id))?;
        (!is_ready(planner, other)).then_some(other)
    })?;
    Some(match missing.scale.is_job() {
        true => format!("waits for the job {} to complete", missing.name),
        false => format!("waits for {}, of which no task runs healthy", missing.name),
    })
}

/// The names that the service depends on and does not wait for: nobody has them, or who has them
/// waits for this service.
pub(crate) fn not_waited_for<'a>(
    catalog: &'a Catalog,
    service: &'a Service,
) -> impl Iterator<Item = (&'a String, Option<&'a Service>)> {
    let others = service.relations.depends_on.services.iter();
    let others = others.map(|name| (name, catalog.named(name)));
    others.filter(|(_, other)| other.is_none_or(|other| leads_to(catalog, other, service.id)))
}

/// Does the service depend on the other one, by however many steps?
fn leads_to(catalog: &Catalog, from: &Service, to: ServiceId) -> bool {
    let (mut left, mut seen) = (vec![from], BTreeSet::new());
    while let Some(service) = left.pop() {
        if service.id == to {
            return true;
        }
        if seen.insert(service.id) {
            let names = service.relations.depends_on.services.iter();
            left.extend(names.filter_map(|name| catalog.named(name)));
        }
    }
    false
}

/// A service is ready when one of its tasks runs healthy, a job when it is complete. A job with a
/// schedule is never waited for: it is over and due again by turns.
fn is_ready(planner: &Planner, service: &Service) -> bool {
    if service.schedule.is_some() {
        return true;
    }
    if service.scale.is_job() {
        let plan = planner.plan().services.get(&service.id);
        let is_complete = |placed: &Placed| *placed == Placed::Nowhere(Unplaced::Complete);
        return plan
            .is_some_and(|plan| !plan.slots.is_empty() && plan.slots.values().all(is_complete));
    }
    let records = planner.catalog().tasks.get(&service.id).into_iter().flatten();
    let mut here = records.filter(|((_, node), _)| planner.is_here(*node));
    here.any(|(_, record)| record.tasks.iter().any(|s| s.desired_running && is_healthy(s)))
}
