//! Images that the fleet has without a registry: a name, and the digest that it stands for.
//!
//! The record says what an image is, never who has its bytes: that changes by itself, and is asked
//! of the nodes when somebody needs them.

use serde::{Deserialize, Serialize};

use crate::spec::Platform;

/// What a name stands for. The value of [`crate::spec::Facet::IMAGE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFact {
    /// Of a manifest or an index: `sha256:` and 64 hex digits.
    pub digest: String,
    /// What it was built for.
    pub platforms: Vec<Platform>,
    /// All its blobs together.
    pub size_bytes: u64,
}
