//! What images are called on this node: `names.json`, reference → digest and where it came from.
//!
//! Written as a whole, synced and renamed, only when something changed. A file that cannot be read
//! is put aside and an empty one takes its place: content is found by digest without it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::ImageError;

const FILE: &str = "names.json";

/// How an image came to this node, and with it how long it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Loaded, imported or built here: nobody else may have it. Stays until it is removed.
    Loaded,
    /// An operator asked for it. Stays until it is removed.
    Pulled,
    /// A task needed it. Goes when no service names it any more.
    #[serde(rename = "brought")]
    ForTask,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Of a manifest or an index.
    pub digest: Digest,
    /// How it came here.
    pub origin: Origin,
}

/// All names, by [`super::Reference::canonical`]; an image without a name is listed under its
/// digest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Names(pub(crate) BTreeMap<String, Named>);

impl Names {
    /// Reads the file; none is no names.
    pub(crate) fn read(root: &Path) -> Result<Names, ImageError> {
        let path = root.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Names::default()),
            Err(error) => return Err(ImageError::disk("read", &path)(error)),
        };
        serde_json::from_slice(&bytes).or_else(|error| {
            let aside = root.join("names.json.damaged");
            tracing::warn!(%error, "the names of images are damaged: put aside as {aside:?}");
            fs::rename(&path, &aside).map_err(ImageError::disk("put aside", &path))?;
            Ok(Names::default())
        })
    }

    /// Brings the names to the disk.
    pub(crate) fn write(&self, root: &Path) -> Result<(), ImageError> {
        let text = serde_json::to_vec_pretty(self).expect("names have a form in JSON");
        write_synced(root, FILE, &text)
    }
}

/// Writes a file that is whole after a power cut, or not changed.
pub(crate) fn write_synced(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
    let path = dir.join(name);
    let draft = dir.join(format!("{name}.new"));
    let write = || {
        fs::create_dir_all(dir)?;
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(ImageError::disk("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let named = Named { digest: Digest::of(b"manifest"), origin: Origin::Loaded };
        Names(BTreeMap::from([("docker.io/library/app:1".to_owned(), named)]))
    }

    #[test]
    fn names_are_read_back_as_they_were_written() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(Names::read(dir.path()).expect("none"), Names::default());
        names().write(dir.path()).expect("it writes");
        assert_eq!(Names::read(dir.path()).expect("it reads"), names());
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_nothing_of_it_is_believed() {
        let dir = tempfile::tempdir().expect("a folder");
        names().write(dir.path()).expect("it writes");
        let bytes = fs::read(dir.path().join(FILE)).expect("it is there");
        fs::write(dir.path().join(FILE), &bytes[..bytes.len() / 2]).expect("it is cut");
        assert_eq!(Names::read(dir.path()).expect("it opens"), Names::default());
        assert!(dir.path().join("names.json.damaged").exists());
    }
}
