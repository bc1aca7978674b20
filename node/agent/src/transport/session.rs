//! The asking side of a session in a task of another node: bytes in both directions, until one side
//! ends. QUIC's flow control slows a side that sends faster than the other reads.

use std::sync::Arc;

use crdt_state::task::Run;

use super::Shared;
use super::dial::DialFailure;
use super::keep_alive::{self, KeepAlive};
use super::opening::{PeerStream, StreamOpening};
use super::relay::{self, OpenedStream, Route};

/// Opens a session in a run of a peer.
pub(super) async fn open(
    shared: &Arc<Shared>,
    route: &Route,
    run: Run,
) -> Result<(PeerStream, KeepAlive), DialFailure> {
    let OpenedStream { mut send, receive, connection } = relay::open(shared, route).await?;
    let opening = StreamOpening::Session(run).encode();
    send.write_all(&opening).await.map_err(|_| DialFailure::NoAnswer)?;
    Ok((tokio::io::join(receive, send), keep_alive::keep(shared, connection)))
}
