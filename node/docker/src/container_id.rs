//! The id of a container: 64 hexadecimal digits, derived from its run.
//!
//! It is stored nowhere: every node can compute it from a task's id and the attempt.

use crdt_state::TaskId;
use crdt_state::task::Run;

/// Digits of a whole id.
pub const CONTAINER_ID_CHARS: usize = 64;

/// The id of the container of a run, also of a run that is a program of the host. The id of a task
/// depends on its node, so ids of different nodes differ.
pub fn container_id(run: Run) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl container id 1");
    hasher.update(&run.task.0);
    hasher.update(&run.attempt.to_be_bytes());
    hasher.finalize().to_hex().to_string()
}

/// The id of a container that was made by hand: the same from its creation to its removal, however
/// often it is started. It belongs to the attempt that there never is.
pub fn standalone_id(task: TaskId) -> String {
    container_id(Run { task, attempt: 0 })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn id(task: u8, attempt: u32) -> String {
        container_id(Run { task: TaskId([task; 16]), attempt })
    }

    #[test]
    fn each_attempt_of_each_task_has_an_id_of_its_own() {
        let ids = BTreeSet::from([id(1, 1), id(1, 2), id(2, 1), id(2, 2)]);
        assert_eq!(ids.len(), 4, "{ids:?}");
        assert!(ids.iter().all(|id| id.len() == CONTAINER_ID_CHARS));
        assert!(ids.iter().flat_map(|id| id.chars()).all(|c| matches!(c, '0'..='9' | 'a'..='f')));
    }

    #[test]
    fn a_run_has_the_same_id_on_every_node_and_in_every_version() {
        assert_eq!(id(1, 1), "b8ae1f22a32771e0b3ae7a19a81340d59aca979569648824c144b489e79d7a38");
    }
}
