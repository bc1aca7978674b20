//! Fetches blobs from peers: from the first holder that serves it.

use std::sync::Arc;

use bytes::Bytes;
use runtime::image::{ImageError, Images};

use super::PullError;
use super::blob_fetch::{BlobFetch, Want};
use super::choice::{self, HOPS_MAX};
use super::frames::{self, Part};
use super::members::{Member, Members};
use super::rate::Bucket;
use super::sink::Sink;
use crate::transport::{BlobOrigin, BlobRequest, PeerRequest};

/// Holders that are tried before a member is asked to fetch the blob.
const HOLDERS_TRIED: usize = 4;

/// Fetches blobs from peers into this node's store.
pub(super) struct PeerSource {
    images: Images,
    members: Arc<Members>,
    /// Limits the bytes per second that this node receives.
    received: Arc<Bucket>,
}

impl PeerSource {
    pub(super) fn new(images: Images, members: Arc<Members>, received: Arc<Bucket>) -> PeerSource {
        PeerSource { images, members, received }
    }

    /// Fetches the blob from one of these members; false if no holder served it.
    pub(super) async fn take_from_holders(
        &self,
        want: &Want,
        members: &[Member],
        fetch: &BlobFetch,
    ) -> Result<bool, PullError> {
        let Some(me) = self.members.me() else { return Ok(false) };
        let holders = self.members.holders(&want.digest, members).await;
        for node in choice::sources(&want.digest, me, &holders).into_iter().take(HOLDERS_TRIED) {
            let Some(member) = members.iter().find(|member| member.node == node) else { continue };
            match self.take_from_peer(want, member, None, fetch).await {
                Ok(()) => return Ok(true),
                Err(error @ PullError::Store(_)) if !is_damage(&error) => return Err(error),
                Err(error) => tracing::debug!("{} from {}: {error}", want.digest, member.name),
            }
        }
        Ok(false)
    }

    /// Fetches a blob from a peer, and resumes where an earlier source ended.
    pub(super) async fn take_from_peer(
        &self,
        want: &Want,
        member: &Member,
        origin: Option<BlobOrigin>,
        fetch: &BlobFetch,
    ) -> Result<(), PullError> {
        let refused = |why: String| PullError::Peer {
            what: want.source.name.clone(),
            peer: member.name.clone(),
            why,
        };
        let Some(transport) = self.members.transport() else {
            return Err(refused("no network".into()));
        };
        let mut sink = Sink::open(&self.images, &want.digest, want.size).await?;
        let request = BlobRequest {
            digest: want.digest.to_string(),
            size: want.size,
            offset: sink.offset(),
            hops_max: HOPS_MAX,
            origin,
        };
        let mut reply = transport.request(member.route(), PeerRequest::Blob(request));
        let result = loop {
            match reply.next().await {
                Some(Ok(frame)) => match frames::read(&frame) {
                    Some(Part::Begin { hops }) => {
                        fetch.decide(hops.saturating_add(1), &member.name, sink.offset());
                    }
                    Some(Part::Bytes(bytes)) => {
                        self.received.take(bytes.len()).await;
                        fetch.advance(bytes.len());
                        if !sink.write(Bytes::copy_from_slice(bytes)).await {
                            break Ok(());
                        }
                    }
                    Some(Part::End) => break Ok(()),
                    Some(Part::Refused(why)) => break Err(why.to_owned()),
                    None => break Err("it sent something that is no blob".to_owned()),
                },
                Some(Err(failure)) => break Err(failure.to_string()),
                None => break Err("the stream ended in the middle".to_owned()),
            }
        };
        fetch.undecide();
        match result {
            Ok(()) => Ok(sink.finish().await?),
            Err(why) => {
                sink.suspend().await?;
                Err(refused(why))
            }
        }
    }
}

/// The content had another digest or length than announced: another source may have the right one.
pub(super) fn is_damage(error: &PullError) -> bool {
    let PullError::Store(error) = error else { return false };
    matches!(
        **error,
        ImageError::WrongDigest { .. } | ImageError::WrongSize { .. } | ImageError::Busy(_)
    )
}
