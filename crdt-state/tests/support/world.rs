//! A few replicas, random histories over them, and the queries that the tests of the laws use.
//!
//! There is no time and no network: a message is a delta in a pool, delivered at any later step,
//! any number of times, or never.

// Every test binary includes this file and uses only a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use crdt_state::limits;
use crdt_state::register::Write;
use crdt_state::spec::{Facet, Life, Scale};
use crdt_state::{
    Delta, HashSigner, HashVerifier, Kind, NodeId, Record, RecordKey, Replica, Signer, StoreId,
    Writer,
};
use proptest::prelude::*;

/// Replicas in a history.
pub const REPLICAS: usize = 4;

/// The facets that histories write; the last is one that no version knows.
pub const FACETS: [Facet; 4] = [Facet::LIFE, Facet::TEMPLATE, Facet::SCALE, Facet(900)];

/// An owned kind that no version knows.
pub const UNKNOWN_OWNED: Kind = Kind(0xf0);

/// A replica of the node with this seed and an empty store.
pub fn replica(seed: u64, store: u64) -> Replica {
    let signer = HashSigner::from_seed(seed);
    let node = NodeId::of(&signer.public_key());
    let writer = Writer { node, store: StoreId(store) };
    Replica::new(writer, Box::new(signer), Arc::new(HashVerifier))
}

/// A shared record; every third is of a kind that no version knows.
pub fn shared_key(n: u8) -> RecordKey {
    let kind = if n % 3 == 2 { Kind(0x7f) } else { Kind::SERVICE };
    RecordKey { kind, id: [n; 16] }
}

/// All keys of a replica.
pub fn keys(replica: &Replica) -> Vec<RecordKey> {
    (0..=255).flat_map(|kind| replica.keys(Kind(kind)).collect::<Vec<_>>()).collect()
}

/// Everything that a replica holds, encoded.
pub fn everything(replica: &Replica) -> BTreeMap<RecordKey, Vec<u8>> {
    let encoded = |key| (key, replica.encode_record(&key).expect("a key of the replica"));
    keys(replica).into_iter().map(encoded).collect()
}

/// Everything that a replica holds, to be sent.
pub fn full_delta(replica: &Replica) -> Delta {
    replica.delta(keys(replica))
}

/// A new replica that merged these deltas, in this order.
pub fn join<'a>(deltas: impl IntoIterator<Item = &'a Delta>) -> Replica {
    let mut joined = replica(99, 0);
    for delta in deltas {
        let merged = joined.merge(delta);
        assert_eq!(merged.junk, [], "honest replicas send no junk");
    }
    joined
}

/// All shared writes of a replica.
pub fn writes(replica: &Replica) -> Vec<(RecordKey, Facet, Write)> {
    let of = |key: RecordKey| {
        let record = replica.record(&key).and_then(Record::as_shared);
        let writes = record.into_iter().flat_map(|record| record.writes());
        writes.map(move |(facet, write)| (key, facet, write.clone())).collect::<Vec<_>>()
    };
    keys(replica).into_iter().flat_map(of).collect()
}

/// Is this write held, or was it seen by one that is held?
pub fn knows(replica: &Replica, key: &RecordKey, facet: Facet, write: &Write) -> bool {
    let record = replica.record(key).and_then(Record::as_shared);
    record.and_then(|record| record.register(facet)).is_some_and(|held| held.knows(write))
}

/// One step of a history.
#[derive(Debug, Clone)]
pub enum Step {
    /// A replica writes a facet.
    Edit { at: usize, key: u8, facet: usize, value: u8 },
    /// A replica removes a shared record.
    Remove { at: usize, key: u8 },
    /// A replica settles the first conflict it knows of.
    Pick { at: usize },
    /// A replica writes one of its own records.
    PutOwned { at: usize, value: u8 },
    /// A replica retires one of its own records.
    Retire { at: usize },
    /// A replica sends some of its records: those whose bit is set in the mask.
    Send { at: usize, mask: u32 },
    /// A message of the pool arrives, possibly once more.
    Deliver { message: usize, to: usize },
    /// A replica's node starts again from its store.
    Restart { at: usize },
    /// A replica's node starts again with a new store.
    LoseStore { at: usize },
}

/// A random history.
pub fn history() -> impl Strategy<Value = Vec<Step>> {
    let at = 0..REPLICAS;
    let step = prop_oneof![
        8 => (at.clone(), 0u8..4, 0..FACETS.len(), any::<u8>())
            .prop_map(|(at, key, facet, value)| Step::Edit { at, key, facet, value }),
        1 => (at.clone(), 0u8..4).prop_map(|(at, key)| Step::Remove { at, key }),
        1 => at.clone().prop_map(|at| Step::Pick { at }),
        3 => (at.clone(), any::<u8>()).prop_map(|(at, value)| Step::PutOwned { at, value }),
        1 => at.clone().prop_map(|at| Step::Retire { at }),
        5 => (at.clone(), any::<u32>()).prop_map(|(at, mask)| Step::Send { at, mask }),
        9 => (any::<usize>(), at.clone())
            .prop_map(|(message, to)| Step::Deliver { message, to }),
        1 => at.clone().prop_map(|at| Step::Restart { at }),
        1 => at.prop_map(|at| Step::LoseStore { at }),
    ];
    prop::collection::vec(step, 1..60)
}

