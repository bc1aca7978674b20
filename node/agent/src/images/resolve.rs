//! Resolves a name to a digest: for the pin of a service, and for `/distribution/…/json`.
//!
//! The sources in order: an image of the fleet; the registry, with a timeout of a few seconds; this
//! node's own images; the images of a peer.

use std::time::Duration;

use crdt_state::spec::Platform;
use futures_util::StreamExt;
use runtime::image::auth::Login;
use runtime::image::manifest::Document;
use runtime::image::pull::PullError;
use runtime::image::registry::{Purpose, RegistryClient, RegistryError, Repository};
use runtime::image::{Digest, Reference};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::document::document_here;
use super::{ContentKind, ImagePuller, Source, blocking};
use crate::transport::PeerRequest;

/// The timeout for the registry to resolve a name; an operator waits for it.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(4);

/// Where the digest of a name comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinSource {
    /// The name contains the digest.
    Given,
    /// The fleet has an image of that name.
    Fleet,
    /// The registry, or a mirror of it.
    Registry,
    /// This node has an image of that name; no registry could be asked, or it has none.
    Here,
    /// Another node has one; its host name.
    Peer(String),
}

/// A resolved name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Of a manifest or an index.
    pub digest: Digest,
    /// The platforms of its builds; empty if unknown.
    pub platforms: Vec<Platform>,
    /// Where the digest comes from.
    pub source: PinSource,
    /// `application/vnd.oci.image.index.v1+json` and its like; empty if that is not known.
    pub media_type: String,
    /// Of the manifest or index itself, in bytes; 0 if that is not known.
    pub size: u64,
}

impl ImagePuller {
    /// Resolves a name. `login` is the client's; without it the node's own is used. If no source
    /// knows the name, the error is the registry's.
    pub async fn resolve(
        &self,
        reference: &Reference,
        login: Option<Login>,
    ) -> Result<Pinned, PullError> {
        let reference = reference.clone().with_default_tag();
        if let Some(image) = self.0.members.fleet_image(&reference).await
            && let Ok(digest) = image.fact.digest.parse()
        {
            let (media_type, size, platforms) = (String::new(), 0, image.fact.platforms);
            return Ok(Pinned { digest, platforms, source: PinSource::Fleet, media_type, size });
        }
        if let Some(digest) = &reference.digest
            && let Ok(Some(pinned)) = self.pin_here(digest, PinSource::Given).await
        {
            return Ok(pinned);
        }
        let refusal = match self.ask_registry(&reference, login).await {
            Ok(pinned) => return Ok(pinned),
            Err(error) => error,
        };
        if let Some(pinned) = self.resolve_here(&reference.to_string()).await {
            return Ok(Pinned { source: PinSource::Here, ..pinned });
        }
        match self.ask_peers(&reference).await {
            Some(pinned) => Ok(pinned),
            None => Err(refusal),
        }
    }

    /// Resolves a name with this node's own images.
    pub(crate) async fn resolve_here(&self, name: &str) -> Option<Pinned> {
        let reference: Reference = name.parse().ok()?;
        let digest = self.0.images.digest_of(&reference.with_default_tag())?.digest;
        self.pin_here(&digest, PinSource::Here).await.ok()?
    }

    async fn ask_peers(&self, reference: &Reference) -> Option<Pinned> {
        let members = self.0.members.alive().await;
        let mut asked: futures_util::stream::FuturesUnordered<_> = members
            .iter()
            .map(|member| async move {
                let request = PeerRequest::Resolve(reference.to_string());
                let found: Option<Pinned> = self.0.members.ask(member, request).await?;
                Some(Pinned { source: PinSource::Peer(member.name.clone()), ..found? })
            })
            .collect();
        while let Some(answer) = asked.next().await {
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    async fn ask_registry(
        &self,
        reference: &Reference,
        login: Option<Login>,
    ) -> Result<Pinned, PullError> {
        let repository =
            Repository { registry: reference.registry.clone(), name: reference.repository.clone() };
        if self.is_paused() {
            return Err(PullError::Paused(reference.to_string()));
        }
        let host = repository.registry.clone();
        let asked = async {
            let session =
                self.0.registries.session(&repository, login.clone(), Purpose::Pull).await?;
            self.pin_at(&session, reference, login).await
        };
        let silent = || RegistryError::Silent { host, seconds: REGISTRY_TIMEOUT.as_secs() };
        timeout(REGISTRY_TIMEOUT, asked).await.unwrap_or_else(|_| Err(silent().into()))
    }

    /// Keeps the manifest too: a pinned image is going to run.
    async fn pin_at(
        &self,
        session: &RegistryClient,
        reference: &Reference,
        login: Option<Login>,
    ) -> Result<Pinned, PullError> {
        let wanted = reference.digest.as_ref().map(Digest::as_str);
        let name = wanted.or(reference.tag.as_deref()).unwrap_or("latest");
        let manifest = session.manifest(name).await?;
        let (images, bytes) = (self.0.images.clone(), manifest.bytes.clone());
        let digest = blocking(move || images.keep(&bytes)).await?;
        if reference.digest.as_ref().is_some_and(|wanted| *wanted != digest) {
            let host = manifest.host;
            let digest = reference.digest.clone().unwrap_or(digest);
            return Err(PullError::Corrupt { host, what: "manifest", digest });
        }
        let source = match reference.digest {
            Some(_) => PinSource::Given,
            None => PinSource::Registry,
        };
        // The platform of a single manifest is in its configuration.
        if let Some(Document::Manifest(found)) = document_here(&self.0.images, &digest).await? {
            let registry = Some((session.repository().clone(), login));
            let source = Source { registry, name: reference.to_string() };
            let config =
                source.want(&found.config.digest, Some(found.config.size), ContentKind::Blob);
            self.acquire(config).await?;
        }
        let pinned = self.pin_here(&digest, source).await?;
        let nobody = || PullError::Nobody { what: reference.to_string(), asked: 0 };
        let mut pinned = pinned.ok_or_else(nobody)?;
        pinned.media_type = manifest.media_type;
        Ok(pinned)
    }

    /// Describes a digest whose blob is on this node; `None` if it is not.
    async fn pin_here(
        &self,
        digest: &Digest,
        source: PinSource,
    ) -> Result<Option<Pinned>, PullError> {
        let Some(document) = document_here(&self.0.images, digest).await? else { return Ok(None) };
        let (images, known) = (self.0.images.clone(), digest.clone());
        let (platforms, size) = blocking(move || {
            let platforms = match document {
                Document::Index(builds) => {
                    builds.into_iter().filter_map(|build| build.platform).collect()
                }
                Document::Manifest(_) => {
                    let image = images.image_of_manifest(&known).ok().flatten();
                    image.map(|image| image.platform).into_iter().collect::<Vec<_>>()
                }
            };
            (platforms, images.has_blob(&known).unwrap_or(0))
        })
        .await;
        let (digest, media_type) = (digest.clone(), String::new());
        Ok(Some(Pinned { digest, platforms, source, media_type, size }))
    }
}
