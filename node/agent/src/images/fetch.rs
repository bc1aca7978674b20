//! Fetches one blob to this node, from the nearest source that has it.
//!
//! ```text
//! own need:   a holder nearby ─▶ the first by rank, told to fetch ─▶ the second ─▶ own uplink
//! for a peer: own uplink at once
//! ```
//! A fetch that has not found its source yet serves no peers, unless this node is the first by
//! rank. So two nodes that each believe the other to be the first refuse each other and continue,
//! instead of waiting for each other.

use runtime::image::Digest;
use tokio::sync::watch;

use super::blob_fetch::{BlobFetch, FetchState, Want};
use super::choice;
use super::members::Member;
use super::peers::is_damage;
use super::{ContentKind, ImagePuller, PullError};
use crate::transport::BlobOrigin;

/// Members that are asked to fetch a blob before this node fetches it itself.
const FETCHERS_TRIED: usize = 2;

/// The requester of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FetchFor {
    /// This node; peers may be asked.
    Myself,
    /// A peer that asks this node to fetch the blob for the site.
    Site,
}

impl ImagePuller {
    /// Returns when the blob is on this node, or all sources failed.
    pub(super) async fn acquire(&self, want: Want) -> Result<(), PullError> {
        if self.has(&want.digest).await {
            return Ok(());
        }
        let mut state = self.join(want, FetchFor::Myself);
        let ended = state.wait_for(|state| state.ended.is_some()).await;
        ended.ok().and_then(|state| state.ended.clone()).unwrap_or(Err(PullError::Ending))
    }

    pub(super) async fn has(&self, digest: &Digest) -> bool {
        let (images, digest) = (self.0.images.clone(), digest.clone());
        super::blocking(move || images.has_blob(&digest).is_some()).await
    }

    /// The running fetch of a blob; starts one if there is none.
    pub(super) fn join(&self, want: Want, whom: FetchFor) -> watch::Receiver<FetchState> {
        let (puller, wanted) = (self.clone(), want.clone());
        self.0.fetches.join(&want, move |fetch| {
            let background = puller.0.background.clone();
            background.spawn(async move {
                let mut paused = puller.0.paused.subscribe();
                let result = tokio::select! {
                    result = puller.run_fetch(&wanted, whom, &fetch) => result,
                    _ = paused.wait_for(|paused| *paused) => {
                        Err(PullError::Paused(wanted.source.name.clone()))
                    }
                    () = fetch.abandoned() => Err(PullError::Ending),
                };
                puller.0.fetches.end(&wanted.digest, &fetch, result);
            });
        })
    }

    async fn run_fetch(
        &self,
        want: &Want,
        whom: FetchFor,
        fetch: &BlobFetch,
    ) -> Result<(), PullError> {
        if whom == FetchFor::Site {
            return self.0.uplink.take(want, fetch).await;
        }
        let members = self.0.members.alive().await;
        let near: Vec<Member> = members.into_iter().filter(|member| member.is_near).collect();
        if self.0.peers.take_from_holders(want, &near, fetch).await? {
            return Ok(());
        }
        let Some(me) = self.0.members.me() else { return self.0.uplink.take(want, fetch).await };
        let ids = near.iter().map(|member| member.node).chain([me]);
        let mut last = None;
        for node in choice::ranked(&want.digest, ids).into_iter().take(FETCHERS_TRIED) {
            let Some(member) = near.iter().find(|member| member.node == node) else { break };
            match self.0.peers.take_from_peer(want, member, Some(origin(want)), fetch).await {
                Ok(()) => return Ok(()),
                Err(error @ PullError::Store(_)) if !is_damage(&error) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        if let Some(error) = last {
            tracing::debug!("{} is fetched by this node itself: {error}", want.digest);
        }
        self.0.uplink.take(want, fetch).await
    }
}

fn origin(want: &Want) -> BlobOrigin {
    let (registry, repository, login) = match &want.source.registry {
        Some((repository, login)) => {
            (repository.registry.clone(), repository.name.clone(), login.clone())
        }
        None => Default::default(),
    };
    BlobOrigin { registry, repository, is_manifest: want.what == ContentKind::Manifest, login }
}
