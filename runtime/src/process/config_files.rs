//! The files that a container gets of configs: written into the folder of its run, each with the
//! owner and the permissions that its service gave it, and mounted read-only from there. Nothing of
//! them is in a layer of the image. They end with the run. Those of secrets, and configs that were filled
//! in: [`crate::secret_files`].

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crdt_state::ConfigId;
use crdt_state::file::ConfigFile;
use crdt_state::secret::Plaintext;

use crate::fleet_files::{FileData, write_one};
use crate::run_dir;

/// Writes the files of a run's configs into its folder, but for those that were filled in. Data that
/// is missing is an error of the caller's.
pub(super) fn write(
    dir: &Path,
    files: &[ConfigFile],
    filled: &[ConfigId],
    data: &FileData,
) -> io::Result<()> {
    let is_plain = |file: &ConfigFile| !filled.contains(&file.id);
    if !files.iter().any(is_plain) {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(dir.join(run_dir::CONFIGS))?;
    for (at, file) in files.iter().enumerate().filter(|(_, file)| is_plain(file)) {
        let Plaintext(bytes) = data.get(&file.file()).ok_or(io::ErrorKind::NotFound)?;
        write_one(&run_dir::config(dir, at), file, bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_that_was_filled_in_is_in_no_folder() {
        let file = |id: u8| ConfigFile {
            id: ConfigId([id; 16]),
            name: "a".into(),
            target: "/a".into(),
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            mode: 0o400,
        };
        let files = [file(1), file(2)];
        let one = |file: &ConfigFile| (file.file(), Plaintext(b"level=7".to_vec()));
        let data: FileData = files.iter().map(one).collect();
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &files, &[files[0].id], &data).unwrap();
        assert!(!run_dir::config(dir.path(), 0).exists());
        assert_eq!(std::fs::read(run_dir::config(dir.path(), 1)).unwrap(), b"level=7");

        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &files, &[files[0].id, files[1].id], &data).unwrap();
        assert!(!dir.path().join(run_dir::CONFIGS).exists());
    }
}
