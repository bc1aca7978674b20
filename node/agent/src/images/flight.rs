//! One blob on its way to this node. Whoever needs it waits for the same flight; it ends when it
//! arrived, when every way failed, or when nobody waits any more.
//!
//! ```text
//! own need:   a holder nearby ─▶ the first by rank, told to fetch ─▶ the second ─▶ own uplink
//! for a peer: own uplink at once
//! ```
//! A flight that has not found its source yet gives nothing to others, unless this node is the first
//! by rank: two nodes that take each other for the first refuse each other and go on, instead of
//! waiting for each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use runtime::image::{Digest, ImageError};
use tokio::sync::watch;

use super::choice::{self, HOPS_MAX};
use super::frames::{self, Part};
use super::members::Member;

use super::sink::Sink;
use super::{BringError, Source, Supply, What};
use crate::transport::{BlobOrigin, BlobRequest, PeerRequest};

/// Holders that are tried before somebody is told to fetch.
const HOLDERS_TRIED: usize = 4;

/// Members that are told to fetch before this node does it itself.
const FETCHERS_TRIED: usize = 2;

/// A blob that is wanted.
#[derive(Debug, Clone)]
pub(super) struct Want {
    pub(super) digest: Digest,
    /// In bytes, if it is known.
    pub(super) size: Option<u64>,
    pub(super) what: What,
    pub(super) source: Source,
}

/// For whom a blob is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// This node; others may be asked.
    Myself,
    /// A peer, who was told that this node is to fetch it.
    Site,
}

/// What people are shown of a blob on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Which.
    pub digest: Digest,
    /// The image that it was first wanted for.
    pub image: String,
    /// In bytes, if it is known.
    pub size: Option<u64>,
    /// Bytes that are here.
    pub received: u64,
    /// A registry or a node; empty while a source is looked for.
    pub from: String,
    /// Since it began.
    pub age: Duration,
}

/// How a flight stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Stand {
    /// How far from the source this node is; `None` while it looks for one.
    pub(super) hops: Option<u8>,
    /// It is over.
    pub(super) ended: Option<Result<(), BringError>>,
}

/// See the module.
pub(super) struct Flight {
    image: String,
    size: Option<u64>,
    begun: Instant,
    received: AtomicU64,
    from: Mutex<String>,
    /// Who has a receiver of it waits for the blob.
    stand: watch::Sender<Stand>,
}

impl Flight {
    fn new(want: &Want) -> Flight {
        Flight {
            image: want.source.name.clone(),
            size: want.size,
            begun: Instant::now(),
            received: AtomicU64::new(0),
            from: Mutex::default(),
            stand: watch::Sender::default(),
        }
    }

    /// How far from the source this node is; `None` while it looks for one.
    pub(super) fn hops(&self) -> Option<u8> {
        self.stand.borrow().hops
    }

    /// Waits along: as long as somebody does, the flight goes on.
    pub(super) fn watch(&self) -> watch::Receiver<Stand> {
        self.stand.subscribe()
    }

    /// From now on it comes from there.
    pub(super) fn decide(&self, hops: u8, from: &str, received: u64) {
        self.received.store(received, Ordering::Relaxed);
        from.clone_into(&mut self.from.lock().expect("nothing panics while it holds this"));
        self.stand.send_modify(|stand| stand.hops = Some(hops));
    }

    pub(super) fn advance(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn undecide(&self) {
        self.stand.send_modify(|stand| stand.hops = None);
    }

    pub(super) fn shown(&self, digest: &Digest) -> Pull {
        Pull {
            digest: digest.clone(),
            image: self.image.clone(),
            size: self.size,
            received: self.received.load(Ordering::Relaxed),
            from: self.from.lock().expect("nothing panics while it holds this").clone(),
            age: self.begun.elapsed(),
        }
    }
}

impl Supply {
    /// Returns when the blob is here, or every way failed.
    pub(super) async fn acquire(&self, want: Want) -> Result<(), BringError> {
        self.board(want, For::Myself).await
    }

    /// The same for whoever wants it.
    pub(super) async fn board(&self, want: Want, whom: For) -> Result<(), BringError> {
        if self.has(&want.digest).await {
            return Ok(());
        }
        let mut stand = self.join(want, whom);
        let ended = stand.wait_for(|stand| stand.ended.is_some()).await;
        ended.ok().and_then(|stand| stand.ended.clone()).unwrap_or(Err(BringError::Ending))
    }

    pub(super) async fn has(&self, digest: &Digest) -> bool {
        let (images, digest) = (self.0.images.clone(), digest.clone());
        super::blocking(move || images.has_blob(&digest).is_some()).await
    }

    pub(super) fn flight(&self, digest: &Digest) -> Option<Arc<Flight>> {
        self.0.flights.lock().expect("nothing panics while it holds this").get(digest).cloned()
    }

