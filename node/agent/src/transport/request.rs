//! Questions from one agent to another, on a stream of their own: the logs of a task that runs over
//! there. The answer comes in frames; an empty frame only says that more may come, and of a log
//! that all so far has come.
//!
//! ```text
//! asker    ── request (wire-encoded), end ─────────▶ answerer
//!          ◀── length (u32), frame · length, frame … ──
//! ```

use std::sync::Arc;
use std::time::Duration;

use crdt_state::task::Run;
use crdt_state::{NodeId, wire};
use quinn::{RecvStream, SendStream};
use runtime::image::auth::Login;
use runtime::look::Look;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::counters::Dropped;
use super::relay::{self, Opened, Route};
use super::tls::Close;
use super::{DialFailure, PeerStream, Shared, session};

/// A question is small.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// One frame of an answer at most; a longer line of a log is cut before.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Frames that wait for whoever reads: 8 of at most 64 KiB; then the sender waits.
const FRAMES_MAX: usize = 8;

/// Below what everything else has: messages between the nodes are sent first.
const BULK_PRIORITY: i32 = -1;

/// An empty frame this often keeps the connection, which ends after 30 s of silence.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// No frame for so long: the peer is gone. Three signs of life.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What one agent can ask of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRequest {
    /// The log of a run.
    Logs(LogRequest),
    /// Which of these blobs it has, one answer each.
    Have(Vec<String>),
    /// A blob, from an offset on.
    Blob(BlobRequest),
    /// What a name of an image stands for over there.
    Resolve(String),
    /// To keep a copy of an image of the fleet: its name and digest.
    Keep {
        /// Its full name.
        name: String,
        /// What it stands for.
        digest: String,
    },
    /// A look at a run; answered in one frame of JSON.
    Look {
        /// Which.
        run: Run,
        /// At what.
        look: Look,
    },
}

impl PeerRequest {
    /// What is large and can wait comes after everything else on the same connection.
    fn is_bulk(&self) -> bool {
        matches!(self, PeerRequest::Blob(_))
    }
}

/// Which part of which blob, and where else it could be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRequest {
    /// `sha256:…`.
    pub digest: String,
    /// Of the whole, if it is known.
    pub size: Option<u64>,
    /// Where to begin.
    pub offset: u64,
    /// How many nodes stand between it and whoever has it whole: the asker is one further.
    pub hops_max: u8,
    /// To be fetched from there if it is not here; `None`: only what is here.
    pub origin: Option<BlobOrigin>,
}

/// A repository, and as whom it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobOrigin {
    /// `docker.io`.
    pub registry: String,
    /// `library/nginx`.
    pub repository: String,
    /// Whether it is a manifest or an index rather than a blob.
    pub is_manifest: bool,
    /// Sent along by an operator; else the node's own is used.
    pub login: Option<Login>,
}

/// Which part of which log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    /// Whose.
    pub run: Run,
    /// Only the last so many lines.
    pub tail: Option<u64>,
    /// Only lines since this time of day of the node that wrote them, milliseconds since 1970.
    pub since_wall_ms: Option<u64>,
    /// Go on with what is written from now on.
    pub follow: bool,
}

/// Who answers the requests of peers.
pub trait PeerService: Send + Sync {
    /// The frames of the answer; the channel's end is the answer's end. Must not wait.
    fn answer(&self, from: NodeId, request: PeerRequest) -> mpsc::Receiver<Vec<u8>>;

    /// A session in a run of this node; dropping the stream ends it. Must not wait.
    fn session(&self, from: NodeId, run: Run, stream: PeerStream);

    /// A stream that a peer wants to be passed on to another one. Must not wait.
    fn relay(&self, from: NodeId, to: NodeId, stream: PeerStream);
}

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
    let Opened { mut send, mut receive, .. } = relay::open(shared, route).await?;
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
        // A reader that went is noticed in the next round.
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

/// What a peer opened a stream for.
enum Opening {
    Request(PeerRequest),
    Session(Run),
    Knock,
    Relay(NodeId),
}

async fn read_opening(receive: &mut RecvStream) -> Option<Opening> {
    let mut first = [0];
    receive.read_exact(&mut first).await.ok()?;
    match first {
        [session::SESSION] => session::read_run(receive).await.map(Opening::Session),
        [session::KNOCK] => Some(Opening::Knock),
        [relay::RELAY] => relay::read_node(receive).await.map(Opening::Relay),
        _ => {
            let rest = receive.read_to_end(REQUEST_BYTES_MAX).await.ok()?;
            let request = wire::decode::<PeerRequest>(&[&first[..], &rest].concat());
            request.ok().map(Opening::Request)
        }
    }
}

/// The other side: reads one request and sends what the service answers.
pub(super) async fn answer(
    shared: Arc<Shared>,
    from: NodeId,
    mut send: SendStream,
    mut receive: RecvStream,
) {
    let opening = timeout(2 * shared.dial_deadline, read_opening(&mut receive)).await;
    let request = match opening.ok().flatten() {
        Some(Opening::Request(request)) => Some(request),
        Some(Opening::Session(run)) => {
            if let Some(service) = shared.service.get() {
                service.session(from, run, tokio::io::join(receive, send));
            }
            return;
        }
        Some(Opening::Relay(to)) => {
            if let Some(service) = shared.service.get() {
                service.relay(from, to, tokio::io::join(receive, send));
            }
            return;
        }
        Some(Opening::Knock) => return,
        None => None,
    };
    let (Some(request), Some(service)) = (request, shared.service.get()) else {
        shared.counters.on_dropped(Dropped::Request);
        let _ = send.reset(Close::Stale.code());
        return;
    };
    if request.is_bulk() {
        // The connection may have gone; then writing says so.
        let _ = send.set_priority(BULK_PRIORITY);
    }
    let mut frames = service.answer(from, request);
    loop {
        let frame = tokio::select! {
            frame = timeout(SIGN_OF_LIFE, frames.recv()) => frame.unwrap_or_else(|_| Some(Vec::new())),
            _ = send.stopped() => return,
        };
        let Some(mut frame) = frame else { break };
        frame.truncate(FRAME_BYTES_MAX);
        let length = (frame.len() as u32).to_be_bytes();
        let written = timeout(SILENCE_MAX, async {
            send.write_all(&length).await?;
            send.write_all(&frame).await
        });
        if !matches!(written.await, Ok(Ok(()))) {
            return;
        }
    }
    let _ = send.finish();
}
