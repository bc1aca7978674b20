//! The images of a node: their names, their content by digest, and their unpacked layers.
//!
//! ```text
//! <images>/blobs/sha256/<hex>   manifests, indexes, configurations, layers as they were fetched
//! <images>/partial/<hex>        blobs that are still received, and resumed after an interruption
//! <images>/layers/<diff-id>/    unpacked layers, never written to once they have this name
//! <images>/names.json           the names and their digests
//! ```
//! All methods block on files: call them from a thread or `spawn_blocking`. The store never fetches
//! what is missing, and never uses content that was not checked against its digest. It writes
//! nothing, and creates no folder, before the first content is kept.

pub mod archive;
pub mod auth;
pub mod blob;
pub mod collect;
pub mod digest;
pub mod error;
pub mod import;
mod layer_error;
mod layers;
pub mod list;
pub mod manifest;
pub mod mirror;
pub mod names;
pub mod platform;
pub mod pull;
pub mod read;
pub mod reference;
pub mod registry;
pub mod unpack;
pub mod verify;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crdt_state::spec::{HealthCheck, Platform};
use oci_spec::image::ImageConfiguration;

use blob::{BlobWriter, Blobs, Partial};
use layers::Layers;
use names::Names;

pub use archive::{Loaded, Selection};
pub use collect::{DiskUsage, Freed, Prune, Removal, Users};
pub use digest::Digest;
pub use error::ImageError;
pub use import::{Commit, Import};
pub use layer_error::LayerError;
pub use list::{HistoryRow, ImageRow};
pub use names::{Named, Origin};
pub use pull::{PullError, PullImage};
pub use read::Search;
pub use reference::{BadReference, Reference};
pub use verify::Damage;

/// The store. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Images(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    platform: Platform,
    blobs: Arc<Blobs>,
    names: Names,
    layers: Layers,
}

/// An image for one platform.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Of its manifest.
    pub manifest: Digest,
    /// Of its configuration: Docker's image id.
    pub config_digest: Digest,
    /// The configuration.
    pub config: ImageConfiguration,
    /// Docker's addition to the configuration, which the type of OCI does not have.
    pub health: Option<HealthCheck>,
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// What it was built for.
    pub platform: Platform,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Of the blob.
    pub digest: Digest,
    /// Of the tar in it.
    pub diff_id: Digest,
    /// Of the blob, in bytes.
    pub size: u64,
    /// As its manifest says.
    pub media_type: String,
}

/// The root file system of an image, for overlayfs. The folder of the topmost layer carries the
/// mode and owner of `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rootfs {
    /// Unpacked layers, lowest first.
    pub layers: Vec<PathBuf>,
}

impl Images {
    /// Opens the store in a folder, which need not exist yet, for a node that runs `platform`.
    pub fn open(root: &Path, platform: Platform) -> Result<Images, ImageError> {
        Ok(Images(Arc::new(Inner {
            platform,
            blobs: Arc::new(Blobs::new(root)),
            names: Names::open(root)?,
            layers: Layers::open(root),
        })))
    }

    /// What this node runs.
    pub fn platform(&self) -> &Platform {
        &self.0.platform
    }

    /// What a name stands for here; a digest stands for itself if its blob is here.
    pub fn digest_of(&self, reference: &Reference) -> Option<Named> {
        let Some(digest) = &reference.digest else {
            return self.0.names.find(&reference.canonical());
        };
        let named = self.names().into_values().find(|named| named.digest == *digest);
        named.or_else(|| {
            self.has_blob(digest)?;
            Some(Named { digest: digest.clone(), origin: Origin::ForTask })
        })
    }

    /// Every name, spelled out, and what it stands for. An image without a name is listed under
    /// its digest.
    pub fn names(&self) -> BTreeMap<String, Named> {
        self.0.names.all()
    }

    /// Gives an image a name; a digest in the reference is not part of that. A name that was
    /// pulled for a task and is now asked for by somebody stays; the other way round too.
    pub fn set_name(
        &self,
        reference: &Reference,
        digest: &Digest,
        origin: Origin,
    ) -> Result<(), ImageError> {
        let key = match (&reference.tag, &reference.digest) {
            (None, Some(_)) => reference.canonical(),
            _ => reference.clone().without_digest().canonical(),
        };
        self.0.names.set(key, digest, origin)
    }

    /// Keeps an image that has no name.
    pub(crate) fn set_nameless(&self, digest: &Digest, origin: Origin) -> Result<(), ImageError> {
        self.0.names.set_nameless(digest, origin)
    }

    /// The length of a blob that is here as a whole.
    pub fn has_blob(&self, digest: &Digest) -> Option<u64> {
        self.0.blobs.size(digest)
    }

    /// A blob that is here as a whole, to be read. It was verified when it was kept.
    pub fn read_blob(&self, digest: &Digest) -> Option<File> {
        self.0.blobs.open(digest)
    }

    /// Begins to write a blob, or goes on where an earlier attempt ended. One writer at a time:
    /// [`ImageError::Busy`] for the second, who may follow with [`Images::partial`].
    pub fn write_blob(&self, digest: &Digest, size: Option<u64>) -> Result<BlobWriter, ImageError> {
        BlobWriter::open(&self.0.blobs, digest, size)
    }

    /// Keeps a small blob.
    pub fn keep(&self, bytes: &[u8]) -> Result<Digest, ImageError> {
        let digest = Digest::of(bytes);
        if self.has_blob(&digest) == Some(bytes.len() as u64) {
            self.0.blobs.refresh(&digest);
            return Ok(digest);
        }
        let mut writer = self.write_blob(&digest, Some(bytes.len() as u64))?;
        writer.restart()?;
        writer.write(bytes)?;
        writer.commit()?;
        Ok(digest)
    }

    /// A blob that is being written, to be served while it grows.
    pub fn partial(&self, digest: &Digest) -> Option<Partial> {
        self.0.blobs.partial(digest)
    }

    /// Where an unpacked layer is, or will be.
    pub fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.0.layers.path(diff_id)
    }
}
