//! Queries over UDP.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;

use crate::answer::Verdict;
use crate::counters::Outcome;
use crate::request::{Request, Transport};
use crate::service::Service;

/// The largest query, in bytes. Queries have some hundred bytes; what is cut here is no proper query
/// any more. The buffer is on the stack, so that an idle server has none.
const QUERY_BYTES_MAX: usize = 4_096;

/// How many datagrams are taken before other tasks get their turn: about a millisecond of work.
const DATAGRAMS_MAX: usize = 64;

/// Is the socket empty now?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    Empty,
    Partly,
}

/// A query from UDP that others must answer, and who sent it.
pub(crate) struct Asked {
    message: Vec<u8>,
    request: Box<Request>,
    client: SocketAddr,
}

/// Answers the datagrams that have come in; those that others must answer go to `forward`.
pub(crate) fn drain(
    socket: &UdpSocket,
    service: &Service,
    mut forward: impl FnMut(Asked),
) -> io::Result<Drained> {
    let mut buffer = [0; QUERY_BYTES_MAX];
    for _ in 0..DATAGRAMS_MAX {
        let (length, client) = match socket.try_recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Drained::Empty),
            Err(error) => return Err(error),
        };
        let message = &buffer[..length];
        match service.decide(message, Transport::Udp) {
            Verdict::Reply(reply, outcome) => send(socket, service, &reply, (client, outcome)),
            Verdict::Forward(request) => {
                forward(Asked { message: message.to_vec(), request, client });
            }
            Verdict::Ignore => {}
        }
    }
    Ok(Drained::Partly)
}

fn send(socket: &UdpSocket, service: &Service, reply: &[u8], to: (SocketAddr, Outcome)) {
    let (client, outcome) = to;
    // A socket that takes no more belongs to a client that does not read: it asks again.
    let sent = socket.try_send_to(reply, client);
    service.counters.outcome(if sent.is_ok() { outcome } else { Outcome::Dropped });
}

/// Has a query answered by others.
pub(crate) async fn forward(socket: Arc<UdpSocket>, service: Arc<Service>, asked: Asked) {
    let Asked { message, request, client } = asked;
    if let Some(reply) = service.forward(message, request, Transport::Udp).await {
        // As above; the query is counted already.
        let _ = socket.send_to(&reply, client).await;
    }
}
