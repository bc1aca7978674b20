//! Bytes from outside: whatever they are, nothing panics, and only what was written by the key
//! beside it becomes part of the state.

#[path = "support/world.rs"]
mod world;

use std::sync::Arc;

use crdt_state::node::NodeDescription;
use crdt_state::spec::{Facet, Life, Template};
use crdt_state::task::TaskRecord;
use crdt_state::{
    Delta, Ed25519Signer, Ed25519Verifier, Kind, NodeId, Record, RecordKey, Replica, Signer,
    StoreId, TreePath, Writer, wire,
};
use proptest::prelude::*;
use world::{World, everything, full_delta, history, join, replica, shared_key};

fn decode_as_everything(bytes: &[u8]) {
    let _ = Delta::decode(bytes);
    let _ = wire::decode::<Template>(bytes);
    let _ = wire::decode::<Life>(bytes);
    let _ = wire::decode::<TaskRecord>(bytes);
    let _ = wire::decode::<NodeDescription>(bytes);
    let _ = wire::decode::<TreePath>(bytes);
    for kind in [Kind::SERVICE, Kind::TASK, Kind::NODE, Kind(0x7f), Kind(0xff)] {
        let key = RecordKey { kind, id: [1; 16] };
        let _ = Record::decode(&key, bytes, wire::RECORD_BYTES_MAX);
        let mut replica = replica(1, 1);
        let merged = replica.merge(&Delta { records: vec![(key, bytes.to_vec())] });
        assert_eq!((merged.changed.len(), merged.junk.len()), (0, 1));
        assert!(replica.load(key, bytes).is_err());
        assert_eq!(replica.quarantined().count(), 1);
        assert_eq!(replica.digest(), Default::default());
    }
}

/// A generator of pseudorandom bytes that needs no crate: the same in every run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        let hash =
            *wire::encode(&self.0).iter().fold(&mut 0xcbf2_9ce4_8422_2325u64, |hash, byte| {
                *hash = (*hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
                hash
            });
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((hash ^ self.0) >> 33) as usize % bound
    }
}

/// A node with a few records of every kind, one of them with two writers.
fn sample(mut replica: Replica, mut peer: Replica) -> Replica {
    let node = replica.me();
    peer.edit(shared_key(1), Facet(900), &0, 0);
    assert_eq!(replica.merge(&full_delta(&peer)).junk, []);
    let created = replica.next_stamp();
    let life = Life::Present { name: "web".into(), created };
    replica.edit(shared_key(1), Facet::LIFE, &life, 1_700_000_000_000);
    replica.edit(shared_key(1), Facet(900), &vec![1u8, 2, 3], 0);
    replica.put_owned(RecordKey::node(node), &"description", 5);
    replica
}

/// A damaged delta may bring less than the whole one, and nothing else.
fn takes_only_what_is_genuine(bytes: &[u8], genuine: &Replica, mut fresh: Replica) {
    if let Ok(delta) = Delta::decode(bytes) {
        fresh.merge(&delta);
    }
    let genuine = everything(genuine);
    for (key, bytes) in everything(&fresh) {
        assert_eq!(genuine.get(&key), Some(&bytes));
    }
}

#[test]
fn a_flipped_bit_changes_no_state() {
    let genuine = sample(replica(1, 7), replica(3, 8));
    let bytes = full_delta(&genuine).encode();
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        takes_only_what_is_genuine(&flipped, &genuine, replica(2, 2));
    }
}

#[test]
fn a_flipped_bit_changes_no_state_under_ed25519() {
    let genuine = sample(ed25519_replica(3), ed25519_replica(9));
    let bytes = full_delta(&genuine).encode();
    let mut whole = ed25519_replica(4);
    assert_eq!(whole.merge(&full_delta(&genuine)).junk, []);
    assert_eq!(whole.digest(), genuine.digest());
    for bit in (0..8 * bytes.len()).step_by(61) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        takes_only_what_is_genuine(&flipped, &genuine, ed25519_replica(5));
    }
}

fn ed25519_replica(secret: u8) -> Replica {
    let signer = Ed25519Signer::from_secret(&[secret; 32]);
    let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
    Replica::new(writer, Box::new(signer), Arc::new(Ed25519Verifier))
}

#[test]
fn thousands_of_mutated_deltas_change_no_state() {
    let genuine = sample(replica(1, 7), replica(3, 8));
    let bytes = full_delta(&genuine).encode();
    let mut noise = Noise(1);
    for _ in 0..4000 {
        let mut mutated = bytes.clone();
        for _ in 0..=noise.below(4) {
            let at = noise.below(mutated.len());
            match noise.below(5) {
                0 => mutated[at] = noise.below(256) as u8,
                1 => mutated[at] = [0, 1, 250, 251, 252, 253, 255][noise.below(7)],
                2 => mutated.truncate(at.max(1)),
                3 => mutated.insert(at, noise.below(256) as u8),
                _ => {
                    let from = noise.below(mutated.len());
                    let length = noise.below(64).min(mutated.len() - from.max(at));
                    mutated.copy_within(from..from + length, at);
                }
            }
        }
        takes_only_what_is_genuine(&mutated, &genuine, replica(2, 2));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn arbitrary_bytes_are_junk(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        decode_as_everything(&bytes);
    }

    #[test]
    fn arbitrary_bytes_under_the_right_version_are_junk(
        mut bytes in prop::collection::vec(any::<u8>(), 1..400)
    ) {
        bytes[0] = wire::VERSION;
        decode_as_everything(&bytes);
    }

    #[test]
    fn a_delta_reads_back(history in history()) {
        let world = World::after(&history);
        for delta in world.deltas() {
            prop_assert_eq!(&Delta::decode(&delta.encode()), &Ok(delta.clone()));
            let copy = join([&Delta::decode(&delta.encode()).expect("just encoded")]);
            prop_assert_eq!(full_delta(&copy), delta);
        }
    }

    #[test]
    fn a_record_reads_back(history in history()) {
        for (key, bytes) in everything(&World::after(&history).replicas[0]) {
            let record = Record::decode(&key, &bytes, wire::RECORD_BYTES_MAX);
            prop_assert_eq!(record.map(|record| record.encode()), Ok(bytes));
        }
    }
}
