//! Sabotage: an agent that writes that its programs begin to run only now, or never did.

use crdt_state::task::{TaskRecord, TaskState};
use crdt_state::{Kind, RecordKey, Replica};

/// Takes out of this node's own records since when its programs run, signed and told like any word
/// of its own.
pub(super) fn forget(replica: &mut Replica, wall_ms: u64) {
    let keys: Vec<RecordKey> = replica.keys(Kind::TASK).collect();
    for key in keys {
        let Some((owner, mut record)) = replica.owned::<TaskRecord>(&key) else { continue };
        let running = record.tasks.iter_mut().filter(|s| s.current.state == TaskState::Running);
        let count = running.map(|status| status.running_since = u64::MAX).count();
        if owner == replica.me() && count > 0 {
            replica.put_owned(key, &record, wall_ms);
        }
    }
}
