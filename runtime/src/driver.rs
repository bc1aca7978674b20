//! The one interface to everything that runs tasks: host processes, the fake, OCI containers.
//!
//! Orders never fail and never wait: their results arrive as [`RunEvent`]s on a channel. Every
//! driver passes the same suite, `tests/suite/conformance.rs`. A driver must never decide anything:
//! it restarts nothing, and stops nothing without an order.
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
/// health, so this is a burst of 80 runs. A full channel makes the driver wait; nothing is lost.
pub const RUN_EVENTS_MAX: usize = 256;

/// Something that runs tasks. Orders about a run are carried out in the order they are given.
pub trait Driver: Send {
    /// Starts a run. Answered by `Started` or `Refused`. A run that is known already is not started
    /// again: its state is reported once more.
    fn start(&mut self, start: &TaskStart);

    /// Asks a run to end: `signal` (by name with or without `SIG`, or by number; that of its
    /// template if `None`), and after `grace_ms` SIGKILL to every process of it that is left.
    /// Answered by `Exited`. If it is asked again, the earlier of both deadlines counts. A run that
    /// is over or unknown is left alone.
    fn stop(&mut self, run: Run, signal: Option<&str>, grace_ms: u64);

    /// A run may live until this time of [`crate::boot_clock`] and no longer: then every process of
    /// it is killed, also if no agent is there any more. `None`: as long as it likes. The last such
    /// order counts; one that comes before the start counts for the start.
    fn expire(&mut self, run: Run, at_ms: Option<u64>);

    /// Removes all trace of a run that is over, its logs too. One that still runs is killed first;
    /// no further event of it is reported.
    fn forget(&mut self, run: Run);

    /// Finds the runs of a previous agent, whether still running or ended meanwhile, and goes on
    /// reporting their events. Called once, before anything else; it may take as long as reading
    /// the folders of the runs takes.
    fn adopt(&mut self) -> Vec<AdoptedRun>;
}
