//! The interface through which a driver requests an image that may not be on this node, and the
//! reasons why a pull fails. The agent decides from where it is pulled (peers, a registry).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::auth::LoginError;
use super::registry::RegistryError;
use super::{BadReference, Digest, Image, ImageError, Reference};

/// A pull that goes on.
pub type PullFuture<'a> = Pin<Box<dyn Future<Output = Result<Image, PullError>> + Send + 'a>>;

/// Pulls images to this node.
pub trait PullImage: std::fmt::Debug + Send + Sync {
    /// The image of a reference, complete on this node when the future ends. What is here already
    /// costs no packet. `say` is told what is being done, once when it begins to take time; it must
    /// not wait. A dropped future ends the work, what has come is kept.
    fn pull<'a>(
        &'a self,
        reference: &'a Reference,
        say: &'a (dyn Fn(String) + Send + Sync),
    ) -> PullFuture<'a>;

    /// What was pulled does not fit on the disk when it is unpacked.
    fn on_disk_full(&self);
}

/// Why an image is not here. Only a malformed reference stays so; everything else may be over a
/// moment later and is worth another attempt.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PullError {
    /// The name is malformed.
    #[error(transparent)]
    Malformed(#[from] BadReference),
    /// A registry does not give it, and nobody else has it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A login is configured and cannot be had.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The store does not take it: full, broken, wrong content, no build for this node.
    #[error(transparent)]
    Store(Arc<ImageError>),
    /// Neither a registry nor a peer has it.
    #[error(
        "nobody has {what}: no registry is asked for it, and none of {asked} peers\n  start a node \
         that has it, or push it again: edgectl image push"
    )]
    Nobody {
        /// What.
        what: String,
        /// Peers that were asked.
        asked: usize,
    },
    /// A peer that fetches for this site does not give it.
    #[error(
        "{what} does not come from peer {peer}: {why}\n  it is tried again, from another one too"
    )]
    Peer {
        /// What.
        what: String,
        /// Who.
        peer: String,
        /// Why, as the peer tells it.
        why: String,
    },
    /// Fetching is paused.
    #[error(
        "image {0} is not here, and fetching images is paused on this node\n  go on with: edgectl \
         image resume"
    )]
    Paused(String),
    /// The digest is not what the name stands for anywhere.
    #[error(
        "{host} sends another {what} than its digest says: {digest} is expected\n  it was thrown \
         away and is tried again; see that registry's disk"
    )]
    Corrupt {
        /// Who.
        host: String,
        /// `blob` or `manifest`.
        what: &'static str,
        /// As it should be.
        digest: Digest,
    },
    /// The agent ends.
    #[error("the agent is ending; it is tried again when it is back")]
    Ending,
}

impl PullError {
    /// Nothing that another attempt could change.
    pub fn is_permanent(&self) -> bool {
        matches!(self, PullError::Malformed(_))
    }
}

impl From<ImageError> for PullError {
    fn from(error: ImageError) -> PullError {
        PullError::Store(Arc::new(error))
    }
}
