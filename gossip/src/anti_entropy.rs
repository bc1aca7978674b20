//! Anti-entropy: two replicas find where they differ and send each other only that.
//!
//! ```text
//!  A  compare(root) ──────────▶  B   equal: silence
//!  A  ◀──── tree(16 digests) ──  B
//!  A  tree, or leaves where few ▶ B      … down to the records that differ
//!  A  ◀─── records, wanted ────  B
//!  A  records ─────────────────▶ B  compare again, as long as something changed
//! ```
//! Stateless: each step is a function of the replica and of one message, any of them may be lost,
//! and the next comparison begins anew. This must suffice alone; rumours only save time. The cost
//! grows with the difference: 16 digests for each place on the way to a record that differs.

use std::collections::BTreeMap;

use crdt_state::{Delta, Digest, NodeId, RecordKey, Replica, TreePath};

use crate::message::{Leaf, Level, Message};

/// Below a place with so many records its records are listed instead of its branches: 24 × 33
/// bytes is less than what two more levels would cost, and two trips shorter.
const LEAF_RECORDS_MAX: usize = 24;

/// Records of one message, in bytes. Half of a message, so that a record of the largest size
/// (256 KiB) always fits beside others.
pub(crate) const RECORDS_BYTES_MAX: usize = 512 * 1024;

/// Messages of records sent in one step: 2 MiB. What is left over differs still, and the next
/// comparison finds it.
const RECORDS_MESSAGES_MAX: usize = 4;

/// Places compared per message: 16 levels of 260 bytes, or lists of [`LISTED_MAX`] records. The
/// rest is found by the next comparison.
const PLACES_MAX: usize = 256;

/// Records listed, wanted or answered per message: 8,192 × 33 bytes is 270 KB.
const LISTED_MAX: usize = 8_192;

/// The other side's root differs: show the first level.
pub(crate) fn on_root(me: NodeId, replica: &Replica, root: Digest) -> Option<Message> {
    (replica.digest() != root)
        .then(|| Message::Tree { from: me, levels: vec![level(replica, TreePath::ROOT)] })
}

fn level(replica: &Replica, path: TreePath) -> Level {
    Level { path, digests: replica.children(path) }
}

/// Branches of the other side: go down where they differ.
pub(crate) fn on_levels(me: NodeId, replica: &Replica, theirs: &[Level]) -> Vec<Message> {
    let (mut levels, mut leaves, mut listed) = (Vec::new(), Vec::new(), 0);
    for theirs in theirs.iter().take(PLACES_MAX) {
        let ours = replica.children(theirs.path);
        for (branch, (our, their)) in ours.iter().zip(&theirs.digests).enumerate() {
            let Some(path) = theirs.path.child(branch).filter(|_| our != their) else { continue };
            if levels.len() + leaves.len() >= PLACES_MAX || listed >= LISTED_MAX {
                continue;
            }
            let records = replica.leaf(path);
            if path.is_leaf() || records.len() <= LEAF_RECORDS_MAX {
                listed += records.len();
                leaves.push(Leaf { path, records });
            } else {
                levels.push(level(replica, path));
            }
        }
    }
    let mut messages = Vec::new();
    if !levels.is_empty() {
        messages.push(Message::Tree { from: me, levels });
    }
    if !leaves.is_empty() {
        messages.push(Message::Leaves { from: me, leaves });
    }
    messages
}

/// Records of the other side: send those that differ here, ask for those that differ there.
pub(crate) fn on_leaves(me: NodeId, replica: &Replica, theirs: &[Leaf]) -> Vec<Message> {
    let (mut sent, mut wanted) = (Vec::new(), Vec::new());
    for leaf in theirs.iter().take(PLACES_MAX) {
        if sent.len() + wanted.len() >= LISTED_MAX {
            break;
        }
        let ours: BTreeMap<RecordKey, Digest> = replica.leaf(leaf.path).into_iter().collect();
        let listed: BTreeMap<RecordKey, Digest> = leaf.records.iter().copied().collect();
        sent.extend(ours.iter().filter(|(key, d)| listed.get(key) != Some(d)).map(|(k, _)| *k));
        wanted.extend(listed.iter().filter(|(key, d)| ours.get(key) != Some(d)).map(|(k, _)| *k));
    }
    wanted.truncate(LISTED_MAX);
    records(me, replica, sent, wanted)
}

/// The records that the other side asked for.
pub(crate) fn on_wanted(me: NodeId, replica: &Replica, wanted: &[RecordKey]) -> Vec<Message> {
    records(me, replica, wanted.iter().take(LISTED_MAX).copied().collect(), Vec::new())
}

fn records(
    me: NodeId,
    replica: &Replica,
    keys: Vec<RecordKey>,
    wanted: Vec<RecordKey>,
) -> Vec<Message> {
    let mut deltas = Vec::new();
    let mut delta = Delta::default();
    for key in keys {
        for part in replica.delta([key]).records {
            if !delta.is_empty() && delta.bytes() + part.1.len() > RECORDS_BYTES_MAX {
                deltas.push(std::mem::take(&mut delta));
            }
            delta.records.push(part);
        }
        if deltas.len() >= RECORDS_MESSAGES_MAX {
            break;
        }
    }
    if !delta.is_empty() || !wanted.is_empty() {
        deltas.push(delta);
    }
    let mut wanted = Some(wanted);
    let count = deltas.len();
    let message = |(place, delta)| Message::Records {
        from: me,
        delta,
        // The question comes last: its answer ends the step.
        wanted: if place + 1 == count { wanted.take().unwrap_or_default() } else { Vec::new() },
    };
    deltas.into_iter().enumerate().map(message).collect()
}
