//! Wrong proofs by address: whoever shows many waits, and the others do not.
//!
//! An address has a few attempts in reserve and gets one more each second. Only an attempt after a
//! finished handshake counts, whose source is no forgery. It bounds work and noise: a secret of 16
//! bytes is not guessed at any rate.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Wrong attempts of an address before it has to wait.
const RESERVE: u32 = 8;

/// How soon an address has one attempt more.
const REFILL: Duration = Duration::from_secs(1);

/// How often an address that has to wait may shake hands nevertheless: members may be behind it.
const HANDSHAKE_INTERVAL: Duration = Duration::from_millis(50);

/// Addresses that are remembered; above, the one that failed longest ago is forgotten. At 72 bytes
/// each, 18 KB.
const ADDRESSES_MAX: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Failed {
    /// When the whole reserve is back: each failure puts it off.
    rested_at: Instant,
    handshake_at: Instant,
}

/// The addresses that failed lately.
#[derive(Default)]
pub(super) struct Attempts {
    failed: Mutex<BTreeMap<IpAddr, Failed>>,
}

impl Attempts {
    /// Must this address wait before it shows another token?
    pub(super) fn is_over(&self, ip: IpAddr, now: Instant) -> bool {
        self.lock().get(&ip).is_some_and(|failed| failed.is_over(now))
    }

    /// May this address begin a handshake?
    pub(super) fn may_shake_hands(&self, ip: IpAddr, now: Instant) -> bool {
        let mut all = self.lock();
        let Some(failed) = all.get_mut(&ip).filter(|failed| failed.is_over(now)) else {
            return true;
        };
        if failed.handshake_at > now {
            return false;
        }
        failed.handshake_at = now + HANDSHAKE_INTERVAL;
        true
    }

    /// A proof was wrong.
    pub(super) fn on_failed(&self, ip: IpAddr, now: Instant) {
        let mut all = self.lock();
        let failed = all.entry(ip).or_insert(Failed { rested_at: now, handshake_at: now });
        // Whoever goes on does not wait longer and longer.
        let latest = now + REFILL * (RESERVE + 1);
        failed.rested_at = (failed.rested_at.max(now) + REFILL).min(latest);
        while all.len() > ADDRESSES_MAX {
            let oldest = all.iter().min_by_key(|(_, failed)| failed.rested_at).map(|(ip, _)| *ip);
            oldest.and_then(|ip| all.remove(&ip));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<IpAddr, Failed>> {
        self.failed.lock().expect("nothing panics while it counts")
    }
}

impl Failed {
    fn is_over(&self, now: Instant) -> bool {
        self.rested_at > now + REFILL * (RESERVE - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn who_fails_often_waits_a_few_seconds_and_nobody_else() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for _ in 0..RESERVE - 1 {
            attempts.on_failed(IP, start);
        }
        assert!(!attempts.is_over(IP, start));
        for _ in 0..10_000 {
            attempts.on_failed(IP, start);
        }
        assert!(attempts.is_over(IP, start));
        assert!(attempts.is_over(IP, start + REFILL));
        assert!(!attempts.is_over(IP, start + 2 * REFILL), "however often it failed");
        assert!(!attempts.is_over(IpAddr::from([10, 0, 0, 2]), start));
    }

    #[test]
    fn behind_an_address_that_waits_a_member_still_shakes_hands() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        (0..100).for_each(|_| attempts.on_failed(IP, start));
        let begun = (0..1_000).filter(|ms| {
            attempts.on_failed(IP, start + Duration::from_millis(*ms));
            attempts.may_shake_hands(IP, start + Duration::from_millis(*ms))
        });
        assert_eq!(begun.count(), 20);
    }

    #[test]
    fn a_crowd_is_remembered_within_bounds() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for n in 0..10_000_u32 {
            attempts.on_failed(IpAddr::from(n.to_be_bytes()), start);
        }
        assert_eq!(attempts.lock().len(), ADDRESSES_MAX);
    }
}
