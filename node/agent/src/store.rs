//! The store: every record this node knows, in one transactional file in the data directory.
//!
//! Acknowledged writes survive a power cut at any moment. A file that cannot be read is moved
//! aside, never deleted, and an empty store with a new id takes its place: the node pulls its state
//! from its peers. The store must never be written when nothing changed, and must never end the
//! agent.

mod failure;
mod sealing;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crdt_state::{RecordKey, StoreId};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use failure::{OpenFailure, Unreadable, panic_text, sort};
use sealing::{Meta, sealed};

use crate::lock::SealingKey;

pub use failure::StoreError;
pub use writer::{Batch, Sealing, StoreEvent, StoreWriter};

/// The store's file in the data directory.
pub const STORE_FILE: &str = "state.redb";

/// The layout of the tables. Records carry their own version.
const FORMAT: u64 = 1;

/// The same, with values that are sealed.
const SEALED_FORMAT: u64 = 2;

/// Memory for pages. Records are read once, at the start, and kept by the replica; 256 KiB hold the
/// inner pages of a tree of some thousand records, which every write needs.
const CACHE_BYTES: usize = 256 * 1024;

/// Unreadable files that are kept beside the store; above, the last one is replaced.
const SET_ASIDE_MAX: u32 = 9;

const RECORDS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("records");
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// In `META`: the layout.
const FORMAT_NAME: &str = "format";

/// In `META`: the id of the store.
const STORE_ID: &str = "store id";

/// In `META`: the number of the agent's start that used the store last.
const BOOT: &str = "boot";

/// An open store.
pub struct Store {
    path: PathBuf,
    database: Database,
    /// By what its values are sealed.
    key: Option<SealingKey>,
}

/// The contents of an opened store.
pub struct OpenedStore {
    /// The store.
    pub store: Store,
    /// Its id, for the writer of this node.
    pub id: StoreId,
    /// All records, by key.
    pub records: Vec<(RecordKey, Vec<u8>)>,
    /// The file that could not be read, if there was one.
    pub set_aside: Option<SetAside>,
    /// Why the store is not sealed although it should be, or the other way round.
    pub not_rewritten: Option<String>,
}

/// Whether a store is an older copy that replaced the one that was used last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// It is the one that was used last.
    No,
    /// It is older.
    Older {
        /// The last start of the agent that used it.
        last: u64,
    },
}

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now.
    pub path: PathBuf,
    /// What was wrong with it.
    pub why: String,
}

struct Contents {
    database: Database,
    format: u64,
    id: StoreId,
    records: Vec<(RecordKey, Vec<u8>)>,
}

impl Store {
    /// Opens the store of a data directory, made if there is none, and reads all of it. With a key it
    /// is sealed by it afterwards, also if it was not before; a sealed one needs its key.
    pub fn open(data_dir: &Path, key: Option<SealingKey>) -> Result<OpenedStore, StoreError> {
        let path = data_dir.join(STORE_FILE);
        let (contents, set_aside) = match open_file(&path, key.as_ref()) {
            Ok(contents) => (contents, None),
            Err(OpenFailure::Refused(error)) => return Err(error),
            Err(OpenFailure::Unreadable(Unreadable(why))) => {
                let aside = set_aside(&path)?;
                let contents = open_file(&path, key.as_ref()).map_err(|failure| match failure {
                    OpenFailure::Refused(error) => error,
                    OpenFailure::Unreadable(Unreadable(error)) => {
                        StoreError::Disk { path: path.clone(), error }
                    }
                })?;
                (contents, Some(SetAside { path: aside, why }))
            }
        };
        let Contents { database, format, id, records } = contents;
        // What an interrupted rewriting left.
        let _ = std::fs::remove_file(sealing::fresh_path(&path));
        restrict(&path);
        let store = Store { path, database, key: None };
        let (store, not_rewritten) = match (key, format) {
            (None, _) => (store, None),
            (Some(key), SEALED_FORMAT) => (Store { key: Some(key), ..store }, None),
            // The agent ended before the store was sealed.
            (Some(key), _) => match store.reseal(Some(key)) {
                Ok(store) => (store, None),
                Err((store, why)) => (store, Some(why)),
            },
        };
        Ok(OpenedStore { store, id, records, set_aside, not_rewritten })
    }

