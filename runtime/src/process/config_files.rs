//! The files that a container gets of configs: written into the folder of its run, each with the
//! owner and the permissions that its service gave it, and mounted read-only from there. Nothing of
//! them is in a layer of the image. They end with the run.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::pin::Pin;

use crdt_state::ConfigId;
use crdt_state::config::ConfigFile;

use crate::run_dir;

/// The data of configs.
pub type ConfigData = BTreeMap<ConfigId, Vec<u8>>;

/// Gives the data of configs.
pub trait ReadConfigs: Send + Sync + std::fmt::Debug {
    /// The data of those of the configs that are here.
    fn read<'a>(
        &'a self,
        ids: Vec<ConfigId>,
    ) -> Pin<Box<dyn Future<Output = ConfigData> + Send + 'a>>;
}

/// Writes the files of a run into its folder. Data that is missing is an error of the caller's.
pub(super) fn write(dir: &Path, files: &[ConfigFile], data: &ConfigData) -> io::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(dir.join(run_dir::CONFIGS))?;
    for (at, file) in files.iter().enumerate() {
        let bytes = data.get(&file.config).ok_or(io::ErrorKind::NotFound)?;
        let mut written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(run_dir::config(dir, at))?;
        written.write_all(bytes)?;
        fchown(&written, Some(file.uid), Some(file.gid))?;
        // Last: a change of the owner takes the set-user-id bit off.
        written.set_permissions(Permissions::from_mode(file.mode))?;
    }
    Ok(())
}
