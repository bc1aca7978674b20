//! Moves the launcher into its container's groups without a wait in the kernel.
//!
//! When a process is moved by its number, the kernel first waits for a grace period: 10 to 15 ms,
//! in which nothing on the whole machine may join or make a group. A process that has one thread
//! and moves itself need not wait, and its children start in the same group.
//! (`cgroup_procs_write_start` of Linux 5.6 and later: without a number, for one thread, it does
//! not take the lock.) On version 2 the launcher starts in its group already. So libcontainer has
//! nothing left to move; its attempt goes to `/dev/null`, seen there by nobody but the launcher and
//! its children. Wherever one of these steps does not work, libcontainer moves its process as
//! usual.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::{CgroupPlan, CgroupVersion, Hierarchy, put};

/// Moves the calling process into the groups of a plan that exist. The process must have one thread
/// and a mount namespace of its own. `shown` are folders of the node that the container is to see:
/// what is hidden from libcontainer would be hidden in these folders as well.
pub fn enter(plan: &CgroupPlan, shown: &[PathBuf]) {
    let unified = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let born_inside = unified.lines().any(|line| line == format!("0::/{}", plan.path));
    for hierarchy in &plan.hierarchies {
        let group = hierarchy.root.join(&plan.path);
        let inside = match hierarchy.version {
            CgroupVersion::V2 => born_inside,
            CgroupVersion::V1 => move_self(&group, hierarchy, &plan.path).is_ok(),
        };
        let is_shown = |folder: &PathBuf| {
            hierarchy.root.starts_with(folder) || folder.starts_with(&hierarchy.root)
        };
        if !inside || shown.iter().any(is_shown) {
            continue;
        }
        // `cgroup.kill` would end this process with the container, when libcontainer gives up a
        // start.
        for file in ["cgroup.procs", "cgroup.kill"] {
            let none = None::<&str>;
            let _ = mount(Some("/dev/null"), &group.join(file), none, MsFlags::MS_BIND, none);
        }
    }
}

fn move_self(group: &Path, hierarchy: &Hierarchy, path: &str) -> io::Result<()> {
    if group.join("cpuset.cpus").exists() {
        inherit_cpus(&hierarchy.root, path)?;
    }
    put(&group.join("tasks"), "0")
}

/// A new cpuset group has no processors and accepts no process: it gets those of its parent.
fn inherit_cpus(root: &Path, path: &str) -> io::Result<()> {
    let mut group = root.to_owned();
    for part in Path::new(path) {
        let below = group.join(part);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if fs::read_to_string(below.join(file))?.trim().is_empty() {
                put(&below.join(file), fs::read_to_string(group.join(file))?.trim())?;
            }
        }
        group = below;
    }
    Ok(())
}