    /// The same store, sealed by this key or by none. An error leaves it as it was.
    fn reseal(self, key: Option<SealingKey>) -> Result<Store, (Store, String)> {
        match self.rewritten(key.as_ref()) {
            Ok(database) => Ok(Store { path: self.path, database, key }),
            Err(why) => Err((self, why)),
        }
    }

    fn rewritten(&self, key: Option<&SealingKey>) -> Result<Database, String> {
        let boot = || -> Result<Option<u64>, redb::Error> {
            let table = self.database.begin_read()?.open_table(META)?;
            Ok(table.get(BOOT)?.map(|boot| boot.value()))
        };
        let boot = boot().map_err(|error| error.to_string())?;
        match read(&self.path, &self.database, self.key.as_ref()) {
            Ok(Some(Rows { id, records, .. })) => {
                let rows = records.iter().map(|(row, value)| (*row, value.as_slice()));
                sealing::rewrite(&self.path, &Meta { id, boot }, key, rows)
            }
            Ok(None) => Err("the store is empty".to_owned()),
            Err(OpenFailure::Unreadable(Unreadable(why))) => Err(why),
            Err(OpenFailure::Refused(error)) => Err(error.to_string()),
        }
    }

    /// Opens a store again that refused a write. The file must exist: a store is never made from
    /// scratch under a running agent.
    fn reopen(path: &Path, key: Option<SealingKey>) -> Result<Store, String> {
        let open = || Database::builder().set_cache_size(CACHE_BYTES).open(path);
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(database)) => Ok(Store { path: path.to_owned(), database, key }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => Err(panic_text(&*panic)),
        }
    }

    /// Gives the store a new id, as if it had been created now.
    pub fn renew_id(&self) -> Result<StoreId, StoreError> {
        initialise(&self.database, self.key.as_ref())
            .map_err(|error| StoreError::Disk { path: self.path.clone(), error: error.to_string() })
    }

    /// Notes that the agent's start with this number uses the store. Returns whether the store is
    /// an older copy, which did not see the start before this one.
    pub fn note_boot(&self, boot: u64) -> Result<Copied, StoreError> {
        let note = || -> Result<Option<u64>, redb::Error> {
            let transaction = self.database.begin_write()?;
            let last = {
                let mut table = transaction.open_table(META)?;
                table.insert(BOOT, boot)?.map(|last| last.value())
            };
            transaction.commit()?;
            Ok(last)
        };
        let last = note().map_err(|error| StoreError::Disk {
            path: self.path.clone(),
            error: error.to_string(),
        })?;
        // Stores of older versions have no such note.
        Ok(match last {
            Some(last) if last.saturating_add(1) != boot => Copied::Older { last },
            _ => Copied::No,
        })
    }

    /// Writes all of a batch or nothing of it; it is on disk when this returns.
    pub fn write(&self, batch: &Batch) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            for (key, change) in &batch.changes {
                match change {
                    Some(bytes) => {
                        let value = sealed(self.key.as_ref(), key, bytes);
                        table.insert(key.to_bytes().as_slice(), value.as_slice())?
                    }
                    None => table.remove(key.to_bytes().as_slice())?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Opens, creates where empty, and reads. A damaged file can trip an assertion of the database;
/// that means a bad file, not a bug of this program.
fn open_file(path: &Path, key: Option<&SealingKey>) -> Result<Contents, OpenFailure> {
    catch_unwind(AssertUnwindSafe(|| open_or_create(path, key)))
        .unwrap_or_else(|panic| Err(OpenFailure::Unreadable(Unreadable(panic_text(&*panic)))))
}

fn open_or_create(path: &Path, key: Option<&SealingKey>) -> Result<Contents, OpenFailure> {
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create(path)
        .map_err(|error| sort(path, error.into()))?;
    let Rows { format, id, records } = match read(path, &database, key)? {
        Some(rows) => rows,
        None => {
            let id = initialise(&database, key).map_err(|error| sort(path, error))?;
            Rows { format: format_with(key), id, records: Vec::new() }
        }
    };
    Ok(Contents { database, format, id, records })
}

fn format_with(key: Option<&SealingKey>) -> u64 {
    if key.is_some() { SEALED_FORMAT } else { FORMAT }
}

/// What a store holds, with its values opened.
struct Rows {
    format: u64,
    id: StoreId,
    records: Vec<(RecordKey, Vec<u8>)>,
}

/// `None`: the file is new.
fn read(
    path: &Path,
    database: &Database,
    key: Option<&SealingKey>,
) -> Result<Option<Rows>, OpenFailure> {
    let failed = |error: redb::Error| sort(path, error);
    let transaction = database.begin_read().map_err(|error| failed(error.into()))?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    };
    let number = |name| -> Result<Option<u64>, OpenFailure> {
        let value = meta.get(name).map_err(|error| failed(error.into()))?;
        Ok(value.map(|value| value.value()))
    };
    let unreadable = |why: &str| OpenFailure::Unreadable(Unreadable(why.to_owned()));
    let path = path.to_owned();
    let format = number(FORMAT_NAME)?.ok_or_else(|| unreadable("it has no format"))?;
    let key = match (format, key) {
        (FORMAT, _) => None,
        (SEALED_FORMAT, Some(key)) => Some(key),
        (SEALED_FORMAT, None) => return Err(OpenFailure::Refused(StoreError::Sealed { path })),
        _ => return Err(OpenFailure::Refused(StoreError::Newer { path, format })),
    };
    let id = number(STORE_ID)?.ok_or_else(|| unreadable("it has no id"))?;
    let table = transaction.open_table(RECORDS).map_err(|error| failed(error.into()))?;
    let mut records = Vec::new();
    for row in table.iter().map_err(|error| failed(error.into()))? {
        let (row, value) = row.map_err(|error| failed(error.into()))?;
        let row =
            RecordKey::from_bytes(row.value()).ok_or_else(|| unreadable("a key is damaged"))?;
        let value = match key {
            Some(key) => key.open(&row.to_bytes(), value.value()),
            None => Some(value.value().to_vec()),
        };
        records.push((row, value.ok_or_else(|| unreadable("it is sealed by another key"))?));
    }
    Ok(Some(Rows { format, id: StoreId(id), records }))
}

/// Writes the tables and a new id.
fn initialise(database: &Database, key: Option<&SealingKey>) -> Result<StoreId, redb::Error> {
    let mut id = [0; 8];
    getrandom::fill(&mut id).expect("random bytes made the node's key a moment ago");
    let id = u64::from_le_bytes(id);
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(FORMAT_NAME, format_with(key))?;
        meta.insert(STORE_ID, id)?;
        transaction.open_table(RECORDS)?;
    }
    transaction.commit()?;
    Ok(StoreId(id))
}

/// Lets nobody but the owner read the file. Its directory does so as well.
fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)) {
        tracing::warn!("others may read {}: {error}", path.display());
    }
}

/// Moves the file to the first free `state.redb.unreadable-N`.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let name = |n: u32| path.with_extension(format!("redb.unreadable-{n}"));
    let aside = (1..SET_ASIDE_MAX).map(name).find(|aside| !aside.exists());
    let aside = aside.unwrap_or_else(|| name(SET_ASIDE_MAX));
    let failed = |error: std::io::Error| StoreError::Disk {
        path: path.to_owned(),
        error: error.to_string(),
    };
    std::fs::rename(path, &aside).map_err(failed)?;
    let dir = path.parent().expect("the store lies in the data directory");
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
    Ok(aside)
}

#[cfg(test)]
mod tests;
