//! One facet: all writes to it that no other write has seen, each with its signature and its causal
//! clock.
//!
//! A register is a `crdts::MVReg` stored in canonical order. Every change goes through `MVReg`,
//! which decides what has been overwritten. Between changes the writes are kept sorted, because
//! `MVReg` lends no references and has no canonical form to hash. Never use the `PartialEq` of
//! `MVReg`: it asserts. A value is bytes here; the one rule that reads values (removal) is in
//! [`crate::record`].

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crdts::mvreg::Op;
use crdts::{CmRDT, CvRDT, Dot, MVReg, VClock};
use serde::{Deserialize, Serialize};

use crate::id::{NodeId, StoreId};
use crate::junk::Junk;
use crate::key::RecordKey;
use crate::signature::{PublicKey, Signature};
use crate::spec::Facet;
use crate::stamp::{Stamp, Writer};
use crate::wire;

/// What a write had seen: for each writer the Lamport counter of its last write to this facet, the
/// write itself included. It holds Lamport counters rather than 1, 2, 3, so that a writer that lost
/// one record to a damaged store still never uses a counter twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clock(Box<[(Writer, u64)]>);

impl Clock {
    /// The last write of this writer that was seen; 0 if there was none.
    pub fn counter(&self, writer: &Writer) -> u64 {
        let found = self.0.binary_search_by(|(other, _)| other.cmp(writer));
        found.map_or(0, |at| self.0[at].1)
    }

    /// Had this clock seen everything that the other had seen, and more?
    pub fn is_after(&self, other: &Clock) -> bool {
        self != other && other.0.iter().all(|(writer, counter)| self.counter(writer) >= *counter)
    }

    /// The clock of the first write to a facet.
    pub fn first(stamp: Stamp) -> Clock {
        Clock([(stamp.writer, stamp.lamport)].into())
    }

    /// How many writers it contains.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is it empty? The clock of a write in a record never is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The writers and their counters, by writer.
    pub fn iter(&self) -> impl Iterator<Item = &(Writer, u64)> {
        self.0.iter()
    }

    fn to_vclock(&self) -> VClock<Writer> {
        VClock { dots: self.0.iter().copied().collect() }
    }

    fn from_vclock(clock: VClock<Writer>) -> Clock {
        Clock(clock.dots.into_iter().collect())
    }

    /// Checks the form of an honest clock: ascending, the writer's own counter above all others.
    fn check(&self, writer: &Writer) -> Result<u64, Junk> {
        let own = self.counter(writer);
        let ascending = self.0.is_sorted_by(|(a, _), (b, _)| a < b);
        let below = |(other, counter): &(Writer, u64)| {
            *counter > 0 && (*counter < own || other == writer && *counter == own)
        };
        if ascending && own > 0 && self.0.iter().all(below) { Ok(own) } else { Err(Junk::BadClock) }
    }
}

/// One write to one facet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Who wrote, and the write's place in the order of writes.
    pub stamp: Stamp,
    /// The writer's time of day, milliseconds since 1970. Display only.
    pub wall_ms: u64,
    /// The public key of the writer: its hash is the node id.
    pub key: PublicKey,
    /// The writes that the writer had seen.
    pub clock: Clock,
    /// The encoded value; whether this version can read it does not matter here.
    pub value: Vec<u8>,
    /// The signature of [`Write::message`], by `key`.
    pub signature: Signature,
}

/// A write as it is encoded: the stamp is computed from key, store and clock.
#[derive(Serialize, Deserialize)]
pub(crate) struct WireWrite {
    store: StoreId,
    wall_ms: u64,
    key: PublicKey,
    clock: Clock,
    value: Vec<u8>,
    signature: Signature,
}

impl TryFrom<WireWrite> for Write {
    type Error = Junk;