/// Replicas in the middle of a history.
pub struct World {
    /// The replicas.
    pub replicas: Vec<Replica>,
    /// Every write that was ever made, except those that were lost with their only store.
    pub made: Vec<(RecordKey, Facet, Write)>,
    pool: Vec<Delta>,
    stores: u64,
}

impl World {
    /// Replicas that went through this history.
    pub fn after(history: &[Step]) -> World {
        let replicas = (0..REPLICAS as u64).map(|seed| replica(seed, seed)).collect();
        let stores = REPLICAS as u64;
        let mut world = World { replicas, made: Vec::new(), pool: Vec::new(), stores };
        history.iter().for_each(|step| world.step(step));
        world
    }

    /// The whole state of every replica, as deltas.
    pub fn deltas(&self) -> Vec<Delta> {
        self.replicas.iter().map(full_delta).collect()
    }

    /// Everybody sends everything to everybody.
    pub fn exchange(&mut self) {
        let deltas = self.deltas();
        for replica in &mut self.replicas {
            deltas.iter().for_each(|delta| assert_eq!(replica.merge(delta).junk, []));
        }
    }

    fn edit(&mut self, at: usize, key: u8, facet: Facet, value: u8) {
        let (key, replica) = (shared_key(key), &mut self.replicas[at]);
        match facet {
            Facet::LIFE => {
                let name = value.to_string();
                let life = Life::Present { name, created: replica.next_stamp() };
                replica.edit(key, facet, &life, 0);
            }
            Facet::SCALE => {
                let scale = Scale::Replicated { replicas: u32::from(value) };
                replica.edit(key, facet, &scale, u64::from(value));
            }
            _ => {
                replica.edit(key, facet, &value, u64::from(value));
            }
        }
        self.remember(at, key);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Edit { at, key, facet, value } => self.edit(at, key, FACETS[facet], value),
            Step::Remove { at, key } => {
                let key = shared_key(key);
                if self.replicas[at].remove(key, 0).is_ok() {
                    self.remember(at, key);
                }
            }
            Step::Pick { at } => {
                if let Some(conflict) = self.replicas[at].conflicts().first() {
                    let key = conflict.key;
                    let chosen = match at % 2 {
                        0 => conflict.winner.clone(),
                        _ => conflict.losers[0].clone(),
                    };
                    let picked = self.replicas[at].pick(key, chosen.facet, chosen.stamp, 0);
                    // A value that no edit could have written is listed, but no edit writes it.
                    let fits = limits::check_facet(key.kind, chosen.facet, &chosen.value);
                    assert_eq!(picked.is_ok(), fits.is_ok(), "{chosen:?}");
                    self.remember(at, key);
                }
            }
            Step::PutOwned { at, value } => {
                let kind = if value % 2 == 0 { Kind::NODE } else { UNKNOWN_OWNED };
                let key = RecordKey::owned(kind, self.replicas[at].me(), &[]);
                self.replicas[at].put_owned(key, &value, 0);
            }
            Step::Retire { at } => {
                let key = RecordKey::owned(UNKNOWN_OWNED, self.replicas[at].me(), &[]);
                self.replicas[at].retire_owned(key, 0);
            }
            Step::Send { at, mask } => {
                let keys = keys(&self.replicas[at]).into_iter().enumerate();
                let chosen = keys.filter(|(place, _)| mask >> (place % 32) & 1 == 1);
                let delta = self.replicas[at].delta(chosen.map(|(_, key)| key));
                self.pool.push(delta);
            }
            Step::Deliver { message, to } => {
                if !self.pool.is_empty() {
                    let delta = &self.pool[message % self.pool.len()];
                    assert_eq!(self.replicas[to].merge(delta).junk, []);
                }
            }
            Step::Restart { at } => {
                let stored = everything(&self.replicas[at]);
                let store = self.replicas[at].next_stamp().writer.store;
                self.replicas[at] = replica(at as u64, store.0);
                for (key, bytes) in stored {
                    assert_eq!(self.replicas[at].load(key, &bytes), Ok(()));
                }
            }
            Step::LoseStore { at } => {
                self.replicas[at] = replica(at as u64, self.stores);
                self.stores += 1;
                let replicas = &self.replicas;
                self.made.retain(|(key, facet, write)| {
                    replicas.iter().any(|replica| knows(replica, key, *facet, write))
                });
            }
        }
    }

    /// Remembers what a replica wrote: a write that is alone in its facet, since a write sees
    /// everything held.
    fn remember(&mut self, at: usize, key: RecordKey) {
        let replica = &self.replicas[at];
        let writer = replica.writer();
        let record = replica.record(&key).and_then(Record::as_shared).expect("just written");
        for (facet, register) in record.facets() {
            if let [write] = register.writes()
                && write.stamp.writer == writer
            {
                self.made.push((key, facet, write.clone()));
            }
        }
    }
}
