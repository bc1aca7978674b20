//! Rollouts: what operators ask of one beyond its pace, and what nodes report of slots that failed
//! with a new template.
//!
//! ```text
//! a slot's new task fails ──▶ its node reports the slot ──▶ more than the policy tolerates:
//!                              verdict, a fact that stays ──▶ every node pauses, or goes back
//! ```
//! A report belongs to one write of the template: who writes the template again begins anew. Nobody
//! writes a template to go back by itself: every node computes from the verdict which template
//! counts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, ServiceId, TaskId};
use crate::key::{Kind, RecordKey};
use crate::spec::UpdatePolicy;
use crate::stamp::Stamp;
use crate::task::Slot;

/// What happens when more slots fail than is tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum FailureAction {
    /// No further slot takes the new template; slots that failed run the earlier one.
    #[default]
    Pause,
    /// The rollout goes on.
    Continue,
    /// All slots go back to the earlier template.
    Rollback,
}

/// How many failures a rollout tolerates, and what happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct FailurePolicy {
    /// What happens.
    pub action: FailureAction,
    /// So many of a million slots may fail.
    pub max_ratio: u32,
}

/// One, as a ratio.
pub const RATIO_ONE: u32 = 1_000_000;

/// The value of [`crate::spec::Facet::UPDATE_RULES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct UpdateRules {
    /// What happens to an update of which slots fail.
    pub failure: FailurePolicy,
    /// So many slots take a new template, then the rollout waits until it is promoted; 0: it does
    /// not wait.
    pub canary: u32,
}

/// The value of [`crate::spec::Facet::ROLLBACK_POLICY`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct RollbackPolicy {
    /// Its pace.
    pub pace: UpdatePolicy,
    /// What happens when slots fail again: pause or continue.
    pub failure: FailurePolicy,
}

/// Where a rollout leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Direction {
    /// To a new template.
    #[default]
    Forward,
    /// To an earlier one.
    Back,
}

/// What operators say of one rollout: the value of [`crate::spec::Facet::STEERING`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steering {
    /// The write of the template that began it. Of another rollout nothing is said.
    pub of: Stamp,
    /// Where it leads.
    pub direction: Direction,
    /// An operator paused it.
    pub is_held: bool,
    /// An operator saw the first slots and lets the others follow.
    pub is_promoted: bool,
}

/// More slots failed than is tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// So many slots failed, as the node knew.
    pub failed: u32,
    /// Of so many.
    pub of: u32,
    /// The node's Lamport counter at that time.
    pub lamport: u64,
    /// The node's time of day, milliseconds since 1970. Display only.
    pub wall_ms: u64,
}

/// What one node reports of a rollout in one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// The slots that failed on this node, at most [`FAILED_SLOTS_MAX`].
    pub slots: BTreeSet<Slot>,
    /// The first task that failed.
    pub task: Option<TaskId>,
    /// Why it failed, for people.
    pub message: String,
    /// This node saw that the policy does not tolerate it.
    pub verdict: Option<Verdict>,
}

/// What one node reports of the rollout of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutReport {
    /// The write of the template.
    pub of: Stamp,
    /// With the new template.
    pub forward: Failures,
    /// With the earlier template, after the new one had failed.
    pub back: Failures,
}

impl RolloutReport {
    /// Nothing failed yet.
    pub fn of(of: Stamp) -> RolloutReport {
        RolloutReport { of, forward: Failures::default(), back: Failures::default() }
    }
}

/// The value of a node's record of rollouts: services of which a slot failed there. At most
/// [`REPORTS_MAX`], the latest.
pub type RolloutReports = BTreeMap<ServiceId, RolloutReport>;

/// The most slots in one direction of a report; further ones are not reported. With the message,
/// the task and a verdict that is at most 32 × 7 + 200 + 17 + 24 bytes, and with both directions,
/// the service and the stamp a report has less than 1,000.
pub const FAILED_SLOTS_MAX: usize = 32;

/// The most services in the reports of a node: together they stay below the limit of a value. When
/// there are more, the ones that were updated first are dropped.
pub const REPORTS_MAX: usize = 60;

/// The most bytes of the message of a report.
pub const REASON_BYTES_MAX: usize = 200;

impl RecordKey {
    /// The key of a node's record of rollouts.
    pub fn rollouts(id: NodeId) -> RecordKey {
        RecordKey::owned(Kind::ROLLOUTS, id, &[])
    }
}
