//! Settings that the nodes of a fleet have in common: one shared record, with a facet for each.
//!
//! Nobody is in charge of them. Both sides of a partition may set one: the later write counts, the
//! other is listed, as of every shared record. A setting that was never written has its default.

use serde::{Deserialize, Serialize};

use crate::key::{Kind, RecordKey};

/// How much of a slot's past is kept and shown if nobody set it: Docker's default.
pub const TASK_HISTORY_DEFAULT: u32 = 5;

/// The most that can be set. Fifty attempts with the longest message each come to 30 KB, half of what
/// the record of a slot takes; it is sent whenever something changes in the slot.
pub const TASK_HISTORY_MAX: u32 = 50;

/// The value of [`crate::spec::Facet::TASK_HISTORY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskHistory {
    /// Past attempts and past tasks of one slot that are kept and shown; 0: none.
    pub limit: u32,
}

/// All settings, as they are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetSettings {
    /// Past attempts and past tasks of one slot that are kept and shown.
    pub task_history_limit: u32,
    /// The highest Lamport counter of any of them: Docker's `Version.Index`. 0: none was ever set.
    pub version: u64,
    /// The writer's time of day at that time, milliseconds since 1970. Display only.
    pub updated_wall_ms: u64,
}

impl Default for FleetSettings {
    fn default() -> Self {
        FleetSettings { task_history_limit: TASK_HISTORY_DEFAULT, version: 0, updated_wall_ms: 0 }
    }
}

impl FleetSettings {
    /// The task history limit as a length.
    pub fn past_max(&self) -> usize {
        usize::try_from(self.task_history_limit).unwrap_or(usize::MAX)
    }
}

impl RecordKey {
    /// The key of the settings of the fleet; there is one.
    pub fn fleet_settings() -> RecordKey {
        RecordKey { kind: Kind::FLEET_SETTINGS, id: [0; 16] }
    }
}