    fn try_from(wire: WireWrite) -> Result<Write, Junk> {
        let WireWrite { store, wall_ms, key, clock, value, signature } = wire;
        let writer = Writer { node: NodeId::of(&key), store };
        let stamp = Stamp { lamport: clock.check(&writer)?, writer };
        if value.len() > wire::VALUE_BYTES_MAX {
            return Err(Junk::TooLarge);
        }
        Ok(Write { stamp, wall_ms, key, clock, value, signature })
    }
}

/// The encoding of [`WireWrite`], without cloning.
impl Serialize for Write {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Write { stamp, wall_ms, key, clock, value, signature } = self;
        (stamp.writer.store, wall_ms, key, clock, value, signature).serialize(serializer)
    }
}

impl Write {
    /// The bytes that are signed: all fields, after a prefix for this type, every part of known
    /// length.
    pub fn message(&self, key: &RecordKey, facet: Facet) -> Vec<u8> {
        let mut message = Vec::with_capacity(112 + 32 * self.clock.0.len() + self.value.len());
        message.extend(b"edgectl write 1\0");
        message.extend(key.to_bytes());
        message.extend(facet.0.to_be_bytes());
        push_writer(&mut message, &self.stamp.writer);
        message.extend(self.stamp.lamport.to_be_bytes());
        message.extend(self.wall_ms.to_be_bytes());
        message.extend((self.clock.0.len() as u64).to_be_bytes());
        for (writer, counter) in self.clock.iter() {
            push_writer(&mut message, writer);
            message.extend(counter.to_be_bytes());
        }
        message.extend((self.value.len() as u64).to_be_bytes());
        message.extend(&self.value);
        message
    }

    /// Orders writes, the stronger first. Two different writes have equal stamps only if their
    /// writer was forged or restored from a copy; then the hash decides, alike on every node.
    fn strength(&self, other: &Write) -> Ordering {
        let by_stamp = other.stamp.cmp(&self.stamp);
        by_stamp.then_with(|| {
            if self == other { Ordering::Equal } else { other.hash().cmp(&self.hash()) }
        })
    }

    fn hash(&self) -> [u8; 32] {
        *blake3::hash(&wire::encode(self)).as_bytes()
    }
}

fn push_writer(message: &mut Vec<u8>, writer: &Writer) {
    message.extend(writer.node.0);
    message.extend(writer.store.0.to_be_bytes());
}

/// All writes to one facet that no other write has seen, strongest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Register {
    writes: Vec<Write>,
}

impl Register {
    /// The register of any writes, given in any order.
    pub fn of(writes: Vec<Write>) -> Register {
        let mut register = Register { writes };
        register.settle();
        register
    }

    /// Merges the writes of the other register. Returns whether anything changed.
    pub fn merge(&mut self, other: Register) -> bool {
        let news: Vec<Write> =
            other.writes.into_iter().filter(|write| !self.outranks(write)).collect();
        if news.is_empty() {
            return false;
        }
        self.writes.extend(news);
        self.settle();
        true
    }

    /// Is this write held, or was it seen by one that is held?
    pub fn knows(&self, write: &Write) -> bool {
        self.writes.iter().any(|held| held == write || held.clock.is_after(&write.clock))
    }

    /// Would merging this write change nothing?
    fn outranks(&self, write: &Write) -> bool {
        let clashes =
            |held: &Write| held.clock == write.clock && held.strength(write) != Ordering::Greater;
        self.knows(write) || self.writes.iter().any(clashes)
    }

    /// The clock of a write with this stamp that has seen everything held.
    pub fn clock_for(&self, stamp: Stamp) -> Clock {
        let mut clock = VClock::new();
        self.writes.iter().for_each(|write| clock.merge(write.clock.to_vclock()));
        clock.apply(Dot::new(stamp.writer, stamp.lamport));
        Clock::from_vclock(clock)
    }

    /// The writes, strongest first. Never empty in a record.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The write whose value counts on every node: the one with the highest stamp.
    pub fn winner(&self) -> Option<&Write> {
        self.writes.first()
    }

