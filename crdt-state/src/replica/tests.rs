//! Writes that no honest writer makes: forged, damaged, restored and with runaway counters. They
//! are built by hand here, because the crate's interface cannot make them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{LAMPORT_JUMP_MAX, Replica};
use crate::delta::Delta;
use crate::id::{NodeId, StoreId};
use crate::junk::Junk;
use crate::key::{Kind, RecordKey};
use crate::record::{OwnedRecord, Record, SharedRecord, WRITES_MAX};
use crate::register::{Clock, Write};
use crate::signature::{HashSigner, HashVerifier, PublicKey, Signature, Signer, Verifier};
use crate::spec::Facet;
use crate::stamp::{Stamp, Writer};
use crate::wire;

const KEY: RecordKey = RecordKey { kind: Kind::SERVICE, id: [1; 16] };
const FACET: Facet = Facet::SCALE;

fn writer(seed: u64, store: u64) -> Writer {
    let node = NodeId::of(&HashSigner::from_seed(seed).public_key());
    Writer { node, store: StoreId(store) }
}

fn replica(seed: u64) -> Replica {
    let signer = Box::new(HashSigner::from_seed(seed));
    Replica::new(writer(seed, 0), signer, Arc::new(HashVerifier))
}

/// A signed first write by this node, with any counter.
fn write(seed: u64, store: u64, lamport: u64, value: &[u8]) -> Write {
    let signer = HashSigner::from_seed(seed);
    let stamp = Stamp { lamport, writer: writer(seed, store) };
    let (key, clock) = (signer.public_key(), Clock::first(stamp));
    let signature = Signature([0; 64]);
    let mut write = Write { stamp, wall_ms: 0, key, clock, value: value.to_vec(), signature };
    write.signature = signer.sign(&write.message(&KEY, FACET));
    write
}

fn owned(seed: u64, key: RecordKey, version: u64, value: &[u8]) -> OwnedRecord {
    let signer = HashSigner::from_seed(seed);
    let mut record = OwnedRecord {
        key: signer.public_key(),
        subject: Vec::new(),
        version,
        wall_ms: 0,
        value: Some(value.to_vec()),
        signature: Signature([0; 64]),
    };
    record.signature = signer.sign(&record.message(&key));
    record
}

fn sent(write: Write) -> Delta {
    let record = SharedRecord::of(FACET, write);
    Delta { records: vec![(KEY, wire::encode(&record))] }
}

fn sent_owned(key: RecordKey, record: &OwnedRecord) -> Delta {
    Delta { records: vec![(key, wire::encode(record))] }
}

fn value(replica: &Replica) -> &[u8] {
    let record = replica.record(&KEY).and_then(Record::as_shared).expect("the record");
    &record.winner(FACET).expect("a winner").value
}

#[test]
fn a_forged_write_is_junk_and_the_rest_of_the_delta_is_merged() {
    let mut forged = write(1, 0, 1, b"forged");
    forged.signature.0[0] ^= 1;
    let mut delta = sent(forged);
    let mut honest = replica(2);
    let other = RecordKey { id: [2; 16], ..KEY };
    honest.edit(other, FACET, &1, 0);
    delta.records.extend(honest.delta([other]).records);
    let mut replica = replica(3);
    let merged = replica.merge(&delta);
    assert_eq!(merged.junk, [(KEY, Junk::BadSignature)]);
    assert_eq!(merged.changed, [other]);
    assert!(replica.record(&KEY).is_none());
}

#[test]
fn a_write_under_another_record_or_facet_is_junk() {
    let good = write(1, 0, 1, b"value");
    let moved = SharedRecord::of(Facet::LABELS, good.clone());
    let mut replica = replica(3);
    let records = vec![(KEY, wire::encode(&moved))];
    assert_eq!(replica.merge(&Delta { records }).junk, [(KEY, Junk::BadSignature)]);
    let other = RecordKey { id: [2; 16], ..KEY };
    let records = vec![(other, wire::encode(&SharedRecord::of(FACET, good)))];
    assert_eq!(replica.merge(&Delta { records }).junk, [(other, Junk::BadSignature)]);
}

