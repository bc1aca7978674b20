//! The control groups of a node's tasks: removes what is left of them when all processes were
//! killed.
//!
//! A run's own folder names its groups, so nothing else is touched. A container may have a network
//! namespace of its own, so processes that are left in a group are ended here too. This must happen
//! after the monitors have ended, because a monitor would report it as the end of its run.

use std::path::Path;
use std::thread;
use std::time::Duration;

use runtime::cgroup::{self, Cgroup};
use runtime::run_dir;

/// How often the removal of a group is tried, 10 ms apart. The kernel removes a container's
/// namespaces after its last process, and on a busy machine that takes a while.
const TRIES: usize = 500;

/// Ends the processes that are left of all runs below a data directory, and removes their groups.
pub(super) fn remove(data_dir: &Path) {
    let Ok(runs) = std::fs::read_dir(data_dir.join("runs")) else { return };
    for run in runs.flatten() {
        // If the order in a folder is not complete, the run has no group yet.
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
