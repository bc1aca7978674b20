//! Sending an image to a registry: the blobs that it lacks, then the manifests, the name last.

use runtime::image::auth::Login;
use runtime::image::manifest::{
    DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, Document, OCI_INDEX, OCI_MANIFEST,
};
use runtime::image::pull::PullError;
use runtime::image::registry::{Purpose, RegistryClient, Repository, Source};
use runtime::image::{Digest, ImageError, Images, Reference};
use tokio::sync::mpsc;

use super::document::document_here;
use super::{ImagePuller, blocking};

/// What happens during a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushEvent {
    /// The registry already has this blob.
    There(Digest),
    /// The bytes sent so far, and the size of the blob.
    Sending(Digest, u64, u64),
    /// The registry has it now.
    Sent(Digest),
}

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest or index that the name now resolves to.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
}

impl ImagePuller {
    /// Pushes the image that this node has under this name; of an index, the complete builds.
    pub async fn push(
        &self,
        reference: &Reference,
        login: Option<Login>,
        events: mpsc::UnboundedSender<PushEvent>,
    ) -> Result<Pushed, PullError> {
        let reference = reference.clone().with_default_tag();
        let unknown = || ImageError::Unknown(reference.to_string());
        let images = &self.0.images;
        let named = images.digest_of(&reference).ok_or_else(unknown)?;
        let repository =
            Repository { registry: reference.registry.clone(), name: reference.repository.clone() };
        let session = self.0.registries.session(&repository, login, Purpose::Push).await?;
        let tag = reference.tag.clone().unwrap_or_else(|| "latest".to_owned());
        let document = document_here(images, &named.digest).await?.ok_or_else(unknown)?;
        let digest = Push { images, session, events }.all(named.digest, &document, &tag).await?;
        let size = images.has_blob(&digest).unwrap_or(0);
        Ok(Pushed { digest, size })
    }

    /// Does a registry take this login? Nothing is kept of it.
    pub async fn check_login(&self, registry: &str, login: Login) -> Result<(), PullError> {
        let repository = Repository { registry: registry.to_owned(), name: String::new() };
        let session = self.0.registries.session(&repository, Some(login), Purpose::Pull).await?;
        Ok(session.check_login().await?)
    }
}

/// One push under way.
struct Push<'a> {
    images: &'a Images,
    session: RegistryClient,
    events: mpsc::UnboundedSender<PushEvent>,
}

impl Push<'_> {
    /// Pushes a manifest or an index; returns the digest that the tag then resolves to.
    async fn all(
        &self,
        digest: Digest,
        document: &Document,
        tag: &str,
    ) -> Result<Digest, PullError> {
        match document {
            Document::Manifest(_) => {
                self.build(&digest, tag).await?;
                Ok(digest)
            }
            Document::Index(builds) => self.index(&digest, builds, tag).await,
        }
    }

    /// Pushes an index as it is if all of its builds are on this node; otherwise only the build for
    /// this node's platform, as Docker does.
    async fn index(
        &self,
        digest: &Digest,
        builds: &[Descriptor],
        tag: &str,
    ) -> Result<Digest, PullError> {
        let images = self.images.clone();
        let wanted: Vec<Digest> = builds.iter().map(|build| build.digest.clone()).collect();
        let is_whole = blocking(move || {
            wanted.iter().all(|build| match images.image_of_manifest(build) {
                Ok(Some(image)) => {
                    image.layers.iter().all(|layer| images.has_blob(&layer.digest).is_some())
                }
                _ => false,
            })
        });
        if is_whole.await {
            for build in builds {
                self.build(&build.digest, build.digest.as_str()).await?;
            }
            self.document(digest, tag, OCI_INDEX).await?;
            return Ok(digest.clone());
        }
        let (images, whole) = (self.images.clone(), digest.clone());
        let build = blocking(move || images.image(&whole)).await?;
        let build = build.ok_or_else(|| ImageError::Unknown(digest.to_string()))?.manifest;
        self.build(&build, tag).await?;
        Ok(build)
    }

    async fn build(&self, digest: &Digest, name: &str) -> Result<(), PullError> {
        let missing = |digest: &Digest| ImageError::Unknown(digest.to_string());
        let Some(Document::Manifest(manifest)) = document_here(self.images, digest).await? else {
            return Err(missing(digest).into());
        };
        for part in manifest.layers.iter().chain([&manifest.config]) {
            if self.session.has_blob(part.digest.as_str()).await? {
                let _ = self.events.send(PushEvent::There(part.digest.clone()));
                continue;
            }
            let file = self.images.read_blob(&part.digest).ok_or_else(|| missing(&part.digest))?;
            let source = Source { digest: part.digest.to_string(), size: part.size, file };
            let (said, which, size) = (self.events.clone(), part.digest.clone(), part.size);
            let sent = move |bytes| {
                let _ = said.send(PushEvent::Sending(which.clone(), bytes, size));
            };
            self.session.push_blob(source, sent).await?;
            let _ = self.events.send(PushEvent::Sent(part.digest.clone()));
        }
        self.document(digest, name, OCI_MANIFEST).await
    }

    async fn document(
        &self,
        digest: &Digest,
        name: &str,
        media_type: &str,
    ) -> Result<(), PullError> {
        let (images, wanted) = (self.images.clone(), digest.clone());
        let bytes = blocking(move || {
            let mut bytes = Vec::new();
            let file = images.read_blob(&wanted)?;
            std::io::Read::read_to_end(&mut { file }, &mut bytes).ok()?;
            Some(bytes)
        });
        let bytes = bytes.await.ok_or_else(|| ImageError::Unknown(digest.to_string()))?;
        Ok(self.session.push_manifest(name, said_type(&bytes).unwrap_or(media_type), bytes).await?)
    }
}

/// The media type inside a document. The registry compares it with the header.
fn said_type(bytes: &[u8]) -> Option<&'static str> {
    #[derive(serde::Deserialize)]
    struct Said {
        #[serde(rename = "mediaType")]
        media_type: String,
    }
    let said: Said = serde_json::from_slice(bytes).ok()?;
    [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX]
        .into_iter()
        .find(|known| *known == said.media_type)
}