    /// The flight of a blob; begins one if there is none.
    pub(super) fn join(&self, want: Want, whom: For) -> watch::Receiver<Stand> {
        let mut flights = self.0.flights.lock().expect("nothing panics while it holds this");
        if let Some(flight) = flights.get(&want.digest)
            && flight.stand.borrow().ended.is_none()
        {
            return flight.watch();
        }
        let flight = Arc::new(Flight::new(&want));
        let stand = flight.watch();
        flights.insert(want.digest.clone(), Arc::clone(&flight));
        let supply = self.clone();
        self.0.background.spawn(async move {
            let mut paused = supply.0.paused.subscribe();
            let result = tokio::select! {
                result = supply.fly(&want, whom, &flight) => result,
                _ = paused.wait_for(|paused| *paused) => {
                    Err(BringError::Paused(want.source.name.clone()))
                }
                () = flight.stand.closed() => Err(BringError::Ending),
            };
            let mut flights = supply.0.flights.lock().expect("nothing panics while it holds this");
            flight.stand.send_replace(Stand { hops: None, ended: Some(result) });
            if flights.get(&want.digest).is_some_and(|current| Arc::ptr_eq(current, &flight)) {
                flights.remove(&want.digest);
            }
        });
        stand
    }

    async fn fly(&self, want: &Want, whom: For, flight: &Flight) -> Result<(), BringError> {
        if whom == For::Site {
            return self.over_uplink(want, flight).await;
        }
        let members = self.0.members.alive().await;
        let near: Vec<Member> = members.into_iter().filter(|member| member.is_near).collect();
        if self.take_from_holders(want, &near, flight).await? {
            return Ok(());
        }
        let Some(me) = self.0.members.me() else { return self.over_uplink(want, flight).await };
        let ids = near.iter().map(|member| member.node).chain([me]);
        let mut last = None;
        for node in choice::ranked(&want.digest, ids).into_iter().take(FETCHERS_TRIED) {
            let Some(member) = near.iter().find(|member| member.node == node) else { break };
            match self.take_from_peer(want, member, Some(origin(want)), flight).await {
                Ok(()) => return Ok(()),
                Err(error @ BringError::Store(_)) if !is_damage(&error) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        if let Some(error) = last {
            tracing::debug!("{} is fetched by this node itself: {error}", want.digest);
        }
        self.over_uplink(want, flight).await
    }

    /// True once somebody who has it has given it.
    pub(super) async fn take_from_holders(
        &self,
        want: &Want,
        members: &[Member],
        flight: &Flight,
    ) -> Result<bool, BringError> {
        let Some(me) = self.0.members.me() else { return Ok(false) };
        let holders = self.0.members.holders(&want.digest, members).await;
        for node in choice::sources(&want.digest, me, &holders).into_iter().take(HOLDERS_TRIED) {
            let Some(member) = members.iter().find(|member| member.node == node) else { continue };
            match self.take_from_peer(want, member, None, flight).await {
                Ok(()) => return Ok(true),
                Err(error @ BringError::Store(_)) if !is_damage(&error) => return Err(error),
                Err(error) => tracing::debug!("{} from {}: {error}", want.digest, member.name),
            }
        }
        Ok(false)
    }

    /// Takes a blob from a peer, from where an earlier source ended.
    async fn take_from_peer(
        &self,
        want: &Want,
        member: &Member,
        origin: Option<BlobOrigin>,
        flight: &Flight,
    ) -> Result<(), BringError> {
        let refused = |why: String| BringError::Peer {
            what: want.source.name.clone(),
            peer: member.name.clone(),
            why,
        };
        let Some(transport) = self.0.members.transport() else {
            return Err(refused("no network".into()));
        };
        let mut sink = Sink::open(&self.0.images, &want.digest, want.size).await?;
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
                        flight.decide(hops.saturating_add(1), &member.name, sink.offset());
                    }
                    Some(Part::Bytes(bytes)) => {
                        self.0.taken.take(bytes.len()).await;
                        flight.advance(bytes.len());
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
        flight.undecide();
        match result {
            Ok(()) => Ok(sink.finish().await?),
            Err(why) => {
                sink.suspend().await?;
                Err(refused(why))
            }
        }
    }
}

/// The content was wrong or ended elsewhere than announced: another source may have the right one.
fn is_damage(error: &BringError) -> bool {
    let BringError::Store(error) = error else { return false };
    matches!(
        **error,
        ImageError::WrongDigest { .. } | ImageError::WrongSize { .. } | ImageError::Busy(_)
    )
}

fn origin(want: &Want) -> BlobOrigin {
    let (registry, repository, login) = match &want.source.registry {
        Some((repository, login)) => {
            (repository.registry.clone(), repository.name.clone(), login.clone())
        }
        None => Default::default(),
    };
    BlobOrigin { registry, repository, is_manifest: want.what == What::Manifest, login }
}
