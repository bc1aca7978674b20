//! Why a session came to nothing, and as what a shell would end then.

use serde::{Deserialize, Serialize};

/// Whose fault it is that a session came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The task does not run.
    NotRunning,
    /// There is no such path.
    Missing,
    /// What was asked makes no sense there.
    Bad,
    /// The task must not be written to.
    Forbidden,
    /// The machine.
    Failed,
}

/// Why a session came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRefusal {
    /// Whose fault.
    pub fault: Fault,
    /// As a shell would end: 127 if there is no such program, 126 if it cannot be run.
    pub code: i32,
    /// What, why, what to type.
    pub message: String,
}

/// What a shell says of a command that cannot be run.
pub const CODE_CANNOT_RUN: i32 = 126;
/// What a shell says of a command that is not there.
pub const CODE_NOT_FOUND: i32 = 127;
