//! Stops that wait until no new connection goes to the task.
//!
//! ```text
//! stop ordered ──▶ task withdrawn: record, names, balancing ──WITHDRAWAL_MS──▶ stop signal
//! ```
//! A node that has not heard of the withdrawal sends connections to the task meanwhile, and the
//! task still takes them. Only the time is waited for, and no answer: a node that cannot be reached
//! holds up nobody.

use std::collections::BTreeMap;

use crdt_state::task::Run;
use gossip::Now;

use crate::input::Action;

/// From the withdrawal of a task to its stop signal, in milliseconds. A record reaches every node
/// of a site within a tenth of it: it is written, pushed as a rumour, and applied in a few
/// milliseconds each.
pub const WITHDRAWAL_MS: u64 = 300;

/// A stop as it was ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldStop {
    /// The signal; `None`: `SIGTERM`.
    pub signal: Option<String>,
    /// The grace period.
    pub grace_ms: u64,
}

impl HeldStop {
    /// The action that sends it.
    pub fn into_action(self, run: Run) -> Action {
        Action::StopRun { run, signal: self.signal, grace_ms: self.grace_ms }
    }
}

/// The stops that wait.
#[derive(Debug, Default)]
pub struct Withdrawals {
    held: BTreeMap<Run, (Now, HeldStop)>,
}

impl Withdrawals {
    /// Holds a stop, unless it is held already.
    pub fn hold(&mut self, now: Now, run: Run, stop: HeldStop) {
        self.held.entry(run).or_insert((now.plus(WITHDRAWAL_MS), stop));
    }

    /// Is the run's stop held?
    pub fn is_held(&self, run: Run) -> bool {
        self.held.contains_key(&run)
    }

    /// When the next stop is to be sent.
    pub fn deadline(&self) -> Now {
        self.held.values().map(|(at, _)| *at).fold(Now::NEVER, Now::min)
    }

    /// The stops that have waited long enough.
    pub fn drain_due(&mut self, now: Now) -> Vec<(Run, HeldStop)> {
        let due = self.held.extract_if(.., |_, (at, _)| *at <= now);
        due.map(|(run, (_, stop))| (run, stop)).collect()
    }
}
