//! Commands before each start of a task.

use clap::Args;

use crate::words;

/// What runs before the program of a task.
#[derive(Debug, Default, Args)]
pub struct PreStartFlags {
    /// Run this to its end before each start of a task, in a container like the task's; repeat it for
    /// more, in order; on update all are replaced, '' for none
    #[arg(long, value_name = "COMMAND", value_parser = words::split, allow_hyphen_values = true,
        help_heading = "Container")]
    pre_start: Vec<words::Words>,
}

impl PreStartFlags {
    /// Sets what is given.
    pub fn apply(&self, commands: &mut Option<Vec<Vec<String>>>) {
        if !self.pre_start.is_empty() {
            let given = self.pre_start.iter().map(|words| words.0.clone());
            *commands = Some(given.filter(|words| !words.is_empty()).collect());
        }
    }
}
