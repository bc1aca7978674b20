//! The files that a container gets of configs: written into the folder of its run, each with the
//! owner and the permissions that its service gave it, and mounted read-only from there. Nothing of
//! them is in a layer of the image. They end with the run. Those of secrets: [`crate::secret_files`].

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crdt_state::file::ConfigFile;
use crdt_state::secret::Plaintext;

use crate::fleet_files::{FileData, write_one};
use crate::run_dir;

/// Writes the files of a run's configs into its folder. Data that is missing is an error of the
/// caller's.
pub(super) fn write(dir: &Path, files: &[ConfigFile], data: &FileData) -> io::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(dir.join(run_dir::CONFIGS))?;
    for (at, file) in files.iter().enumerate() {
        let Plaintext(bytes) = data.get(&file.file()).ok_or(io::ErrorKind::NotFound)?;
        write_one(&run_dir::config(dir, at), file, bytes)?;
    }
    Ok(())
}