#[test]
fn a_counter_far_ahead_is_refused_and_one_within_reach_is_not() {
    let mut replica = replica(3);
    for lamport in [LAMPORT_JUMP_MAX + 1, u64::MAX - 1, u64::MAX] {
        let merged = replica.merge(&sent(write(1, 0, lamport, b"bomb")));
        assert_eq!(merged.junk, [(KEY, Junk::TooFarAhead)]);
        let key = RecordKey::node(writer(1, 0).node);
        let merged = replica.merge(&sent_owned(key, &owned(1, key, lamport, b"bomb")));
        assert_eq!(merged.junk, [(key, Junk::TooFarAhead)]);
    }
    assert_eq!(replica.lamport(), 0);
    assert_eq!(replica.merge(&sent(write(1, 0, LAMPORT_JUMP_MAX, b"far"))).changed, [KEY]);
    assert_eq!(replica.lamport(), LAMPORT_JUMP_MAX);
}

#[test]
fn at_the_end_of_the_counters_nothing_panics() {
    let mut replica = replica(3);
    let bytes = wire::encode(&SharedRecord::of(FACET, write(1, 0, u64::MAX, b"end")));
    assert_eq!(replica.load(KEY, &bytes), Ok(()));
    replica.edit(KEY, FACET, &1, 0);
    replica.edit(KEY, FACET, &2, 0);
    replica.put_owned(RecordKey::node(replica.me()), &1, 0);
    assert_eq!(replica.lamport(), u64::MAX);
    assert!(replica.merge(&sent(write(2, 0, 1, b"late"))).junk.is_empty());
}

#[test]
fn two_writes_under_one_clock_end_alike_in_any_order() {
    let [one, two] = [write(1, 0, 1, b"one"), write(1, 0, 1, b"two")].map(sent);
    let (mut left, mut right) = (replica(3), replica(4));
    for delta in [&one, &two] {
        left.merge(delta);
    }
    for delta in [&two, &one, &two] {
        right.merge(delta);
    }
    assert_eq!(left.digest(), right.digest());
    assert_eq!(value(&left), value(&right));
    assert_eq!(left.conflicts(), []);
}

#[test]
fn two_owned_values_of_one_version_end_alike_in_any_order() {
    let key = RecordKey::node(writer(1, 0).node);
    let [one, two] = [b"one", b"two"].map(|value| sent_owned(key, &owned(1, key, 5, value)));
    let (mut left, mut right) = (replica(3), replica(4));
    let changed = [&one, &two, &one].map(|delta| left.merge(delta).changed.len());
    [&two, &one, &two].iter().for_each(|delta| drop(right.merge(delta)));
    assert_eq!(left.digest(), right.digest());
    assert!(changed == [1, 1, 0] || changed == [1, 0, 0]);
}

#[test]
fn nobody_writes_in_the_name_of_another() {
    let key = RecordKey::node(writer(1, 0).node);
    let mut replica = replica(3);
    let merged = replica.merge(&sent_owned(key, &owned(2, key, 9, b"not mine")));
    assert_eq!(merged.junk, [(key, Junk::NotOwner)]);
    let mut stolen = owned(2, key, 9, b"not mine");
    stolen.key = HashSigner::from_seed(1).public_key();
    let merged = replica.merge(&sent_owned(key, &stolen));
    assert_eq!(merged.junk, [(key, Junk::BadSignature)]);
}

#[test]
fn a_value_of_no_bytes_cannot_be_turned_into_a_retirement() {
    let key = RecordKey::node(writer(1, 0).node);
    let mut record = owned(1, key, 9, b"");
    record.value = None;
    let merged = replica(3).merge(&sent_owned(key, &record));
    assert_eq!(merged.junk, [(key, Junk::BadSignature)]);
}

#[test]
fn a_clock_that_runs_ahead_of_its_write_is_junk() {
    let victim = Stamp { lamport: u64::MAX, writer: writer(2, 0) };
    let signer = HashSigner::from_seed(1);
    let mut bomb = write(1, 0, 5, b"bomb");
    let mut ahead = crate::register::Register::default();
    let mut carrier = write(2, 0, 1, b"");
    carrier.clock = Clock::first(victim);
    ahead.merge(crate::register::Register::of(vec![carrier]));
    bomb.clock = ahead.clock_for(bomb.stamp);
    bomb.signature = signer.sign(&bomb.message(&KEY, FACET));
    assert_eq!(replica(3).merge(&sent(bomb)).junk, [(KEY, Junk::BadClock)]);
}

