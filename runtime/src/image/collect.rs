//! Removes names that nobody needs, and content that no name reaches.
//!
//! Content is removed only if no name and no digest in the keep list reaches it, and if it was not
//! written within the last hour: a pull sets the name last. It must never remove a layer that a
//! running container uses; the container's image is in the keep list.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Images;
use super::digest::Digest;
use super::error::ImageError;
use super::manifest::Document;
use super::names::Origin;
use super::reference::Reference;

/// A fetch that was interrupted so long ago is not continued.
const PARTIAL_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Which images somebody runs: digest of the manifest or index, and who.
pub type Users = BTreeMap<Digest, String>;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    /// Names, as people write them.
    pub untagged: Vec<String>,
    /// Blobs and layers.
    pub deleted: Vec<Digest>,
    /// On the disk.
    pub bytes: u64,
}

/// Which images a prune takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prune {
    /// Those without a name.
    Nameless,
    /// All that nobody runs.
    Unused,
}

/// What happens to an image that is in use, or has several names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It stays.
    Careful,
    /// It goes; what runs keeps its unpacked layers until it ends.
    Forced,
}

/// What the store takes on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Manifests, configurations and layers as they were fetched.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Bytes of blobs that are not whole.
    pub partial_bytes: u64,
    /// Unpacked layers.
    pub layers: u64,
    /// Their bytes.
    pub layer_bytes: u64,
}

#[derive(Default)]
struct Reached {
    blobs: BTreeSet<Digest>,
    layers: BTreeSet<Digest>,
}

impl Images {
    /// Removes a name, and the image with its last one.
    ///
    /// # Errors
    /// [`ImageError::InUse`] and [`ImageError::ManyNames`], unless it is forced.
    pub fn remove(&self, text: &str, users: &Users, removal: Removal) -> Result<Freed, ImageError> {
        let digest = self.resolve(text)?;
        let all: Vec<String> = self.names_of(&digest);
        let named = text.parse::<Reference>().ok().filter(|name| name.digest.is_none());
        let named = named.map(|name| name.canonical()).filter(|name| all.contains(name));
        let is_last = all.len() < 2 || named.is_none();
        if removal == Removal::Careful {
            if named.is_none() && all.len() > 1 {
                return Err(ImageError::ManyNames(text.to_owned()));
            }
            if let Some(users) = users.get(&digest).filter(|_| is_last) {
                let (image, users) = (text.to_owned(), users.clone());
                return Err(ImageError::InUse { image, users });
            }
        }
        let gone: BTreeSet<String> = named.map_or(all, |name| vec![name]).into_iter().collect();
        let before = self.reached(self.roots(&digest))?;
        self.0.names.retain(|name, _| !gone.contains(name))?;
        let mut freed = self.sweep(users.keys(), Some(&before))?;
        freed.untagged = familiar(gone);
        Ok(freed)
    }

    /// Removes images that nobody runs, and content that no name reaches.
    pub fn prune(&self, prune: Prune, users: &Users) -> Result<Freed, ImageError> {
        let gone = self.0.names.retain(|name, named| {
            let goes = prune == Prune::Unused || name.starts_with("sha256:");
            !goes || users.contains_key(&named.digest)
        })?;
        let mut freed = self.sweep(users.keys(), None)?;
        freed.untagged = familiar(gone);
        Ok(freed)
    }

    /// What a node does by itself: images that were pulled for a task go when `keep` does not
    /// name them any more. What an operator loaded or pulled stays.
    pub fn collect(&self, keep: &BTreeSet<Digest>) -> Result<Freed, ImageError> {
        let gone = self
            .0
            .names
            .retain(|_, named| named.origin != Origin::ForTask || keep.contains(&named.digest))?;
        let mut freed = self.sweep(keep.iter(), None)?;
        freed.untagged = familiar(gone);
        Ok(freed)
    }

    /// What the store takes on the disk. Walks through all layers.
    pub fn usage(&self) -> DiskUsage {
        let (blobs, blob_bytes) = sizes(self.0.blobs.folder());
        let (layers, layer_bytes) = sizes(self.0.layers.folder());
        let (_, partial_bytes) = sizes(self.0.blobs.partial_folder());
        DiskUsage { blobs, blob_bytes, partial_bytes, layers, layer_bytes }
    }

    /// The names of a digest, spelled out.
    pub(crate) fn names_of(&self, digest: &Digest) -> Vec<String> {
        self.0.names.of(digest)
    }

