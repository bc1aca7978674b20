//! Transfers that last longer than one answer: bodies in pieces, and upgraded connections.

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use super::{Body, CallError, Client, collect, json};

impl Client {
    /// A further connection to the same agent.
    pub async fn again(&self) -> Result<Client, CallError> {
        Client::connect(&self.socket).await
    }

    /// Sends an object, and takes the connection over for bytes in both directions.
    pub async fn upgrade<B: Serialize>(
        mut self,
        path: &str,
        body: &B,
    ) -> Result<TokioIo<Upgraded>, CallError> {
        let upgrade = [("connection", "Upgrade"), ("upgrade", "tcp")];
        let answer = self.request_with(Method::POST, path, &upgrade, json(body)).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = answer.status();
            return Err(self.refusal(status, &collect(answer.into_body()).await?));
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(|_| CallError::HalfAnswer)?;
        Ok(TokioIo::new(upgraded))
    }

    /// Requests only the head of an answer.
    pub async fn head(&mut self, path: &str, header: &str) -> Result<String, CallError> {
        let answer = self.request(Method::HEAD, path, Bytes::new()).await?;
        let status = answer.status();
        let value = answer.headers().get(header).and_then(|value| value.to_str().ok());
        match value.filter(|_| status.is_success()) {
            Some(value) => Ok(value.to_owned()),
            // An answer to HEAD has no message.
            None => {
                Err(CallError::Refused { status: status.as_u16(), message: status.to_string() })
            }
        }
    }

    /// Sends a body in pieces; an error ends it.
    pub async fn put(
        &mut self,
        path: &str,
        pieces: Receiver<std::io::Result<Bytes>>,
    ) -> Result<(), CallError> {
        let frames = futures_util::stream::unfold(pieces, |mut pieces| async move {
            let piece = pieces.recv().await?;
            Some((piece.map(Frame::data), pieces))
        });
        let body = BodyExt::boxed_unsync(StreamBody::new(frames));
        let request = Request::builder().method(Method::PUT).uri(path).header("host", "edgectl");
        let request = request.header("content-type", "application/x-tar").body(body);
        let answer = self.exchange(request.expect("a path of the API is a valid URI")).await?;
        let status = answer.status();
        let body = collect(answer.into_body()).await?;
        if status.is_success() { Ok(()) } else { Err(self.refusal(status, &body)) }
    }
}

/// The body of an answer that arrives piece by piece.
pub struct Stream {
    pub(super) body: Incoming,
    pub(super) _sender: SendRequest<Body>,
}

impl Stream {
    /// The next bytes, or `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|_| CallError::HalfAnswer)?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}
