//! The errors of the image store: what, why, and what to type.
//!
//! A full disk is an error of its own, because it passes without a change of the image.

use std::io;
use std::path::Path;

use super::digest::Digest;
use super::layer_error::LayerError;
use super::reference::BadReference;

/// Why the store did not do what it was asked to. Nothing of what it held before is lost.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The name is malformed.
    #[error(transparent)]
    Reference(#[from] BadReference),
    /// No such image is here.
    #[error(
        "No such image: {0}: it is not on this node; edgectl image pull {0}, or edgectl image load"
    )]
    Unknown(String),
    /// The id's beginning fits several images.
    #[error("{0} is the beginning of more than one image's id: type more of it")]
    Ambiguous(String),
    /// The disk is full.
    #[error(
        "cannot {doing}: no space left on {path}: free some, or edgectl image prune{}",
        needs(*.wanted)
    )]
    DiskFull {
        /// The step.
        doing: &'static str,
        /// Where.
        path: String,
        /// Bytes that it takes, if that is known.
        wanted: Option<u64>,
    },
    /// The disk refuses.
    #[error("cannot {doing} {path}: {source}")]
    Disk {
        /// The step.
        doing: &'static str,
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// What arrived is not what its name says.
    #[error("the content of {expected} is damaged: its digest is {found}; it was thrown away")]
    WrongDigest {
        /// Its name.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// What arrived has another length than announced.
    #[error("{digest} has {expected} bytes, but {found} arrived")]
    WrongSize {
        /// Its name.
        digest: Digest,
        /// Announced.
        expected: u64,
        /// Arrived.
        found: u64,
    },
    /// Somebody writes the same blob.
    #[error("{0} is being written already: wait until that is done")]
    Busy(Digest),
    /// The image was built for other machines.
    #[error("the image has no build for {wanted}: it has {}", list(.offered))]
    NoPlatform {
        /// This node.
        wanted: String,
        /// What it was built for.
        offered: Vec<String>,
    },
    /// A manifest, index or configuration that makes no sense.
    #[error("the image is malformed: {digest} {why}: build or fetch it again")]
    Malformed {
        /// Which document.
        digest: Digest,
        /// What is wrong with it.
        why: String,
    },
    /// A layer cannot be unpacked.
    #[error("the layer {digest}: {source}")]
    Layer {
        /// Its diff-id.
        digest: Digest,
        /// Why.
        source: LayerError,
    },
    /// An archive that holds no image.
    #[error("the archive {0}: give one that docker save, skopeo or edgectl image save wrote")]
    Archive(String),
    /// Tasks need it.
    #[error("the image {image} is in use by {users}: stop that first, or --force")]
    InUse {
        /// As it was named.
        image: String,
        /// Who.
        users: String,
    },
    /// Several names have one image.
    #[error("the image {0} has more than one name: remove it by name, or --force")]
    ManyNames(String),
    /// A change of an image's configuration that is not one.
    #[error("the change {change:?}: {hint}")]
    Change {
        /// As given.
        change: String,
        /// What it can be.
        hint: String,
    },
}

impl ImageError {
    /// Of an operation on a file.
    pub(crate) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImageError {
        let path = path.display().to_string();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                ImageError::DiskFull { doing, path, wanted: None }
            }
            _ => ImageError::Disk { doing, path, source },
        }
    }

    /// Of a document.
    pub(crate) fn malformed(digest: &Digest, why: impl Into<String>) -> ImageError {
        ImageError::Malformed { digest: digest.clone(), why: why.into() }
    }
}

fn needs(wanted: Option<u64>) -> String {
    wanted
        .map_or_else(String::new, |bytes| format!(" ({} MB are needed)", bytes.div_ceil(1_000_000)))
}

fn list(offered: &[String]) -> String {
    if offered.is_empty() { "none".to_owned() } else { offered.join(", ") }
}
