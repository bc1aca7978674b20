//! The API over TLS, for clients on other machines: only who shows a certificate of the fleet's authority
//! is heard, and gets what the socket gives.
//!
//! What comes out of TLS is passed on to the server of the agent's own socket, with its bounds and deadlines
//! and with who it comes from, so that the API is one thing whichever way a client comes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use node_agent::Handle;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::authority::Authority;
use super::caller::Caller;
use super::certificates::caller_of;

/// Connections at the same time: each takes two files, and two more on the other side of the socket.
const CONNECTIONS_MAX: usize = 128;
/// How long a client may take to show who it is.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Pause after the system had no file for a connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// Pause after the system did not let us listen: an address may come later, a port be given up.
const BIND_AGAIN: Duration = Duration::from_secs(5);

/// A connection of a client on another machine, out of TLS.
pub type Remote = (UnixStream, Caller);

/// Serves as long as it is polled. A client without a certificate of this fleet learns that, and no more.
/// Tasks run whether or not this can be served.
pub async fn serve(address: SocketAddr, handle: Handle, server: mpsc::Sender<Remote>) {
    let mut said = None;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) if said != Some(error.kind()) => {
                tracing::warn!("the API is not served at {address} (`api`) yet: {error}");
                said = Some(error.kind());
            }
            Err(_) => {}
        }
        tokio::time::sleep(BIND_AGAIN).await;
    };
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("the API cannot take a connection over TLS: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let (key, server) = (*handle.fleet_key().bytes(), server.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(stream, &key, server).await {
                tracing::debug!("the API over TLS, {from}: {error}");
            }
            drop(permit);
        });
    }
}

async fn connection(
    stream: TcpStream,
    fleet_key: &[u8; 32],
    server: mpsc::Sender<Remote>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = timeout(HANDSHAKE_MAX, handshake(stream, fleet_key)).await??;
    let shown = stream.get_ref().1.peer_certificates().and_then(|shown| shown.first());
    let caller = shown.and_then(caller_of).ok_or_else(|| io::Error::other("no role"))?;
    let (mut outside, inside) = UnixStream::pair()?;
    server.send((inside, caller)).await.map_err(io::Error::other)?;
    copy_bidirectional(&mut stream, &mut outside).await.map(drop)
}

/// The node's certificate is made for the address and the name by which it was called.
async fn handshake(stream: TcpStream, fleet_key: &[u8; 32]) -> io::Result<TlsStream<TcpStream>> {
    let address = stream.local_addr()?.ip().to_canonical();
    let start = LazyConfigAcceptor::new(Default::default(), stream).await?;
    let name = start.client_hello().server_name().map(str::to_owned);
    let config = config(fleet_key, address, name.as_deref()).map_err(io::Error::other)?;
    start.into_stream(Arc::new(config)).await
}

fn config(
    fleet_key: &[u8; 32],
    address: IpAddr,
    name: Option<&str>,
) -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let authority = Authority::of(fleet_key)?;
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let names: Vec<&str> = name.into_iter().chain(["localhost"]).collect();
    let (certificate, key) = authority.node(address, &names)?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier.build()?)
        .with_single_cert(vec![certificate], key)?;
    Ok(config)
}
