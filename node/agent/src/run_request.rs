//! Requests about runs: answered at once for this node, sent to the agents of other nodes.

use std::path::Path;

use crdt_state::NodeId;
use crdt_state::task::Run;
use runtime::exec::{ExecRefusal, Fault};
use runtime::run_request::{RunReply, RunRequest, handle_run_request};
use tokio::task::spawn_blocking;

use super::handle::Handle;
use super::sessions::SessionGone;
use crate::transport::PeerRequest;

impl Handle {
    /// Sends a request about a run on any node: `node` is the node that has it.
    pub async fn request_run(
        &self,
        node: NodeId,
        run: Run,
        request: RunRequest,
    ) -> Result<Result<RunReply, ExecRefusal>, SessionGone> {
        if node == self.me() {
            let dir = self.log_dir(run);
            return Ok(here(&dir, request).await);
        }
        if self.is_silent(node).await? {
            return Err(SessionGone::Silent);
        }
        let route = self.route(node).await?.ok_or(SessionGone::Unknown(node))?;
        let request = PeerRequest::Run { run, request };
        let mut reply = self.shared.transport.request(route, request);
        let frame = reply.next().await.ok_or(SessionGone::Cut)?;
        let frame = frame.map_err(|why| SessionGone::Peer { node, why })?;
        serde_json::from_slice(&frame).map_err(|_| SessionGone::Cut)
    }
}

/// Runs on a blocking thread, because reading the kernel's files may take time.
async fn here(dir: &Path, request: RunRequest) -> Result<RunReply, ExecRefusal> {
    let dir = dir.to_owned();
    let seen = spawn_blocking(move || handle_run_request(&dir, &request)).await;
    seen.unwrap_or_else(|error| {
        Err(ExecRefusal { fault: Fault::Failed, code: 0, message: error.to_string() })
    })
}

/// The answer to a peer.
pub(super) async fn answer(dir: &Path, request: RunRequest) -> Vec<u8> {
    serde_json::to_vec(&here(dir, request).await).expect("numbers and texts are JSON")
}