    fn roots(&self, digest: &Digest) -> BTreeSet<Digest> {
        BTreeSet::from([digest.clone()])
    }

    fn reached(&self, roots: BTreeSet<Digest>) -> Result<Reached, ImageError> {
        let mut reached = Reached::default();
        let mut waiting: Vec<Digest> = roots.into_iter().collect();
        while let Some(digest) = waiting.pop() {
            if !reached.blobs.insert(digest.clone()) {
                continue;
            }
            match self.document(&digest) {
                Ok(Some(Document::Index(builds))) => {
                    waiting.extend(builds.into_iter().map(|build| build.digest));
                }
                Ok(Some(Document::Manifest(manifest))) => {
                    reached.blobs.insert(manifest.config.digest);
                    reached.blobs.extend(manifest.layers.into_iter().map(|layer| layer.digest));
                    if let Ok(Some(image)) = self.image_of_manifest(&digest) {
                        reached.layers.extend(image.layers.into_iter().map(|layer| layer.diff_id));
                    }
                }
                // What cannot be read keeps nothing alive; a name of it stays.
                Ok(None) | Err(ImageError::Malformed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(reached)
    }

    /// Removes what neither a name nor `keep` reaches; of `old`, however fresh it is.
    fn sweep<'a>(
        &self,
        keep: impl Iterator<Item = &'a Digest>,
        old: Option<&Reached>,
    ) -> Result<Freed, ImageError> {
        let _not_while_unpacking = self.0.layers.lock();
        let mut roots: BTreeSet<Digest> = keep.cloned().collect();
        roots.extend(self.0.names.digests());
        let reached = self.reached(roots)?;
        let mut freed = Freed::default();
        for (digest, path) in entries(self.0.blobs.folder()) {
            let is_old = old.is_some_and(|old| old.blobs.contains(&digest));
            if reached.blobs.contains(&digest) || (self.0.blobs.is_fresh(&digest) && !is_old) {
                continue;
            }
            freed.bytes += fs::metadata(&path).map_or(0, |file| file.len());
            self.0.blobs.remove(&digest)?;
            freed.deleted.push(digest);
        }
        for (diff_id, path) in entries(self.0.layers.folder()) {
            if !reached.layers.contains(&diff_id) {
                freed.bytes += folder_bytes(&path);
                self.0.layers.remove(&diff_id)?;
                freed.deleted.push(diff_id);
            }
        }
        self.sweep_partial();
        Ok(freed)
    }

    fn sweep_partial(&self) {
        for (digest, path) in entries(self.0.blobs.partial_folder()) {
            let touched = fs::metadata(&path).and_then(|file| file.modified());
            let is_old = touched.is_ok_and(|touched| {
                touched.elapsed().is_ok_and(|elapsed| elapsed > PARTIAL_AGE_MAX)
            });
            if is_old && !self.0.blobs.is_growing(&digest) {
                fs::remove_file(path).ok();
            }
        }
    }
}

fn familiar(names: BTreeSet<String>) -> Vec<String> {
    let shown = |name: String| match name.parse::<Reference>() {
        Ok(reference) => reference.to_string(),
        Err(_) => name,
    };
    names.into_iter().map(shown).collect()
}

/// What is in a folder under the name of a digest.
pub(crate) fn entries(folder: &Path) -> Vec<(Digest, std::path::PathBuf)> {
    let Ok(found) = fs::read_dir(folder) else { return Vec::new() };
    let named = |entry: fs::DirEntry| {
        Some((Digest::from_hex(entry.file_name().to_str()?).ok()?, entry.path()))
    };
    found.flatten().filter_map(named).collect()
}

fn sizes(folder: &Path) -> (u64, u64) {
    let found = entries(folder);
    let bytes = found.iter().map(|(_, path)| folder_bytes(path)).sum();
    (found.len() as u64, bytes)
}

/// What a file or a folder takes on the disk; files with several links count once for each.
fn folder_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(found) = fs::symlink_metadata(path) else { return 0 };
    let below = if found.is_dir() { fs::read_dir(path).ok() } else { None };
    let below = below.into_iter().flatten().flatten();
    found.blocks() * 512 / found.nlink().max(1).min(if found.is_dir() { 1 } else { u64::MAX })
        + below.map(|entry| folder_bytes(&entry.path())).sum::<u64>()
}
