//! Sabotage: the world breaks a promise that the nodes rely on, so that a checker must find it.
//!
//! A checker that never reports anything is worthless. Each sabotage takes one rule out of a whole
//! world; `tests/sabotage.rs` demands that the right invariant breaks.

use clap::ValueEnum;

/// A broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sabotage {
    /// The disk acknowledges half a second before it has written.
    LyingDisk,
    /// A store comes back with removed services as they were before.
    StaleStore,
    /// Programs take no notice of being stopped, nor of being killed.
    DeafPrograms,
    /// Reliable messages arrive nowhere, and nobody is told.
    LostMessages,
    /// Somebody keeps changing a label when all should rest.
    RestlessOperator,
    /// Nodes do not list what a removal did not see.
    SilentRemovals,
    /// Every datagram is sent three times.
    Chatter,
}
