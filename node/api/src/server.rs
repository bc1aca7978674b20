//! Serves the API: which clients are admitted, and for how long a request may stay unfinished.
//!
//! ```text
//! accept ─▶ admit ─▶ requests, each with deadlines for head and body ─▶ closed, or upgraded
//!              └─ full ─▶ told why
//! ```
//! An idle connection costs a file and is closed; a client with too many connections is refused
//! with a message. So the node always has files left to run tasks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tower::util::MapRequestLayer;
use tower::{Layer, Service};

use super::caller::Caller;
use super::clients::{Bounds, Clients, Connection, Full, Peer};
use super::deadline::{Deadlines, Timed};
use super::tls::Remote;
use node_docker::API_VERSION;

/// Pause after the system had no file for a connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// How long a refused client may take to send its request: it must be read before the connection is
/// closed, or the client sees a broken pipe instead of the reason.
const REFUSAL_READ_MAX: Duration = Duration::from_secs(1);

/// Refused clients that get the reason at the same time; for further ones the connection is just
/// closed.
const REFUSALS_MAX: usize = 16;

/// The limits for clients of the API.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Bounds for the number of connections.
    pub bounds: Bounds,
    /// Deadlines for requests.
    pub deadlines: Deadlines,
}

impl Allowance {
    /// For an agent that may have this many files open.
    pub fn of(files_max: u64) -> Allowance {
        Allowance { bounds: Bounds::of(files_max), deadlines: Deadlines::USUAL }
    }
}

/// Serves until the listener fails: processes of this machine, and clients of `remote`.
pub async fn serve<S>(
    listener: &UnixListener,
    mut remote: mpsc::Receiver<Remote>,
    service: S,
    allowance: Allowance,
) -> io::Result<()>
where
    S: Service<Request, Response = Response, Error = std::convert::Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let clients = Clients::new(allowance.bounds);
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let deadlines = allowance.deadlines;
    let timed = move |request: hyper::Request<Incoming>| {
        request.map(|body| Body::new(Timed::new(body, deadlines)))
    };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(deadlines.head);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted.map(|(stream, _)| {
                let user = peer(&stream).user;
                (stream, Caller::Socket { user })
            }),
            Some(accepted) = remote.recv() => Ok(accepted),
        };
        let (stream, caller) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_lasting(&error) => return Err(error),
            Err(error) => {
                tracing::warn!("the API cannot take a connection: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        match clients.admit(peer(&stream)) {
            Ok(place) => {
                let io = TokioIo::new(Connection::new(stream, place));
                let by = move |request: hyper::Request<Incoming>| {
                    let mut request = timed(request);
                    request.extensions_mut().insert(caller.clone());
                    request
                };
                let service = MapRequestLayer::new(by).layer(service.clone());
                let service = TowerToHyperService::new(service);
                let connection = http.serve_connection(io, service).with_upgrades();
                // A client that hangs up in the middle is no error.
                tokio::spawn(async move { drop(connection.await) });
            }
            Err(full) => {
                if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                    tokio::spawn(async move {
                        refuse(stream, full).await;
                        drop(permit);
                    });
                }
            }
        }
    }
}

/// Will the listener never accept again?
fn is_lasting(error: &io::Error) -> bool {
    use nix::libc::{EBADF, EINVAL, ENOTSOCK};
    matches!(error.raw_os_error(), Some(EBADF | EINVAL | ENOTSOCK))
}

/// Every connected socket has a peer; connections of unknown peers count together.
fn peer(stream: &UnixStream) -> Peer {
    let credentials = stream.peer_cred();
    credentials.map_or(Peer { process: 0, user: u32::MAX }, |found| Peer {
        process: found.pid().unwrap_or(0),
        user: found.uid(),
    })
}

async fn refuse(mut stream: UnixStream, full: Full) {
    let message = serde_json::json!({ "message": full.to_string() }).to_string();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\
         Api-Version: {API_VERSION}\r\nOstype: linux\r\nServer: edgectl (linux)\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{message}",
        message.len()
    );
    let talk = async {
        // One read takes everything that a client sends before it waits.
        if stream.read(&mut [0; 8 * 1024]).await? == 0 {
            return Ok(());
        }
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        while stream.read(&mut [0; 8 * 1024]).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(REFUSAL_READ_MAX, talk).await;
}

#[cfg(test)]
mod tests;
