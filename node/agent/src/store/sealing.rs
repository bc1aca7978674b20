//! A sealed store: the values of its rows can be read with a key alone. What a row is about, which is
//! kind and id, stays readable.
//!
//! A store is sealed, or opened for good, by writing all of it into a new file, which takes the place of
//! the old one: what a database frees keeps its old bytes.

use std::fs::File;
use std::path::{Path, PathBuf};

use crdt_state::{RecordKey, StoreId};
use redb::Database;

use super::{BOOT, CACHE_BYTES, FORMAT_NAME, META, RECORDS, STORE_ID, format_with, restrict};
use crate::lock::SealingKey;

/// What is in a store, besides its rows.
pub(super) struct Meta {
    pub(super) id: StoreId,
    pub(super) boot: Option<u64>,
}

/// As a row is written with a key, or without one.
pub(super) fn sealed(key: Option<&SealingKey>, row: &RecordKey, value: &[u8]) -> Vec<u8> {
    key.map_or_else(|| value.to_vec(), |key| key.seal(&row.to_bytes(), value))
}

/// Writes all into a new file in the place of the store's. On an error the store is as before.
pub(super) fn rewrite<'a>(
    path: &Path,
    meta: &Meta,
    key: Option<&SealingKey>,
    rows: impl Iterator<Item = (RecordKey, &'a [u8])>,
) -> Result<Database, String> {
    let fresh = fresh_path(path);
    let written = write(&fresh, meta, key, rows).map_err(|error| error.to_string());
    let moved = written.and_then(|database| {
        restrict(&fresh);
        std::fs::rename(&fresh, path).map_err(|error| error.to_string())?;
        let dir = path.parent().expect("the store lies in the data directory");
        if let Err(error) = File::open(dir).and_then(|dir| dir.sync_all()) {
            // The other file has no name any more: what is written to it would be lost.
            tracing::warn!("the new store may have the old name again after a power cut: {error}");
        }
        Ok(database)
    });
    if moved.is_err() {
        // A rest of it is overwritten by the next attempt.
        let _ = std::fs::remove_file(&fresh);
    }
    moved
}

/// Where a store is written before it takes its place.
pub(super) fn fresh_path(path: &Path) -> PathBuf {
    path.with_extension("redb.new")
}

fn write<'a>(
    fresh: &Path,
    meta: &Meta,
    key: Option<&SealingKey>,
    rows: impl Iterator<Item = (RecordKey, &'a [u8])>,
) -> Result<Database, redb::Error> {
    match std::fs::remove_file(fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(fresh)?;
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(META)?;
        table.insert(FORMAT_NAME, format_with(key))?;
        table.insert(STORE_ID, meta.id.0)?;
        if let Some(boot) = meta.boot {
            table.insert(BOOT, boot)?;
        }
        let mut table = transaction.open_table(RECORDS)?;
        for (row, value) in rows {
            table.insert(row.to_bytes().as_slice(), sealed(key, &row, value).as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(database)
}
