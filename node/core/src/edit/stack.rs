//! Stacks from files that every node has: who makes a version, and who leaves it alone.

use crdt_state::read::StackState;
use crdt_state::stack::{FileVersion, StackFile};

/// What a node is to do that has this version of a stack's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackTask {
    /// Make everything as the file says: it is the first that has this version.
    Make,
    /// Do so if nobody else has done it after a while: another node has begun.
    Finish,
    /// Nothing: everything was made. What operators changed since then stays.
    Nothing,
    /// Nothing: the fleet has another version, and this copy of the file is late.
    Late,
}

/// The answer to a node that has a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackTurn {
    /// What it is to do.
    pub task: StackTask,
    /// How often a version was taken.
    pub turn: u64,
    /// What the ids of all that is made now follow from.
    pub origin: [u8; 16],
}

impl StackTurn {
    /// The answer by what the fleet has `held`, and the record to write if this version is taken.
    /// `before` is the version that the node had of the file when it was last asked.
    ///
    /// A version that the fleet had before is taken again only from a node that was up to date: who
    /// was away gets one old version after the other, and must not carry the fleet back.
    pub fn of(
        held: Option<&StackState>,
        (stack, version): (&str, FileVersion),
        before: Option<FileVersion>,
    ) -> (StackTurn, Option<StackFile>) {
        let origin = StackFile::origin(stack);
        let taken = |file: StackFile| {
            (StackTurn { task: StackTask::Make, turn: file.turn, origin }, Some(file))
        };
        let Some(held) = held else {
            let stack = stack.to_owned();
            let earlier = Vec::new();
            return taken(StackFile { stack, turn: 1, version, earlier, is_applied: false });
        };
        let file = &held.file;
        let left = |task| (StackTurn { task, turn: file.turn, origin }, None);
        if version == file.version {
            return left(if held.is_settled() { StackTask::Nothing } else { StackTask::Finish });
        }
        let was_up_to_date = before == Some(file.version);
        if before == Some(version) || (file.had(&version) && !was_up_to_date) {
            return left(StackTask::Late);
        }
        taken(file.next(version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FileVersion = [1; 32];
    const B: FileVersion = [2; 32];
    const C: FileVersion = [3; 32];

    /// A fleet and what its nodes have.
    #[derive(Default)]
    struct Fleet(Option<StackState>);

    impl Fleet {
        fn ask(&mut self, version: FileVersion, before: Option<FileVersion>) -> StackTask {
            let (turn, taken) = StackTurn::of(self.0.as_ref(), ("shop", version), before);
            if let Some(file) = taken {
                self.0 = Some(StackState { file, is_mixed: false });
            }
            turn.task
        }

        fn made(&mut self) {
            self.0.as_mut().expect("taken").file.is_applied = true;
        }
    }

    #[test]
    fn the_first_makes_it_and_the_others_wait_for_that() {
        let mut fleet = Fleet::default();
        assert_eq!(fleet.ask(A, None), StackTask::Make);
        assert_eq!(fleet.ask(A, None), StackTask::Finish);
        fleet.made();
        assert_eq!(fleet.ask(A, None), StackTask::Nothing);
        assert_eq!(fleet.ask(B, Some(A)), StackTask::Make);
        assert_eq!(fleet.ask(B, Some(A)), StackTask::Finish);
    }

    #[test]
    fn a_late_copy_carries_nothing_back() {
        let mut fleet = Fleet::default();
        for (version, before) in [(A, None), (B, Some(A)), (C, Some(B))] {
            assert_eq!(fleet.ask(version, before), StackTask::Make);
            fleet.made();
        }
        assert_eq!(fleet.ask(A, Some(A)), StackTask::Late, "a node that was away");
        assert_eq!(fleet.ask(A, None), StackTask::Late, "a machine from an old image");
        assert_eq!(fleet.ask(B, Some(A)), StackTask::Late, "it catches up, step by step");
        assert_eq!(fleet.ask(C, Some(B)), StackTask::Nothing);
        assert_eq!(fleet.0.as_ref().map(|state| state.file.turn), Some(3));
    }

    #[test]
    fn who_was_up_to_date_may_go_back() {
        let mut fleet = Fleet::default();
        for (version, before) in [(A, None), (B, Some(A)), (A, Some(B))] {
            assert_eq!(fleet.ask(version, before), StackTask::Make);
            fleet.made();
        }
        assert_eq!(fleet.ask(A, Some(B)), StackTask::Nothing, "the second node goes back");
        assert_eq!(fleet.ask(B, Some(B)), StackTask::Late, "the third has not yet");
        assert_eq!(fleet.ask(A, Some(B)), StackTask::Nothing);
    }

    #[test]
    fn after_a_partition_who_has_the_version_that_counts_makes_it_again() {
        let mut fleet = Fleet::default();
        assert_eq!(fleet.ask(A, None), StackTask::Make);
        fleet.made();
        fleet.0.as_mut().expect("taken").is_mixed = true;
        assert_eq!(fleet.ask(B, Some(B)), StackTask::Late);
        assert_eq!(fleet.ask(A, Some(A)), StackTask::Finish);
    }
}
