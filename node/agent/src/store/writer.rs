//! The store's own thread: takes batches, writes all waiting ones in one transaction, and reports
//! which are on disk.
//!
//! A refusing disk is reported once and retried, every second at first and every minute at last.
//! Meanwhile batches are merged into one by key, so that the waiting changes are never larger than
//! the state itself. The thread must never give up, and never report a batch that is not on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crdt_state::RecordKey;

use super::Store;
use crate::lock::SealingKey;

/// The first wait after a failed write.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest wait.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Changes by key: bytes to put, or `None` to delete.
#[derive(Debug, Default)]
pub struct Batch {
    /// The changes.
    pub changes: BTreeMap<RecordKey, Option<Vec<u8>>>,
}

impl Batch {
    /// Later changes of a key replace earlier ones.
    pub fn fold(&mut self, puts: Vec<(RecordKey, Vec<u8>)>, drops: Vec<RecordKey>) {
        self.changes.extend(puts.into_iter().map(|(key, bytes)| (key, Some(bytes))));
        self.changes.extend(drops.into_iter().map(|key| (key, None)));
    }
}

/// What the store reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEvent {
    /// Everything up to this number is on disk.
    Persisted {
        /// The number of the last batch.
        seq: u64,
    },
    /// A write failed and will be tried again.
    Refused {
        /// The disk's error.
        error: String,
    },
    /// A write succeeded after one that failed.
    Recovered,
    /// The store is sealed now, or is no longer.
    Resealed(Result<Sealing, String>),
}

/// Whether a store is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// By a key.
    Sealed,
    /// Everybody who has its file can read it.
    Open,
}

pub(super) enum Request {
    Persist { seq: u64, puts: Vec<(RecordKey, Vec<u8>)>, drops: Vec<RecordKey> },
    Reseal(Option<SealingKey>),
}

/// Requests that were taken and not done yet.
#[derive(Default)]
struct Taken {
    batch: Batch,
    /// The number of the last batch.
    seq: Option<u64>,
    /// What is to be done to the store after that.
    reseal: Option<Option<SealingKey>>,
}

impl Taken {
    fn fold(&mut self, request: Request) {
        match request {
            Request::Persist { seq, puts, drops } => {
                self.seq = Some(seq);
                self.batch.fold(puts, drops);
            }
            Request::Reseal(key) => self.reseal = Some(key),
        }
    }
}

/// A handle to the thread; dropping it makes one attempt to write what waits, and ends the thread.
pub struct StoreWriter {
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl StoreWriter {
    /// Starts the thread. `report` is called on it and must not block.
    pub fn spawn(
        store: Store,
        report: impl Fn(StoreEvent) + Send + 'static,
    ) -> std::io::Result<StoreWriter> {
        let (requests, inbox) = channel();
        let (path, key) = (store.path.clone(), store.key.clone());
        let worker = Worker { path, key, store: Some(store), inbox, report };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || worker.run())?;
        Ok(StoreWriter { requests: Some(requests), thread: Some(thread) })
    }

    /// Asks for a batch to be written; answered by `Persisted` with this or a later number.
    pub fn persist(&self, seq: u64, puts: Vec<(RecordKey, Vec<u8>)>, drops: Vec<RecordKey>) {
        self.send(Request::Persist { seq, puts, drops });
    }

    /// Asks for the store to be sealed by a key, or by none; answered by `Resealed`.
    pub fn reseal(&self, key: Option<SealingKey>) {
        self.send(Request::Reseal(key));
    }

    fn send(&self, request: Request) {
        let requests = self.requests.as_ref().expect("the channel lives as long as the handle");
        requests.send(request).expect("the store's thread never ends before");
    }
}

impl Drop for StoreWriter {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(super) struct Worker<R> {
    path: PathBuf,
    key: Option<SealingKey>,
    /// `None` after a failed write: the database accepts no more writes until it is opened again.
    store: Option<Store>,
    inbox: Receiver<Request>,
    report: R,
}

impl<R: Fn(StoreEvent)> Worker<R> {
    pub(super) fn run(mut self) {
        while let Ok(request) = self.inbox.recv() {
            let mut taken = Taken::default();
            taken.fold(request);
            self.take_waiting(&mut taken);
            let mut wait = RETRY_MIN;
            while taken.seq.is_some()
                && let Err(error) = self.write(&taken.batch)
            {
                if wait == RETRY_MIN {
                    (self.report)(StoreEvent::Refused { error });
                }
                match self.inbox.recv_timeout(wait) {
                    Ok(request) => {
                        taken.fold(request);
                        self.take_waiting(&mut taken);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                wait = (wait * 2).min(RETRY_MAX);
            }
            if wait > RETRY_MIN {
                (self.report)(StoreEvent::Recovered);
            }
            if let Some(seq) = taken.seq {
                (self.report)(StoreEvent::Persisted { seq });
            }
            if let Some(key) = taken.reseal {
                let done = self.reseal(key);
                (self.report)(StoreEvent::Resealed(done));
            }
        }
    }

    fn take_waiting(&self, taken: &mut Taken) {
        self.inbox.try_iter().for_each(|request| taken.fold(request));
    }

    fn write(&mut self, batch: &Batch) -> Result<(), String> {
        let store = self.take_store()?;
        // The database is kept only if it can be used again.
        store.write(batch).map_err(|error| error.to_string())?;
        self.store = Some(store);
        Ok(())
    }

    fn reseal(&mut self, key: Option<SealingKey>) -> Result<Sealing, String> {
        let sealing = if key.is_some() { Sealing::Sealed } else { Sealing::Open };
        let (store, done) = match self.take_store()?.reseal(key) {
            Ok(store) => (store, Ok(sealing)),
            Err((store, why)) => (store, Err(why)),
        };
        self.key = store.key.clone();
        self.store = Some(store);
        done
    }

    fn take_store(&mut self) -> Result<Store, String> {
        match self.store.take() {
            Some(store) => Ok(store),
            None => Store::reopen(&self.path, self.key.clone()),
        }
    }
}

#[cfg(test)]
impl Request {
    pub(super) fn put(seq: u64, key: RecordKey, bytes: &[u8]) -> Request {
        Request::Persist { seq, puts: vec![(key, bytes.to_vec())], drops: Vec::new() }
    }
}

#[cfg(test)]
impl<R: Fn(StoreEvent)> Worker<R> {
    /// A worker whose last write failed.
    pub(super) fn without_store(store: Store, inbox: Receiver<Request>, report: R) -> Worker<R> {
        Worker { path: store.path.clone(), key: None, store: None, inbox, report }
    }
}
