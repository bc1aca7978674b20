//! Archives: the formats that `docker save`, skopeo and buildah write and read.
//!
//! There are two formats, one tar each: OCI's layout (`index.json`, `blobs/sha256/…`) and Docker's
//! (`manifest.json`, layers as files). An archive is read once, forward, while it is received. An
//! archive that this module writes has both formats over the same blobs.

mod load;
mod save;
mod spool;

use serde::{Deserialize, Serialize};

use super::manifest::Descriptor;

pub use load::Loaded;
pub use save::Selection;
pub(super) use spool::{junk, spool};

/// Docker's list of images in an archive.
const MANIFESTS: &str = "manifest.json";
/// OCI's.
const INDEX: &str = "index.json";
/// The folder of blobs.
const BLOBS: &str = "blobs/sha256/";
/// The whole name of an image in an index.
const FULL_NAME: &str = "io.containerd.image.name";
/// Its name or its tag, depending on who wrote it.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// One image in Docker's list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// OCI's list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    manifests: Vec<Descriptor>,
}
