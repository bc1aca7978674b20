//! Requests of peers about blobs: which this node has, and the content of one, also while it grows or
//! after it was fetched for the site.
//!
//! A blob is sent in frames: a first one, bytes, and a last one; or a refusal, at any time. While
//! this node waits for the uplink, the transport's empty frames keep the requester waiting.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use runtime::image::blob::Growth;
use runtime::image::registry::Repository;
use runtime::image::{Digest, Images};
use tokio::sync::{mpsc, watch};

use super::blob_fetch::Want;
use super::choice::{BlobHolding, HOPS_MAX, STREAMS_MAX};
use super::fetch::FetchFor;
use super::frames::{Part, frame};
use super::rate::Bucket;
use super::streams::Streams;
use super::{ContentKind, ImagePuller, Source, blocking};
use crate::transport::{BlobOrigin, BlobRequest};

/// Bytes of a blob in one frame. With the leading byte they fit the transport's 64 KiB.
const PIECE_BYTES: usize = 60 * 1024;

/// Blobs that a peer may ask about in one request.
const ASKED_MAX: usize = 256;

/// A blob to read: a complete one, or the part that is already on the disk.
struct Readable {
    file: std::fs::File,
    hops: u8,
    /// `None`: it is complete.
    growth: Option<watch::Receiver<Growth>>,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Streamed {
    /// The whole blob was sent.
    All,
    /// The blob stopped growing before its end.
    Stopped,
}

/// Sends blobs to peers, within the rate limit and a maximum of streams for each blob.
pub(crate) struct BlobServer {
    puller: ImagePuller,
    streams: Streams,
    /// Limits the bytes per second that this node sends.
    given: Bucket,
}

impl BlobServer {
    pub(crate) fn new(puller: ImagePuller) -> BlobServer {
        let given = Bucket::new(puller.rate_limit());
        BlobServer { puller, streams: Streams::default(), given }
    }

    pub(crate) async fn has_of(&self, digests: Vec<String>) -> Vec<BlobHolding> {
        let mut holdings = Vec::new();
        for digest in digests.iter().take(ASKED_MAX) {
            holdings.push(match digest.parse() {
                Ok(digest) => self.holding(&digest).await,
                Err(_) => BlobHolding::Nothing,
            });
        }
        holdings
    }

    async fn holding(&self, digest: &Digest) -> BlobHolding {
        if self.puller.has(digest).await {
            return BlobHolding::Whole;
        }
        let is_busy = self.streams.is_busy(digest);
        match self.puller.0.fetches.of(digest).and_then(|fetch| fetch.hops()) {
            Some(hops) if !is_busy => BlobHolding::Growing(hops),
            _ => BlobHolding::Nothing,
        }
    }

    /// Sends a blob, or a refusal with the reason.
    pub(crate) async fn give(&self, request: BlobRequest, frames: &mpsc::Sender<Vec<u8>>) {
        if let Err(why) = self.try_give(request, frames).await {
            let _ = frames.send(frame(&Part::Refused(&why))).await;
        }
    }

    async fn try_give(
        &self,
        request: BlobRequest,
        frames: &mpsc::Sender<Vec<u8>>,
    ) -> Result<(), String> {
        let digest: Digest = request.digest.parse().map_err(|_| "that is no digest".to_owned())?;
        let busy = || format!("it already gives this to {STREAMS_MAX} others");
        let _stream = self.streams.begin(&digest).ok_or_else(busy)?;
        let hops_max = request.hops_max.min(HOPS_MAX);
        let mut offset = request.offset;
        if let Some(readable) = self.readable(&digest).await
            && self.stream(readable, hops_max, &mut offset, frames).await? == Streamed::All
        {
            return Ok(());
        }
        // It is not on this node, or its own fetch has stopped for now.
        let mut state = match (self.puller.0.fetches.of(&digest), request.origin) {
            // A requester that sends an origin ranks after this node as fetcher, so no two nodes
            // wait for each other. Others must not wait for a fetch without a source.
            (Some(fetch), None) if fetch.hops().is_none() => {
                return Err("it looks for a source itself".to_owned());
            }
            (Some(fetch), _) => fetch.watch(),
            (None, Some(origin)) => {
                self.puller.join(want(&digest, request.size, origin), FetchFor::Site)
            }
            (None, None) => return Err("it does not have it".to_owned()),
        };
        loop {
            let ended = state.borrow_and_update().ended.clone();
            if let Some(readable) = self.readable(&digest).await
                && self.stream(readable, hops_max, &mut offset, frames).await? == Streamed::All
            {
                return Ok(());
            }
            match ended {
                Some(Ok(())) => return Err("it had it and has it no more".to_owned()),
                Some(Err(error)) => return Err(error.to_string()),
                None => state.changed().await.map_err(|_| "it ends".to_owned())?,
            }
        }
    }

