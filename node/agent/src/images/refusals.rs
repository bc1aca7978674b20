//! What the uplink refused a moment ago: all who ask for it now get that answer, and not one each.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use runtime::image::Digest;
use runtime::image::pull::PullError;

/// What the uplink refused is not asked for again for so long, give or take a half.
const REFUSED_FOR: Duration = Duration::from_secs(2);

/// Refusals remembered at most; then all are forgotten.
const REFUSED_MAX: usize = 256;

/// Blobs with the reason, and until when it is believed.
#[derive(Default)]
pub(super) struct Refusals {
    reasons: Mutex<BTreeMap<Digest, (Instant, PullError)>>,
}

impl Refusals {
    /// Why this blob was refused, if that was a moment ago.
    pub(super) fn lately(&self, digest: &Digest, now: Instant) -> Option<PullError> {
        let mut reasons = self.lock();
        reasons.retain(|_, (until, _)| *until > now);
        reasons.get(digest).map(|(_, error)| error.clone())
    }

    /// Remembers a refusal.
    pub(super) fn note(&self, digest: &Digest, error: &PullError, now: Instant) {
        let mut reasons = self.lock();
        if reasons.len() >= REFUSED_MAX {
            reasons.clear();
        }
        reasons.insert(digest.clone(), (now + jittered(REFUSED_FOR), error.clone()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, (Instant, PullError)>> {
        self.reasons.lock().expect("nothing panics while it holds this")
    }
}

/// Half of it to one and a half of it.
pub(super) fn jittered(time: Duration) -> Duration {
    let mut bytes = [0; 2];
    // Without randomness all wait alike, which is only less good.
    let _ = getrandom::fill(&mut bytes);
    time / 2 + time * u32::from(u16::from_le_bytes(bytes)) / 65_536
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_believed_for_a_moment_and_they_are_bounded() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let digest = |n: u16| Digest::of(&n.to_be_bytes());
        for n in 0..1_000 {
            refusals.note(&digest(n), &PullError::Ending, now);
            assert!(refusals.lock().len() <= REFUSED_MAX);
        }
        assert!(refusals.lately(&digest(999), now).is_some());
        assert!(refusals.lately(&digest(999), now + 2 * REFUSED_FOR).is_none());
    }
}
