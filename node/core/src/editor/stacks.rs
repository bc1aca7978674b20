//! Edits by nodes that have a stack's file.

use crdt_state::RecordKey;
use crdt_state::read::stack_file;
use crdt_state::spec::Facet;
use crdt_state::stack::{FileVersion, StackFile};

use super::Editor;
use crate::edit::stack::{StackTask, StackTurn};
use crate::edit::{Edited, Refusal, check_size, is_name};

impl Editor<'_> {
    pub(super) fn take_stack(
        &mut self,
        stack: &str,
        version: FileVersion,
        before: Option<FileVersion>,
    ) -> Result<Edited, Refusal> {
        if !is_name(stack) {
            return Err(Refusal::BadName(stack.to_owned()));
        }
        let held = stack_file(self.replica, stack);
        let (turn, taken) = StackTurn::of(held.as_ref(), (stack, version), before);
        if let Some(file) = taken {
            self.write_stack(&file)?;
        }
        Ok(Edited::Stack(turn))
    }

    /// Everything is as this version says. Another one may have been taken meanwhile: then nothing
    /// changes.
    pub(super) fn stack_made(
        &mut self,
        stack: &str,
        version: FileVersion,
    ) -> Result<Edited, Refusal> {
        let (held, origin) = (stack_file(self.replica, stack), StackFile::origin(stack));
        let Some(held) = held.filter(|held| held.file.version == version) else {
            return Ok(Edited::Stack(StackTurn { task: StackTask::Late, turn: 0, origin }));
        };
        if !held.is_settled() {
            self.write_stack(&StackFile { is_applied: true, ..held.file.clone() })?;
        }
        Ok(Edited::Stack(StackTurn { task: StackTask::Nothing, turn: held.file.turn, origin }))
    }

    fn write_stack(&mut self, file: &StackFile) -> Result<(), Refusal> {
        check_size("the version of the stack", file)?;
        self.replica.edit(RecordKey::stack(&file.stack), Facet::STACK, file, self.wall_ms);
        Ok(())
    }
}
