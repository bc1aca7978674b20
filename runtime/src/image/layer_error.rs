//! Why a layer cannot be unpacked: its stream, its entries, its content, or the disk.

use nix::errno::Errno;

use super::digest::Digest;
use crate::tar_entries::TarError;

/// Why a layer cannot be unpacked. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Owners and devices need root.
    #[error("unpacking needs root, for owners and devices: run the agent as root")]
    NotRoot,
    /// Neither blob nor folder.
    #[error("is not here any more: pull the image again")]
    Missing,
    /// An entry that would land outside.
    #[error("is refused: {entry:?} would leave the layer through {way}")]
    Escapes {
        /// Its name.
        entry: String,
        /// `..`, a link.
        way: &'static str,
    },
    /// The stream.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A hard link to nothing.
    #[error("has the hard link {entry:?} to {target:?}, which is not in the layer")]
    NoTarget {
        /// Its name.
        entry: String,
        /// What it should link to.
        target: String,
    },
    /// An entry whose name cannot be one.
    #[error("has the entry {entry:?}, {why}")]
    Entry {
        /// Its name.
        entry: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The content is not what the configuration promised.
    #[error("is damaged: its content is {found}; it was thrown away and is fetched again")]
    WrongContent {
        /// What it is.
        found: Digest,
    },
    /// The disk refuses.
    #[error("cannot {step} {entry:?}: {errno}{}", explain(*.errno))]
    Disk {
        /// The step.
        step: &'static str,
        /// Of which entry.
        entry: String,
        /// Why.
        errno: Errno,
    },
}

fn explain(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOSPC | Errno::EDQUOT => ": free some space",
        Errno::EPERM => ": run the agent as root, with CAP_MKNOD and CAP_SYS_ADMIN",
        Errno::EOPNOTSUPP => ": the file system has no attributes; use ext4, xfs or btrfs",
        _ => "",
    }
}
