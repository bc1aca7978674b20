//! The control groups of a node's tasks: what is left of them when all processes were killed.
//!
//! A run's own folder says which groups it has, so nothing else is touched. A group with a process
//! in it stays; so it must come after the processes have ended.

use std::path::Path;

use runtime::cgroup::{self, Cgroup};
use runtime::run_dir;

/// Removes the groups of all runs below a data directory.
pub(super) fn remove(data_dir: &Path) {
    let Ok(runs) = std::fs::read_dir(data_dir.join("runs")) else { return };
    for run in runs.flatten() {
        // A folder without a whole order has no group yet.
        let bytes = std::fs::read(run.path().join(run_dir::ORDER)).unwrap_or_default();
        if let Ok(order) = run_dir::parse_order(&bytes) {
            Cgroup::existing(&order.cgroup).remove();
            cgroup::remove_parents(&order.cgroup);
        }
    }
}
