//! Restart policy: whether an ended task is started again, and when.
//!
//! The first restart is immediate, unless the start was refused. Then the delay doubles with jitter
//! up to [`BACKOFF_MS_MAX`]. The jitter comes from the task's id, so that the same history gives
//! the same delays.

use std::collections::VecDeque;

use crdt_state::TaskId;
use crdt_state::spec::{RestartCondition, RestartPolicy};
use gossip::Now;

/// The longest delay, in milliseconds: 5 minutes, so that a restart is tried soon after the cause
/// is gone.
pub const BACKOFF_MS_MAX: u64 = 300_000;

/// A run that lasted this long, in milliseconds, was a success: the backoff begins again.
pub const LASTING_MS: u64 = 60_000;

/// How a run ended, as far as it matters to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// With code 0.
    Success,
    /// In any other way.
    Failure,
    /// It can never start with this template: retried, but not at once.
    Refused,
}

/// The decision of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start again at this time.
    RestartAt(Now),
    /// Do not start again.
    Leave,
}

/// The restarts of one task. Kept in memory only: they begin again when the agent restarts.
#[derive(Debug, Clone, Default)]
pub struct Restarts {
    in_a_row: u32,
    /// The restarts within the policy's window; bounded by its `max_attempts`.
    recent: VecDeque<Now>,
}

impl Restarts {
    /// Decides after the end of a run that was still wanted and had lasted `lasted_ms`.
    pub fn on_end(
        &mut self,
        now: Now,
        task: TaskId,
        policy: &RestartPolicy,
        outcome: RunOutcome,
        lasted_ms: u64,
    ) -> Verdict {
        let wanted = match policy.condition {
            RestartCondition::None => false,
            RestartCondition::OnFailure => outcome != RunOutcome::Success,
            RestartCondition::Any => true,
        };
        if !wanted || !self.may_again(now, policy) {
            return Verdict::Leave;
        }
        if lasted_ms >= LASTING_MS {
            self.in_a_row = 0;
        }
        let wait = match (self.in_a_row, outcome) {
            (0, RunOutcome::Success | RunOutcome::Failure) => 0,
            (nth, _) => {
                jittered(doubled(policy.delay_ms.max(100), nth.saturating_sub(1)), task, nth)
            }
        };
        self.in_a_row = self.in_a_row.saturating_add(1);
        Verdict::RestartAt(now.plus(wait))
    }

    fn may_again(&mut self, now: Now, policy: &RestartPolicy) -> bool {
        let Some(max) = policy.max_attempts.filter(|max| *max > 0) else { return true };
        if policy.window_ms > 0 {
            self.recent.retain(|at| now.since(*at) < policy.window_ms);
        }
        if self.recent.len() as u64 >= max {
            return false;
        }
        self.recent.push_back(now);
        true
    }
}

fn doubled(delay_ms: u64, times: u32) -> u64 {
    delay_ms.saturating_mul(1 << times.min(32)).min(BACKOFF_MS_MAX)
}

/// Between three quarters of the delay and all of it: tasks that failed together restart apart.
fn jittered(wait_ms: u64, task: TaskId, nth: u32) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl restart jitter 1");
    hasher.update(&task.0);
    hasher.update(&nth.to_be_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    wait_ms - u64::from_be_bytes(bytes) % (wait_ms / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: TaskId = TaskId([5; 16]);

    fn waits(policy: &RestartPolicy, lasted_ms: u64, times: u32) -> Vec<Option<u64>> {
        let mut restarts = Restarts::default();
        let now = Now(1_000);
        (0..times)
            .map(|_| match restarts.on_end(now, TASK, policy, RunOutcome::Failure, lasted_ms) {
                Verdict::RestartAt(at) => Some(at.since(now)),
                Verdict::Leave => None,
            })
            .collect()
    }

    #[test]
    fn the_first_restart_is_immediate_and_the_wait_doubles_to_a_bound() {
        let waits = waits(&RestartPolicy::default(), 10, 12);
        assert_eq!(waits[0], Some(0));
        for (nth, wait) in waits.iter().enumerate().skip(1) {
            let full = doubled(5_000, nth as u32 - 1);
            let wait = wait.expect("restarts");
            assert!(wait <= full && wait > full / 2, "{nth}: {wait} of {full}");
        }
        assert!(waits[11].expect("restarts") <= BACKOFF_MS_MAX);
    }

    #[test]
    fn a_run_that_lasted_begins_anew() {
        assert_eq!(waits(&RestartPolicy::default(), LASTING_MS, 3), vec![Some(0); 3]);
    }

    #[test]
    fn attempts_are_limited() {
        let policy = RestartPolicy { max_attempts: Some(2), ..RestartPolicy::default() };
        let waits = waits(&policy, 10, 4);
        assert!(waits[0].is_some() && waits[1].is_some());
        assert_eq!(waits[2..], [None, None]);
    }

    #[test]
    fn success_is_final_unless_the_policy_is_any() {
        let mut restarts = Restarts::default();
        let policy =
            RestartPolicy { condition: RestartCondition::OnFailure, ..RestartPolicy::default() };
        let verdict = restarts.on_end(Now(0), TASK, &policy, RunOutcome::Success, 10);
        assert_eq!(verdict, Verdict::Leave);
        let verdict = restarts.on_end(Now(0), TASK, &policy, RunOutcome::Failure, 10);
        assert_eq!(verdict, Verdict::RestartAt(Now(0)));
    }
}
