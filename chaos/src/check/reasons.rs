//! I14: every wanted task that does not run has a reason.

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
}
