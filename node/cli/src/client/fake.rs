//! An agent for tests: it answers from a list, and keeps what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::Client;

/// What it answers: `GET /networks/back`, the status and the body. Whatever else is asked is not
/// found.
pub type Answers = &'static [(&'static str, u16, &'static str)];

/// The lines that it was asked with, each with its body: `POST /networks/create {"Name":…}`.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    /// All of them so far, in order.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no test panics while it holds this").clone()
    }
}

/// Starts an agent, and connects to it.
pub async fn agent(answers: Answers) -> (Client, Asked) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).expect("bind");
    let asked = Asked::default();
    let kept = asked.clone();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accept");
        serve(stream, answers, &kept).await
    });
    (Client::connect(&socket).await.expect("it listens"), asked)
}

/// Until the client is gone.
async fn serve(stream: UnixStream, answers: Answers, asked: &Asked) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut request, mut length) = (String::new(), 0);
        stream.read_line(&mut request).await.ok()?;
        let request = request.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.ok()?;
            match header.trim().split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().ok()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let line = format!("{request} {}", String::from_utf8_lossy(&body));
        asked.0.lock().expect("as above").push(line.trim_end().to_owned());
        let answer = answers.iter().find(|(asked, ..)| *asked == request);
        let (status, text) = answer.map_or(
            (404, r#"{"message":"it is not found; `edgectl network ls` lists what there is"}"#),
            |(_, status, text)| (*status, *text),
        );
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", text.len());
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(text.as_bytes()).await.ok()?;
    }
}
