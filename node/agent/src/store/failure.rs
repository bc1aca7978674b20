//! Why a store cannot be opened: a file that is damaged, or a disk that refuses.

use std::any::Any;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::FORMAT;
use crate::lock::SEALED_KEYS_FILE;

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
    /// It is sealed, and there is no key to it.
    #[error(
        "{} is sealed, and the file with the keys of this node is not beside it\n  \
         put {SEALED_KEYS_FILE} back from where it is; without it move the store away: the node then \
         pulls its state from its peers", path.display()
    )]
    Sealed {
        /// The file.
        path: PathBuf,
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

/// A file that can never be opened, in contrast to a disk that may be repaired.
pub(super) struct Unreadable(pub(super) String);

pub(super) enum OpenFailure {
    Unreadable(Unreadable),
    Refused(StoreError),
}

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("damaged").to_owned()
}

/// Distinguishes a damaged file from a disk that refuses now and may work later.
pub(super) fn sort(path: &Path, error: redb::Error) -> OpenFailure {
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
