//! Writes the node's history to a file, if the operator wants one: `edgectl agent --history FILE`.
//! `cargo xtask chaos replay FILE` rebuilds the node from it.
//!
//! A thread of its own writes. The node's thread never waits for it: a disk that is too slow, or a
//! history of [`HISTORY_BYTES_MAX`], ends the history and nothing else. No key is written, but the
//! settings of services are, so that only the agent's user may read the file.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use crdt_state::RecordKey;
use crdt_state::signature::{PublicKey, Signature, Signer};
use crdt_state::task::AdoptedRun;
use node_core::history::{self, Began, Entry};

/// A history ends here. Three nodes on which services were created, scaled, drained and killed
/// wrote 75 kB in 48 s: two days at that pace.
const HISTORY_BYTES_MAX: usize = 256 << 20;

/// Entries that wait for the disk, at most.
const WAITING_MAX: usize = 4_096;

/// A history that is being written. Clones write the same one.
#[derive(Clone)]
pub(super) struct History {
    open: Arc<Mutex<Option<Open>>>,
}

/// A history that has not ended.
struct Open {
    entries: SyncSender<Vec<u8>>,
    bytes_left: usize,
    path: PathBuf,
}

impl History {
    /// Begins a history. An older file of this name is kept as `FILE.old`.
    pub(super) fn create(path: &Path) -> io::Result<History> {
        if path.exists() {
            std::fs::rename(path, path.with_added_extension("old"))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let mut file = BufWriter::new(file);
        file.write_all(history::HEAD)?;
        file.flush()?;
        let (entries, waiting) = sync_channel(WAITING_MAX);
        std::thread::Builder::new().name("history".to_owned()).spawn(move || {
            if let Err(error) = write(&mut file, &waiting) {
                tracing::warn!("the history ends, the disk does not take it: {error}");
            }
        })?;
        let open = Open { entries, bytes_left: HISTORY_BYTES_MAX, path: path.to_owned() };
        tracing::info!("the history of this node is written to {}", path.display());
        Ok(History { open: Arc::new(Mutex::new(Some(open))) })
    }

    /// Writes the node's initial state: its configuration, its records, the runs that were found.
    /// Waits for the disk, because the node does not run yet.
    pub(super) fn begin(
        &self,
        began: Began,
        records: &[(RecordKey, Vec<u8>)],
        found: &[AdoptedRun],
    ) {
        let records = records.iter().map(|(key, bytes)| (*key, bytes.clone()));
        let records = records.map(|(key, bytes)| Entry::Record { key, bytes });
        let found = found.iter().map(|run| Entry::Found(Box::new(run.clone())));
        for entry in std::iter::once(Entry::Began(Box::new(began))).chain(records).chain(found) {
            self.write(&entry, |entries, bytes| entries.send(bytes).is_ok());
        }
    }

    /// Writes one entry, unless the history has ended. Never waits.
    pub(super) fn note(&self, entry: &Entry) {
        self.write(entry, |entries, bytes| entries.try_send(bytes).is_ok());
    }

    fn write(&self, entry: &Entry, send: impl Fn(&SyncSender<Vec<u8>>, Vec<u8>) -> bool) {
        let mut history = self.open.lock().expect("nothing panics while it holds this");
        let Some(open) = history.as_mut() else { return };
        let why = match history::encode(entry) {
            None => "an entry is larger than any message",
            Some(bytes) if bytes.len() > open.bytes_left => "it is as large as it may be",
            Some(bytes) => {
                open.bytes_left -= bytes.len();
                if send(&open.entries, bytes) {
                    return;
                }
                "the disk cannot follow"
            }
        };
        tracing::warn!("the history {} ends here: {why}", open.path.display());
        *history = None;
    }
}

/// Writes entries until the channel is closed; flushes whenever no entry waits.
fn write(file: &mut impl Write, waiting: &Receiver<Vec<u8>>) -> io::Result<()> {
    while let Ok(entry) = waiting.recv() {
        file.write_all(&entry)?;
        while let Ok(entry) = waiting.try_recv() {
            file.write_all(&entry)?;
        }
        file.flush()?;
    }
    Ok(())
}

/// A signer that passes calls on to another signer, and records what that signed.
pub(super) struct NotedSigner<S> {
    pub(super) signer: S,
    pub(super) history: History,
}

impl<S: Signer> Signer for NotedSigner<S> {
    fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    fn sign(&self, message: &[u8]) -> Signature {
        let signature = self.signer.sign(message);
        self.history.note(&Entry::Signed(signature));
        signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gossip::Now;

    /// All entries of a file, once it has `count` of them.
    fn entries(path: &Path, count: usize) -> Vec<Entry> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let bytes = std::fs::read(path).expect("a file");
            let entries = history::decode(&bytes).expect("a history");
            if entries.len() >= count {
                return entries;
            }
            assert!(std::time::Instant::now() < deadline, "only {entries:?}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_history_is_written_for_its_owner_alone_and_an_older_one_is_kept() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("n1.history");
        for now in [1, 2] {
            let history = History::create(&path).expect("a history");
            history.note(&Entry::Started { now: Now(now), wall_ms: 0 });
            assert_eq!(entries(&path, 1).len(), 1);
        }
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let old = entries(&dir.path().join("n1.history.old"), 1);
        assert!(matches!(old[..], [Entry::Started { now: Now(1), .. }]), "{old:?}");
    }

    #[test]
    fn a_history_that_is_full_ends_and_what_was_written_is_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("n1.history");
        let history = History::create(&path).expect("a history");
        let entry = Entry::Signed(Signature([7; 64]));
        let bytes = history::encode(&entry).expect("a small entry").len();
        history.open.lock().expect("alone").as_mut().expect("open").bytes_left = 3 * bytes - 1;
        (0..5).for_each(|_| history.note(&entry));
        assert_eq!(entries(&path, 2).len(), 2);
    }
}
