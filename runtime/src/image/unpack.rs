//! Layers, unpacked once each into a folder that overlayfs can stack.
//!
//! ```text
//! blob ─read─▶ decompress ─▶ │ channel │ ─▶ hash ─▶ entries ─▶ tree under a draft's name
//!      (one thread)                          (the caller's thread)
//! all layers done ─▶ hash = diff-id ─▶ one syncfs ─▶ rename
//! ```
//! A folder under a diff-id is complete and on the disk. It must never be written to again: every
//! container of the image uses it as a lower layer.

mod apply;
mod check;
mod confine;
mod stack;
mod stream;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::digest::Digest;
use super::error::ImageError;
use super::layer_error::LayerError;
use super::{Image, Images, Layer, Rootfs};
use crate::tar_entries::{Entries, Entry};
use apply::Applier;
use check::LayerChecker;
use confine::confined;
use stream::Unpacked;

pub(crate) use stream::{Compression, decompressed, storable};

impl Images {
    /// The layers of an image as folders; unpacks those that are not yet.
    ///
    /// # Errors
    /// [`LayerError::Missing`] and [`LayerError::WrongContent`]: pull the image again and repeat.
    pub fn rootfs(&self, image: &Image) -> Result<Rootfs, ImageError> {
        let paths: Vec<PathBuf> =
            image.layers.iter().map(|layer| self.layer_path(&layer.diff_id)).collect();
        if !paths.iter().all(|path| path.is_dir()) {
            self.unpack(image)?;
        }
        Ok(Rootfs { layers: paths })
    }

    fn unpack(&self, image: &Image) -> Result<(), ImageError> {
        let _one_at_a_time = self.0.layers.lock();
        let mut drafts = Vec::new();
        let mut below = Vec::new();
        let mut diff_ids = std::collections::BTreeSet::new();
        for layer in &image.layers {
            let path = self.layer_path(&layer.diff_id);
            if path.is_dir() || !diff_ids.insert(&layer.diff_id) {
                below.extend(path.is_dir().then_some(path));
                continue;
            }
            let failed = |source| ImageError::Layer { digest: layer.diff_id.clone(), source };
            if !nix::unistd::geteuid().is_root() {
                return Err(failed(LayerError::NotRoot));
            }
            let draft = self.0.layers.draft(&layer.diff_id)?;
            match self.unpack_into(layer, draft.path(), &below) {
                Ok(()) => {
                    below.push(draft.path().to_owned());
                    drafts.push((draft, &layer.diff_id));
                }
                Err(error) => return Err(self.explained(layer, error)),
            }
        }
        self.0.layers.keep(drafts)
    }

    fn unpack_into(
        &self,
        layer: &Layer,
        folder: &Path,
        below: &[PathBuf],
    ) -> Result<(), LayerError> {
        let blob = self.read_blob(&layer.digest).ok_or(LayerError::Missing)?;
        let found = confined(folder, below, || {
            let mut applier = Applier::new(folder, below)?;
            let found = each_entry(blob, |entry, data| applier.apply(entry, data))?;
            applier.finish()?;
            Ok(found)
        })?;
        if found == layer.diff_id {
            return Ok(());
        }
        Err(LayerError::WrongContent { found })
    }

    /// A stream that is broken comes from a blob that is: it goes, so that it is fetched again. A
    /// sound blob with a bad content stays, or it would be fetched over and over.
    fn explained(&self, layer: &Layer, error: LayerError) -> ImageError {
        if let LayerError::Disk { errno: Errno::ENOSPC | Errno::EDQUOT, .. } = &error {
            let path = self.0.layers.folder().display().to_string();
            return ImageError::DiskFull { doing: "unpack a layer", path, wanted: None };
        }
        let from_content = matches!(error, LayerError::Tar(_) | LayerError::WrongContent { .. });
        let is_sound = || self.0.blobs.is_sound(&layer.digest).unwrap_or(false);
        if from_content && !is_sound() {
            tracing::warn!(digest = %layer.digest, "a layer is damaged on the disk: removed");
            self.0.blobs.remove(&layer.digest).ok();
        }
        ImageError::Layer { digest: layer.diff_id.clone(), source: error }
    }
}

/// Hands every entry of a layer to `each`, and returns the digest of the whole tar.
fn each_entry(
    blob: File,
    mut each: impl FnMut(&Entry, &mut dyn Read) -> Result<(), LayerError>,
) -> Result<Digest, LayerError> {
    std::thread::scope(|scope| {
        let mut entries = Entries::new(Unpacked::start(scope, blob)?);
        while let Some(entry) = entries.next()? {
            each(&entry, &mut entries)?;
        }
        Ok(entries.finish()?.digest())
    })
}

/// A name in an unpacked layer that is not as its blob says; `None` if all are.
pub(crate) fn difference(folder: &Path, blob: File) -> Result<Option<String>, LayerError> {
    let mut checker = LayerChecker::new(folder)?;
    each_entry(blob, |entry, data| checker.check(entry, data))?;
    Ok(checker.finish())
}
