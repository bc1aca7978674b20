//! Files with secrets, readable for their owner only; most hold 32 secret bytes as hex. Each is written
//! under another name first, then renamed, both synced, so that it is complete. No existing key must
//! ever be lost.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::IdentityError;
use crate::config::FleetKey;

pub(super) fn read_or_create(path: &Path) -> Result<[u8; 32], IdentityError> {
    match std::fs::read_to_string(path) {
        Ok(text) => text
            .parse::<FleetKey>()
            .map(|key| *key.bytes())
            .map_err(|_| IdentityError::NotAKey { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(IdentityError::Random)?;
            create(path, &secret)
                .map_err(|error| IdentityError::File { path: path.to_owned(), error })?;
            Ok(secret)
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(IdentityError::NotAKey { path: path.to_owned() })
        }
        Err(error) => Err(IdentityError::File { path: path.to_owned(), error }),
    }
}

/// Replaces the bytes of the file; the old ones are kept under another name.
pub(super) fn replace(path: &Path, secret: &[u8; 32]) -> Result<(), IdentityError> {
    let failed = |error| IdentityError::File { path: path.to_owned(), error };
    match std::fs::copy(path, path.with_extension("key.old")) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    write(path, secret)
}

/// Writes the bytes, in the place of others.
pub(super) fn write(path: &Path, secret: &[u8; 32]) -> Result<(), IdentityError> {
    create(path, secret).map_err(|error| IdentityError::File { path: path.to_owned(), error })
}

fn create(path: &Path, secret: &[u8; 32]) -> std::io::Result<()> {
    write_secret_file(path, &FleetKey::from_bytes(*secret).reveal())
}

/// Writes a text into a file of the data directory, in the place of what it has.
pub fn write_secret_file(path: &Path, text: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    let dir = path.parent().expect("a key file lies in the data directory");
    File::open(dir)?.sync_all()
}
