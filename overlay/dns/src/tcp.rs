//! Queries over TCP: one connection, message by message.
//!
//! A connection ends when its client is idle or does not read its answers. What is allocated for a
//! message grows with the bytes that have come in, not with the length that was announced.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::answer::Verdict;
use crate::request::Transport;
use crate::server::Service;

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

/// Reads one message after its length (RFC 1035, 4.2.2).
pub(crate) async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut message).await?;
    if message.len() < usize::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(message)
}

/// A message after its length, in one piece, so that it leaves in one segment.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("messages are at most 65,535 bytes long");
    [&length.to_be_bytes(), message].concat()
}
