//! Answers peers' requests for runs of this node: logs, figures, sessions.

use std::path::PathBuf;

use crdt_state::task::Run;
use runtime::logs::LogReader;
use runtime::run_request::RunRequest;
use tokio::sync::mpsc;

use super::logs::{encode, open};
use super::{run_request, sessions};
use crate::transport::{LogRequest, PeerStream};

/// Frames that wait until the peer takes them.
const FRAMES_MAX: usize = 8;

/// The entries in one frame have at most this many bytes together, plus one entry.
const FRAME_BYTES: usize = 16 * 1024;

/// Answers requests of peers for runs of this node. Files are read on the background runtime, never
/// on the node's thread.
pub(super) struct LocalRuns {
    pub(super) runs: PathBuf,
    pub(super) background: tokio::runtime::Handle,
}

impl LocalRuns {
    /// The log as frames.
    pub(super) fn answer(&self, request: LogRequest) -> mpsc::Receiver<Vec<u8>> {
        let (frames, answer) = mpsc::channel(FRAMES_MAX);
        let dir = runtime::run_dir::path(&self.runs, request.run);
        self.background.spawn(async move {
            // A run that is not here has an empty log.
            let Ok(reader) = open(&dir, &request) else { return };
            tokio::select! {
                () = send(reader, &request, &frames) => {}
                () = frames.closed() => {}
            }
        });
        answer
    }

    /// The answer to a request about a run, in one frame.
    pub(super) fn handle_run_request(
        &self,
        run: Run,
        request: RunRequest,
    ) -> mpsc::Receiver<Vec<u8>> {
        let (frames, answer) = mpsc::channel(1);
        let dir = runtime::run_dir::path(&self.runs, run);
        self.background.spawn(async move {
            // The peer may be gone.
            let _ = frames.send(run_request::answer(&dir, request).await).await;
        });
        answer
    }

    /// Serves a session of a peer.
    pub(super) fn session(&self, run: Run, stream: PeerStream) {
        let dir = runtime::run_dir::path(&self.runs, run);
        self.background.spawn(async move { sessions::serve(&dir, stream).await });
    }
}

async fn send(mut reader: LogReader, request: &LogRequest, frames: &mpsc::Sender<Vec<u8>>) {
    let mut frame = Vec::new();
    loop {
        match reader.next_entry() {
            Ok(Some(entry)) => encode(&mut frame, &entry),
            Ok(None) => {
                if !frame.is_empty() && frames.send(std::mem::take(&mut frame)).await.is_err() {
                    return;
                }
                // An empty frame means that there is nothing more for now.
                if !request.follow || frames.send(Vec::new()).await.is_err() {
                    return;
                }
                let Ok(Some(entry)) = reader.follow().await else { return };
                encode(&mut frame, &entry);
            }
            Err(_) => return,
        }
        if frame.len() >= FRAME_BYTES && frames.send(std::mem::take(&mut frame)).await.is_err() {
            return;
        }
    }
}