    async fn readable(&self, digest: &Digest) -> Option<Readable> {
        let (images, digest) = (self.puller.0.images.clone(), digest.clone());
        let hops = self.puller.0.fetches.of(&digest).and_then(|fetch| fetch.hops());
        blocking(move || open(&images, &digest, hops)).await
    }

    async fn stream(
        &self,
        readable: Readable,
        hops_max: u8,
        offset: &mut u64,
        frames: &mpsc::Sender<Vec<u8>>,
    ) -> Result<Streamed, String> {
        let Readable { file, hops, mut growth } = readable;
        if growth.is_some() && hops >= hops_max {
            return Err("it receives it from others itself".to_owned());
        }
        let gone = |_| "nobody listens".to_owned();
        let hops = if growth.is_some() { hops } else { 0 };
        frames.send(frame(&Part::Begin { hops })).await.map_err(gone)?;
        let file = Arc::new(std::sync::Mutex::new(file));
        loop {
            let now = growth.as_ref().map(|growth| *growth.borrow());
            let bytes_max = now.map_or(u64::MAX, |now| now.bytes.saturating_sub(*offset));
            let wanted = bytes_max.min(4 * PIECE_BYTES as u64) as usize;
            let (file, from) = (Arc::clone(&file), *offset);
            let bytes = blocking(move || read_at(&file, from, wanted)).await;
            let bytes = bytes.map_err(|error| format!("its disk: {error}"))?;
            for piece in bytes.chunks(PIECE_BYTES) {
                self.given.take(piece.len()).await;
                frames.send(frame(&Part::Bytes(piece))).await.map_err(gone)?;
            }
            *offset += bytes.len() as u64;
            if !bytes.is_empty() {
                continue;
            }
            let Some(growing) = &mut growth else { break };
            if now.is_some_and(|now| now.complete) {
                break;
            }
            let grows = growing.changed().await.is_ok();
            if !grows && !growing.borrow().complete {
                return Ok(Streamed::Stopped);
            }
        }
        frames.send(frame(&Part::End)).await.map_err(gone)?;
        Ok(Streamed::All)
    }
}

/// Opens a complete or a growing blob.
fn open(images: &Images, digest: &Digest, hops: Option<u8>) -> Option<Readable> {
    if let Some(file) = images.read_blob(digest) {
        return Some(Readable { file, hops: 0, growth: None });
    }
    if let (Some(partial), Some(hops)) = (images.partial(digest), hops) {
        return Some(Readable { file: partial.file, hops, growth: Some(partial.growth) });
    }
    // It may have become complete between the two reads.
    let file = images.read_blob(digest)?;
    Some(Readable { file, hops: 0, growth: None })
}

fn read_at(
    file: &std::sync::Mutex<std::fs::File>,
    offset: u64,
    bytes: usize,
) -> std::io::Result<Vec<u8>> {
    let mut file = file.lock().expect("nothing panics while it holds this");
    file.seek(SeekFrom::Start(offset))?;
    let mut read = Vec::new();
    (&mut *file).take(bytes as u64).read_to_end(&mut read)?;
    Ok(read)
}

/// The fetch that a peer requests.
fn want(digest: &Digest, size: Option<u64>, origin: BlobOrigin) -> Want {
    let what = if origin.is_manifest { ContentKind::Manifest } else { ContentKind::Blob };
    let name = format!("{}/{}", origin.registry, origin.repository);
    let registry = match origin.registry.is_empty() {
        true => None,
        false => {
            let repository = Repository { registry: origin.registry, name: origin.repository };
            Some((repository, origin.login))
        }
    };
    Source { registry, name }.want(digest, size, what)
}
