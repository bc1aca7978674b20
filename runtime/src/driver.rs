//! The one interface to everything that runs tasks: host processes, the fake, OCI containers.
//!
//! Orders never fail and never wait: what becomes of them arrives as [`RunEvent`]s on a channel.
//! Every driver passes the same suite, `tests/suite/conformance.rs`. A driver must never decide
//! anything: it restarts nothing, and it stops nothing that it was not told to stop.
//!
//! ```text
//! start ──▶ Refused                                   ─┐
//!      └──▶ Started ──▶ HealthChanged* ──▶ Exited     ─┴─▶ forget
//! ```

use crdt_state::task::{AdoptedRun, Run, RunEvent, TaskStart};
use tokio::sync::mpsc;

/// Where the events of a driver arrive, in order per run.
pub type RunEvents = mpsc::Receiver<(Run, RunEvent)>;

/// Events that wait for the agent at most. A run has three in its life besides its changes of
/// health, so this is a burst of 80 runs; a full channel makes the driver wait, nothing is lost.
pub const RUN_EVENTS_MAX: usize = 256;

/// Something that runs tasks. Orders about a run are carried out in the order they are given.
pub trait Driver: Send {
    /// Starts a run. Answered by `Started` or `Refused`. A run that is known already is not
    /// started again: what became of it is reported once more.
    fn start(&mut self, start: &TaskStart);

    /// Asks a run to end: `signal` (by name with or without `SIG`, or by number; that of its
    /// template if `None`), and SIGKILL to everything of it that is left after `grace_ms`.
    /// Answered by `Exited`. Told again, the earlier of both deadlines counts. A run that is
    /// over or unknown is left alone.
    fn stop(&mut self, run: Run, signal: Option<&str>, grace_ms: u64);

    /// Removes all trace of a run that is over, its logs too. One that still runs is killed
    /// first; nothing is reported of it any more.
    fn forget(&mut self, run: Run);

    /// Finds the runs of an agent that was here before, still running or ended meanwhile, and
    /// goes on reporting of them. Called once, before anything else; it may take as long as
    /// reading the folders of the runs takes.
    fn adopt(&mut self) -> Vec<AdoptedRun>;
}
