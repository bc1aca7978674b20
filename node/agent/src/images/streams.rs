//! How many streams of each blob this node gives to peers: at most [`STREAMS_MAX`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use runtime::image::Digest;

use super::choice::STREAMS_MAX;

/// The streams of all blobs; clones count together.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<BTreeMap<Digest, usize>>>);

/// One stream, counted as long as it lives.
pub(super) struct Stream {
    streams: Streams,
    digest: Digest,
}

impl Streams {
    /// Whether no further one may begin.
    pub(super) fn is_busy(&self, digest: &Digest) -> bool {
        self.lock().get(digest).is_some_and(|count| *count >= STREAMS_MAX)
    }

    /// Counts one more; `None` if there are as many as may be.
    pub(super) fn begin(&self, digest: &Digest) -> Option<Stream> {
        let mut counts = self.lock();
        let count = counts.entry(digest.clone()).or_default();
        if *count >= STREAMS_MAX {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Stream { streams: self.clone(), digest: digest.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, usize>> {
        self.0.lock().expect("nothing panics while it holds this")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut counts = self.streams.lock();
        if let Some(count) = counts.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.digest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_has_so_many_streams_and_an_ended_one_makes_room() {
        let (streams, blob) = (Streams::default(), Digest::of(b"blob"));
        let mut given: Vec<_> = (0..STREAMS_MAX).filter_map(|_| streams.begin(&blob)).collect();
        assert_eq!((given.len(), streams.is_busy(&blob)), (STREAMS_MAX, true));
        assert!(streams.begin(&blob).is_none());
        assert!(streams.begin(&Digest::of(b"other")).is_some());
        given.pop();
        assert!(streams.begin(&blob).is_some());
        given.clear();
        assert!(streams.lock().is_empty());
    }
}
