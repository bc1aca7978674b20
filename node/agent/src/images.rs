//! Pulling images to this node: from the members of its site, or over the uplink, once per site.
//!
//! ```text
//! pull ─▶ here? ─▶ manifest ─▶ configuration and layers, three at a time
//!                     each blob:  a member has it ─▶ fetch it from there, also while it grows
//!                                 nobody has it   ─▶ the first by rank fetches it; the others
//!                                                    fetch from that member while it grows
//! ```
//! All of this runs on the background runtime, never on the node's thread, and every wait has a
//! timeout. An image that is already on this node costs no packet. The puller never decides that a
//! task may not run: the driver receives each failure with its reason, and node-core decides when to
//! try again.

mod blob_fetch;
mod choice;
mod document;
mod fetch;
mod frames;
mod keep;
mod members;
mod peers;
mod push;
mod rate;
mod refusals;
mod registries;
mod resolve;
mod serve;
mod sink;
mod streams;
mod uplink;

use std::sync::Arc;

use crdt_state::NodeId;
use futures_util::StreamExt;
use runtime::image::auth::Login;
use runtime::image::manifest::{Descriptor, Document};
use runtime::image::pull::{PullError, PullFuture, PullImage};
use runtime::image::registry::Repository;
use runtime::image::{Digest, Image, ImageError, Images, Origin, Reference, Search};
use tokio::sync::{Notify, mpsc, watch};

pub use blob_fetch::Pull;
pub(super) use members::FleetLink;
pub use push::{PushEvent, Pushed};
pub use resolve::{PinSource, Pinned};
pub(super) use serve::BlobServer;

use crate::config::{Config, ImageFetch};
use crate::transport::PeerStream;
use blob_fetch::{BlobFetches, Want};
use members::Members;
use peers::PeerSource;
use rate::Bucket;
use registries::Registries;
use uplink::Uplink;

/// Blobs of one image, its configuration and layers, that are fetched at the same time.
const BLOBS_AT_ONCE: usize = 3;

/// The progress of a pull, for the client that waits for the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullEvent {
    /// The manifest is on this node; these are its layers.
    Layers(Vec<Descriptor>),
    /// This layer, or the image's configuration, is on this node.
    LayerHere(Digest),
}

/// A request to pull an image.
pub struct PullRequest<'a> {
    /// The image.
    pub reference: &'a Reference,
    /// The login for the registry; `None`: the one in this node's Docker config.
    pub login: Option<Login>,
    /// Why it is pulled, which decides how long it stays.
    pub origin: Origin,
    /// Where progress is reported; the receiver may be gone.
    pub events: Option<mpsc::UnboundedSender<PullEvent>>,
}

/// Pulls images to this node. All clones share one state.
#[derive(Clone)]
pub struct ImagePuller(Arc<Inner>);

struct Inner {
    images: Images,
    members: Arc<Members>,
    registries: Arc<Registries>,
    peers: Arc<PeerSource>,
    uplink: Uplink,
    fetches: BlobFetches,
    rate_limit: Option<u64>,
    paused: watch::Sender<bool>,
    /// Notified when a blob did not fit on the disk.
    full: Notify,
    background: tokio::runtime::Handle,
}

impl ImagePuller {
    /// A puller for this store. Its work runs on `background`.
    pub(super) fn new(
        images: Images,
        config: &Config,
        background: tokio::runtime::Handle,
    ) -> ImagePuller {
        let rate_limit = config.blob_rate_limit;
        let members = Arc::<Members>::default();
        let received = Arc::new(Bucket::new(rate_limit));
        let registries = Arc::new(Registries::new(config));
        let peers =
            Arc::new(PeerSource::new(images.clone(), Arc::clone(&members), Arc::clone(&received)));
        let uplink = Uplink::new(
            images.clone(),
            Arc::clone(&members),
            Arc::clone(&registries),
            Arc::clone(&peers),
            received,
        );
        ImagePuller(Arc::new(Inner {
            images,
            members,
            uplink,
            registries,
            peers,
            fetches: BlobFetches::default(),
            rate_limit,
            paused: watch::Sender::new(config.image_fetch == ImageFetch::Paused),
            full: Notify::new(),
            background,
        }))
    }

    /// Connects it to the fleet; only the first call has an effect.
    pub(super) fn connect(&self, link: FleetLink) {
        self.0.members.connect(link);
    }

    /// The store of images.
    pub fn images(&self) -> &Images {
        &self.0.images
    }

    /// Whether fetching is paused.
    pub fn is_paused(&self) -> bool {
        *self.0.paused.borrow()
    }

    /// Cancels running fetches and starts no new ones. Data on the disk is kept.
    pub fn pause(&self) {
        self.0.paused.send_replace(true);
    }

    /// Allows fetches again.
    pub fn resume(&self) {
        self.0.paused.send_replace(false);
    }

    /// Returns after a blob did not fit on the disk, also if that was before this call.
    pub(super) async fn disk_filled(&self) {
        self.0.full.notified().await;
    }

    /// Carries a peer's stream to a node that the peer does not reach.
    pub(crate) async fn relay(&self, to: NodeId, stream: PeerStream) {
        self.0.members.relay(to, stream).await;
    }

    /// The limit in bytes per second, in each direction; `None`: no limit.
    pub fn rate_limit(&self) -> Option<u64> {
        self.0.rate_limit
    }

    /// The fetches that are running.
    pub fn pulls(&self) -> Vec<Pull> {
        self.0.fetches.shown()
    }

