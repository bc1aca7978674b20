//! The answering side of every stream that a peer opens: reads its purpose, and serves it.

use std::sync::Arc;
use std::time::Duration;

use crdt_state::NodeId;
use crdt_state::task::Run;
use quinn::{RecvStream, SendStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Shared;
use super::copy::FoundCopy;
use super::counters::Dropped;
use super::opening::{PeerStream, StreamOpening};
use super::request::{FRAME_BYTES_MAX, PeerRequest, SILENCE_MAX};
use super::tls::Close;

/// Lower than the default priority: messages between the nodes are sent first.
const BULK_PRIORITY: i32 = -1;

/// An empty frame is sent this often to keep the connection, which ends after 30 s of silence.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// The service that answers the requests of peers.
pub trait PeerService: Send + Sync {
    /// The frames of the answer, which ends with the channel. Must not block.
    fn answer(&self, from: NodeId, request: PeerRequest) -> mpsc::Receiver<Vec<u8>>;

    /// A session in a run of this node; dropping the stream ends it. Must not block.
    fn session(&self, from: NodeId, run: Run, stream: PeerStream);

    /// Another machine has proved the key of this node. Must not block.
    fn copy_found(&self, copy: FoundCopy);

    /// A stream that is to be passed on to another peer. Must not block.
    fn relay(&self, from: NodeId, to: NodeId, stream: PeerStream);
}

/// Reads one request and sends the answer of the service, or gives the stream to the service.
pub(super) async fn answer(
    shared: Arc<Shared>,
    from: NodeId,
    mut send: SendStream,
    mut receive: RecvStream,
) {
    let opening = timeout(2 * shared.dial_deadline, StreamOpening::read(&mut receive)).await;
    let request = match opening.ok().flatten() {
        Some(StreamOpening::Request(request)) => Some(request),
        Some(StreamOpening::Session(run)) => {
            if let Some(service) = shared.service.get() {
                service.session(from, run, tokio::io::join(receive, send));
            }
            return;
        }
        Some(StreamOpening::Relay(to)) => {
            if let Some(service) = shared.service.get() {
                service.relay(from, to, tokio::io::join(receive, send));
            }
            return;
        }
        Some(StreamOpening::KeepAlive) => return,
        None => None,
    };
    let (Some(request), Some(service)) = (request, shared.service.get()) else {
        shared.counters.on_dropped(Dropped::Request);
        let _ = send.reset(Close::Stale.code());
        return;
    };
    if request.is_bulk() {
        // If the connection is gone, writing reports that.
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
