//! Manifests and indexes: small blobs that a registry serves under a path of their own.

use runtime::image::manifest::Document;
use runtime::image::registry::MANIFEST_BYTES_MAX;
use runtime::image::{Digest, ImageError, Images};

use super::{ContentKind, ImagePuller, PullError, Source, blocking};

impl ImagePuller {
    /// Reads a document, and fetches it first if it is not on this node.
    pub(super) async fn document(
        &self,
        digest: &Digest,
        source: &Source,
    ) -> Result<Document, PullError> {
        if let Some(found) = document_here(&self.0.images, digest).await? {
            return Ok(found);
        }
        self.acquire(source.want(digest, None, ContentKind::Manifest)).await?;
        let missing = || ImageError::Malformed {
            digest: digest.clone(),
            why: format!("is no document of at most {MANIFEST_BYTES_MAX} bytes"),
        };
        Ok(document_here(&self.0.images, digest).await?.ok_or_else(missing)?)
    }
}

/// Reads a document if it is on this node.
pub(super) async fn document_here(
    images: &Images,
    digest: &Digest,
) -> Result<Option<Document>, PullError> {
    let (images, digest) = (images.clone(), digest.clone());
    Ok(blocking(move || images.document(&digest)).await?)
}
