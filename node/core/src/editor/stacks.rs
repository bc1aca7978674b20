//! Edits by nodes that have a stack's file, and ids that are the same whoever makes an object.

use crdt_state::RecordKey;
use crdt_state::id::first_16;
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

    /// The id of an object that is made from a file: the same wherever it is made, and another one
    /// after each removal. `None` if it is not from a file.
    pub(super) fn id_from_file(
        &self,
        name: &str,
        key: impl Fn([u8; 16]) -> RecordKey,
    ) -> Option<[u8; 16]> {
        let origin = self.origin?;
        let numbered = (0u64..).map(|number| {
            let mut hasher = blake3::Hasher::new_derive_key("edgectl id of a file's object 1");
            hasher.update(&origin);
            hasher.update(&number.to_be_bytes());
            hasher.update(name.as_bytes());
            first_16(&hasher.finalize())
        });
        numbered.into_iter().find(|id| self.replica.record(&key(*id)).is_none())
    }
}
