//! Nodes that operators removed from the fleet: nothing that they send is taken, for ever.
//!
//! They are told so, by the record that says it: a node that was switched off meanwhile does not know
//! it, and can hear it from nobody else. That is all that they are sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crdt_state::{Delta, NodeId};

use super::Gossip;
use crate::message::encode_rumour;
use crate::{Now, Output};

/// A node that goes on sending is told as often as this.
const TELL_INTERVAL_MS: u64 = 2_000;

/// What one of them is told, and when it was told last.
#[derive(Debug)]
struct Notice {
    bytes: Vec<u8>,
    told: Option<Now>,
}

/// The nodes, by id: as many as operators ever removed, at some 300 bytes each.
#[derive(Debug, Default)]
pub(super) struct Evicted(BTreeMap<NodeId, Notice>);

impl Evicted {
    pub(super) fn has(&self, node: NodeId) -> bool {
        self.0.contains_key(&node)
    }
}

impl Gossip {
    /// Drops a node at once and for ever, and tells it so by these records.
    pub fn evict(&mut self, now: Now, node: NodeId, notice: Delta) {
        if node == self.membership.me().node {
            return;
        }
        let addr = self.membership.view().addr(node);
        let bytes = encode_rumour(self.membership.me().node, notice);
        let is_news = self.evicted.0.insert(node, Notice { bytes, told: None }).is_none();
        if is_news {
            self.membership.expel(now, node);
            self.listed_at.remove(&node);
            self.collect();
        }
        if let Some(addr) = addr {
            self.tell_evicted(now, node, addr);
        }
    }

    /// A node that was evicted may come back.
    pub fn readmit(&mut self, node: NodeId) {
        if self.evicted.0.remove(&node).is_some() {
            self.membership.readmit(node);
        }
    }

    /// Tells an evicted node that it is one. Returns whether it is.
    pub(super) fn tell_evicted(&mut self, now: Now, node: NodeId, addr: SocketAddr) -> bool {
        let Some(notice) = self.evicted.0.get_mut(&node) else { return false };
        if notice.told.is_none_or(|told| now.since(told) >= TELL_INTERVAL_MS) {
            notice.told = Some(now);
            let bytes = notice.bytes.clone();
            self.outputs.push_back(Output::Datagram { to: node, addr, bytes });
        }
        true
    }
}
