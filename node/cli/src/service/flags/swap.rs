//! What a task may swap out.

use clap::Args;

use crate::value;
use node_docker::task_spec::ResourceRequirements;

/// Swap, on top of a limit of memory.
#[derive(Debug, Default, Args)]
pub struct SwapFlags {
    /// Swap that a task may use on top of --limit-memory: 64m; -1: all of the node's [default: 0]
    #[arg(long, value_name = "BYTES", value_parser = value::swap, help_heading = "Resources",
        allow_negative_numbers = true)]
    memory_swap: Option<i64>,
    /// How readily the kernel swaps a task out, 0 to 100; -1: as the rest of the node
    #[arg(long, value_name = "N", value_parser = value::swappiness, help_heading = "Resources",
        allow_negative_numbers = true)]
    memory_swappiness: Option<i64>,
}

impl SwapFlags {
    /// Sets what is given.
    pub fn apply(&self, resources: &mut Option<ResourceRequirements>) {
        if self.memory_swap.or(self.memory_swappiness).is_some() {
            let resources = resources.get_or_insert_default();
            resources.swap_bytes = self.memory_swap.or(resources.swap_bytes);
            resources.memory_swappiness = self.memory_swappiness.or(resources.memory_swappiness);
        }
    }
}