    /// Pulls an image and gives it its name. An image that is on this node costs no packet, unless
    /// an operator pulls a tag ([`Origin::Pulled`]): then the tag is resolved again.
    pub async fn fetch(&self, request: PullRequest<'_>) -> Result<Image, PullError> {
        let reference = request.reference.clone().with_default_tag();
        let looks_up = request.origin == Origin::Pulled && reference.digest.is_none();
        if !looks_up && let Some(image) = self.local(&reference).await? {
            return Ok(image);
        }
        if self.is_paused() {
            return Err(PullError::Paused(reference.to_string()));
        }
        let digest = match &reference.digest {
            Some(digest) => digest.clone(),
            None => self.resolve(&reference, request.login.clone()).await?.digest,
        };
        let source = self.source(&reference, request.login).await;
        let manifest = self.manifest_for_here(&digest, &source).await?;
        if let Some(events) = &request.events {
            let _ = events.send(PullEvent::Layers(manifest.layers.clone()));
        }
        let mut parts = vec![manifest.config];
        parts.extend(manifest.layers);
        let mut coming = futures_util::stream::iter(parts.into_iter().map(|part| {
            let want = source.want(&part.digest, Some(part.size), ContentKind::Blob);
            let events = request.events.clone();
            async move {
                self.acquire(want).await?;
                if let Some(events) = events {
                    let _ = events.send(PullEvent::LayerHere(part.digest));
                }
                Ok::<_, PullError>(())
            }
        }))
        .buffer_unordered(BLOBS_AT_ONCE);
        while let Some(part) = coming.next().await {
            part?;
        }
        drop(coming);
        let (images, origin) = (self.0.images.clone(), request.origin);
        let named = reference.clone();
        let found = blocking(move || {
            images.set_name(&named, &digest, origin)?;
            images.image(&digest)
        });
        found.await?.ok_or_else(|| PullError::Nobody { what: reference.to_string(), asked: 0 })
    }

    /// The image, if all of its blobs are on this node.
    pub async fn local(&self, reference: &Reference) -> Result<Option<Image>, PullError> {
        let (images, reference) = (self.0.images.clone(), reference.clone());
        Ok(blocking(move || images.find(&reference)).await?)
    }

    /// The manifest of the build for this node's platform, fetched with the indexes above it.
    async fn manifest_for_here(
        &self,
        digest: &Digest,
        source: &Source,
    ) -> Result<runtime::image::manifest::Manifest, PullError> {
        let images = &self.0.images;
        let mut search = Search::begin(digest);
        while let Some((digest, depth)) = search.next() {
            match self.document(&digest, source).await? {
                Document::Manifest(manifest) => return Ok(manifest),
                Document::Index(builds) => {
                    search.add(&digest, depth, &builds, images.platform())?;
                }
            }
        }
        Err(images.no_platform(&search.offered).into())
    }

    /// The sources of an image's blobs.
    async fn source(&self, reference: &Reference, login: Option<Login>) -> Source {
        let is_fleets =
            self.0.members.fleet_image(&reference.clone().without_digest()).await.is_some();
        let repository =
            Repository { registry: reference.registry.clone(), name: reference.repository.clone() };
        let registry = if is_fleets { None } else { Some((repository, login)) };
        Source { registry, name: reference.to_string() }
    }
}

impl std::fmt::Debug for ImagePuller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImagePuller").field("images", &self.0.images).finish_non_exhaustive()
    }
}

impl PullImage for ImagePuller {
    fn pull<'a>(
        &'a self,
        reference: &'a Reference,
        say: &'a (dyn Fn(String) + Send + Sync),
    ) -> PullFuture<'a> {
        Box::pin(async move {
            // The driver waits on its own runtime; files and sockets belong to the background one.
            let (puller, wanted) = (self.clone(), reference.clone());
            let local = self.0.background.spawn(async move { puller.local(&wanted).await });
            if let Some(image) = local.await.map_err(|_| PullError::Ending)?? {
                return Ok(image);
            }
            say(format!("fetching {reference}"));
            let (puller, wanted) = (self.clone(), reference.clone());
            let fetching = Fetching(self.0.background.spawn(async move {
                let request = PullRequest {
                    reference: &wanted,
                    login: None,
                    origin: Origin::ForTask,
                    events: None,
                };
                puller.fetch(request).await
            }));
            let fetched = fetching.await;
            if let Err(PullError::Store(error)) = &fetched
                && matches!(**error, ImageError::DiskFull { .. })
            {
                self.on_disk_full();
            }
            fetched
        })
    }

    fn on_disk_full(&self) {
        self.0.full.notify_one();
    }
}

/// A fetch that is aborted when its waiter is dropped.
struct Fetching(tokio::task::JoinHandle<Result<Image, PullError>>);

impl Future for Fetching {
    type Output = Result<Image, PullError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let joined = std::task::ready!(std::pin::Pin::new(&mut self.0).poll(context));
        std::task::Poll::Ready(joined.unwrap_or(Err(PullError::Ending)))
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The kind of content, which decides the registry's path for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContentKind {
    Manifest,
    Blob,
}

/// The source of an image's blobs outside this site.
#[derive(Debug, Clone)]
struct Source {
    /// The repository and the login for it; `None`: an image of the fleet, without a registry.
    registry: Option<(Repository, Option<Login>)>,
    /// The reference as it was requested, for messages.
    name: String,
}

impl Source {
    fn want(&self, digest: &Digest, size: Option<u64>, what: ContentKind) -> Want {
        Want { digest: digest.clone(), size, what, source: self.clone() }
    }
}

/// Runs blocking work with files outside the async runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
