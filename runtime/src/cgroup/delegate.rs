//! Controllers of version 2, handed down from the root to the groups of the runs.
//!
//! A group has the files of a controller only if the group above hands it down, to all groups below
//! it alike. So every controller that limits or counts is handed down whenever a group is made,
//! whatever that run asks for. The root and the groups between hold no process of ours; where somebody
//! else put one into them the kernel refuses, and the limits of the run say so.

use std::fs;
use std::path::Path;

use super::{CgroupVersion, Hierarchy, Withheld, put};

/// Hands every controller of a hierarchy that limits or counts down to the parent of a group; why not,
/// by controller.
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
            // One by one: together, one that is refused would take the others with it.
            if let Err(error) = put(&file, &format!("+{name}")) {
                let why =
                    format!("the {name} controller is not to be had: {}: {error}", file.display());
                withheld.entry(name).or_insert(why);
            }
        }
    }
    withheld
}
