//! Fetches over the uplink: from the registry, and from the other live members if there is no
//! registry or it fails. At most three blobs are fetched at a time; the others wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::image::auth::Login;
use runtime::image::pull::PullError;
use runtime::image::registry::{Purpose, RegistryClient, RegistryError, Repository};
use runtime::image::{Digest, ImageError, Images};
use tokio::sync::Semaphore;

use super::blob_fetch::{BlobFetch, Want};
use super::members::Members;
use super::peers::PeerSource;
use super::rate::Bucket;
use super::refusals::{Refusals, jittered};
use super::registries::Registries;
use super::sink::Sink;
use super::{ContentKind, blocking};

/// How often a blob is resumed after its connection was cut, as long as it grows.
const RESUMES_MAX: usize = 5;

/// The pause before a blob is resumed, with a jitter of half of it.
const RESUME_PAUSE: Duration = Duration::from_millis(500);

/// Blobs that come over the uplink at the same time, for this node and for its site.
const AT_ONCE: usize = 3;

/// The uplink of this node.
pub(super) struct Uplink {
    turns: Semaphore,
    refused: Refusals,
    images: Images,
    members: Arc<Members>,
    registries: Arc<Registries>,
    peers: Arc<PeerSource>,
    /// Limits the bytes per second that this node receives.
    received: Arc<Bucket>,
}

impl Uplink {
    pub(super) fn new(
        images: Images,
        members: Arc<Members>,
        registries: Arc<Registries>,
        peers: Arc<PeerSource>,
        received: Arc<Bucket>,
    ) -> Uplink {
        let (turns, refused) = (Semaphore::new(AT_ONCE), Refusals::default());
        Uplink { turns, refused, images, members, registries, peers, received }
    }

    /// Fetches a blob over the uplink, in its turn.
    pub(super) async fn take(&self, want: &Want, fetch: &BlobFetch) -> Result<(), PullError> {
        let _turn = self.turns.acquire().await.map_err(|_| PullError::Ending)?;
        if let Some(error) = self.refused.lately(&want.digest, Instant::now()) {
            return Err(error);
        }
        let refusal = match &want.source.registry {
            Some((repository, login)) => {
                match self.take_from_registry(want, repository, login.clone(), fetch).await {
                    Ok(()) => return Ok(()),
                    Err(error @ PullError::Store(_)) => return Err(error),
                    Err(error) => Some(error),
                }
            }
            None => None,
        };
        let members = self.members.alive().await;
        let asked = members.len();
        // The members of this site were asked before. They are asked again: they may have it now.
        if self.peers.take_from_holders(want, &members, fetch).await? {
            return Ok(());
        }
        let nobody = PullError::Nobody { what: want.source.name.clone(), asked };
        let error = refusal.unwrap_or(nobody);
        self.refused.note(&want.digest, &error, Instant::now());
        Err(error)
    }

    async fn take_from_registry(
        &self,
        want: &Want,
        repository: &Repository,
        login: Option<Login>,
        fetch: &BlobFetch,
    ) -> Result<(), PullError> {
        let session = self.registries.session(repository, login, Purpose::Pull).await?;
        match want.what {
            ContentKind::Manifest => self.manifest_from(&session, &want.digest, fetch).await,
            ContentKind::Blob => self.blob_from(&session, want, fetch).await,
        }
    }

    async fn manifest_from(
        &self,
        session: &RegistryClient,
        digest: &Digest,
        fetch: &BlobFetch,
    ) -> Result<(), PullError> {
        fetch.decide(0, &session.repository().registry, 0);
        let manifest = session.manifest(digest.as_str()).await?;
        if Digest::of(&manifest.bytes) != *digest {
            let (host, digest) = (manifest.host, digest.clone());
            return Err(PullError::Corrupt { host, what: "manifest", digest });
        }
        self.received.take(manifest.bytes.len()).await;
        let images = self.images.clone();
        blocking(move || images.keep(&manifest.bytes)).await?;
        Ok(())
    }

    /// Fetches a blob, and resumes it as long as each attempt receives something.
    async fn blob_from(
        &self,
        session: &RegistryClient,
        want: &Want,
        fetch: &BlobFetch,
    ) -> Result<(), PullError> {
        let mut resumes = 0;
        loop {
            let mut sink = Sink::open(&self.images, &want.digest, want.size).await?;
            let begun = sink.offset();
            fetch.decide(0, &session.repository().registry, begun);
            let received = match want.size == Some(begun) {
                true => Ok(0),
                false => self.receive(session, want, &mut sink, fetch).await,
            };
            let (error, received) = match received {
                Ok(_) => return self.finished(session, want, sink).await,
                Err(failed) => failed,
            };
            sink.suspend().await?;
            resumes += 1;
            if received == 0 || resumes > RESUMES_MAX || !error.is_silence() {
                return Err(error.into());
            }
            tokio::time::sleep(jittered(RESUME_PAUSE)).await;
        }
    }

    /// Returns the number of bytes received, also with an error.
    async fn receive(
        &self,
        session: &RegistryClient,
        want: &Want,
        sink: &mut Sink,
        fetch: &BlobFetch,
    ) -> Result<u64, (RegistryError, u64)> {
        let stream = session.blob(want.digest.as_str(), sink.offset()).await;
        let mut stream = stream.map_err(|error| (error, 0))?;
        let mut received = 0;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| (error, received))?;
            self.received.take(piece.len()).await;
            fetch.advance(piece.len());
            received += piece.len() as u64;
            if !sink.write(piece).await {
                break;
            }
        }
        Ok(received)
    }

    async fn finished(
        &self,
        session: &RegistryClient,
        want: &Want,
        sink: Sink,
    ) -> Result<(), PullError> {
        match sink.finish().await {
            Ok(()) => Ok(()),
            Err(ImageError::WrongDigest { .. } | ImageError::WrongSize { .. }) => {
                Err(PullError::Corrupt {
                    host: session.repository().registry.clone(),
                    what: "blob",
                    digest: want.digest.clone(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}
