//! Connections that peers dial, and what arrives on any connection once it is admitted.
//! An unknown peer is given a bounded time and a bounded number of places to prove who it is, and
//! can make this node do nothing before that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crdt_state::NodeId;
use quinn::{Connection, Incoming, RecvStream};
use tokio::time::timeout;

use super::admission::{self, ConnectionPurpose, NotAdmitted};
use super::counters::Dropped;
use super::peers::Dialler;
use super::tls::{self, Close};
use super::{Arrival, MESSAGE_BYTES_MAX, Shared, answer, copy, token_exchange};

/// A message that has begun must arrive within the idle timeout of its connection and the time that
/// the slowest link takes for the largest: 1 MiB at 16 KiB/s.
const MESSAGE_DEADLINE: Duration = Duration::from_secs(30 + 64);

/// Accepts until the endpoint is closed.
pub(super) async fn accept(shared: Arc<Shared>) {
    while let Some(incoming) = shared.endpoint.accept().await {
        if !shared.attempts.may_shake_hands(incoming.remote_address().ip(), Instant::now()) {
            shared.counters.on_dropped(Dropped::HandshakeFlood);
            incoming.ignore();
            continue;
        }
        let Ok(place) = Arc::clone(&shared.handshakes).try_acquire_owned() else {
            shared.counters.on_dropped(Dropped::HandshakeFlood);
            incoming.ignore();
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let admitted = timeout(2 * shared.dial_deadline, handshake(&shared, incoming)).await;
            drop(place);
            match admitted {
                Ok(Some((node, connection))) => serve(shared, node, connection).await,
                Ok(None) => {}
                Err(_) => shared.counters.on_dropped(Dropped::Handshake),
            }
        });
    }
}

async fn handshake(shared: &Shared, incoming: Incoming) -> Option<(NodeId, Connection)> {
    let Ok(connection) = incoming.await else {
        shared.counters.on_dropped(Dropped::Handshake);
        return None;
    };
    let node = tls::peer(&connection)?;
    if node == shared.me {
        copy::answer(shared, &connection).await;
        return None;
    }
    if shared.evicted.contains(node) {
        refuse_evicted(shared, &connection, node).await;
        return None;
    }
    let purpose = match shared.admission.admit(&connection, shared.members.standing(node)).await {
        Ok(admission::Dialler::Member(purpose)) => purpose,
        Ok(admission::Dialler::Joiner(send, receive)) => {
            token_exchange::answer(shared, &connection, (send, receive), node).await;
            return None;
        }
        Err(NotAdmitted::OtherFleet) => {
            shared.counters.on_dropped(Dropped::OtherFleet);
            let ip = connection.remote_address().ip();
            shared.rejected_peers.on_refused(ip, Instant::now());
            shared.attempts.on_failed(ip, Instant::now());
            connection.close(Close::OtherFleet.code(), b"another fleet key");
            return None;
        }
        Err(NotAdmitted::Broken) => {
            shared.counters.on_dropped(Dropped::Handshake);
            return None;
        }
    };
    shared.welcome(node, Dialler::Peer, &connection);
    if purpose == ConnectionPurpose::Meet {
        let addr = connection.remote_address();
        let _ = shared.inbox.send(Arrival::Connected { node, addr }).await;
    }
    Some((node, connection))
}

/// A node that was removed from the fleet: it may not know that, and the node tells it.
async fn refuse_evicted(shared: &Shared, connection: &Connection, node: NodeId) {
    let addr = connection.remote_address();
    shared.counters.on_dropped(Dropped::Evicted);
    shared.attempts.on_failed(addr.ip(), Instant::now());
    connection.close(Close::Evicted.code(), b"removed from the fleet");
    let _ = shared.inbox.send(Arrival::Connected { node, addr }).await;
}

/// Takes messages and requests from an admitted connection until it ends.
pub(super) async fn serve(shared: Arc<Shared>, node: NodeId, connection: Connection) {
    loop {
        tokio::select! {
            stream = connection.accept_uni() => match stream {
                Ok(stream) => receive(&shared, node, stream).await,
                Err(_) => break,
            },
            stream = connection.accept_bi() => match stream {
                Ok((send, receive)) => {
                    tokio::spawn(answer::answer(Arc::clone(&shared), node, send, receive));
                }
                Err(_) => break,
            },
        }
    }
    shared.peers().remove(node, &connection);
}

/// Reads one message; one after the other, as the peer sends them.
async fn receive(shared: &Shared, from: NodeId, mut stream: RecvStream) {
    match timeout(MESSAGE_DEADLINE, stream.read_to_end(MESSAGE_BYTES_MAX)).await {
        Ok(Ok(bytes)) => {
            let _ = shared.inbox.send(Arrival::Message { from, bytes }).await;
        }
        Ok(Err(_)) | Err(_) => {
            shared.counters.on_dropped(Dropped::Message);
            let _ = stream.stop(Close::Stale.code());
        }
    }
}
