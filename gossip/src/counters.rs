//! The machine's counters since its start. `doctor` and metrics read them; they decide nothing.

use std::collections::BTreeMap;

use crate::JunkReason;

/// The kinds of messages that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Traffic {
    /// Probes, acknowledgements and the updates that travel with them.
    Swim,
    /// Good-byes of members that leave.
    Leave,
    /// Digests to compare with a peer.
    Compare,
    /// Levels and leaves of the digest tree.
    Tree,
    /// Records that differ.
    Records,
    /// Records pushed because they just changed.
    Rumour,
    /// The list of members.
    Members,
}

impl Traffic {
    /// One word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Traffic::Swim => "swim",
            Traffic::Leave => "leave",
            Traffic::Compare => "compare",
            Traffic::Tree => "tree",
            Traffic::Records => "records",
            Traffic::Rumour => "rumour",
            Traffic::Members => "members",
        }
    }
}

/// A number of messages, and their bytes (before sealing).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Datagrams or messages.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// All counters of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Sent, by kind.
    pub sent: BTreeMap<Traffic, Tally>,
    /// Received and understood, by kind.
    pub received: BTreeMap<Traffic, Tally>,
    /// Dropped, by reason.
    pub junk: BTreeMap<JunkReason, u64>,
    /// This node's own verdicts that were postponed, because the suspect was heard or this node
    /// doubted itself.
    pub verdicts_postponed: u64,
    /// Verdicts of others that this node doubted and that proved wrong.
    pub verdicts_refuted: u64,
    /// Verdict timers of foca that fired when the suspicion was already settled.
    pub timers_stale: u64,
    /// Messages not sent because the peer's address is unknown.
    pub unaddressed: u64,
    /// Messages not sent because they are larger than any node accepts.
    pub oversize: u64,
    /// Reliable messages that could not be delivered.
    pub undelivered: u64,
    /// Rumours given up in favour of anti-entropy because too many waited.
    pub rumours_dropped: u64,
}

impl Counters {
    pub(crate) fn on_sent(&mut self, kind: Traffic, bytes: usize) {
        let tally = self.sent.entry(kind).or_default();
        tally.count += 1;
        tally.bytes += bytes as u64;
    }

    pub(crate) fn on_received(&mut self, kind: Traffic, bytes: usize) {
        let tally = self.received.entry(kind).or_default();
        tally.count += 1;
        tally.bytes += bytes as u64;
    }

    pub(crate) fn on_junk(&mut self, reason: JunkReason) {
        *self.junk.entry(reason).or_default() += 1;
    }

    /// Bytes sent of all kinds, before sealing.
    pub fn sent_bytes(&self) -> u64 {
        self.sent.values().map(|tally| tally.bytes).sum()
    }
}
