//! What this node could not do for networks: told when it begins and when it is over, and kept for
//! those who ask.

use std::sync::{Arc, Mutex};

use overlay::plan::OverlayPlan;

use super::machine_facts::Reporter;
use super::news::{NetworkNews, named};
use super::obstacles::Obstacles;
use crate::path_failure::PathFailure;

/// What is not as planned.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Failures {
    /// Of this node, as sentences.
    pub(in super::super) own: Vec<String>,
    /// Of its paths to others.
    pub(in super::super) paths: Vec<PathFailure>,
}

/// What is not as planned, as sentences.
pub(super) struct Failed {
    /// Of links, addresses and routes.
    pub(super) links: Vec<String>,
    /// Of tables.
    pub(super) balancing: Vec<String>,
    /// Rules of the host that drop what it should forward.
    pub(super) host: Obstacles,
    /// Published ports that programs of this machine have.
    pub(super) taken: Vec<String>,
    told: Arc<Mutex<Failures>>,
}

impl Failed {
    /// Nothing yet. `told` is what was told last, for those who ask.
    pub(super) fn new(told: Arc<Mutex<Failures>>) -> Failed {
        let [links, balancing, taken] = [const { Vec::new() }; 3];
        Failed { links, balancing, host: Obstacles::default(), taken, told }
    }

    /// Tells failures, and those of `resolvers`, when they begin, and when they are over.
    pub(super) fn tell(
        &self,
        resolvers: Vec<String>,
        paths: Vec<PathFailure>,
        (plan, reporter): (&OverlayPlan, &Reporter),
    ) {
        let own = [&self.links, &self.balancing, self.host.found(), &self.taken, &resolvers];
        let now = Failures { own: own.into_iter().flatten().cloned().collect(), paths };
        let mut told = self.told.lock().expect("nothing panics while it holds this");
        for failure in now.own.iter().filter(|failure| !told.own.contains(failure)) {
            tracing::warn!("networks: {failure}");
            reporter.tell(NetworkNews::FailureBegan(named(failure, plan)));
        }
        for failure in told.own.iter().filter(|failure| !now.own.contains(failure)) {
            tracing::info!("networks: not any more: {failure}");
            reporter.tell(NetworkNews::FailureEnded(named(failure, plan)));
        }
        for failure in without(&now.paths, &told.paths) {
            tracing::warn!("networks: {}", failure.what());
            reporter.tell(NetworkNews::PathFailureBegan(failure.path.clone()));
        }
        for failure in without(&told.paths, &now.paths) {
            tracing::info!("networks: not any more: {}", failure.what());
            reporter.tell(NetworkNews::PathFailureEnded(failure.path.clone()));
        }
        *told = now;
    }
}

/// Those that nothing of the others is like.
fn without<'a>(
    all: &'a [PathFailure],
    others: &'a [PathFailure],
) -> impl Iterator<Item = &'a PathFailure> {
    all.iter().filter(|failure| !others.iter().any(|other| other.is_like(failure)))
}
