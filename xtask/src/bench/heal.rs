//! Failover and heal, ten times: a node is cut off, its tasks run elsewhere, the cut heals.
//!
//! The node that was cut off stays alive and starts the tasks that it misses, as it should. So
//! every heal finds every task twice, and no surviving task may be restarted.

use crate::fleet::Fleet;
use crate::fleet::view::Task;
use anyhow::Result;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Much longer than the limit, so that a miss gives a number and not an error.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long the cut-off node may take to start the tasks that it misses, so that the heal is a hard
/// one.
const APART: Duration = Duration::from_secs(15);
/// The fleet counts as at rest when nothing has changed for this long.
const REST: Duration = Duration::from_secs(3);

/// The result of one round.
pub struct Round {
    /// From the cut until all tasks run on the others.
    pub failover_s: f64,
    /// Tasks that had a healthy process when the cut healed, and have a new process afterwards.
    pub restarts: usize,
}

/// Cuts off node number `at` of a fleet that should run `count` tasks, and heals.
pub fn round(fleet: &Fleet, at: usize, count: usize) -> Result<Round> {
    let cut_off = &fleet.nodes[at];
    let witness = fleet.nodes.iter().find(|node| node.name != cut_off.name);
    let witness = witness.expect("a fleet has more than one node");
    let begun = Instant::now();
    fleet.lab(&["cut", &cut_off.name])?;
    fleet.wait("all tasks run on the others", TIMEOUT, || {
        let tasks = fleet.tasks(witness)?;
        let elsewhere = tasks.iter().filter(|task| task.is_running() && !task.is_on(&cut_off.name));
        Ok(elsewhere.map(|task| task.slot).collect::<BTreeSet<u64>>().len() == count)
    })?;
    let failover_s = begun.elapsed().as_secs_f64();
    // Both sides come to rest; tasks that the cut-off node does not start in time are left out.
    let _ = fleet.wait("the cut-off node runs all", APART, || {
        Ok(fleet.tasks(cut_off)?.iter().filter(|task| task.is_running()).count() == count)
    });
    let mut before = fleet.tasks(witness)?;
    before.extend(fleet.tasks(cut_off)?);
    fleet.lab(&["heal"])?;
    let after = fleet.calm(count, REST)?;
    Ok(Round { failover_s, restarts: restarts(&before, &after) })
}

/// Tasks that ran before and whose process afterwards did not run before.
fn restarts(before: &[Task], after: &[Task]) -> usize {
    let running = || before.iter().filter(|task| task.is_running());
    let slots: BTreeSet<u64> = running().map(|task| task.slot).collect();
    let processes: BTreeSet<u32> = running().map(|task| task.pid).collect();
    after.iter().filter(|task| slots.contains(&task.slot) && !processes.contains(&task.pid)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(slot: u64, pid: u32) -> Task {
        let (service, node, state) = (String::new(), "n1".to_owned(), "running".to_owned());
        Task {
            service,
            name: String::new(),
            health: String::new(),
            slot,
            node,
            state,
            pid,
            unreachable: false,
        }
    }

    #[test]
    fn only_a_task_that_ran_and_has_a_new_process_counts() {
        let before = [task(1, 11), task(1, 12), task(2, 21)];
        assert_eq!(restarts(&before, &[task(1, 12), task(2, 21)]), 0);
        assert_eq!(restarts(&before, &[task(1, 12), task(2, 22), task(3, 31)]), 1);
    }
}
