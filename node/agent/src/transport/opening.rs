//! The first bytes of a stream between two agents, which give its purpose.
//!
//! ```text
//! 0xff, task (16), attempt (u32)    a session in a task that runs over there
//! 0xfe                              a sign that the connection is still needed
//! 0xfd, node (16)                   a stream to be passed on to that node
//! anything else                     a request, wire-encoded, to the end of the stream
//! ```
//! A request begins with the version of its encoding, which is none of the three.

use crdt_state::task::Run;
use crdt_state::{NodeId, TaskId, wire};
use quinn::{RecvStream, SendStream};
use tokio::io::Join;

use super::request::PeerRequest;

const SESSION: u8 = 0xff;
const KEEP_ALIVE: u8 = 0xfe;
const RELAY: u8 = 0xfd;

/// Bytes that identify a run.
const RUN_BYTES: usize = 16 + 4;

/// A request is small.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Both directions of a stream.
pub type PeerStream = Join<RecvStream, SendStream>;

/// The purpose of a stream that a peer opened.
pub(super) enum StreamOpening {
    Request(PeerRequest),
    Session(Run),
    KeepAlive,
    Relay(NodeId),
}

impl StreamOpening {
    /// Its bytes, without the end of the stream.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            StreamOpening::Request(request) => wire::encode(request),
            StreamOpening::Session(run) => {
                [&[SESSION][..], &run.task.0, &run.attempt.to_be_bytes()].concat()
            }
            StreamOpening::KeepAlive => vec![KEEP_ALIVE],
            StreamOpening::Relay(to) => [&[RELAY][..], &to.0].concat(),
        }
    }

    /// Reads the purpose of a stream; `None` if it cannot be read.
    pub(super) async fn read(receive: &mut RecvStream) -> Option<StreamOpening> {
        let mut first = [0];
        receive.read_exact(&mut first).await.ok()?;
        match first {
            [SESSION] => read_run(receive).await.map(StreamOpening::Session),
            [KEEP_ALIVE] => Some(StreamOpening::KeepAlive),
            [RELAY] => read_node(receive).await.map(StreamOpening::Relay),
            _ => {
                let rest = receive.read_to_end(REQUEST_BYTES_MAX).await.ok()?;
                let request = wire::decode::<PeerRequest>(&[&first[..], &rest].concat());
                request.ok().map(StreamOpening::Request)
            }
        }
    }
}

async fn read_run(receive: &mut RecvStream) -> Option<Run> {
    let mut bytes = [0; RUN_BYTES];
    receive.read_exact(&mut bytes).await.ok()?;
    let (task, attempt) = bytes.split_first_chunk::<16>()?;
    let attempt = u32::from_be_bytes(attempt.try_into().ok()?);
    Some(Run { task: TaskId(*task), attempt })
}

async fn read_node(receive: &mut RecvStream) -> Option<NodeId> {
    let mut id = [0; 16];
    receive.read_exact(&mut id).await.ok()?;
    Some(NodeId(id))
}
