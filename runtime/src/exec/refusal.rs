//! Why a session failed, and the exit code that a shell would give.

use serde::{Deserialize, Serialize};

/// Whose fault it is that a session failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The task does not run.
    NotRunning,
    /// There is no such path.
    Missing,
    /// The request makes no sense there.
    Bad,
    /// The task must not be written to.
    Forbidden,
    /// The machine's.
    Failed,
}

/// Why a session failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRefusal {
    /// Whose fault.
    pub fault: Fault,
    /// The exit code of a shell: 127 if there is no such program, 126 if it cannot be run.
    pub code: i32,
    /// What, why, what to type.
    pub message: String,
}

/// A shell's exit code for a command that cannot be run.
pub const CODE_CANNOT_RUN: i32 = 126;
/// A shell's exit code for a command that does not exist.
pub const CODE_NOT_FOUND: i32 = 127;
