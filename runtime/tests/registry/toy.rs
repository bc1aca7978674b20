//! A small server with one fault, until the guard is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

#[derive(Clone)]
pub enum Behaviour {
    /// Takes the request and never answers.
    Hang,
    /// A status line and a header.
    Answer(&'static str, &'static str),
    /// Closes without an answer.
    Cut,
    /// Sends everything, even if a part was requested.
    Whole(Vec<u8>),
    /// Announces everything and sends half.
    Short(Vec<u8>),
    /// Sends the part that begins there, whatever part was requested.
    Part(Vec<u8>, usize),
    /// Requires a token, gives one to ann, and answers requests that have it.
    Token,
}

pub struct Toy {
    pub host: String,
    /// How often it was asked for a token.
    pub tokens: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Toy {
    pub async fn start(behaviour: Behaviour) -> Toy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let me = host.clone();
        let tokens = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&tokens);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, behaviour.clone(), me.clone(), Arc::clone(&count)));
            }
        });
        Toy { host, tokens, serving }
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    behaviour: Behaviour,
    host: String,
    tokens: Arc<AtomicUsize>,
) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        // A client that tries TLS first is refused.
        if request.first() == Some(&0x16) {
            return;
        }
        let mut piece = [0; 1_024];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&piece[..count]),
        }
    }
    let request = String::from_utf8_lossy(&request).to_lowercase();
    let (head, body, promised) = match behaviour {
        Behaviour::Hang => return std::future::pending().await,
        Behaviour::Cut => return,
        Behaviour::Answer(status, header) => (format!("{status}\r\n{header}"), Vec::new(), 0),
        Behaviour::Whole(bytes) => ("200 OK".to_owned(), bytes.clone(), bytes.len()),
        Behaviour::Short(bytes) => {
            ("200 OK".to_owned(), bytes[..bytes.len() / 2].to_vec(), bytes.len())
        }
        Behaviour::Part(bytes, from) if request.contains("range: bytes=") => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            let rest = bytes[from..].to_vec();
            let length = rest.len();
            (format!("206 Partial Content\r\nContent-Range: {range}"), rest, length)
        }
        Behaviour::Part(bytes, _) => ("200 OK".to_owned(), bytes.clone(), bytes.len()),
        Behaviour::Token => {
            tokens.fetch_add(usize::from(request.starts_with("get /token?")), Ordering::Relaxed);
            token(&request, &host)
        }
    };
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Length: {promised}\r\nConnection: close\r\n\r\n",
        head.trim()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body).await;
    let _ = stream.shutdown().await;
}

fn token(request: &str, host: &str) -> (String, Vec<u8>, usize) {
    // ann:s3cret
    let asks = request.starts_with("get /token?")
        && request.contains("scope=repository%3ashop%2ftill%3apull");
    if asks && request.contains("authorization: basic yw5uonmzy3jlda==") {
        let body = br#"{"token":"abc"}"#.to_vec();
        let length = body.len();
        return ("200 OK".to_owned(), body, length);
    }
    if request.contains("authorization: bearer abc") {
        return ("200 OK".to_owned(), b"{}".to_vec(), 2);
    }
    // Two challenges in one header, with the optional blanks of RFC 9110.
    let challenge = format!(
        "WWW-Authenticate: Basic realm=\"toy\", Bearer realm = \"http://{host}/token\" , service=\"toy\""
    );
    (format!("401 Unauthorized\r\n{challenge}"), Vec::new(), 0)
}
