//! Streams through a third agent, to a peer that this agent does not reach: for two sites that are
//! connected only through a node between them.
//!
//! ```text
//! asker ── 0xfd, node (16) ─▶ relay ── a stream of its own ─▶ answerer
//!       ◀───────── 1 ────────
//!       ◀──────────────── bytes, as they are ───────────────▶
//! ```
//! For the answerer, the relay is the asker. A relay dials the peer itself and never uses another
//! relay, so that there are no loops. It is a member of the fleet like the two others, and could
//! itself make every request that it passes on.

use std::net::SocketAddr;
use std::sync::Arc;

use crdt_state::NodeId;
use futures_util::future::select_ok;
use quinn::{Connection, RecvStream, SendStream};
use tokio::io::{BufReader, copy_buf};
use tokio::time::timeout;

use super::dial::{DialFailure, reach};
use super::opening::{PeerStream, StreamOpening};
use super::tls::Close;
use super::{Shared, keep_alive};

/// The answer of a relay that has opened the stream.
const OPEN: u8 = 1;

/// Members that are asked at the same time.
const ASKED_MAX: usize = 4;

/// Streams that one agent passes on at a time: two buffers of 16 KiB each are 2 MiB.
pub(super) const RELAYED_MAX: usize = 64;

const BUFFER_BYTES: usize = 16 * 1024;

/// The route to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The peer.
    pub to: NodeId,
    /// The address where it was last heard by any member.
    pub addr: SocketAddr,
    /// Members that may reach it if this node does not, the most likely first.
    pub relays: Vec<(NodeId, SocketAddr)>,
}

impl Route {
    /// The direct route only.
    pub fn direct(to: NodeId, addr: SocketAddr) -> Route {
        Route { to, addr, relays: Vec::new() }
    }
}

/// A stream to a peer, and the connection that carries it.
pub(super) struct OpenedStream {
    pub(super) send: SendStream,
    pub(super) receive: RecvStream,
    pub(super) connection: Connection,
}

/// Opens a stream to a peer, through another member if necessary.
pub(super) async fn open(shared: &Arc<Shared>, route: &Route) -> Result<OpenedStream, DialFailure> {
    let why = match open_direct(shared, route.to, route.addr).await {
        Ok(opened) => return Ok(opened),
        Err(why @ (DialFailure::NoAnswer | DialFailure::Impossible(_))) => why,
        Err(why) => return Err(why),
    };
    let relays = route.relays.iter().filter(|(relay, _)| *relay != route.to).take(ASKED_MAX);
    let ways: Vec<_> =
        relays.map(|(relay, addr)| Box::pin(through(shared, *relay, *addr, route.to))).collect();
    if ways.is_empty() {
        return Err(why);
    }
    select_ok(ways).await.map(|(opened, _)| opened).map_err(|_| why)
}

async fn open_direct(
    shared: &Arc<Shared>,
    to: NodeId,
    addr: SocketAddr,
) -> Result<OpenedStream, DialFailure> {
    let connection = reach(shared, to, addr).await?;
    let opened = timeout(shared.dial_deadline, connection.open_bi()).await;
    let (send, receive) = opened.ok().and_then(Result::ok).ok_or(DialFailure::NoAnswer)?;
    Ok(OpenedStream { send, receive, connection })
}

async fn through(
    shared: &Arc<Shared>,
    relay: NodeId,
    addr: SocketAddr,
    to: NodeId,
) -> Result<OpenedStream, DialFailure> {
    let mut opened = open_direct(shared, relay, addr).await?;
    let opening = StreamOpening::Relay(to).encode();
    opened.send.write_all(&opening).await.map_err(|_| DialFailure::NoAnswer)?;
    let mut answer = [0];
    // The relay dials first, and then opens a stream.
    let answered = timeout(3 * shared.dial_deadline, opened.receive.read_exact(&mut answer)).await;
    match (answered, answer) {
        (Ok(Ok(())), [OPEN]) => Ok(opened),
        _ => Err(DialFailure::NoAnswer),
    }
}

/// The relay's side: opens a stream to the peer at `addr`, and copies bytes until one side ends.
pub(super) async fn pass_on(shared: &Arc<Shared>, to: NodeId, addr: SocketAddr, asker: PeerStream) {
    let (from_asker, mut to_asker) = asker.into_inner();
    let opened = match Arc::clone(&shared.relayed).try_acquire_owned() {
        Ok(place) => open_direct(shared, to, addr).await.map(|opened| (opened, place)),
        Err(_) => Err(DialFailure::NoAnswer),
    };
    let opened = match opened {
        Ok(opened) if to_asker.write_all(&[OPEN]).await.is_ok() => opened,
        _ => {
            let _ = to_asker.reset(Close::Stale.code());
            return;
        }
    };
    let (OpenedStream { mut send, receive, connection }, _place) = opened;
    // Without data this connection would time out, for example under a shell in which nobody types.
    let _keep_alive = keep_alive::keep(shared, connection);
    let hung_up = to_asker.stopped();
    let there = async {
        if carry(from_asker, &mut send).await {
            // The request is complete; the answer is still to come.
            std::future::pending::<()>().await;
        }
    };
    let back = carry(receive, &mut to_asker);
    tokio::select! {
        () = there => {}
        _ = back => {}
        _ = hung_up => {}
    }
}

/// True if everything was copied to its end. A broken stream must not look complete.
async fn carry(from: RecvStream, to: &mut SendStream) -> bool {
    let copied = copy_buf(&mut BufReader::with_capacity(BUFFER_BYTES, from), to).await;
    if copied.is_ok() {
        let _ = to.finish();
    } else {
        let _ = to.reset(Close::Stale.code());
    }
    copied.is_ok()
}

#[cfg(test)]
mod tests;
