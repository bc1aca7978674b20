//! The store: every record this node knows, in one transactional file in the data directory.
//!
//! Acknowledged writes survive a power cut at any moment. A file that cannot be read is moved
//! aside, never deleted, and an empty store with a new id takes its place: the node pulls its state
//! from its peers. The store must never be written when nothing changed, and must never end the
//! agent.

mod writer;

use std::any::Any;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crdt_state::{RecordKey, StoreId};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

pub use writer::{Batch, StoreEvent, StoreWriter};

/// The store's file in the data directory.
pub const STORE_FILE: &str = "state.redb";

/// The layout of the tables. Records carry their own version.
const FORMAT: u64 = 1;

/// Memory for pages. Records are read once, at the start, and kept by the replica; 256 KiB hold the
/// inner pages of a tree of some thousand records, which every write needs.
const CACHE_BYTES: usize = 256 * 1024;

/// Unreadable files that are kept beside the store; above, the last one is replaced.
const SET_ASIDE_MAX: u32 = 9;

const RECORDS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("records");
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// In `META`: the number of the agent's start that used the store last.
const BOOT: &str = "boot";

/// Why there is no store. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another agent has it open.
    #[error(
        "another agent uses {}\n  stop that one (edgectl status shows it), or give this one its \
         own directory with --data-dir DIR", path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "{} was written by a newer edgectl (format {format}, this one knows {FORMAT})\n  \
         start that version, or move the file away: the node then pulls its state from its peers",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u64,
    },
    /// The disk refuses.
    #[error("cannot open {}: {error}\n  see that the disk is mounted, writable and not full, or \
             name another directory with --data-dir DIR", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// The system's message.
        error: String,
    },
}

/// An open store.
pub struct Store {
    path: PathBuf,
    database: Database,
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

/// A file that can never be opened, in contrast to a disk that may be repaired.
struct Unreadable(String);

enum OpenFailure {
    Unreadable(Unreadable),
    Refused(StoreError),
}

type Contents = (Database, StoreId, Vec<(RecordKey, Vec<u8>)>);

impl Store {
    /// Opens the store of a data directory, made if there is none, and reads all of it.
    pub fn open(data_dir: &Path) -> Result<OpenedStore, StoreError> {
        let path = data_dir.join(STORE_FILE);
        let (contents, set_aside) = match open_file(&path) {
            Ok(contents) => (contents, None),
            Err(OpenFailure::Refused(error)) => return Err(error),
            Err(OpenFailure::Unreadable(Unreadable(why))) => {
                let aside = set_aside(&path)?;
                let contents = open_file(&path).map_err(|failure| match failure {
                    OpenFailure::Refused(error) => error,
                    OpenFailure::Unreadable(Unreadable(error)) => {
                        StoreError::Disk { path: path.clone(), error }
                    }
                })?;
                (contents, Some(SetAside { path: aside, why }))
            }
        };
        let (database, id, records) = contents;
        Ok(OpenedStore { store: Store { path, database }, id, records, set_aside })
    }

    /// Opens a store again that refused a write. The file must exist: a store is never made from
    /// scratch under a running agent.
    fn reopen(path: &Path) -> Result<Store, String> {
        let open = || Database::builder().set_cache_size(CACHE_BYTES).open(path);
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(database)) => Ok(Store { path: path.to_owned(), database }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => Err(panic_text(&*panic)),
        }
    }

    /// Gives the store a new id, as if it had been created now.
    pub fn renew_id(&self) -> Result<StoreId, StoreError> {
        initialise(&self.database)
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
                    Some(bytes) => table.insert(key.to_bytes().as_slice(), bytes.as_slice())?,
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
fn open_file(path: &Path) -> Result<Contents, OpenFailure> {
    catch_unwind(AssertUnwindSafe(|| open_or_create(path)))
        .unwrap_or_else(|panic| Err(OpenFailure::Unreadable(Unreadable(panic_text(&*panic)))))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("damaged").to_owned()
}

fn open_or_create(path: &Path) -> Result<Contents, OpenFailure> {
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create(path)
        .map_err(|error| sort(path, error.into()))?;
    let (id, records) = match read(path, &database)? {
        Some(contents) => contents,
        None => (initialise(&database).map_err(|error| sort(path, error))?, Vec::new()),
    };
    Ok((database, id, records))
}

type Records = (StoreId, Vec<(RecordKey, Vec<u8>)>);

/// `None`: the file is new.
fn read(path: &Path, database: &Database) -> Result<Option<Records>, OpenFailure> {
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
    match number("format")? {
        Some(FORMAT) => {}
        Some(format) => {
            return Err(OpenFailure::Refused(StoreError::Newer { path: path.to_owned(), format }));
        }
        None => return Err(OpenFailure::Unreadable(Unreadable("it has no format".to_owned()))),
    }
    let Some(id) = number("store id")? else {
        return Err(OpenFailure::Unreadable(Unreadable("it has no id".to_owned())));
    };
    let table = transaction.open_table(RECORDS).map_err(|error| failed(error.into()))?;
    let mut records = Vec::new();
    for row in table.iter().map_err(|error| failed(error.into()))? {
        let (key, value) = row.map_err(|error| failed(error.into()))?;
        let key = RecordKey::from_bytes(key.value())
            .ok_or_else(|| OpenFailure::Unreadable(Unreadable("a key is damaged".to_owned())))?;
        records.push((key, value.value().to_vec()));
    }
    Ok(Some((StoreId(id), records)))
}

/// Writes the tables and a new id.
fn initialise(database: &Database) -> Result<StoreId, redb::Error> {
    let mut id = [0; 8];
    getrandom::fill(&mut id).expect("random bytes made the node's key a moment ago");
    let id = u64::from_le_bytes(id);
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT)?;
        meta.insert("store id", id)?;
        transaction.open_table(RECORDS)?;
    }
    transaction.commit()?;
    Ok(StoreId(id))
}

/// Distinguishes a damaged file from a disk that refuses now and may work later.
fn sort(path: &Path, error: redb::Error) -> OpenFailure {
    use OpenFailure::{Refused, Unreadable as Damaged};
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen => Refused(StoreError::InUse { path }),
        redb::Error::Io(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::StorageFull
                    | ErrorKind::QuotaExceeded
                    | ErrorKind::NotFound
                    | ErrorKind::IsADirectory
            ) =>
        {
            Refused(StoreError::Disk { path, error: error.to_string() })
        }
        error => Damaged(Unreadable(error.to_string())),
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
