//! The API of an agent on another machine, over TLS, with the files that Docker's client has too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where Docker's client finds its certificates, and so do we.
const FOLDER: &str = "DOCKER_CERT_PATH";

/// The port where nothing else is said: Docker's for the API over TLS.
const PORT: u16 = 2376;

/// The host and port of `tcp://HOST[:PORT]`, if it is one.
pub fn host(socket: &Path) -> Option<&str> {
    socket.to_str()?.strip_prefix("tcp://")
}

/// Connects to a node, which must be one of the fleet that gave out the certificate.
pub async fn connect(host: &str) -> io::Result<TlsStream<TcpStream>> {
    let (name, port) = name_and_port(host)?;
    let config = config(&folder())?;
    let server = ServerName::try_from(name.clone()).map_err(io::Error::other)?;
    let stream = TcpStream::connect((name, port)).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(server, stream).await
}

/// `[fd00::1]:2376`, `fd00::1`, `10.0.0.1`, `till-3:2376`.
fn name_and_port(host: &str) -> io::Result<(String, u16)> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if name.ends_with(']') || !name.contains(':') => {
            let bad = |_| io::Error::other(format!("`{port}` is no port"));
            (name, port.parse().map_err(bad)?)
        }
        _ => (host, PORT),
    };
    Ok((name.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
}

fn folder() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".docker");
    std::env::var_os(FOLDER).map_or_else(home, PathBuf::from)
}

fn config(folder: &Path) -> io::Result<ClientConfig> {
    let told = |name: &str, error: &dyn std::fmt::Display| {
        let path = folder.join(name);
        let path = path.display();
        io::Error::other(format!("{path}: {error}; {FOLDER} is the folder with it"))
    };
    let read = |name: &str| {
        let read = CertificateDer::pem_file_iter(folder.join(name));
        let all = read.and_then(Iterator::collect::<Result<Vec<CertificateDer<'static>>, _>>);
        all.map_err(|error| told(name, &error))
    };
    let mut roots = RootCertStore::empty();
    for authority in read("ca.pem")? {
        roots.add(authority).map_err(|error| told("ca.pem", &error))?;
    }
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"));
    let key = key.map_err(|error| told("key.pem", &error))?;
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_client_auth_cert(read("cert.pem")?, key)
        .map_err(|error| told("cert.pem", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_have_a_port_and_colons() {
        let read = |host: &str| name_and_port(host).ok();
        let are = |name: &str, port| Some((name.to_owned(), port));
        assert_eq!(read("till-3"), are("till-3", 2376));
        assert_eq!(read("10.0.0.1:1"), are("10.0.0.1", 1));
        assert_eq!(read("fd00::1"), are("fd00::1", 2376));
        assert_eq!(read("[fd00::1]"), are("fd00::1", 2376));
        assert_eq!(read("[fd00::1]:7"), are("fd00::1", 7));
        assert_eq!(read("till-3:x"), None);
    }
}