    /// Sorts the writes, and drops those that another write has seen. Only a forged or a restored
    /// writer makes two writes with one clock. Then the stronger stays, where `MVReg` would keep
    /// the first.
    fn settle(&mut self) {
        self.writes.sort_by(Write::strength);
        let mut values = MVReg::<usize, Writer>::new();
        for (at, write) in self.writes.iter().enumerate() {
            if self.writes[..at].iter().all(|stronger| stronger.clock != write.clock) {
                values.apply(Op::Put { clock: write.clock.to_vclock(), val: at });
            }
        }
        let kept = BTreeSet::from_iter(values.read().val);
        let mut at = 0..;
        self.writes.retain(|_| at.next().is_some_and(|at| kept.contains(&at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(n: u8) -> Writer {
        Writer { node: NodeId::of(&PublicKey([n; 32])), store: StoreId(0) }
    }

    fn write(n: u8, clock: &[(u8, u64)], value: &[u8]) -> Write {
        let mut dots: Vec<_> = clock.iter().map(|(n, counter)| (writer(*n), *counter)).collect();
        dots.sort_unstable();
        let clock = Clock(dots.into());
        let stamp = Stamp { lamport: clock.counter(&writer(n)), writer: writer(n) };
        let (key, signature) = (PublicKey([n; 32]), Signature([0; 64]));
        Write { stamp, wall_ms: 0, key, clock, value: value.to_vec(), signature }
    }

    fn values(register: &Register) -> Vec<&[u8]> {
        register.writes().iter().map(|write| write.value.as_slice()).collect()
    }

    #[test]
    fn a_write_that_saw_another_replaces_it() {
        let mut register = Register::of(vec![write(1, &[(1, 1)], b"old")]);
        let clock = register.clock_for(Stamp { lamport: 2, writer: writer(2) });
        let mut new = write(2, &[(2, 2)], b"new");
        new.clock = clock;
        assert!(register.merge(Register::of(vec![new])));
        assert_eq!(values(&register), [b"new"]);
        assert!(!register.merge(Register::of(vec![write(1, &[(1, 1)], b"old")])));
    }

    #[test]
    fn concurrent_writes_stay_with_the_highest_stamp_first() {
        let (low, high) = (write(1, &[(1, 3)], b"low"), write(2, &[(2, 4)], b"high"));
        for writes in [vec![low.clone(), high.clone()], vec![high, low]] {
            assert_eq!(values(&Register::of(writes)), [&b"high"[..], b"low"]);
        }
    }

    #[test]
    fn two_values_under_one_clock_are_resolved_alike_everywhere() {
        let (one, two) = (write(1, &[(1, 1)], b"one"), write(1, &[(1, 1)], b"two"));
        let mut left = Register::of(vec![one.clone()]);
        let mut right = Register::of(vec![two.clone()]);
        let changed = [left.merge(Register::of(vec![two])), right.merge(Register::of(vec![one]))];
        assert_eq!(left, right);
        assert_eq!(left.writes().len(), 1);
        assert_eq!(changed.iter().filter(|changed| **changed).count(), 1);
    }

    #[test]
    fn a_clock_that_no_honest_writer_makes_is_junk() {
        let check = |clock: &[(u8, u64)]| write(1, clock, b"").clock.check(&writer(1));
        assert_eq!(check(&[(1, 5), (2, 4)]), Ok(5));
        for clock in [&[][..], &[(2, 4)], &[(1, 5), (2, 5)], &[(1, 5), (2, 0)], &[(1, 5), (1, 5)]] {
            assert_eq!(check(clock), Err(Junk::BadClock));
        }
        let mut unordered = write(1, &[(1, 5), (2, 4)], b"").clock;
        unordered.0.reverse();
        assert_eq!(unordered.check(&writer(1)), Err(Junk::BadClock));
    }
}
