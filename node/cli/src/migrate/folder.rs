//! The folder that is written: all of it, or nothing.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Where the files go.
pub struct Folder {
    /// Its path.
    pub path: PathBuf,
    /// May files that are there be written over?
    pub is_forced: bool,
}

impl Folder {
    /// Writes files, with their paths below the folder.
    pub fn write(&self, files: &[(PathBuf, Vec<u8>)]) -> Result<(), Failure> {
        let is_there = |path: &PathBuf| self.path.join(path).symlink_metadata().is_ok();
        let there = files.iter().map(|(path, _)| path).find(|path| is_there(path));
        if let Some(path) = there.filter(|_| !self.is_forced) {
            return Err(Failure::new(format!(
                "{} is there already",
                self.path.join(path).display()
            ))
            .why("nothing was written")
            .hint("--output of another folder")
            .hint("--force, to write over it"));
        }
        for (path, data) in files {
            let path = self.path.join(path);
            let folder = path.parent().unwrap_or(Path::new("/"));
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, data)).map_err(
                |error| {
                    Failure::new(format!("cannot write {}", path.display()))
                        .why(error.to_string())
                        .hint("--output of a folder that you may write to")
                },
            )?;
        }
        Ok(())
    }
}