#[test]
fn a_record_takes_in_no_more_writes_than_its_bound() {
    let mut replica = replica(3);
    for stores in (0..WRITES_MAX as u64).collect::<Vec<_>>().chunks(64) {
        let writes = stores.iter().map(|store| write(1, *store, 1, b""));
        let mut record = SharedRecord::default();
        writes.for_each(|write| assert!(record.merge(SharedRecord::of(FACET, write))));
        let delta = Delta { records: vec![(KEY, wire::encode(&record))] };
        assert_eq!(replica.merge(&delta).changed, [KEY]);
    }
    let one_more = sent(write(1, u64::MAX, 1, b""));
    assert_eq!(replica.merge(&one_more).junk, [(KEY, Junk::TooManyWrites)]);
    assert_eq!(replica.merge(&replica.delta([KEY])).junk, []);
    replica.edit(KEY, FACET, &1, 0);
    assert_eq!(
        replica.record(&KEY).and_then(Record::as_shared).map(|r| r.writes().count()),
        Some(1)
    );
    assert_eq!(replica.merge(&one_more).junk, []);
}

#[test]
fn a_record_takes_in_no_more_bytes_than_its_bound() {
    let mut replica = replica(3);
    let large = vec![0; wire::VALUE_BYTES_MAX];
    let merged: Vec<_> =
        (0..20).map(|store| replica.merge(&sent(write(1, store, 1, &large))).junk).collect();
    assert_eq!(merged.iter().filter(|junk| junk.is_empty()).count(), 11);
    assert_eq!(merged[19], [(KEY, Junk::TooLarge)]);
    let larger = vec![0; wire::VALUE_BYTES_MAX + 1];
    assert_eq!(replica.merge(&sent(write(1, 99, 1, &larger))).junk, [(KEY, Junk::TooLarge)]);
}

#[test]
fn a_record_larger_than_the_wire_takes_arrives_in_parts() {
    let mut sender = replica(3);
    let large = vec![7; wire::VALUE_BYTES_MAX];
    for store in 0..6 {
        sender.merge(&sent(write(1, store, 1, &large)));
    }
    let delta = sender.delta([KEY]);
    assert_eq!(delta.records.len(), 6);
    assert!(delta.records.iter().all(|(_, bytes)| bytes.len() <= wire::RECORD_BYTES_MAX));
    let mut receiver = replica(4);
    let merged = receiver.merge(&delta);
    assert_eq!((merged.changed, merged.junk), (vec![KEY], vec![]));
    assert_eq!(receiver.digest(), sender.digest());
    let stored = sender.encode_record(&KEY).expect("held");
    assert_eq!(replica(5).load(KEY, &stored), Ok(()));
}

struct CountingVerifier(AtomicUsize);

impl Verifier for CountingVerifier {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        HashVerifier.verify(key, message, signature)
    }
}

#[test]
fn known_state_costs_no_signature_checks() {
    let verifier = Arc::new(CountingVerifier(AtomicUsize::new(0)));
    let signer = Box::new(HashSigner::from_seed(3));
    let mut receiver = Replica::new(writer(3, 0), signer, verifier.clone());
    let mut sender = replica(1);
    sender.edit(KEY, FACET, &1, 0);
    let old = sender.delta([KEY]);
    sender.edit(KEY, FACET, &2, 0);
    sender.put_owned(RecordKey::node(sender.me()), &1, 0);
    let new = sender.delta([KEY, RecordKey::node(sender.me())]);
    assert_eq!(receiver.merge(&new).changed.len(), 2);
    assert_eq!(verifier.0.swap(0, Ordering::Relaxed), 2);
    for delta in [&new, &old] {
        assert_eq!(receiver.merge(delta), Default::default());
    }
    assert_eq!(verifier.0.load(Ordering::Relaxed), 0);
}

#[test]
#[should_panic(expected = "its own key")]
fn a_replica_under_another_nodes_id_is_a_bug() {
    Replica::new(writer(2, 0), Box::new(HashSigner::from_seed(1)), Arc::new(HashVerifier));
}

struct Nobody;

impl super::Witness for Nobody {
    fn applying(&mut self, _: &[crate::digest::Digest]) {}
    fn applied(&mut self) {}
}

#[test]
fn what_a_node_wrote_of_itself_is_never_held_back() {
    let mut writer = replica(1);
    let key = RecordKey::owned(Kind(0xf2), writer.me(), &[]);
    writer.put_owned(key, &7u8, 0);
    let bytes = writer.encode_record(&key).expect("held");
    let digest = writer.record_digest(&key).expect("held");
    for (seed, is_held_back) in [(1, false), (2, true)] {
        let mut again = replica(seed);
        again.watch(Box::new(Nobody), [digest].into(), [].into());
        assert_eq!(again.load(key, &bytes), Ok(()));
        assert_eq!(again.is_holding_back(), is_held_back, "replica {seed}");
    }
}
