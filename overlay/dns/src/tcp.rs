//! Queries over TCP: one connection, message by message.
//!
//! A connection ends when its client is idle or does not read its answers. Queries on one connection
//! are answered one after the other, in their order.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::answer::Verdict;
use crate::framing::{framed, read_message};
use crate::request::Transport;
use crate::service::Service;

/// How long a client may take to send a query or to read an answer. Longer than any answer of an
/// upstream server takes, so that a client that waits for one before the next query is not cut off.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves one connection until it ends.
pub(crate) async fn serve(mut stream: TcpStream, service: Arc<Service>) {
    while let Ok(Ok(message)) = timeout(IDLE_TIMEOUT, read_message(&mut stream)).await {
        let reply = match service.decide(&message, Transport::Tcp) {
            Verdict::Reply(reply, outcome) => {
                service.counters.outcome(outcome);
                reply
            }
            Verdict::Forward(request) => {
                let Some(reply) = service.forward(message, request, Transport::Tcp).await else {
                    continue;
                };
                reply
            }
            // A stream that carries junk may be out of step.
            Verdict::Ignore => return,
        };
        let Ok(Ok(())) = timeout(IDLE_TIMEOUT, stream.write_all(&framed(&reply))).await else {
            return;
        };
    }
}
