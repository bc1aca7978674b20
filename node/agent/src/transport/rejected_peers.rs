//! Addresses that tried to connect with another fleet key. They are remembered for a while, to
//! explain why a machine does not join. Nothing is decided by it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A node that wants to join tries at least once in this time, in every profile.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Addresses at most; above, the one that was silent for longest is forgotten.
const REJECTED_PEERS_MAX: usize = 16;

#[derive(Default)]
pub(super) struct RejectedPeers {
    refused: Mutex<BTreeMap<IpAddr, Instant>>,
}

impl RejectedPeers {
    pub(super) fn on_refused(&self, ip: IpAddr, now: Instant) {
        let mut refused = self.lock();
        refused.insert(ip, now);
        while refused.len() > REJECTED_PEERS_MAX {
            let oldest = refused.iter().min_by_key(|(_, at)| **at).map(|(ip, _)| *ip);
            oldest.and_then(|ip| refused.remove(&ip));
        }
    }

    pub(super) fn recent(&self, now: Instant) -> Vec<IpAddr> {
        let mut refused = self.lock();
        refused.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        refused.keys().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<IpAddr, Instant>> {
        self.refused.lock().expect("nothing panics while it remembers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_peer_is_remembered_for_a_while_and_a_crowd_within_bounds() {
        let (rejected_peers, start) = (RejectedPeers::default(), Instant::now());
        let at = |n: u8| start + Duration::from_secs(n.into());
        for n in 0..100 {
            rejected_peers.on_refused(IpAddr::from([10, 0, 0, n]), at(n));
        }
        assert_eq!(rejected_peers.recent(at(99)).len(), REJECTED_PEERS_MAX);
        assert_eq!(rejected_peers.recent(at(99)).last(), Some(&IpAddr::from([10, 0, 0, 99])));
        assert!(rejected_peers.recent(at(99) + REMEMBERED).is_empty());
    }
}
