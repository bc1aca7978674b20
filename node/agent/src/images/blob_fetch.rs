//! Blobs on their way to this node. Whoever needs one waits for the same fetch; it ends when it
//! arrived, when every way failed, or when nobody waits any more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use runtime::image::Digest;
use runtime::image::pull::PullError;
use tokio::sync::watch;

use super::{ContentKind, Source};

/// A blob that is wanted.
#[derive(Debug, Clone)]
pub(super) struct Want {
    pub(super) digest: Digest,
    /// In bytes, if it is known.
    pub(super) size: Option<u64>,
    pub(super) what: ContentKind,
    pub(super) source: Source,
}

/// What people are shown of a blob on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Which.
    pub digest: Digest,
    /// The image that it was first wanted for.
    pub image: String,
    /// In bytes, if it is known.
    pub size: Option<u64>,
    /// Bytes that are here.
    pub received: u64,
    /// A registry or a node; empty while a source is looked for.
    pub from: String,
    /// Since it began.
    pub age: Duration,
}

/// How far a fetch is.
#[derive(Debug, Clone, Default)]
pub(super) struct FetchState {
    /// How far from the source this node is; `None` while it looks for one.
    pub(super) hops: Option<u8>,
    /// It is over.
    pub(super) ended: Option<Result<(), PullError>>,
}

/// See the module.
pub(super) struct BlobFetch {
    image: String,
    size: Option<u64>,
    begun: Instant,
    received: AtomicU64,
    from: Mutex<String>,
    /// Who has a receiver of it waits for the blob.
    state: watch::Sender<FetchState>,
}

impl BlobFetch {
    fn new(want: &Want) -> BlobFetch {
        BlobFetch {
            image: want.source.name.clone(),
            size: want.size,
            begun: Instant::now(),
            received: AtomicU64::new(0),
            from: Mutex::default(),
            state: watch::Sender::default(),
        }
    }

    /// How far from the source this node is; `None` while it looks for one.
    pub(super) fn hops(&self) -> Option<u8> {
        self.state.borrow().hops
    }

    /// Waits along: as long as somebody does, the fetch goes on.
    pub(super) fn watch(&self) -> watch::Receiver<FetchState> {
        self.state.subscribe()
    }

    /// From now on it comes from there.
    pub(super) fn decide(&self, hops: u8, from: &str, received: u64) {
        self.received.store(received, Ordering::Relaxed);
        from.clone_into(&mut self.from.lock().expect("nothing panics while it holds this"));
        self.state.send_modify(|state| state.hops = Some(hops));
    }

    /// So many more bytes are here.
    pub(super) fn advance(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// That source gave no more; another is looked for.
    pub(super) fn undecide(&self) {
        self.state.send_modify(|state| state.hops = None);
    }

    /// Returns when nobody waits for it any more.
    pub(super) async fn abandoned(&self) {
        self.state.closed().await;
    }

    fn has_ended(&self) -> bool {
        self.state.borrow().ended.is_some()
    }

    fn shown(&self, digest: &Digest) -> Pull {
        Pull {
            digest: digest.clone(),
            image: self.image.clone(),
            size: self.size,
            received: self.received.load(Ordering::Relaxed),
            from: self.from.lock().expect("nothing panics while it holds this").clone(),
            age: self.begun.elapsed(),
        }
    }
}

/// The fetches that are under way, at most one of each blob.
#[derive(Default)]
pub(super) struct BlobFetches {
    under_way: Mutex<BTreeMap<Digest, Arc<BlobFetch>>>,
}

impl BlobFetches {
    /// All of them, for people.
    pub(super) fn shown(&self) -> Vec<Pull> {
        self.lock().iter().map(|(digest, fetch)| fetch.shown(digest)).collect()
    }

    /// That of a blob.
    pub(super) fn of(&self, digest: &Digest) -> Option<Arc<BlobFetch>> {
        self.lock().get(digest).cloned()
    }

    /// Waits along with the fetch of a blob. If there was none, `begin` is given one that has just
    /// begun, and sees to it that it is ended by [`BlobFetches::end`].
    pub(super) fn join(
        &self,
        want: &Want,
        begin: impl FnOnce(Arc<BlobFetch>),
    ) -> watch::Receiver<FetchState> {
        let mut fetches = self.lock();
        if let Some(fetch) = fetches.get(&want.digest)
            && !fetch.has_ended()
        {
            return fetch.watch();
        }
        let fetch = Arc::new(BlobFetch::new(want));
        let state = fetch.watch();
        fetches.insert(want.digest.clone(), Arc::clone(&fetch));
        begin(fetch);
        state
    }

    /// Tells all who wait how it ended.
    pub(super) fn end(
        &self,
        digest: &Digest,
        fetch: &Arc<BlobFetch>,
        result: Result<(), PullError>,
    ) {
        let mut fetches = self.lock();
        fetch.state.send_replace(FetchState { hops: None, ended: Some(result) });
        if fetches.get(digest).is_some_and(|current| Arc::ptr_eq(current, fetch)) {
            fetches.remove(digest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Arc<BlobFetch>>> {
        self.under_way.lock().expect("nothing panics while it holds this")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_want_a_blob_share_a_fetch_until_it_ends() {
        let fetches = BlobFetches::default();
        let source = Source { registry: None, name: "image".to_owned() };
        let want = source.want(&Digest::of(b"blob"), None, ContentKind::Blob);
        let mut begun = Vec::new();
        let first = fetches.join(&want, |fetch| begun.push(fetch));
        let second = fetches.join(&want, |fetch| begun.push(fetch));
        assert_eq!((begun.len(), fetches.shown().len()), (1, 1));
        fetches.end(&want.digest, &begun[0], Ok(()));
        assert!(first.borrow().ended.is_some() && second.borrow().ended.is_some());
        assert!(fetches.of(&want.digest).is_none());
        fetches.join(&want, |fetch| begun.push(fetch));
        assert_eq!(begun.len(), 2);
    }
}
