//! Seeds: addresses that an operator configured. A seed is called until a member answers there.
//!
//! A seed that belongs to no known member is still called, at long intervals. Otherwise two halves
//! of a fleet that first met only their own neighbours would never learn of each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crdt_state::NodeId;

use crate::Now;

/// The wait after the first call without an answer; doubled each time.
const BACKOFF_MIN_MS: u64 = 1_000;

/// The maximum number of seeds. A config names a handful; beyond the maximum, new seeds are
/// ignored.
const SEEDS_MAX: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Seed {
    call_at: Now,
    backoff_ms: u64,
    answered_by: Option<NodeId>,
}

/// The seeds of one node.
#[derive(Debug)]
pub(crate) struct Seeds {
    seeds: BTreeMap<SocketAddr, Seed>,
    backoff_max_ms: u64,
}

impl Seeds {
    /// Seeds that are called at least every `backoff_max_ms` as long as nobody answers.
    pub(crate) fn new(backoff_max_ms: u64) -> Seeds {
        Seeds { seeds: BTreeMap::new(), backoff_max_ms }
    }

    /// Adds a seed, which is due at once.
    pub(crate) fn add(&mut self, now: Now, addr: SocketAddr) {
        if self.seeds.len() < SEEDS_MAX || self.seeds.contains_key(&addr) {
            let seed = Seed { call_at: now, backoff_ms: BACKOFF_MIN_MS, answered_by: None };
            self.seeds.insert(addr, seed);
        }
    }

    /// A handshake showed which node listens there.
    pub(crate) fn on_answered(&mut self, addr: SocketAddr, node: NodeId) {
        if let Some(seed) = self.seeds.get_mut(&addr) {
            seed.answered_by = Some(node);
        }
    }

    /// Removes a seed that is this node's own address.
    pub(crate) fn drop_own(&mut self, addr: SocketAddr) {
        self.seeds.remove(&addr);
    }

    /// The seeds to call now. `is_known`: is the node that answered there, or else the node that
    /// has this address, a member?
    pub(crate) fn due(
        &mut self,
        now: Now,
        is_known: impl Fn(Option<NodeId>, SocketAddr) -> bool,
    ) -> Vec<SocketAddr> {
        let mut calls = Vec::new();
        for (addr, seed) in &mut self.seeds {
            if now < seed.call_at {
                continue;
            }
            if is_known(seed.answered_by, *addr) {
                seed.backoff_ms = BACKOFF_MIN_MS;
                seed.call_at = now.plus(self.backoff_max_ms);
            } else {
                calls.push(*addr);
                seed.call_at = now.plus(seed.backoff_ms);
                seed.backoff_ms = (seed.backoff_ms * 2).min(self.backoff_max_ms);
            }
        }
        calls
    }

    pub(crate) fn deadline(&self) -> Now {
        self.seeds.values().map(|seed| seed.call_at).min().unwrap_or(Now::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_called_at_growing_intervals_until_a_member_answers_there() {
        let addr: SocketAddr = "10.0.0.1:7946".parse().unwrap();
        let mut seeds = Seeds::new(30_000);
        seeds.add(Now(0), addr);
        let mut called_at = Vec::new();
        while called_at.len() < 8 {
            let now = seeds.deadline();
            if !seeds.due(now, |_, _| false).is_empty() {
                called_at.push(now.0 / 1_000);
            }
        }
        assert_eq!(called_at, [0, 1, 3, 7, 15, 31, 61, 91]);
        seeds.on_answered(addr, NodeId([1; 16]));
        let now = seeds.deadline();
        assert!(seeds.due(now, |node, _| node == Some(NodeId([1; 16]))).is_empty());
        assert_eq!(seeds.deadline(), now.plus(30_000));
    }
}
