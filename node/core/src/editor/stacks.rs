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
        let held = stack_file(self.replica, stack);
        let Some(held) = held.filter(|held| held.file.version == version) else {
            let (turn, origin) = (0, [0; 16]);
            return Ok(Edited::Stack(StackTurn { task: StackTask::Late, turn, origin }));
        };
        if !held.is_settled() {
            self.write_stack(&StackFile { is_applied: true, ..held.file.clone() })?;
        }
        let (turn, origin) = (held.file.turn, held.file.origin());
        Ok(Edited::Stack(StackTurn { task: StackTask::Nothing, turn, origin }))
    }

    fn write_stack(&mut self, file: &StackFile) -> Result<(), Refusal> {
        check_size("the version of the stack", file)?;
        self.replica.edit(RecordKey::stack(&file.stack), Facet::STACK, file, self.wall_ms);
        Ok(())
    }

    /// The id of an object that is made from a file: the same wherever it is made. `None` if it is
    /// not from a file, or if there is, or was, another object of this id.
    pub(super) fn id_from_file(
        &self,
        name: &str,
        key: impl Fn([u8; 16]) -> RecordKey,
    ) -> Option<[u8; 16]> {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl id of a file's object 1");
        hasher.update(&self.origin?);
        hasher.update(name.as_bytes());
        let id = first_16(&hasher.finalize());
        self.replica.record(&key(id)).is_none().then_some(id)
    }
}
