//! The id of a container: 64 hexadecimal digits, derived from the run it is.
//!
//! It is stored nowhere: whoever knows a task and its attempt knows the id, on every node.

use crdt_state::task::Run;

/// Digits of a whole id.
pub const CONTAINER_ID_CHARS: usize = 64;

/// The id of the container of a run, also of a run that is a program of the host. A task's id names
/// its node, so ids of different nodes differ.
pub fn container_id(run: Run) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl container id 1");
    hasher.update(&run.task.0);
    hasher.update(&run.attempt.to_be_bytes());
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::TaskId;

    #[test]
    fn each_attempt_of_each_task_has_an_id_of_its_own() {
        let id = |task, attempt| container_id(Run { task: TaskId([task; 16]), attempt });
        let mut ids = vec![id(1, 1), id(1, 2), id(2, 1)];
        assert_eq!(ids[0], id(1, 1), "always the same");
        assert!(ids.iter().all(|id| id.len() == CONTAINER_ID_CHARS));
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }
}
