//! What this node's tasks use of services that are scaled by their load. The node says which runs
//! are to be measured; while there are none, nothing is read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crdt_state::task::Run;
use node_core::Node;
use node_core::autoscale::RunUse;
use runtime::run_request::{RunTotals, totals_of};
use tokio::task::spawn_blocking;

use super::command::Command;
use super::handle::WeakHandle;

/// Between two samples: a dozen files for each task. The figures are a mean over six of them.
const INTERVAL: Duration = Duration::from_secs(10);

/// A shorter time between two samples says little: processor time is counted in hundredths of a
/// second where a task has no cgroup.
const ELAPSED_MIN: Duration = Duration::from_secs(2);

/// What a run had used, and when.
type Totals = BTreeMap<Run, (Instant, RunTotals)>;

/// Measures for as long as the agent lives, without keeping any part of it alive.
pub(super) async fn watch(handle: WeakHandle) {
    let mut before = Totals::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(agent) = handle.upgrade() else { return };
        let Ok(runs) = agent.read(Node::measured_runs).await else { return };
        let is_any = !(runs.is_empty() && before.is_empty());
        let dirs = runs.into_iter().map(|run| (run, agent.log_dir(run))).collect();
        let totals = spawn_blocking(move || read(dirs)).await.unwrap_or_default();
        let found = used(&before, &totals);
        before = totals;
        if is_any && agent.send(Command::Use(found)).await.is_err() {
            return;
        }
    }
}

/// A run that has just ended has none.
fn read(dirs: Vec<(Run, PathBuf)>) -> Totals {
    let totals = dirs.into_iter().filter_map(|(run, dir)| {
        let totals = totals_of(&dir).ok()?;
        Some((run, (Instant::now(), totals)))
    });
    totals.collect()
}

/// What each run used in between. One that was not measured before has no figure yet.
fn used(before: &Totals, after: &Totals) -> BTreeMap<Run, RunUse> {
    let of = |(run, (at, now)): (&Run, &(Instant, RunTotals))| {
        let (since, then) = before.get(run)?;
        let elapsed = at.checked_duration_since(*since).filter(|time| *time >= ELAPSED_MIN)?;
        let elapsed_ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        // Without a cgroup, processes that ended take their time along.
        let cpu_ns = now.cpu_ns.saturating_sub(then.cpu_ns);
        let millicores = cpu_ns.saturating_mul(1_000) / elapsed_ns;
        Some((*run, RunUse { millicores, memory_bytes: now.memory_bytes }))
    };
    after.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::TaskId;

    fn run(number: u8) -> Run {
        Run { task: TaskId([number; 16]), attempt: 1 }
    }

    #[test]
    fn use_is_what_was_used_since_the_sample_before() {
        let start = Instant::now();
        let totals = |seconds: u64, cpu_ms: u64| {
            let totals = RunTotals { cpu_ns: cpu_ms * 1_000_000, memory_bytes: 7 };
            (start + Duration::from_secs(seconds), totals)
        };
        let before = Totals::from([(run(1), totals(0, 500)), (run(2), totals(0, 900))]);
        let after = Totals::from([
            (run(1), totals(10, 5_500)),
            (run(2), totals(10, 100)),
            (run(3), totals(10, 100)),
        ]);
        let found = used(&before, &after);
        assert_eq!(found[&run(1)], RunUse { millicores: 500, memory_bytes: 7 });
        assert_eq!(found[&run(2)].millicores, 0, "its processes ended");
        assert!(!found.contains_key(&run(3)), "it has just begun");
        let soon = Totals::from([(run(1), totals(1, 1_500))]);
        assert!(used(&before, &soon).is_empty(), "too soon");
    }
}
