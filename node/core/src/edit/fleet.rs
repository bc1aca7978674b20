//! Settings of the fleet as an operator asks for them.

use crdt_state::fleet::{TASK_HISTORY_DEFAULT, TASK_HISTORY_MAX};

/// A task history limit that is none. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a task history limit of {0} is not possible: the nodes keep from 0 to {TASK_HISTORY_MAX} past tasks of a slot; give a number of these: edgectl swarm update --task-history-limit {TASK_HISTORY_DEFAULT}"
)]
pub struct BadHistoryLimit(pub i64);

/// The limit that an operator asks for. Swarm keeps everything at a negative number, which no record
/// has room for.
pub(crate) fn history_limit(asked: i64) -> Result<u32, BadHistoryLimit> {
    let limit = u32::try_from(asked).ok();
    limit.filter(|limit| *limit <= TASK_HISTORY_MAX).ok_or(BadHistoryLimit(asked))
}
