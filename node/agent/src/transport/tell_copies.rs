//! Two machines have the key of one node: both are told of the other one's address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crdt_state::NodeId;
use quinn::Connection;
use tokio::time::timeout;

use super::Shared;
use super::admission::ConnectionPurpose;
use super::dial;
use super::opening::StreamOpening;
use super::request::PeerRequest;
use super::tls::Close;

/// How long one of them may take to hear it.
const DEADLINE: Duration = Duration::from_secs(5);

pub(super) async fn tell(shared: Arc<Shared>, node: NodeId, [a, b]: [SocketAddr; 2]) {
    for (at, other) in [(a, b), (b, a)] {
        let met = dial::shake_hands(&shared, at, ConnectionPurpose::Talk, None).await;
        let Ok((found, connection)) = met else { continue };
        if found == node {
            // If it does not hear it, it is told again as long as both are heard.
            let _ = timeout(DEADLINE, say(&connection, other)).await;
        }
        connection.close(Close::Going.code(), b"told");
    }
}

async fn say(connection: &Connection, other: SocketAddr) -> Option<()> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    let request = StreamOpening::Request(PeerRequest::Copied { other });
    send.write_all(&request.encode()).await.ok()?;
    send.finish().ok()?;
    receive.read_to_end(0).await.ok().map(drop)
}
