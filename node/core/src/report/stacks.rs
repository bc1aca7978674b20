//! Stacks from files.

use crdt_state::read::stack_files;

use super::NodeReport;

impl NodeReport<'_> {
    /// The names of the stacks of which it is not known that everything is as their files say.
    pub fn unsettled_stacks(&self) -> Vec<String> {
        let stacks = stack_files(self.replica).into_iter();
        stacks.filter(|state| !state.is_settled()).map(|state| state.file.stack).collect()
    }
}
