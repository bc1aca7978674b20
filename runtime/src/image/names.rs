//! The names of images on this node: `names.json`, from reference to digest and origin.
//!
//! The file is written as a whole, synced and renamed, and only after a change. A file that cannot
//! be read is renamed, and an empty one replaces it: content is found by digest without names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::blob::locked;
use super::digest::Digest;
use super::error::ImageError;

const FILE: &str = "names.json";

/// How an image came to this node, which decides how long it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Loaded, imported or built here: maybe the only copy. Stays until it is removed.
    Loaded,
    /// An operator asked for it. Stays until it is removed.
    Pulled,
    /// A task needed it. Is removed when no service names it any more.
    #[serde(rename = "brought")]
    ForTask,
}

/// What a name resolves to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The digest of a manifest or an index.
    pub digest: Digest,
    /// How it came to this node.
    pub origin: Origin,
}

/// All names, by [`super::Reference::canonical`]; an image without a name is listed under its
/// digest.
type Map = BTreeMap<String, Named>;

/// The names of a store: in memory, and the same on the disk.
#[derive(Debug)]
pub(crate) struct Names {
    root: PathBuf,
    map: Mutex<Map>,
}

impl Names {
    /// Reads the file in the folder of the store; without a file there are no names.
    pub(crate) fn open(root: &Path) -> Result<Names, ImageError> {
        Ok(Names { root: root.to_owned(), map: Mutex::new(read(root)?) })
    }

    /// All names with what they resolve to.
    pub(crate) fn all(&self) -> Map {
        locked(&self.map).clone()
    }

    /// What a name resolves to.
    pub(crate) fn find(&self, name: &str) -> Option<Named> {
        locked(&self.map).get(name).cloned()
    }

    /// The digests that have a name.
    pub(crate) fn digests(&self) -> BTreeSet<Digest> {
        locked(&self.map).values().map(|named| named.digest.clone()).collect()
    }

    /// The names of a digest.
    pub(crate) fn of(&self, digest: &Digest) -> Vec<String> {
        let map = locked(&self.map);
        let of = map.iter().filter(|(_, named)| named.digest == *digest);
        of.map(|(name, _)| name.clone()).collect()
    }

    /// Gives a name to a digest. A name that was pulled for a task and is now requested by an
    /// operator stays, and the other way round.
    pub(crate) fn set(
        &self,
        name: String,
        digest: &Digest,
        origin: Origin,
    ) -> Result<(), ImageError> {
        self.change(|map| {
            let kept = map.get(&name).filter(|named| named.digest == *digest);
            let origin = match (kept.map(|named| named.origin), origin) {
                (Some(Origin::Loaded), _) | (_, Origin::Loaded) => Origin::Loaded,
                (Some(Origin::Pulled), _) | (_, Origin::Pulled) => Origin::Pulled,
                _ => Origin::ForTask,
            };
            map.insert(name, Named { digest: digest.clone(), origin });
        })
    }

    /// Lists a digest under itself, unless it is listed so already.
    pub(crate) fn set_nameless(&self, digest: &Digest, origin: Origin) -> Result<(), ImageError> {
        self.change(|map| {
            map.entry(digest.to_string()).or_insert(Named { digest: digest.clone(), origin });
        })
    }

    /// Removes the names that `stays` does not want, and returns them.
    pub(crate) fn retain(
        &self,
        stays: impl Fn(&str, &Named) -> bool,
    ) -> Result<BTreeSet<String>, ImageError> {
        let mut gone = BTreeSet::new();
        self.change(|map| {
            gone.extend(map.iter().filter(|(n, d)| !stays(n, d)).map(|(name, _)| name.clone()));
            map.retain(|name, _| !gone.contains(name));
        })?;
        Ok(gone)
    }

    /// Changes the names, first on the disk, unless they stay what they are.
    fn change(&self, change: impl FnOnce(&mut Map)) -> Result<(), ImageError> {
        let mut map = locked(&self.map);
        let mut changed = map.clone();
        change(&mut changed);
        if changed != *map {
            let text = serde_json::to_vec_pretty(&changed).expect("names have a form in JSON");
            write_synced(&self.root, FILE, &text)?;
            *map = changed;
        }
        Ok(())
    }
}

fn read(root: &Path) -> Result<Map, ImageError> {
    let path = root.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::default()),
        Err(error) => return Err(ImageError::disk("read", &path)(error)),
    };
    serde_json::from_slice(&bytes).or_else(|error| {
        let aside = root.join("names.json.damaged");
        tracing::warn!(%error, "the names of images are damaged: put aside as {aside:?}");
        fs::rename(&path, &aside).map_err(ImageError::disk("put aside", &path))?;
        Ok(Map::default())
    })
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

    const NAME: &str = "docker.io/library/app:1";

    fn write(dir: &Path) -> Map {
        let names = Names::open(dir).expect("it opens");
        assert_eq!(names.all(), Map::default());
        names.set(NAME.to_owned(), &Digest::of(b"manifest"), Origin::Loaded).expect("it writes");
        names.all()
    }

    #[test]
    fn names_are_read_back_as_they_were_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let written = write(dir.path());
        let read = Names::open(dir.path()).expect("it reads");
        assert_eq!((read.all(), read.find(NAME).is_some()), (written, true));
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_nothing_of_it_is_believed() {
        let dir = tempfile::tempdir().expect("a folder");
        write(dir.path());
        let bytes = fs::read(dir.path().join(FILE)).expect("it is there");
        fs::write(dir.path().join(FILE), &bytes[..bytes.len() / 2]).expect("it is cut");
        assert_eq!(Names::open(dir.path()).expect("it opens").all(), Map::default());
        assert!(dir.path().join("names.json.damaged").exists());
    }
}
