//! What became of the queries, for metrics.
//!
//! Several servers may count into the same counters. Each query is counted once in `queries` and
//! at most once in the others.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one or more name servers.
#[derive(Debug, Default)]
pub struct Counters {
    queries: AtomicU64,
    own: AtomicU64,
    forwarded: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    dropped: AtomicU64,
}

/// The state of [`Counters`] at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that came in.
    pub queries: u64,
    /// Answered from the fleet's state.
    pub own: u64,
    /// Answered by an upstream server.
    pub forwarded: u64,
    /// Answered with a failure: no upstream server answered, or there is none.
    pub failed: u64,
    /// Not a proper query: refused, or not answered if it is no query at all.
    pub rejected: u64,
    /// Not answered: too many queries wait for upstream servers, or the socket took no more. A connection above the
    /// limit is also counted here, though not in `queries`.
    pub dropped: u64,
}

/// What became of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Own,
    Forwarded,
    Failed,
    Rejected,
    Dropped,
}

impl Counters {
    /// The state now.
    pub fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            queries: load(&self.queries),
            own: load(&self.own),
            forwarded: load(&self.forwarded),
            failed: load(&self.failed),
            rejected: load(&self.rejected),
            dropped: load(&self.dropped),
        }
    }

    pub(crate) fn query(&self) {
        self.queries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn outcome(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Own => &self.own,
            Outcome::Forwarded => &self.forwarded,
            Outcome::Failed => &self.failed,
            Outcome::Rejected => &self.rejected,
            Outcome::Dropped => &self.dropped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
