//! I14: every wanted task that does not run has a reason, and it is the true one.

use crdt_state::TaskId;

use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// A wanted slot as a machine shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `web.1`.
    pub name: String,
    /// Does it run, as far as the machine knows?
    pub runs: bool,
    /// The reason that the machine gives.
    pub reason: Option<String>,
}

/// A task that waits to start again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub task: TaskId,
    /// `web.1`.
    pub name: String,
    /// The attempt that ended.
    pub attempt: u32,
    /// The reason that the machine gives; empty if it gives none.
    pub reason: String,
}

/// Does the reason name what the last attempt really ended by?
pub fn names_the_cause(machine: MachineNo, waiting: &Waiting, cause: &str) -> Verdict {
    if waiting.reason.contains(cause) {
        return Ok(());
    }
    let Waiting { name, attempt, reason, .. } = waiting;
    let detail = format!(
        "n{machine} says of {name}, whose attempt {attempt} ended by {cause:?}: {reason:?}"
    );
    Err(Violation::new(Invariant::I14Reasons, detail))
}

/// Does every task that does not run have a reason?
pub fn explained(machine: MachineNo, shown: &[Shown]) -> Verdict {
    let silent = |task: &&Shown| {
        let reason = task.reason.as_deref().map(str::trim);
        !task.runs && matches!(reason, None | Some("" | "unknown"))
    };
    match shown.iter().find(silent) {
        None => Ok(()),
        Some(task) => Err(Violation::new(
            Invariant::I14Reasons,
            format!("n{machine} shows {} as not running and gives no reason", task.name),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(runs: bool, reason: Option<&str>) -> Shown {
        Shown { name: "web.1".to_owned(), runs, reason: reason.map(str::to_owned) }
    }

    #[test]
    fn a_task_that_does_not_run_without_a_reason_is_found() {
        assert_eq!(explained(0, &[shown(true, None), shown(false, Some("no node"))]), Ok(()));
        for reason in [None, Some(" "), Some("unknown")] {
            assert!(explained(0, &[shown(false, reason)]).is_err());
        }
    }

    #[test]
    fn a_reason_that_names_another_cause_is_found() {
        let waiting = |reason: &str| Waiting {
            task: TaskId([1; 16]),
            name: "web.1".to_owned(),
            attempt: 2,
            reason: reason.to_owned(),
        };
        assert_eq!(names_the_cause(0, &waiting("failed: non-zero exit (70)"), "(70)"), Ok(()));
        for reason in ["", "failed: non-zero exit (1)"] {
            assert!(names_the_cause(0, &waiting(reason), "(70)").is_err());
        }
    }
}
