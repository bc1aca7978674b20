//! The data of the files that a container gets of the fleet, configs and secrets, and how one of them
//! is written. Where is another matter: a secret never is on a disk.

use std::collections::BTreeMap;
use std::fs::{OpenOptions, Permissions};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::pin::Pin;

use crdt_state::FileId;
use crdt_state::file::FileUse;
use crdt_state::secret::Plaintext;

/// The data of configs and secrets, which is overwritten when it is dropped.
pub type FileData = BTreeMap<FileId, Plaintext>;

/// Gives the data of configs and secrets.
pub trait ReadFiles: Send + Sync + std::fmt::Debug {
    /// The data of those that are here and that this node can read.
    fn read<'a>(&'a self, ids: Vec<FileId>) -> Pin<Box<dyn Future<Output = FileData> + Send + 'a>>;
}

/// Writes one file, with its owner and permissions.
pub(crate) fn write_one<I>(path: &Path, file: &FileUse<I>, bytes: &[u8]) -> io::Result<()> {
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    written.write_all(bytes)?;
    fchown(&written, Some(file.uid), Some(file.gid))?;
    // Last: a change of the owner takes the set-user-id bit off.
    written.set_permissions(Permissions::from_mode(file.mode))
}
