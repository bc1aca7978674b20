//! Rumours: records that changed are pushed at once, to a few.
//!
//! A hint that saves time, never the way on which something must arrive: a rumour that is lost is
//! found by anti-entropy. Loss policy: a record waits at most once (a later change replaces the
//! earlier one), and when more than [`WAITING_MAX`] wait, all are dropped and digests are compared
//! instead, which is cheaper than pushing them.

use std::collections::BTreeSet;

use crdt_state::{Delta, NodeId, RecordKey, Replica};

use crate::anti_entropy::RECORDS_BYTES_MAX;
use crate::message::Message;
use crate::{Now, Rumours};

/// Changes are gathered for so long: short for people, long enough that a scale-up is a few
/// datagrams.
const GATHER_MS: u64 = 10;

/// Records that wait at most. 256 task records of 500 bytes to 4 peers are 512 KB.
const WAITING_MAX: usize = 256;

/// In fleets up to this size the writer tells everybody.
const SMALL_FLEET: usize = 6;

/// Peers told otherwise: with 4 each, 200 nodes have heard after 4 steps.
const FAN_OUT: usize = 4;

/// Peers told of news from others in a small fleet: the writer told everybody, this only makes up
/// for losses.
const FAN_OUT_SMALL: usize = 2;

/// Peers told by a node that stands between others who cannot reach each other: whoever is left out
/// may have nobody else to hear it from. 16 datagrams of at most 1 KB for each change.
const FAN_OUT_BRIDGE: usize = 16;

/// The envelope of a rumour: version, kind, sender, count.
const ENVELOPE_BYTES: usize = 21;

/// The largest datagram that carries records.
pub(crate) const DATAGRAM_RECORDS_MAX: usize = 1_000;

/// What waits to be told.
#[derive(Debug)]
pub(crate) struct RumourMill {
    mode: Rumours,
    own: BTreeSet<RecordKey>,
    /// Merged from others, so told to fewer; waiting or yet to be named by the host.
    from_others: BTreeSet<RecordKey>,
    passed_on: BTreeSet<RecordKey>,
    flush_at: Now,
}

/// Where a node stands between the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vantage {
    /// As far as it knows, everybody reaches everybody.
    Among,
    /// Some reach each other only through this node.
    Between,
}

/// Records to be told, and to how many.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) keys: Vec<RecordKey>,
    pub(crate) fan_out: usize,
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

    /// These were merged; the host will name them as changed.
    pub(crate) fn on_merged(&mut self, keys: &[RecordKey]) {
        if self.mode == Rumours::On {
            self.from_others.extend(keys);
        }
    }

    /// These changed. How many were given up, if too many wait.
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

    /// What waits to be told, in a fleet with `peers` active peers.
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
        [(own, own_fan_out), (passed_on, passed_fan_out)]
            .into_iter()
            .filter(|(keys, _)| !keys.is_empty())
            .map(|(keys, fan_out)| Batch { keys: keys.into_iter().collect(), fan_out })
            .collect()
    }
}

/// How many of `peers` a writer tells.
pub(crate) fn fan_out(peers: usize) -> usize {
    if peers < SMALL_FLEET { peers } else { FAN_OUT }
}

/// The records as messages: small ones packed into datagrams, larger ones into reliable messages.
/// Whoever sends them tells which is which by [`DATAGRAM_RECORDS_MAX`].
pub(crate) fn pack(me: NodeId, replica: &Replica, keys: &[RecordKey]) -> Vec<Message> {
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for part in replica.delta(keys.iter().copied()).records {
        if ENVELOPE_BYTES + 20 + part.1.len() <= DATAGRAM_RECORDS_MAX {
            small.push(part);
        } else {
            large.push(part);
        }
    }
    let mut deltas = gather(small, DATAGRAM_RECORDS_MAX - ENVELOPE_BYTES);
    deltas.extend(gather(large, RECORDS_BYTES_MAX));
    deltas.into_iter().map(|delta| Message::Rumour { from: me, delta }).collect()
}

/// Parts in order, as many to a delta as fit; a part that is larger than `bytes_max` goes alone.
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
