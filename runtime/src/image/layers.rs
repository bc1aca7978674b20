//! The folder of unpacked layers: one folder for each layer, named by the digest of its tar.
//!
//! A layer gets its final name only when it is complete. Before that, and while it is removed, its
//! folder has the name of a draft; drafts of an earlier agent are removed at the start.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::blob::locked;
use super::digest::Digest;
use super::error::ImageError;

/// What the name of a draft begins with.
pub(crate) const DRAFT: &str = ".new-";

static DRAFTS: AtomicU32 = AtomicU32::new(0);

/// The unpacked layers of a store.
#[derive(Debug)]
pub(crate) struct Layers {
    folder: PathBuf,
    /// One layer is unpacked at a time: a small machine has neither the memory nor the disk for
    /// more, and ten tasks of one image would all want the same layers.
    unpacking: Mutex<()>,
}

impl Layers {
    /// The layers of the store in this folder.
    pub(crate) fn open(root: &Path) -> Layers {
        let layers = Layers { folder: root.join("layers"), unpacking: Mutex::default() };
        layers.clear_drafts();
        layers
    }

    fn clear_drafts(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(DRAFT.as_bytes()) {
                fs::remove_dir_all(entry.path()).ok();
            }
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where an unpacked layer is, or will be.
    pub(crate) fn path(&self, diff_id: &Digest) -> PathBuf {
        self.folder.join(diff_id.hex())
    }

    /// Held while layers are unpacked, or removed because nothing uses them.
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        locked(&self.unpacking)
    }

    /// An empty folder to unpack a layer into.
    pub(crate) fn draft(&self, diff_id: &Digest) -> Result<Draft, ImageError> {
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{DRAFT}{}-{number}", diff_id.short()));
        fs::create_dir_all(&path).map_err(ImageError::disk("make", &path))?;
        Ok(Draft(path))
    }

    /// One sync for all layers of an image, then their names.
    pub(crate) fn keep(&self, drafts: Vec<(Draft, &Digest)>) -> Result<(), ImageError> {
        let folder = &self.folder;
        let synced = File::open(folder).and_then(|file| Ok(nix::unistd::syncfs(&file)?));
        synced.map_err(ImageError::disk("sync", folder))?;
        for (draft, diff_id) in drafts {
            let path = self.path(diff_id);
            fs::rename(&draft.0, &path).map_err(ImageError::disk("keep the layer", &path))?;
        }
        let synced = File::open(folder).and_then(|file| file.sync_all());
        synced.map_err(ImageError::disk("sync", folder))
    }

    /// Removes a layer: first its name, so that a power cut leaves no half of a layer under it.
    pub(crate) fn remove(&self, diff_id: &Digest) -> Result<(), ImageError> {
        let path = self.path(diff_id);
        let aside = self.folder.join(format!("{DRAFT}gone-{}", diff_id.hex()));
        fs::remove_dir_all(&aside).ok();
        let removed = fs::rename(&path, &aside).and_then(|()| fs::remove_dir_all(&aside));
        removed.map_err(ImageError::disk("remove", &path))
    }

    /// Takes the name of a damaged layer away. A container may still use its files, so they are
    /// removed with the next start of the agent.
    pub(crate) fn set_aside(&self, diff_id: &Digest) -> Result<(), ImageError> {
        let path = self.path(diff_id);
        let aside = self.folder.join(format!("{DRAFT}bad-{}", diff_id.hex()));
        fs::remove_dir_all(&aside).ok();
        fs::rename(&path, aside).map_err(ImageError::disk("put aside", &path))
    }
}

/// A folder that is removed unless it was renamed.
pub(crate) struct Draft(PathBuf);

impl Draft {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
