//! A registry with one image: an index with builds for amd64 and for two ARM variants. It has
//! nothing else, and counts its requests.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use runtime::image::Digest;
use serde_json::json;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Listens until the test process ends.
pub struct Registry {
    pub addr: SocketAddr,
    /// The digest of the index.
    pub digest: Digest,
    asked: Arc<AtomicUsize>,
}

impl Registry {
    /// Serves `app` under every tag on an address of its own, 127.`net`.1.1.
    pub fn serve(net: u8) -> Registry {
        let build = |arch: &str, variant: &str| {
            json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 2,
                "digest": Digest::of(arch.as_bytes()).as_str(),
                "platform": {"os": "linux", "architecture": arch, "variant": variant}})
        };
        let builds = [build("amd64", ""), build("arm", "v7"), build("arm64", "v8")];
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": builds});
        let index = index.to_string().into_bytes();
        let digest = Digest::of(&index);
        let listener = TcpListener::bind(SocketAddr::from(([127, net, 1, 1], 0))).expect("a port");
        let addr = listener.local_addr().expect("an address");
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up in the middle is no error.
                let _ = answer(stream, &index, &counter);
            }
        });
        Registry { addr, digest, asked }
    }

    /// How often a manifest was requested.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, index: &[u8], asked: &AtomicUsize) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    if !first.contains("/app/manifests/") {
        let status = if first.contains(" /v2/ ") { "200 OK" } else { "404 Not Found" };
        return write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let (length, digest) = (index.len(), Digest::of(index));
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {INDEX}\r\nContent-Length: {length}\r\n\
         Docker-Content-Digest: {digest}\r\nConnection: close\r\n\r\n"
    )?;
    if first.starts_with("GET") { stream.write_all(index) } else { Ok(()) }
}
