//! Sessions in tasks: on this node by a helper process, on others through their agents.
//!
//! The client sees frames ([`runtime::exec::frame`]) and never where the task is. The agent that
//! has the task passes bytes on and inspects none of them. If a node becomes silent, its sessions
//! end with a reason as soon as it is unreachable for the fleet, long before its connection times
//! out.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crdt_state::NodeId;
use crdt_state::task::Run;
use gossip::MemberState;
use runtime::exec::frame::{CHUNK_BYTES, Decoder, Frame, Kind, NoFrame, PAYLOAD_BYTES_MAX};
use runtime::exec::{self, ExecRequest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy_buf};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use super::command::Unanswered;
use super::handle::Handle;
use crate::transport::{DialFailure, KeepAlive, PeerStream};

/// How often it is checked whether the node of a session is still there.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Why a session ends early, or never began.
#[derive(Debug, thiserror::Error)]
pub enum SessionGone {
    /// This agent is ending.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The helper cannot be started.
    #[error(
        "no helper can be started: {0}; see the limit of processes (ulimit -u) and free memory"
    )]
    Helper(std::io::Error),
    /// The node that has the task is not known here.
    #[error("node {0} has the task and is not a known member; see edgectl node ls")]
    Unknown(NodeId),
    /// The node does not answer.
    #[error("node {node} has the task: {why}")]
    Peer {
        /// Which.
        node: NodeId,
        /// Why not.
        why: DialFailure,
    },
    /// The node is unreachable for the fleet.
    #[error("the task's node cannot be reached; edgectl node ls")]
    Silent,
    /// The session ended without a last frame.
    #[error("the task's node, or its helper there, went away in the middle; edgectl node ls")]
    Cut,
    /// The request is too long.
    #[error("command and environment are {0} bytes, at most {PAYLOAD_BYTES_MAX} are taken")]
    TooLong(usize),
    /// The bytes that arrive are no session.
    #[error(transparent)]
    NoFrame(#[from] NoFrame),
}

type Reader = Pin<Box<dyn AsyncRead + Send>>;
type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// An open session; dropping it and all its writers ends it.
pub struct RunSession {
    handle: Handle,
    node: NodeId,
    reader: Reader,
    writer: SessionWriter,
    decoder: Decoder,
    _keep_alive: Option<KeepAlive>,
}

/// The writing side of a session; clones write to the same one.
#[derive(Clone)]
pub struct SessionWriter(Arc<Mutex<Writer>>);

impl SessionWriter {
    /// Sends a frame; waits while the other side does not read. False if the other side is gone.
    pub async fn send(&self, frame: &Frame) -> bool {
        let mut writer = self.0.lock().await;
        let bytes = frame.to_bytes();
        async { writer.write_all(&bytes).await.and(writer.flush().await) }.await.is_ok()
    }

    /// Closes this side, so that the other side ends.
    pub async fn close(&self) {
        // The other side may be gone already.
        let _ = self.0.lock().await.shutdown().await;
    }
}

impl RunSession {
    /// The writing side.
    pub fn writer(&self) -> SessionWriter {
        self.writer.clone()
    }

    /// The next frame. `None` after the last one, which is [`Kind::Exited`] or [`Kind::Refused`].
    pub async fn next(&mut self) -> Result<Option<Frame>, SessionGone> {
        let mut check = interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut bytes = [0; CHUNK_BYTES];
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some(frame));
            }
            let read = tokio::select! {
                read = self.reader.read(&mut bytes) => read,
                _ = check.tick() => {
                    if self.handle.is_silent(self.node).await? {
                        return Err(SessionGone::Silent);
                    }
                    continue;
                }
            };
            match read {
                Ok(0) => return Ok(None),
                Ok(count) => self.decoder.push(&bytes[..count]),
                Err(_) => return Err(SessionGone::Cut),
            }
        }
    }
}

impl Handle {
    /// Begins a session in a run on any node: `node` is the node that has it.
    pub async fn session(
        &self,
        node: NodeId,
        run: Run,
        order: &ExecRequest,
    ) -> Result<RunSession, SessionGone> {
        let words = serde_json::to_vec(order).expect("an order is plain text");
        if words.len() > PAYLOAD_BYTES_MAX {
            return Err(SessionGone::TooLong(words.len()));
        }
        let (reader, writer, keep_alive): (Reader, Writer, _) = if node == self.me() {
            let socket = exec::open(&helper(), &self.log_dir(run)).map_err(SessionGone::Helper)?;
            let (reader, writer) = socket.into_split();
            (Box::pin(reader), Box::pin(writer), None)
        } else {
            if self.is_silent(node).await? {
                return Err(SessionGone::Silent);
            }
            let route = self.route(node).await?.ok_or(SessionGone::Unknown(node))?;
            let opened = self.shared.transport.session(&route, run).await;
            let (stream, keep_alive) = opened.map_err(|why| SessionGone::Peer { node, why })?;
            let (reader, writer) = stream.into_inner();
            (Box::pin(reader), Box::pin(writer), Some(keep_alive))
        };
        let session = RunSession {
            handle: self.clone(),
            node,
            reader,
            writer: SessionWriter(Arc::new(Mutex::new(writer))),
            decoder: Decoder::default(),
            _keep_alive: keep_alive,
        };
        match session.writer.send(&Frame::new(Kind::Order, words)).await {
            true => Ok(session),
            false => Err(SessionGone::Cut),
        }
    }

    /// Is this node unreachable for the fleet?
    pub(super) async fn is_silent(&self, node: NodeId) -> Result<bool, Unanswered> {
        if node == self.me() {
            return Ok(false);
        }
        let state = self.read(move |core| core.gossip().member(node).map(|found| found.state));
        Ok(matches!(state.await?, None | Some(MemberState::Unreachable | MemberState::Left)))
    }
}

/// The agent's own binary, even after the file was replaced on the disk.
fn helper() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// The side of the agent that has the task: copies bytes to the helper and back, until either ends.
pub(super) async fn serve(dir: &Path, stream: PeerStream) {
    let (from_peer, mut to_peer) = stream.into_inner();
    // If the run is not here, the helper reports that.
    let Ok(socket) = exec::open(&helper(), dir) else { return };
    let (from_helper, mut to_helper) = socket.into_split();
    let inwards = async {
        let _ =
            copy_buf(&mut BufReader::with_capacity(CHUNK_BYTES, from_peer), &mut to_helper).await;
        let _ = to_helper.shutdown().await;
        std::future::pending::<()>().await;
    };
    let outwards = async {
        let mut from_helper = BufReader::with_capacity(CHUNK_BYTES, from_helper);
        let _ = copy_buf(&mut from_helper, &mut to_peer).await;
        let _ = to_peer.shutdown().await;
        // The last bytes are not delivered until the peer has acknowledged them.
        let _ = tokio::time::timeout(CHECK_INTERVAL * 5, to_peer.stopped()).await;
    };
    tokio::select! {
        () = inwards => {}
        () = outwards => {}
    }
}
