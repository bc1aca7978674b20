//! A value that is made at most once per revision, on request, and shared by all readers.
//!
//! The first reader makes it; readers that come meanwhile wait for the same value. It is served
//! until the revision changes, and never longer than [`AGE_MAX`], because some of its content
//! changes with time alone. Then it is dropped: no value is kept without readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// Longest age of a served value: ages are shown in whole seconds.
pub const AGE_MAX: Duration = Duration::from_secs(1);

/// The latest value, if it is still served. Clones share it.
pub struct Latest<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    held: Mutex<Option<Held<T>>>,
    made: AtomicU64,
}

struct Held<T> {
    revision: u64,
    made: Instant,
    value: Arc<T>,
}

impl<T> Clone for Latest<T> {
    fn clone(&self) -> Self {
        Latest { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Send + Sync + 'static> Latest<T> {
    /// No value is made yet.
    pub fn new() -> Latest<T> {
        Latest { shared: Arc::new(Shared { held: Mutex::new(None), made: AtomicU64::new(0) }) }
    }

    /// The value of this revision or a newer one. `make` returns the revision of its value.
    pub async fn get<E>(
        &self,
        revision: u64,
        make: impl Future<Output = Result<(u64, T), E>>,
    ) -> Result<Arc<T>, E> {
        let mut held = self.shared.held.lock().await;
        let is_fresh = |held: &&Held<T>| held.revision >= revision && held.made.elapsed() < AGE_MAX;
        if let Some(held) = held.as_ref().filter(is_fresh) {
            return Ok(Arc::clone(&held.value));
        }
        // Taken before the value is made, so that the value is never older than it seems.
        let made = Instant::now();
        let (revision, value) = make.await?;
        let value = Arc::new(value);
        *held = Some(Held { revision, made, value: Arc::clone(&value) });
        self.shared.made.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(Arc::clone(&self.shared).drop_when_old());
        Ok(value)
    }

    /// How many values were made since the start.
    pub fn made(&self) -> u64 {
        self.shared.made.load(Ordering::Relaxed)
    }
}

impl<T> Shared<T> {
    async fn drop_when_old(self: Arc<Self>) {
        sleep(AGE_MAX).await;
        self.held.lock().await.take_if(|held| held.made.elapsed() >= AGE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Weak;

    use futures_util::future::join_all;

    use super::*;

    async fn get(latest: &Latest<u64>, revision: u64) -> u64 {
        let make = async {
            sleep(Duration::from_millis(5)).await;
            Ok::<_, Infallible>((revision, revision))
        };
        *latest.get(revision, make).await.expect("it cannot fail")
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_readers_makes_one_value_per_revision() {
        let latest = Latest::new();
        join_all((0..100).map(|_| get(&latest, 1))).await;
        assert_eq!(latest.made(), 1);
        assert_eq!(get(&latest, 1).await, 1);
        assert_eq!(latest.made(), 1, "the revision is the same");
        let seen = join_all((0..100).map(|_| get(&latest, 2))).await;
        assert!(seen.iter().all(|revision| *revision == 2), "none is of an older revision");
        assert_eq!(latest.made(), 2);
        assert_eq!(get(&latest, 1).await, 2, "a newer one is as good");
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_with_the_time_alone_is_never_older_than_a_second() {
        let latest = Latest::new();
        get(&latest, 1).await;
        sleep(AGE_MAX - Duration::from_millis(10)).await;
        get(&latest, 1).await;
        assert_eq!(latest.made(), 1);
        sleep(Duration::from_millis(10)).await;
        get(&latest, 1).await;
        assert_eq!(latest.made(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_for_nobody() {
        let latest = Latest::new();
        let made = latest.get(1, async { Ok::<_, Infallible>((1, ())) }).await;
        let value: Weak<()> = made.map(|made| Arc::downgrade(&made)).expect("it cannot fail");
        assert!(value.upgrade().is_some());
        sleep(2 * AGE_MAX).await;
        assert!(value.upgrade().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_gives_up_leaves_the_others_theirs() {
        let latest = Latest::new();
        let given_up = tokio::time::timeout(Duration::from_millis(1), get(&latest, 1)).await;
        assert!(given_up.is_err());
        assert_eq!(get(&latest, 1).await, 1);
        assert_eq!(latest.made(), 1);
    }
}
