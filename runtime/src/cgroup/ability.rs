//! What this machine can limit, tested on a group without a run before any run needs it.
//!
//! The list of mounts says too little: version 2 may list a controller that it does not hand down,
//! and a kernel may limit memory without counting swap.

use std::path::Path;

use crdt_state::spec::Resources;

use super::limits::swap_file;
use super::{
    Cgroup, CgroupPlan, CgroupScope, CgroupVersion, Controller, Hierarchy, Limits, remove_parents,
};

/// The name of the test group, next to the groups of the runs; no run has this name.
const GROUP: &str = "ability";

/// What can be limited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ability {
    /// Version of the cgroups that can limit; `None` if there are none.
    pub version: Option<CgroupVersion>,
    /// A limit of memory covers memory and swap together.
    pub swap: bool,
    /// What cannot be limited, and why.
    pub unenforced: Vec<(Controller, String)>,
}

impl Ability {
    /// Tests it, for the agent of this name.
    pub fn detect(hierarchies: &[Hierarchy], node: &str) -> Ability {
        let path = format!("edgectl/{node}/{GROUP}");
        let plan = CgroupPlan { hierarchies: hierarchies.to_vec(), path };
        let (memory_bytes, nano_cpus, pids) = (1 << 30, 1_000_000_000, 1_000);
        let resources = Resources { memory_bytes, nano_cpus, pids, ..Resources::default() };
        let limits = Limits { resources, ..Limits::default() };
        let cgroup = Cgroup::create(&plan, &limits, CgroupScope::Needed);
        let has_swap = |dir: &Path, version| dir.join(swap_file(version)).exists();
        let swap = cgroup.groups.iter().any(|group| has_swap(&group.dir, group.version));
        let limiting = hierarchies.iter().filter(|hierarchy| {
            Controller::LIMITING.into_iter().any(|controller| hierarchy.has(controller))
        });
        let version = limiting.map(|hierarchy| hierarchy.version).next();
        cgroup.remove();
        remove_parents(&plan);
        Ability { version, swap, unenforced: cgroup.unenforced }
    }

    /// Can this be limited?
    pub fn limits(&self, controller: Controller) -> bool {
        self.unenforced.iter().all(|(known, _)| *known != controller)
    }

    /// What cannot be limited, as text for people: one sentence each.
    pub fn words(&self) -> Vec<String> {
        let word = |controller: &Controller| match controller {
            Controller::Cpu => "processors",
            Controller::Pids => "processes",
            other => other.name(),
        };
        let sentence = |(controller, why): &(Controller, String)| {
            format!("limits of {} are not enforced on this node: {why}", word(controller))
        };
        self.unenforced.iter().map(sentence).collect()
    }
}
