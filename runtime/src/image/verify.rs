//! Verifies the images on the disk: every blob against its digest, every layer against its blob.
//!
//! It reads everything once: for an operator who doubts a disk, not for every start. Damaged
//! content is removed, so that it counts as missing and is fetched or unpacked again.

use std::collections::BTreeMap;

use super::collect::entries;
use super::digest::Digest;
use super::error::ImageError;
use super::{Images, unpack};

/// Something that was damaged, and is gone now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// Its bytes have another digest.
    Blob(Digest),
    /// The unpacked layer differs from its blob.
    Layer {
        /// Which.
        diff_id: Digest,
        /// One name in it that differs.
        entry: String,
    },
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Damage::Blob(digest) => write!(f, "blob {digest}"),
            Damage::Layer { diff_id, entry } => write!(f, "layer {diff_id}, at /{entry}"),
        }
    }
}

impl Images {
    /// Checks every blob by its digest, and every unpacked layer whose blob is here against that.
    pub fn verify(&self) -> Result<Vec<Damage>, ImageError> {
        let mut damage = Vec::new();
        for (digest, _) in entries(self.0.blobs.folder()) {
            if self.0.blobs.is_sound(&digest).is_ok_and(|sound| sound) {
                continue;
            }
            tracing::warn!(%digest, "a blob is damaged on the disk: removed");
            self.0.blobs.remove(&digest)?;
            damage.push(Damage::Blob(digest));
        }
        let mut blobs = BTreeMap::new();
        for row in self.list()? {
            let layers = row.image.layers.into_iter();
            blobs.extend(layers.map(|layer| (layer.diff_id, layer.digest)));
        }
        for (diff_id, path) in entries(self.0.layers.folder()) {
            let Some(blob) = blobs.get(&diff_id).and_then(|blob| self.read_blob(blob)) else {
                continue;
            };
            let differs = unpack::difference(&path, blob)
                .map_err(|source| ImageError::Layer { digest: diff_id.clone(), source })?;
            if let Some(entry) = differs {
                tracing::warn!(%diff_id, entry, "a layer is damaged on the disk: removed");
                self.0.layers.set_aside(&diff_id)?;
                damage.push(Damage::Layer { diff_id, entry });
            }
        }
        Ok(damage)
    }
}
