//! Requests that may take any time: with a file as their body, or with an answer from a slow disk.
//!
//! Each has a connection of its own. The body is read at the pace of the agent, so that an archive
//! larger than memory can be sent.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::meter::Meter;
use crate::client::{CallError, Client};
use crate::failure::Failure;
use node_docker::ErrorBody;

const PIECE_BYTES: usize = 128 << 10;

/// The body of such a request.
pub struct Source {
    reader: Box<dyn Read + Send>,
    meter: Meter,
}

impl Source {
    /// A file, or standard input for `-`.
    pub fn open(path: &str) -> Result<Source, Failure> {
        if path == "-" {
            if std::io::stdin().is_terminal() {
                return Err(Failure::new("there is nothing on standard input")
                    .hint("give a file, or pipe one into this command"));
            }
            let meter = Meter::new("sent", None);
            return Ok(Source { reader: Box::new(std::io::stdin()), meter });
        }
        let file = File::open(path)
            .map_err(|error| Failure::new(format!("cannot read {path}")).why(error.to_string()))?;
        let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
        Ok(Source { reader: Box::new(file), meter: Meter::new("sent", size) })
    }

    /// An empty body.
    pub fn empty() -> Source {
        Source { reader: Box::new(std::io::empty()), meter: Meter::new("sent", None) }
    }
}

impl Body for Source {
    type Data = Bytes;
    type Error = std::io::Error;

    /// Blocks while it reads: the command has no other work.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let mut piece = vec![0; PIECE_BYTES];
        Poll::Ready(match self.reader.read(&mut piece) {
            Ok(0) => None,
            Ok(count) => {
                self.meter.advance(count);
                piece.truncate(count);
                Some(Ok(Frame::data(piece.into())))
            }
            Err(error) => Some(Err(error)),
        })
    }
}

/// Sends the request and waits for the whole answer, however long that takes: a list of JSON
/// values, one per line, or a single one.
pub async fn send(
    client: &Client,
    method: Method,
    path: &str,
    source: Source,
) -> Result<Vec<Value>, Failure> {
    Ok(ask(client.socket(), method, path, source).await?)
}

async fn ask(
    socket: &Path,
    method: Method,
    path: &str,
    source: Source,
) -> Result<Vec<Value>, CallError> {
    let gone = |_| CallError::HalfAnswer;
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| CallError::Unusable(socket.to_owned(), error.to_string()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(gone)?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "edgectl")
        .header("content-type", "application/x-tar")
        .body(source)
        .expect("a path of the API is a valid URI");
    let answer = sender.send_request(request).await.map_err(gone)?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(gone)?.to_bytes();
    let junk =
        |error: serde_json::Error| CallError::NotTheApi(socket.to_owned(), error.to_string());
    if !status.is_success() {
        let error: ErrorBody = serde_json::from_slice(&body).map_err(junk)?;
        return Err(CallError::Refused { status: status.as_u16(), message: error.message });
    }
    let values = serde_json::Deserializer::from_slice(&body).into_iter();
    values.collect::<Result<_, _>>().map_err(junk)
}
