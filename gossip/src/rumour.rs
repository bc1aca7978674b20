//! Rumours: records that changed are pushed at once, to a few peers.
//!
//! A rumour only saves time, and nothing may depend on its arrival: anti-entropy finds the records
//! of a lost rumour. Loss policy: a record waits at most once (a later change replaces the earlier
//! one). When more than [`WAITING_MAX`] records wait, all are dropped and digests are compared
//! instead, which is cheaper than pushing the records.

use std::collections::BTreeSet;

use crdt_state::{Delta, NodeId, RecordKey, Replica};

use crate::anti_entropy::RECORDS_BYTES_MAX;
use crate::message::Message;
use crate::{Now, Rumours};

/// Changes are gathered for this long: short for people, and long enough that a scale-up is a few
/// datagrams.
const GATHER_MS: u64 = 10;

/// The maximum number of waiting records. 256 task records of 500 bytes to 4 peers are 512 KB.
const WAITING_MAX: usize = 256;

/// In fleets up to this size the writer sends to all members.
const SMALL_FLEET: usize = 6;

/// Peers to which a rumour goes in larger fleets: with 4 each, 200 nodes have it after 4 steps.
const FAN_OUT: usize = 4;

/// Peers to which a node in a small fleet passes a rumour on. The writer sent it to all members, so
/// this only makes up for losses.
const FAN_OUT_SMALL: usize = 2;

/// Peers to which a bridge passes a rumour on. A bridge is a node between others that cannot reach
/// each other: a peer that it leaves out may have no other source. 16 datagrams of at most 1 KB for
/// each change.
const FAN_OUT_BRIDGE: usize = 16;

/// Peers to which a large record is passed on. With more, each
/// uplink would carry megabytes several times over for what a comparison of digests fetches once: the
/// data of one config is up to 16 records of 64 KB.
const FAN_OUT_BULK: usize = 1;

/// A record of more bytes is large: above every template that people write by hand.
const BULK_BYTES: usize = 16 * 1024;

/// The bytes of a rumour's envelope: version, kind, sender, count.
const ENVELOPE_BYTES: usize = 21;

/// The largest datagram that carries records.
pub(crate) const DATAGRAM_RECORDS_MAX: usize = 1_000;

/// The records that wait to be pushed.
#[derive(Debug)]
pub(crate) struct RumourMill {
    mode: Rumours,
    own: BTreeSet<RecordKey>,
    /// Merged from others, so pushed to fewer peers. The host has not named these as changed yet.
    from_others: BTreeSet<RecordKey>,
    passed_on: BTreeSet<RecordKey>,
    flush_at: Now,
}

/// Whether this node is a bridge between others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vantage {
    /// As far as it knows, all members reach each other.
    Among,
    /// Some members reach each other only through this node.
    Between,
}

/// Records to be pushed, and to how many peers.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) keys: Vec<RecordKey>,
    pub(crate) fan_out: usize,
    /// The same for large records.
    pub(crate) bulk_fan_out: usize,
}

impl RumourMill {
    pub(crate) fn new(mode: Rumours) -> RumourMill {
        RumourMill {
            mode,
            own: BTreeSet::new(),
            from_others: BTreeSet::new(),
            passed_on: BTreeSet::new(),
            flush_at: Now::NEVER,
        }
    }

    pub(crate) fn deadline(&self) -> Now {
        self.flush_at
    }

    /// These records were merged; the host will name them as changed.
    pub(crate) fn on_merged(&mut self, keys: &[RecordKey]) {
        if self.mode == Rumours::On {
            self.from_others.extend(keys);
        }
    }

    /// These records changed. Returns how many were dropped, if too many wait.
    pub(crate) fn on_changed(&mut self, now: Now, keys: &BTreeSet<RecordKey>) -> usize {
        if self.mode == Rumours::Off || keys.is_empty() {
            return 0;
        }
        for key in keys {
            if self.from_others.remove(key) {
                self.passed_on.insert(*key);
            } else {
                self.own.insert(*key);
            }
        }
        let waiting = self.own.len() + self.passed_on.len();
        if waiting > WAITING_MAX {
            self.own.clear();
            self.passed_on.clear();
            self.flush_at = Now::NEVER;
            return waiting;
        }
        self.flush_at = self.flush_at.min(now.plus(GATHER_MS));
        0
    }

    /// Takes the waiting records, in a fleet with `peers` active peers.
    pub(crate) fn flush(&mut self, peers: usize, vantage: Vantage) -> Vec<Batch> {
        self.flush_at = Now::NEVER;
        let small = peers < SMALL_FLEET;
        let own = std::mem::take(&mut self.own);
        let passed_on = std::mem::take(&mut self.passed_on);
        let own_fan_out = fan_out(peers);
        let passed_fan_out = match vantage {
            Vantage::Between => FAN_OUT_BRIDGE,
            Vantage::Among if small => FAN_OUT_SMALL,
            Vantage::Among => FAN_OUT,
        };
        // In a small fleet the writer has sent them to all members.
        let passed_bulk = if small { 0 } else { FAN_OUT_BULK };
        [(own, own_fan_out, own_fan_out), (passed_on, passed_fan_out, passed_bulk)]
            .into_iter()
            .filter(|(keys, ..)| !keys.is_empty())
            .map(|(keys, fan_out, bulk_fan_out)| Batch {
                keys: keys.into_iter().collect(),
                fan_out,
                bulk_fan_out,
            })
            .collect()
    }
}

/// To how many of `peers` a writer sends.
pub(crate) fn fan_out(peers: usize) -> usize {
    if peers < SMALL_FLEET { peers } else { FAN_OUT }
}

/// The records as messages: small ones packed into datagrams, larger ones into reliable messages.
/// The caller tells them apart by [`DATAGRAM_RECORDS_MAX`].
pub(crate) fn pack(me: NodeId, replica: &Replica, keys: &[RecordKey]) -> Vec<Message> {
    let (mut small, mut large, mut bulk) = (Vec::new(), Vec::new(), Vec::new());
    for part in replica.delta(keys.iter().copied()).records {
        if ENVELOPE_BYTES + 20 + part.1.len() <= DATAGRAM_RECORDS_MAX {
            small.push(part);
        } else if part.1.len() > BULK_BYTES {
            bulk.push(part);
        } else {
            large.push(part);
        }
    }
    let mut deltas = gather(small, DATAGRAM_RECORDS_MAX - ENVELOPE_BYTES);
    deltas.extend(gather(large, RECORDS_BYTES_MAX));
    deltas.extend(gather(bulk, RECORDS_BYTES_MAX));
    deltas.into_iter().map(|delta| Message::Rumour { from: me, delta }).collect()
}

/// Does the message carry large records? It carries no others then.
pub(crate) fn is_bulk(message: &Message) -> bool {
    let Message::Rumour { delta, .. } = message else { return false };
    delta.records.iter().any(|(_, bytes)| bytes.len() > BULK_BYTES)
}

/// Packs the parts into deltas, in order and as many as fit. A part that is larger than `bytes_max`
/// has a delta of its own.
fn gather(parts: Vec<(RecordKey, Vec<u8>)>, bytes_max: usize) -> Vec<Delta> {
    let mut deltas: Vec<Delta> = Vec::new();
    for part in parts {
        match deltas.last_mut() {
            Some(last) if last.bytes() + 20 + part.1.len() <= bytes_max => last.records.push(part),
            _ => deltas.push(Delta { records: vec![part] }),
        }
    }
    deltas
}
