//! Why a service cannot have to do with another one in this way, or its slots with each other.

use crdt_state::relation::SlotOrder;
use crdt_state::spec::Scale;

use super::ServiceSpec;

/// Checks what needs no look at other services.
pub(super) fn check(spec: &ServiceSpec) -> Result<(), BadRelation> {
    match (spec.relations.slot_order, spec.scale) {
        (SlotOrder::Any, _) | (_, Scale::Replicated { .. }) => Ok(()),
        (SlotOrder::Ascending, _) => Err(BadRelation::OrderOfOther),
    }
}

/// What services cannot mean to each other. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRelation {
    /// It would keep its own tasks from each other.
    #[error(
        "affinity {rule} would keep the tasks of {service} from each other; for at most one task of it per node write --replicas-max-per-node 1"
    )]
    ApartFromItself {
        /// The affinity.
        rule: String,
        /// The service.
        service: String,
    },
    /// It is beside itself.
    #[error("affinity {rule} names {service} itself, which is always beside itself; leave it out")]
    BesideItself {
        /// The affinity.
        rule: String,
        /// The service.
        service: String,
    },
    /// No service has the name.
    #[error(
        "{what} names the service {name}, which does not exist; create it first, or take a name from `edgectl service ls`"
    )]
    NoSuchService {
        /// The affinity, or the flag.
        what: String,
        /// The name.
        name: String,
    },
    /// It would wait for itself.
    #[error("{0} depends on itself and would never start; leave --depends-on {0} out")]
    DependsOnItself(String),
    /// Each would wait for the other.
    #[error(
        "dependencies in a circle: {path}, and none of them would ever start; leave --depends-on out at one of them"
    )]
    DependencyCircle {
        /// `web waits for db, db waits for web`
        path: String,
    },
    /// The one would take the room of the other, and wait for it.
    #[error(
        "{service} of priority {priority} would wait for {other} of priority {below}, whose room it may take; give {other} at least the same: edgectl service update --priority {priority} {other}"
    )]
    WaitsForLower {
        /// Who waits.
        service: String,
        /// Its priority.
        priority: i32,
        /// For whom.
        other: String,
        /// The priority of that.
        below: i32,
    },
    /// Tasks without numbers.
    #[error(
        "only numbered tasks that run on have an order: --slot-order ascending is for --mode replicated; leave it out"
    )]
    OrderOfOther,
    /// Each would be placed after the other.
    #[error(
        "affinities in a circle: {path}, and none of them can be placed first; leave one out, one side is enough for two services to be apart"
    )]
    AffinityCircle {
        /// `web names db, db names web`
        path: String,
    },
}
