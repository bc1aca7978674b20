//! The asking side of a request: sends it, and passes on the frames of the answer as they arrive.

use std::sync::Arc;

use crdt_state::wire;
use quinn::RecvStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Shared;
use super::dial::DialFailure;
use super::relay::{self, OpenedStream, Route};
use super::request::{FRAME_BYTES_MAX, PeerRequest, SILENCE_MAX};
use super::tls::Close;

/// Frames that wait for the reader: 8 of at most 64 KiB; then the sender waits.
const FRAMES_MAX: usize = 8;

/// An answer while it arrives.
pub struct PeerReply {
    frames: mpsc::Receiver<Result<Vec<u8>, DialFailure>>,
}

impl PeerReply {
    /// The next frame; `None` after the last. An error is the last.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, DialFailure>> {
        self.frames.recv().await
    }
}

pub(super) fn request(shared: &Arc<Shared>, route: Route, request: PeerRequest) -> PeerReply {
    let (frames, reply) = mpsc::channel(FRAMES_MAX);
    let shared = Arc::clone(shared);
    let runtime = shared.runtime.clone();
    runtime.spawn(async move {
        if let Err(failure) = ask(&shared, &route, &request, &frames).await {
            let _ = frames.send(Err(failure)).await;
        }
    });
    PeerReply { frames: reply }
}

async fn ask(
    shared: &Arc<Shared>,
    route: &Route,
    request: &PeerRequest,
    frames: &mpsc::Sender<Result<Vec<u8>, DialFailure>>,
) -> Result<(), DialFailure> {
    let OpenedStream { mut send, mut receive, .. } = relay::open(shared, route).await?;
    send.write_all(&wire::encode(request)).await.map_err(|_| DialFailure::NoAnswer)?;
    let _ = send.finish();
    loop {
        let frame = timeout(SILENCE_MAX, read_frame(&mut receive));
        let frame = tokio::select! {
            frame = frame => frame.unwrap_or(Err(DialFailure::NoAnswer))?,
            () = frames.closed() => None,
        };
        let Some(frame) = frame else {
            let _ = receive.stop(Close::Going.code());
            return Ok(());
        };
        // A reader that is gone is noticed in the next round.
        if !frame.is_empty() || matches!(request, PeerRequest::Logs(_)) {
            let _ = frames.send(Ok(frame)).await;
        }
    }
}

/// `None`: the end.
async fn read_frame(stream: &mut RecvStream) -> Result<Option<Vec<u8>>, DialFailure> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Ok(()) => {}
        Err(quinn::ReadExactError::FinishedEarly(0)) => return Ok(None),
        Err(_) => return Err(DialFailure::NoAnswer),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(DialFailure::NotAnAgent("it sent a frame that is too large".to_owned()));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await.map_err(|_| DialFailure::NoAnswer)?;
    Ok(Some(frame))
}
