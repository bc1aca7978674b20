//! The control groups of a node's tasks: what is left of them when all processes were killed.
//!
//! A run's own folder says which groups it has, so nothing else is touched. A container may have a
//! network of its own, so what is in a group is ended here too; it must come after the monitors have
//! ended, or they take that for the end of their run.

use std::path::Path;
use std::thread;
use std::time::Duration;

use runtime::cgroup::{self, Cgroup};
use runtime::run_dir;

/// Times that a group is tried, 10 ms apart: the kernel takes down a container's namespaces after
/// its last process, and on a busy machine that takes a while.
const TRIES: usize = 500;

/// Ends what is left of all runs below a data directory, and removes their groups.
pub(super) fn remove(data_dir: &Path) {
    let Ok(runs) = std::fs::read_dir(data_dir.join("runs")) else { return };
    for run in runs.flatten() {
        // A folder without a whole order has no group yet.
        let bytes = std::fs::read(run.path().join(run_dir::ORDER)).unwrap_or_default();
        if let Ok(order) = run_dir::parse_order(&bytes) {
            remove_group(&Cgroup::existing(&order.cgroup));
            cgroup::remove_parents(&order.cgroup);
        }
    }
}

fn remove_group(cgroup: &Cgroup) {
    for _ in 0..TRIES {
        cgroup.kill();
        cgroup.remove();
        if !cgroup.is_there() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
