//! Images that the fleet has without a registry: a name, and the digest that it stands for.
//!
//! The record says what an image is, never which nodes have its bytes. That changes by itself, and
//! nodes are asked when somebody needs the bytes.

use serde::{Deserialize, Serialize};

use crate::spec::Platform;

/// What a name stands for. The value of [`crate::spec::Facet::IMAGE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFact {
    /// The digest of a manifest or an index: `sha256:` and 64 hex digits.
    pub digest: String,
    /// The platforms that the image was built for.
    pub platforms: Vec<Platform>,
    /// The sum of the sizes of its blobs.
    pub size_bytes: u64,
}
