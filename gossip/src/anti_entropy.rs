//! Anti-entropy: two replicas find where they differ and send each other only those records.
//!
//! ```text
//!  A  compare(root) ──────────▶  B   equal: silence
//!  A  ◀──── tree(16 digests) ──  B
//!  A  tree, or leaves where few ▶ B      … down to the records that differ
//!  A  ◀─── records, wanted ────  B
//!  A  records ─────────────────▶ B  compare again, as long as something changed
//! ```
//! Stateless: each step is a function of the replica and of one message. Any message may be lost,
//! and the next comparison begins anew. Anti-entropy must suffice alone; rumours only save time.
//! The cost grows with the difference: 16 digests for each place on the way to a record that
//! differs.

use std::collections::BTreeMap;

use crdt_state::{Delta, Digest, NodeId, RecordKey, Replica, TreePath};

use crate::message::{Leaf, LeafRange, Level, Message};

/// At a place with at most this many records, the records are listed instead of the digests of its
/// branches. 24 × 33 bytes are less than two more levels would cost, and save two one-way trips.
const LEAF_RECORDS_MAX: usize = 24;

/// The bytes of records in one message. Half of a message, so that a record of the largest size
/// (256 KiB) always fits beside others.
pub(crate) const RECORDS_BYTES_MAX: usize = 512 * 1024;

/// Messages of records sent in one step: 2 MiB. Records that are left over still differ, and the
/// next comparison finds them.
const RECORDS_MESSAGES_MAX: usize = 4;

/// Places compared per message: 256 levels of 260 bytes are 67 KB; or lists of [`LISTED_MAX`]
/// records. The next comparison finds the rest.
const PLACES_MAX: usize = 256;

/// Records that one message lists, asks for or is answered with: 8,192 × 33 bytes is 270 KB.
const LISTED_MAX: usize = 8_192;

/// Parts of one place listed in one step, 1.1 MB. An honest fleet of 200 nodes and 20,000 tasks has
/// 5 records below a leaf, and one part is enough. A member that makes up keys can put more records
/// there than fit into one message. Which parts come first changes with the records that either
/// side holds there.
const PARTS_MAX: usize = 4;

/// Answers the other side's root: the first level, if the roots differ.
pub(crate) fn on_root(me: NodeId, replica: &Replica, root: Digest) -> Option<Message> {
    (replica.digest() != root)
        .then(|| Message::Tree { from: me, levels: vec![level(replica, TreePath::ROOT)] })
}

fn level(replica: &Replica, path: TreePath) -> Level {
    Level { path, digests: replica.children(path) }
}

/// Answers branches of the other side: descends where they differ.
pub(crate) fn on_levels(me: NodeId, replica: &Replica, theirs: &[Level]) -> Vec<Message> {
    let (mut levels, mut leaves, mut listed) = (Vec::new(), Vec::new(), 0);
    let mut messages = Vec::new();
    for theirs in theirs.iter().take(PLACES_MAX) {
        let ours = replica.children(theirs.path);
        for (branch, (our, their)) in ours.iter().zip(&theirs.digests).enumerate() {
            let Some(path) = theirs.path.child(branch).filter(|_| our != their) else { continue };
            if levels.len() + leaves.len() >= PLACES_MAX || listed >= LISTED_MAX {
                continue;
            }
            let records = replica.leaf(path);
            if path.is_leaf() && records.len() > LISTED_MAX {
                listed += records.len();
                messages.extend(parts(me, path, &records, their.0[0] ^ our.0[0]));
            } else if path.is_leaf() || records.len() <= LEAF_RECORDS_MAX {
                listed += records.len();
                leaves.push(Leaf { path, records });
            } else {
                levels.push(level(replica, path));
            }
        }
    }
    if !levels.is_empty() {
        messages.push(Message::Tree { from: me, levels });
    }
    if !leaves.is_empty() {
        messages.push(Message::Leaves { from: me, leaves });
    }
    messages
}

/// The records of a place in parts that fit, beginning with part `first` modulo their number.
fn parts(
    me: NodeId,
    path: TreePath,
    records: &[(RecordKey, Digest)],
    first: u8,
) -> impl Iterator<Item = Message> {
    let chunks: Vec<_> = records.chunks(LISTED_MAX).collect();
    let count = chunks.len();
    let last_of = |at: usize| chunks[at].last().map(|(key, _)| *key);
    let part = |nth: usize| {
        let at = (usize::from(first) + nth) % count;
        let after = at.checked_sub(1).and_then(last_of);
        let until = (at + 1 < count).then(|| last_of(at)).flatten();
        let range = LeafRange { path, after, until };
        Message::LeafPart { from: me, range, records: chunks[at].to_vec() }
    };
    (0..count.min(PARTS_MAX)).map(part).collect::<Vec<_>>().into_iter()
}

/// Does the same as [`on_leaves`] for one part.
pub(crate) fn on_part(
    me: NodeId,
    replica: &Replica,
    range: LeafRange,
    theirs: &[(RecordKey, Digest)],
) -> Vec<Message> {
    let ours = replica.leaf(range.path).into_iter().filter(|(key, _)| range.has(key));
    let (mut sent, mut wanted) = (Vec::new(), Vec::new());
    differences(ours.collect(), theirs, &mut sent, &mut wanted);
    wanted.truncate(LISTED_MAX);
    records(me, replica, sent, wanted)
}

