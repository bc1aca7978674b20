//! The events of a run that the driver has reported, so that it reports none twice.

use crdt_state::task::{Health, RunEvent};

/// The events that were reported already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reported {
    /// It started, with this process id.
    pub started: Option<u32>,
    /// Requests that could not be fulfilled; empty if there are none.
    pub note: Option<String>,
    /// The last verdict.
    pub health: Option<Health>,
    /// It exited or was refused.
    pub over: Option<RunEvent>,
}
