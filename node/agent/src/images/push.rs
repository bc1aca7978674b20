//! Sending an image to a registry: the blobs that it lacks, then the manifests, the name last.

use runtime::image::auth::Login;
use runtime::image::manifest::{
    DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, Document, OCI_INDEX, OCI_MANIFEST,
};
use runtime::image::pull::PullError;
use runtime::image::registry::{Purpose, RegistryClient, Repository, Source};
use runtime::image::{Digest, ImageError, Reference};
use tokio::sync::mpsc;

use super::{ImagePuller, blocking};

/// What happens during a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushEvent {
    /// The registry has this blob already.
    There(Digest),
    /// So many bytes of so many are under way.
    Sending(Digest, u64, u64),
    /// The registry has it now.
    Sent(Digest),
}

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Of the manifest or index that the name now stands for.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
}

impl ImagePuller {
    /// Pushes what this node has by a name. Of an index, the builds that are here whole.
    pub async fn push(
        &self,
        reference: &Reference,
        login: Option<Login>,
        events: mpsc::UnboundedSender<PushEvent>,
    ) -> Result<Pushed, PullError> {
        let reference = reference.clone().with_default_tag();
        let unknown = || ImageError::Unknown(reference.to_string());
        let named = self.0.images.digest_of(&reference).ok_or_else(unknown)?;
        let repository =
            Repository { registry: reference.registry.clone(), name: reference.repository.clone() };
        let session = self.0.registries.session(&repository, login, Purpose::Push).await?;
        let tag = reference.tag.clone().unwrap_or_else(|| "latest".to_owned());
        let digest = match self.document_here(&named.digest).await?.ok_or_else(unknown)? {
            Document::Manifest(_) => {
                self.push_build(&session, &named.digest, &tag, &events).await?;
                named.digest
            }
            Document::Index(builds) => {
                self.push_index(&session, &named.digest, &builds, &tag, &events).await?
            }
        };
        let size = self.0.images.has_blob(&digest).unwrap_or(0);
        Ok(Pushed { digest, size })
    }

    /// An index of which all builds are here goes as it is; of another only the build for this node,
    /// as Docker does.
    async fn push_index(
        &self,
        session: &RegistryClient,
        digest: &Digest,
        builds: &[Descriptor],
        tag: &str,
        events: &mpsc::UnboundedSender<PushEvent>,
    ) -> Result<Digest, PullError> {
        let images = self.0.images.clone();
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
                self.push_build(session, &build.digest, build.digest.as_str(), events).await?;
            }
            self.push_document(session, digest, tag, OCI_INDEX).await?;
            return Ok(digest.clone());
        }
        let (images, whole) = (self.0.images.clone(), digest.clone());
        let build = blocking(move || images.image(&whole)).await?;
        let build = build.ok_or_else(|| ImageError::Unknown(digest.to_string()))?.manifest;
        self.push_build(session, &build, tag, events).await?;
        Ok(build)
    }

    async fn push_build(
        &self,
        session: &RegistryClient,
        digest: &Digest,
        name: &str,
        events: &mpsc::UnboundedSender<PushEvent>,
    ) -> Result<(), PullError> {
        let missing = |digest: &Digest| ImageError::Unknown(digest.to_string());
        let Some(Document::Manifest(manifest)) = self.document_here(digest).await? else {
            return Err(missing(digest).into());
        };
        for part in manifest.layers.iter().chain([&manifest.config]) {
            if session.has_blob(part.digest.as_str()).await? {
                let _ = events.send(PushEvent::There(part.digest.clone()));
                continue;
            }
            let file =
                self.0.images.read_blob(&part.digest).ok_or_else(|| missing(&part.digest))?;
            let source = Source { digest: part.digest.to_string(), size: part.size, file };
            let (said, which, size) = (events.clone(), part.digest.clone(), part.size);
            let sent = move |bytes| {
                let _ = said.send(PushEvent::Sending(which.clone(), bytes, size));
            };
            session.push_blob(source, sent).await?;
            let _ = events.send(PushEvent::Sent(part.digest.clone()));
        }
        self.push_document(session, digest, name, OCI_MANIFEST).await
    }

    async fn push_document(
        &self,
        session: &RegistryClient,
        digest: &Digest,
        name: &str,
        media_type: &str,
    ) -> Result<(), PullError> {
        let (images, wanted) = (self.0.images.clone(), digest.clone());
        let bytes = blocking(move || {
            let mut bytes = Vec::new();
            let file = images.read_blob(&wanted)?;
            std::io::Read::read_to_end(&mut { file }, &mut bytes).ok()?;
            Some(bytes)
        });
        let bytes = bytes.await.ok_or_else(|| ImageError::Unknown(digest.to_string()))?;
        Ok(session.push_manifest(name, said_type(&bytes).unwrap_or(media_type), bytes).await?)
    }
}

/// What a document calls itself. The registry checks it against the header.
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
