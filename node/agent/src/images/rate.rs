//! A bucket of bytes that fills with time: how much of images goes through a node per second.
//!
//! A taker may go below zero and then waits until the bucket is level again, so that a piece larger
//! than the bucket passes too. Takers that come meanwhile wait behind: the sum keeps the rate.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What a bucket that was left alone holds: a quarter of a second.
const BURST: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug)]
pub struct Bucket {
    /// Bytes per second; `None`: no limit.
    rate: Option<u64>,
    /// When it will be level again; in the past: it is filling.
    level_at: Mutex<Option<Instant>>,
}

impl Bucket {
    /// With so many bytes per second.
    pub fn new(rate: Option<u64>) -> Bucket {
        Bucket { rate: rate.filter(|rate| *rate > 0), level_at: Mutex::new(None) }
    }

    /// Takes bytes out and waits until that is within the rate.
    pub async fn take(&self, bytes: usize) {
        let wait = self.book(bytes, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes bytes out; how long to wait for them.
    fn book(&self, bytes: usize, now: Instant) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let mut level_at = self.level_at.lock().expect("nothing panics while it holds this");
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = level_at.map_or(earliest, |at| at.max(earliest));
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(rate);
        let at = from + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        *level_at = Some(at);
        at.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_nobody_waits() {
        assert_eq!(Bucket::new(None).book(1 << 30, Instant::now()), Duration::ZERO);
    }

    #[test]
    fn many_takers_together_keep_the_rate() {
        let bucket = Bucket::new(Some(1_000_000));
        let now = Instant::now();
        let waits: Vec<_> = (0..40).map(|_| bucket.book(100_000, now)).collect();
        // 4 MB at 1 MB/s, less the quarter that lay ready.
        let longest = waits.last().expect("forty").as_millis();
        assert_eq!(longest, 3_750);
        assert_eq!(waits[1], Duration::ZERO);
    }

    #[test]
    fn an_hour_of_rest_is_no_hour_of_burst() {
        let bucket = Bucket::new(Some(1_000));
        let now = Instant::now();
        bucket.book(1_000, now);
        let later = now + Duration::from_secs(3_600);
        assert_eq!(bucket.book(1_000, later), Duration::from_millis(750));
    }
}
