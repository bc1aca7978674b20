//! The maker's way into its container's groups, without a wait.
//!
//! A process that is moved by its number makes the kernel wait for a grace period first: 10 to 15 ms,
//! in which nothing on the whole machine may join or make a group. A process that has one thread and
//! moves itself need not wait (`cgroup_procs_write_start` of Linux 5.6 and later: without a number,
//! for one thread, it leaves the lock alone), and what it forks is born where it is. On version 2 the
//! maker is born in its group already. So libcontainer has nothing to move any more; its attempt goes
//! to `/dev/null`, seen there by nobody but the maker and its children. Wherever one of these steps
//! does not work, libcontainer moves its process as it always did.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::{CgroupPlan, Controller, Hierarchy, Version, put};

/// Moves the calling process, which must have one thread and a mount namespace of its own, into the
/// groups of a plan that are there.
pub fn enter(plan: &CgroupPlan) {
    let unified = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let born_inside = unified.lines().any(|line| line == format!("0::/{}", plan.path));
    for hierarchy in &plan.hierarchies {
        let group = hierarchy.root.join(&plan.path);
        let inside = match hierarchy.version {
            Version::V2 => born_inside,
            Version::V1 => move_self(hierarchy, &plan.path).is_ok(),
        };
        if inside {
            let procs = group.join("cgroup.procs");
            let _ = mount(Some("/dev/null"), &procs, None::<&str>, MsFlags::MS_BIND, None::<&str>);
        }
    }
}

fn move_self(hierarchy: &Hierarchy, path: &str) -> io::Result<()> {
    if hierarchy.has(Controller::Cpuset) {
        inherit_cpus(&hierarchy.root, path)?;
    }
    put(&hierarchy.root.join(path).join("tasks"), "0")
}

/// A new group of this one has no processors and takes nobody: it gets those of the group above.
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
