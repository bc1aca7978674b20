//! What peers ask this agent: each request is passed on to the part that answers it.

use std::sync::Arc;

use crdt_state::task::Run;
use crdt_state::{NodeId, wire};
use tokio::sync::mpsc;

use super::audit_log::AuditLog;
use super::clock::NodeClock;
use super::images::{BlobServer, ImagePuller};
use super::local_runs::LocalRuns;
use super::names;
use super::networks::Networks;
use super::quarantine::Copies;
use super::transport::{FoundCopy, PeerRequest, PeerService, PeerStream};

/// Frames of one stream that wait for the peer to receive them, of up to 60 KiB each.
const FRAMES_MAX: usize = 4;

/// Answers every request of peers to this agent.
pub(super) struct PeerRequestHandler {
    local_runs: LocalRuns,
    puller: ImagePuller,
    networks: Option<Networks>,
    blobs: Arc<BlobServer>,
    audit: Arc<AuditLog>,
    copies: Arc<Copies>,
}

impl PeerRequestHandler {
    pub(super) fn new(
        local_runs: LocalRuns,
        puller: ImagePuller,
        networks: Option<Networks>,
        audit: Arc<AuditLog>,
        copies: Arc<Copies>,
    ) -> PeerRequestHandler {
        let blobs = BlobServer::new(puller.clone());
        PeerRequestHandler { local_runs, puller, networks, blobs: Arc::new(blobs), audit, copies }
    }

    /// Answers on the background runtime, and stops when the peer is gone.
    fn spawn<F: Future<Output = ()> + Send + 'static>(
        &self,
        frames: mpsc::Sender<Vec<u8>>,
        work: impl FnOnce(mpsc::Sender<Vec<u8>>) -> F,
    ) {
        let gone = frames.clone();
        let work = work(frames);
        self.local_runs.background.spawn(async move {
            tokio::select! {
                () = work => {}
                () = gone.closed() => {}
            }
        });
    }
}

impl PeerService for PeerRequestHandler {
    fn answer(&self, _from: NodeId, request: PeerRequest) -> mpsc::Receiver<Vec<u8>> {
        let (frames, answer) = mpsc::channel(FRAMES_MAX);
        let (puller, blobs) = (self.puller.clone(), Arc::clone(&self.blobs));
        match request {
            PeerRequest::Logs(request) => return self.local_runs.answer(request),
            PeerRequest::Run { run, request } => {
                return self.local_runs.handle_run_request(run, request);
            }
            PeerRequest::Have(digests) => self.spawn(frames, move |frames| async move {
                let _ = frames.send(wire::encode(&blobs.has_of(digests).await)).await;
            }),
            PeerRequest::Blob(request) => self.spawn(frames, move |frames| async move {
                blobs.give(request, &frames).await;
            }),
            PeerRequest::Names { name, network } => {
                let said = names::say(self.networks.as_ref(), &name, network);
                self.spawn(frames, move |frames| async move {
                    let _ = frames.send(wire::encode(&said)).await;
                });
            }
            PeerRequest::Clock => self.spawn(frames, |frames| async move {
                let _ = frames.send(wire::encode(&NodeClock::wall_ms())).await;
            }),
            PeerRequest::Audit { since_wall_ms } => {
                let audit = Arc::clone(&self.audit);
                self.spawn(frames, move |frames| async move {
                    let read = move || audit.frames_since(since_wall_ms);
                    let read = tokio::task::spawn_blocking(read).await;
                    for frame in read.unwrap_or_default() {
                        let _ = frames.send(frame).await;
                    }
                });
            }
            PeerRequest::Copied { other } => {
                let copies = Arc::clone(&self.copies);
                self.local_runs.background.spawn(async move { copies.look(other).await });
            }
            PeerRequest::Resolve(name) => self.spawn(frames, move |frames| async move {
                let _ = frames.send(wire::encode(&puller.resolve_here(&name).await)).await;
            }),
            PeerRequest::Keep { name, digest } => {
                self.spawn(frames, move |frames| async move {
                    let kept = puller.keep(&name, &digest).await.map_err(|why| why.to_string());
                    let _ = frames.send(wire::encode(&kept)).await;
                });
            }
        }
        answer
    }

    fn copy_found(&self, copy: FoundCopy) {
        self.copies.found(copy);
    }

    fn session(&self, _from: NodeId, run: Run, stream: PeerStream) {
        self.local_runs.session(run, stream);
    }

    fn relay(&self, _from: NodeId, to: NodeId, stream: PeerStream) {
        let puller = self.puller.clone();
        self.local_runs.background.spawn(async move { puller.relay(to, stream).await });
    }
}
