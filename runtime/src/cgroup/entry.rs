//! The launcher's way into its container's groups, without a wait.
//!
//! A process that is moved by its number makes the kernel wait for a grace period first: 10 to 15 ms,
//! in which nothing on the whole machine may join or make a group. A process that has one thread and
//! moves itself need not wait (`cgroup_procs_write_start` of Linux 5.6 and later: without a number,
//! for one thread, it leaves the lock alone), and what it forks is born where it is. On version 2 the
//! launcher is born in its group already. So libcontainer has nothing to move any more; its attempt
//! goes to `/dev/null`, seen there by nobody but the launcher and its children. Wherever one of
//! these steps does not work, libcontainer moves its process as it always did.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::{CgroupPlan, CgroupVersion, Hierarchy, put};

/// Moves the calling process, which must have one thread and a mount namespace of its own, into the
/// groups of a plan that are there. `shown` are folders of the node that the container is to see: what
/// is hidden from libcontainer would be hidden there as well.
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
        // The second would end this process with the container, when libcontainer gives one up.
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

/// A new group of processors has none and takes nobody: it gets those of the group above.
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
