//! Controllers of version 2, enabled from the root down to the groups of the runs.
//!
//! A group has the files of a controller only if the group above hands it down, to all groups below
//! it alike. So every controller that limits or counts is handed down whenever a group is made,
//! whatever that run asks for. The root and the groups between hold no process of ours. Where
//! somebody else put a process into one of them the kernel refuses, and the run's limits are
//! reported as not enforced.

use std::fs;
use std::path::Path;

use super::{CgroupVersion, Hierarchy, Withheld, put};

/// Hands every controller of a hierarchy that limits or counts down to the parent of a group.
/// Returns why a controller is withheld, by its name.
pub fn hand_down(hierarchy: &Hierarchy, path: &str) -> Withheld {
    let mut withheld = Withheld::new();
    if hierarchy.version != CgroupVersion::V2 {
        return withheld;
    }
    let mut parents: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
    parents.reverse();
    for parent in parents {
        let file = hierarchy.root.join(parent).join("cgroup.subtree_control");
        let given = fs::read_to_string(&file).unwrap_or_default();
        for controller in hierarchy.controllers.iter().filter(|controller| controller.counts()) {
            let name = controller.name();
            if given.split_whitespace().any(|word| word == name) {
                continue;
            }
            // One by one: in a common write, one refused controller would make the kernel refuse
            // them all.
            if let Err(error) = put(&file, &format!("+{name}")) {
                let why =
                    format!("the {name} controller is not to be had: {}: {error}", file.display());
                withheld.entry(name).or_insert(why);
            }
        }
    }
    withheld
}