/// Adds the keys to send to `sent`, and the keys to ask for to `wanted`.
fn differences(
    ours: BTreeMap<RecordKey, Digest>,
    theirs: &[(RecordKey, Digest)],
    sent: &mut Vec<RecordKey>,
    wanted: &mut Vec<RecordKey>,
) {
    let listed: BTreeMap<RecordKey, Digest> = theirs.iter().copied().collect();
    sent.extend(ours.iter().filter(|(key, d)| listed.get(key) != Some(d)).map(|(k, _)| *k));
    wanted.extend(listed.iter().filter(|(key, d)| ours.get(key) != Some(d)).map(|(k, _)| *k));
}

/// Answers records of the other side: sends those that differ here, asks for those that differ
/// there.
pub(crate) fn on_leaves(me: NodeId, replica: &Replica, theirs: &[Leaf]) -> Vec<Message> {
    let (mut sent, mut wanted) = (Vec::new(), Vec::new());
    for leaf in theirs.iter().take(PLACES_MAX) {
        if sent.len() + wanted.len() >= LISTED_MAX {
            break;
        }
        let ours = replica.leaf(leaf.path).into_iter().collect();
        differences(ours, &leaf.records, &mut sent, &mut wanted);
    }
    wanted.truncate(LISTED_MAX);
    records(me, replica, sent, wanted)
}

/// Sends the records that the other side asked for.
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
        // The request comes last: its answer ends the step.
        wanted: if place + 1 == count { wanted.take().unwrap_or_default() } else { Vec::new() },
    };
    deltas.into_iter().enumerate().map(message).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crdt_state::{HashSigner, HashVerifier, Kind, Signer, StoreId, Writer};

    use super::*;
    use crate::output::MESSAGE_BYTES_MAX;

    const ME: NodeId = NodeId([1; 16]);

    fn key(n: u32) -> RecordKey {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        RecordKey { kind: Kind(0x7f), id }
    }

    fn replica(keys: std::ops::Range<u32>) -> Replica {
        let signer = HashSigner::from_seed(1);
        let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
        let mut replica = Replica::new(writer, Box::new(signer), Arc::new(HashVerifier));
        for n in keys {
            replica.edit(key(n), crdt_state::spec::Facet(900), &n, 0);
        }
        replica
    }

    /// A member that makes up keys until one leaf has more than a message holds.
    #[test]
    fn a_place_with_more_records_than_a_message_holds_is_told_in_parts() {
        let records: Vec<_> = (0..40_000).map(|n| (key(n), Digest([7; 16]))).collect();
        let leaf = Leaf { path: TreePath::ROOT, records: records.clone() };
        let whole = Message::Leaves { from: ME, leaves: vec![leaf] };
        assert!(whole.encode().len() > MESSAGE_BYTES_MAX, "or the test shows nothing");
        let mut told = vec![0; records.len()];
        for first in 0..5 {
            let messages: Vec<_> = parts(ME, TreePath::ROOT, &records, first).collect();
            assert_eq!(messages.len(), PARTS_MAX);
            for message in messages {
                assert!(message.encode().len() <= MESSAGE_BYTES_MAX / 2);
                let Message::LeafPart { range, records: part, .. } = message else { panic!() };
                let within = records.iter().filter(|(key, _)| range.has(key));
                assert!(within.eq(&part), "a part is all there is between its ends");
                part.iter().for_each(|(key, _)| {
                    let n = u32::from_be_bytes(key.id[..4].try_into().expect("four bytes"));
                    told[n as usize] += 1;
                });
            }
        }
        // Five parts, four of them in each step: each part is sent four times, however many records
        // come after it.
        assert!(told.iter().all(|times| *times == 4));
    }

    #[test]
    fn a_part_is_compared_with_what_lies_between_its_ends_alone() {
        let (ours, theirs) = (replica(0..30), replica(10..40));
        let listed: Vec<_> = theirs
            .leaf(TreePath::ROOT)
            .into_iter()
            .filter(|(found, _)| (key(5)..=key(34)).contains(found))
            .collect();
        let (after, until) = (Some(key(4)), Some(key(34)));
        let range = LeafRange { path: TreePath::ROOT, after, until };
        let mut answers = on_part(ME, &ours, range, &listed);
        let Some(Message::Records { delta, wanted, .. }) = answers.pop() else { panic!() };
        let sent: Vec<RecordKey> = delta.records.iter().map(|(key, _)| *key).collect();
        // Records that both hold were written by one signer at different times, so they differ.
        assert_eq!((sent, answers.len()), ((5..30).map(key).collect(), 0));
        assert_eq!(wanted, (10..35).map(key).collect::<Vec<_>>());
        let all = LeafRange { path: TreePath::ROOT, after: None, until: None };
        assert!(on_part(ME, &ours, all, &ours.leaf(TreePath::ROOT)).is_empty());
    }
}
