//! Blobs on their way to this node. Whoever needs one waits for the same flight; it ends when it
//! arrived, when every way failed, or when nobody waits any more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use runtime::image::Digest;
use runtime::image::bring::BringError;
use tokio::sync::watch;

use super::{Source, What};

/// A blob that is wanted.
#[derive(Debug, Clone)]
pub(super) struct Want {
    pub(super) digest: Digest,
    /// In bytes, if it is known.
    pub(super) size: Option<u64>,
    pub(super) what: What,
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

/// How a flight stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Stand {
    /// How far from the source this node is; `None` while it looks for one.
    pub(super) hops: Option<u8>,
    /// It is over.
    pub(super) ended: Option<Result<(), BringError>>,
}

/// See the module.
pub(super) struct Flight {
    image: String,
    size: Option<u64>,
    begun: Instant,
    received: AtomicU64,
    from: Mutex<String>,
    /// Who has a receiver of it waits for the blob.
    stand: watch::Sender<Stand>,
}

impl Flight {
    fn new(want: &Want) -> Flight {
        Flight {
            image: want.source.name.clone(),
            size: want.size,
            begun: Instant::now(),
            received: AtomicU64::new(0),
            from: Mutex::default(),
            stand: watch::Sender::default(),
        }
    }

    /// How far from the source this node is; `None` while it looks for one.
    pub(super) fn hops(&self) -> Option<u8> {
        self.stand.borrow().hops
    }

    /// Waits along: as long as somebody does, the flight goes on.
    pub(super) fn watch(&self) -> watch::Receiver<Stand> {
        self.stand.subscribe()
    }

    /// From now on it comes from there.
    pub(super) fn decide(&self, hops: u8, from: &str, received: u64) {
        self.received.store(received, Ordering::Relaxed);
        from.clone_into(&mut self.from.lock().expect("nothing panics while it holds this"));
        self.stand.send_modify(|stand| stand.hops = Some(hops));
    }

    /// So many more bytes are here.
    pub(super) fn advance(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// That source gave no more; another is looked for.
    pub(super) fn undecide(&self) {
        self.stand.send_modify(|stand| stand.hops = None);
    }

    /// Returns when nobody waits for it any more.
    pub(super) async fn abandoned(&self) {
        self.stand.closed().await;
    }

    fn has_ended(&self) -> bool {
        self.stand.borrow().ended.is_some()
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

/// The flights that are under way, at most one of each blob.
#[derive(Default)]
pub(super) struct Flights {
    under_way: Mutex<BTreeMap<Digest, Arc<Flight>>>,
}

impl Flights {
    /// All of them, for people.
    pub(super) fn shown(&self) -> Vec<Pull> {
        self.lock().iter().map(|(digest, flight)| flight.shown(digest)).collect()
    }

    /// That of a blob.
    pub(super) fn of(&self, digest: &Digest) -> Option<Arc<Flight>> {
        self.lock().get(digest).cloned()
    }

    /// Waits along with the flight of a blob. If there was none, `begin` is given one that has just
    /// begun, and sees to it that it is ended by [`Flights::end`].
    pub(super) fn join(
        &self,
        want: &Want,
        begin: impl FnOnce(Arc<Flight>),
    ) -> watch::Receiver<Stand> {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(&want.digest)
            && !flight.has_ended()
        {
            return flight.watch();
        }
        let flight = Arc::new(Flight::new(want));
        let stand = flight.watch();
        flights.insert(want.digest.clone(), Arc::clone(&flight));
        begin(flight);
        stand
    }

    /// Tells all who wait how it ended.
    pub(super) fn end(
        &self,
        digest: &Digest,
        flight: &Arc<Flight>,
        result: Result<(), BringError>,
    ) {
        let mut flights = self.lock();
        flight.stand.send_replace(Stand { hops: None, ended: Some(result) });
        if flights.get(digest).is_some_and(|current| Arc::ptr_eq(current, flight)) {
            flights.remove(digest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Arc<Flight>>> {
        self.under_way.lock().expect("nothing panics while it holds this")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_want_a_blob_share_a_flight_until_it_ends() {
        let flights = Flights::default();
        let source = Source { registry: None, name: "image".to_owned() };
        let want = source.want(&Digest::of(b"blob"), None, What::Blob);
        let mut begun = Vec::new();
        let first = flights.join(&want, |flight| begun.push(flight));
        let second = flights.join(&want, |flight| begun.push(flight));
        assert_eq!((begun.len(), flights.shown().len()), (1, 1));
        flights.end(&want.digest, &begun[0], Ok(()));
        assert!(first.borrow().ended.is_some() && second.borrow().ended.is_some());
        assert!(flights.of(&want.digest).is_none());
        flights.join(&want, |flight| begun.push(flight));
        assert_eq!(begun.len(), 2);
    }
}
