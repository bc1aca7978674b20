//! The data of the files that a container gets of the fleet, configs and secrets, and how one of them
//! is written. Where is another matter: a secret never is on a disk.

use std::collections::BTreeMap;
use std::fs::{OpenOptions, Permissions};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::pin::Pin;

use crdt_state::file::{ConfigFile, FileUse, SecretFile};
use crdt_state::secret::Plaintext;
use crdt_state::spec::Extension;
use crdt_state::task::TaskStart;
use crdt_state::{ConfigId, FileId};

/// The data of configs and secrets, which is overwritten when it is dropped.
pub type FileData = BTreeMap<FileId, Plaintext>;

/// The files that a run gets of the fleet.
#[derive(Debug, Default)]
pub struct RunFiles {
    /// Their data. Of templates: filled in for this run.
    pub data: FileData,
    /// The configs that were filled in. A secret may be part of them.
    pub filled: Vec<ConfigId>,
}

/// The answer of [`ReadFiles::read`].
pub type Reading<'a> = Pin<Box<dyn Future<Output = Result<RunFiles, String>> + Send + 'a>>;

/// Gives the data of configs and secrets.
pub trait ReadFiles: Send + Sync + std::fmt::Debug {
    /// The data of those of a run that are here and that this node can read; or why the template in
    /// one of them cannot be filled in.
    fn read<'a>(&'a self, start: &'a TaskStart) -> Reading<'a>;
}

/// The files of a run that never are on a disk, in the order in which they are handed over: the
/// secrets, then the configs that were filled in.
pub(crate) fn in_memory(extension: &Extension, filled: &[ConfigId]) -> Vec<FileUse<FileId>> {
    let configs = extension.configs.iter().filter(|file| filled.contains(&file.id));
    let secrets = extension.secrets.iter().map(SecretFile::unsorted);
    secrets.chain(configs.map(ConfigFile::unsorted)).collect()
}

/// Writes one file, with its owner and permissions.
pub(crate) fn write_one<I>(path: &Path, file: &FileUse<I>, bytes: &[u8]) -> io::Result<()> {
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    written.write_all(bytes)?;
    fchown(&written, Some(file.uid), Some(file.gid))?;
    // Last: a change of the owner takes the set-user-id bit off.
    written.set_permissions(Permissions::from_mode(file.mode))
}
