//! Delivers messages to one peer, one after the other, each on a stream of its own that stays open
//! until the peer has the whole message. A connection that is too slow for a message is closed; the
//! message is then sent once more over a new connection.
//!
//! If a message cannot be delivered, the loss of it and of all messages behind it is reported once:
//! the state behind a message is still here, and anti-entropy asks for it again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crdt_state::NodeId;
use quinn::Connection;
use tokio::time::timeout;

use super::counters::Dropped;
use super::dial::{DialFailure, reach};
use super::peers::{OutgoingMessage, Queued};
use super::tls::Close;
use super::{Arrival, MESSAGE_BYTES_MAX, Shared};

/// The lowest speed at which a link still counts as usable: 1 MiB takes 64 s.
const BYTES_PER_SECOND_MIN: usize = 16 * 1024;

/// Nodes that are met at once for the sake of a datagram. Others are met when the next one is due.
pub(super) const MEETINGS_MAX: usize = 16;

/// Connects to a node whose key is not known, and then sends the datagram, unless too many others are
/// being met or another node answers.
pub(super) fn meet_first(shared: &Arc<Shared>, to: NodeId, addr: SocketAddr, bytes: Vec<u8>) {
    let Ok(place) = Arc::clone(&shared.meetings).try_acquire_owned() else {
        shared.counters.on_dropped(Dropped::Unmet);
        return;
    };
    let shared = Arc::clone(shared);
    shared.runtime.clone().spawn(async move {
        let met = reach(&shared, to, addr).await;
        drop(place);
        match met.ok().and_then(|_| shared.seals.seal(to, &bytes)) {
            Some(sealed) => shared.socket.send(addr, &sealed),
            None => shared.counters.on_dropped(Dropped::Unmet),
        }
    });
}

/// Queues a message for this peer.
pub(super) fn send(shared: &Arc<Shared>, to: NodeId, addr: SocketAddr, bytes: Vec<u8>) {
    assert!(bytes.len() <= MESSAGE_BYTES_MAX, "larger things are sent in parts");
    let queued = shared.peers().queue(to, OutgoingMessage { addr, bytes });
    match queued {
        Queued::Behind => {}
        Queued::First => {
            shared.runtime.spawn(deliver(Arc::clone(shared), to));
        }
        Queued::Full => {
            shared.counters.on_dropped(Dropped::Queue);
            let shared = Arc::clone(shared);
            let runtime = shared.runtime.clone();
            runtime.spawn(async move { shared.report_undelivered(to).await });
        }
    }
}

async fn deliver(shared: Arc<Shared>, to: NodeId) {
    loop {
        let message = shared.peers().next(to);
        let Some(message) = message else { return };
        if deliver_one(&shared, to, &message).await.is_err() {
            let lost = shared.peers().drop_waiting(to);
            for _ in 0..lost {
                shared.counters.on_dropped(Dropped::Queue);
            }
            shared.report_undelivered(to).await;
        }
    }
}

async fn deliver_one(
    shared: &Arc<Shared>,
    to: NodeId,
    message: &OutgoingMessage,
) -> Result<(), DialFailure> {
    let known = shared.peers().best(shared.me, to);
    if let Some(connection) = known
        && write(shared, &connection, &message.bytes).await
    {
        return Ok(());
    }
    let connection = reach(shared, to, message.addr).await?;
    if write(shared, &connection, &message.bytes).await {
        Ok(())
    } else {
        Err(DialFailure::NoAnswer)
    }
}

/// True once the peer has the whole message.
async fn write(shared: &Shared, connection: &Connection, bytes: &[u8]) -> bool {
    let seconds = bytes.len().div_ceil(BYTES_PER_SECOND_MIN) as u64;
    let deadline = 2 * shared.dial_deadline + Duration::from_secs(seconds);
    let sent = timeout(deadline, async {
        let mut stream = connection.open_uni().await.ok()?;
        stream.write_all(bytes).await.ok()?;
        stream.finish().ok()?;
        // Resolves when everything is acknowledged; a code means that the peer refused it.
        matches!(stream.stopped().await, Ok(None)).then_some(())
    })
    .await;
    let sent = matches!(sent, Ok(Some(())));
    if !sent {
        connection.close(Close::Stale.code(), b"not taken");
    }
    sent
}

impl Shared {
    async fn report_undelivered(&self, to: NodeId) {
        let _ = self.inbox.send(Arrival::Undelivered { to }).await;
    }
}
