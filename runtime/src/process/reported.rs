//! What the driver has reported of a run, so that it says nothing twice.

use crdt_state::task::{Health, RunEvent};

/// What was reported of a run already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reported {
    /// It started, as this process.
    pub started: Option<u32>,
    /// What was asked for and is not so; empty if all is.
    pub note: Option<String>,
    /// The last verdict.
    pub health: Option<Health>,
    /// It exited or was refused.
    pub over: Option<RunEvent>,
}
