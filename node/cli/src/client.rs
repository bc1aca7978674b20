//! The API of an agent, over its unix socket, or over TLS from another machine: one connection per
//! command.
//!
//! Every wait has a deadline, except the wait for the next line of a stream. Errors of the
//! transport are turned into text here.

mod call_error;
#[cfg(test)]
pub mod fake;
mod streams;
mod tls;

use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::dry_run::DryRunFlags;
use node_docker::{self, ErrorBody};

pub use call_error::CallError;
pub use streams::Stream;

/// An agent answers from its own memory, in milliseconds. An edit waits for the agent's disk, and
/// an SD card may take seconds.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// All but the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The body of a request: complete, or produced while it is sent.
type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// An open connection to an agent.
pub struct Client {
    socket: PathBuf,
    sender: SendRequest<Body>,
    changes: DryRunFlags,
    /// What the ids of objects of a file follow from.
    origin: Option<String>,
}

impl Client {
    /// Connects.
    pub async fn connect(socket: &Path) -> Result<Client, CallError> {
        let sender = match tls::host(socket) {
            Some(host) => {
                let connected = timeout(ANSWER_WAIT_MAX, tls::connect(host)).await;
                let connected = connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
                let no_node =
                    |error: std::io::Error| CallError::NoNode(host.to_owned(), error.to_string());
                speak(connected.map_err(no_node)?).await?
            }
            None => {
                let connected = UnixStream::connect(socket).await;
                speak(connected.map_err(|error| unreachable(socket, &error))?).await?
            }
        };
        Ok(Client {
            socket: socket.to_owned(),
            sender,
            changes: DryRunFlags::default(),
            origin: None,
        })
    }

    /// From now on changes are only tried, or expected to do what was shown.
    pub fn change_by(&mut self, flags: &DryRunFlags) {
        self.changes = flags.clone();
    }

    /// From now on what is created is of a file that every node has, with ids of this origin.
    pub fn create_from(&mut self, origin: Option<String>) {
        self.origin = origin;
    }

    /// The socket that it is connected to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Reads an object.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, CallError> {
        let body = self.call(Method::GET, path, Bytes::new()).await?;
        self.parse(&body)
    }

    /// Sends an object and reads the answer.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &B,
    ) -> Result<T, CallError> {
        let answer = self.change(Method::POST, path, json(body)).await?;
        self.parse(&answer)
    }

    /// Sends an object; the answer is only that the request succeeded.
    pub async fn send<B: Serialize>(&mut self, path: &str, body: &B) -> Result<(), CallError> {
        self.change(Method::POST, path, json(body)).await.map(drop)
    }

    /// The same without a deadline, for requests that may take any time: the end of tasks, a
    /// handshake over a slow link.
    pub async fn post_without_timeout<B: Serialize>(
        &mut self,
        path: &str,
        body: &B,
    ) -> Result<Bytes, CallError> {
        self.ask(Method::POST, path, json(body)).await
    }

    /// Removes the object at a path.
    pub async fn delete(&mut self, path: &str) -> Result<(), CallError> {
        self.change(Method::DELETE, path, Bytes::new()).await.map(drop)
    }

    /// The same without a deadline: a network is removed when the last task has left it.
    pub async fn delete_without_timeout(&mut self, path: &str) -> Result<(), CallError> {
        self.ask(Method::DELETE, path, Bytes::new()).await.map(drop)
    }

    async fn change(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, CallError> {
        let is_creation = path.split('?').next().is_some_and(|path| path.ends_with("/create"));
        let path = match &self.origin {
            Some(origin) if is_creation => format!("/edge/from-file/{origin}{path}"),
            _ => format!("{}{path}", self.changes.prefix()),
        };
        let answer = self.call(method, &path, body).await?;
        match self.changes.form() {
            None => Ok(answer),
            Some(form) => Err(CallError::DryRun(Box::new(self.parse(&answer)?), form)),
        }
    }

    /// Opens a stream, which ends with the connection.
    pub async fn stream(mut self, path: &str) -> Result<Stream, CallError> {
        let answer = self.request(Method::GET, path, Bytes::new()).await?;
        self.into_stream(answer).await
    }

    /// The same for an operation that reports its progress.
    pub async fn open(mut self, path: &str) -> Result<Stream, CallError> {
        let answer = self.request(Method::POST, path, Bytes::new()).await?;
        self.into_stream(answer).await
    }

    async fn into_stream(self, answer: Response<Incoming>) -> Result<Stream, CallError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(Stream { body: answer.into_body(), _sender: self.sender });
        }
        Err(self.refusal(status, &collect(answer.into_body()).await?))
    }

    async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        let whole = self.ask(method, path, body);
        timeout(ANSWER_WAIT_MAX, whole).await.map_err(|_| CallError::Silent)?
    }

    async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        let answer = self.request(method, path, body).await?;
        let status = answer.status();
        let body = collect(answer.into_body()).await?;
        if status.is_success() { Ok(body) } else { Err(self.refusal(status, &body)) }
    }

    async fn request(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, CallError> {
        self.request_with(method, path, &[], body).await
    }

    async fn request_with(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response<Incoming>, CallError> {
        let mut request = Request::builder().method(method).uri(path).header("host", "edgectl");
        request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
        self.exchange(request.body(body).expect("a path of the API is a valid URI")).await
    }

    async fn exchange(&mut self, request: Request<Body>) -> Result<Response<Incoming>, CallError> {
        self.sender.ready().await.map_err(|_| CallError::HalfAnswer)?;
        self.sender.send_request(request).await.map_err(|error| {
            if error.is_parse() {
                CallError::NotTheApi(self.socket.clone(), "it does not speak HTTP".to_owned())
            } else {
                CallError::HalfAnswer
            }
        })
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CallError> {
        node_docker::read(body)
            .map_err(|error| CallError::NotTheApi(self.socket.clone(), error.to_string()))
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> CallError {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(error) => CallError::Refused { status: status.as_u16(), message: error.message },
            Err(_) => CallError::NotTheApi(self.socket.clone(), format!("it answers {status}")),
        }
    }
}

async fn speak<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: T,
) -> Result<SendRequest<Body>, CallError> {
    let spoken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = spoken.map_err(|_| CallError::HalfAnswer)?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

fn unreachable(socket: &Path, error: &std::io::Error) -> CallError {
    let is_socket =
        std::fs::metadata(socket).is_ok_and(|metadata| metadata.file_type().is_socket());
    let socket = socket.to_owned();
    match error.kind() {
        ErrorKind::NotFound => CallError::NoSocket(socket),
        ErrorKind::PermissionDenied => CallError::NotAllowed(socket),
        ErrorKind::ConnectionRefused if is_socket => CallError::NobodyListens(socket),
        ErrorKind::ConnectionRefused => CallError::NotASocket(socket),
        _ => CallError::Unusable(socket, error.to_string()),
    }
}

async fn collect(body: Incoming) -> Result<Bytes, CallError> {
    body.collect().await.map(|body| body.to_bytes()).map_err(|_| CallError::HalfAnswer)
}

fn json<B: Serialize>(body: &B) -> Bytes {
    serde_json::to_vec(body).expect("values of the API are plain JSON").into()
}

/// `?filters=` as Docker's API wants it: `{"service":["id"]}`, percent-encoded.
pub fn filters(filters: &[(&str, &str)]) -> String {
    let mut object = serde_json::Map::new();
    for (key, value) in filters {
        let values = object.entry(*key).or_insert_with(|| serde_json::Value::Array(Vec::new()));
        values.as_array_mut().expect("inserted as an array").push((*value).into());
    }
    format!("filters={}", escape(&serde_json::Value::Object(object).to_string()))
}

/// Percent-encodes text for a path segment or a query value.
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    async fn answered_with(answer: &'static str) -> Result<serde_json::Value, CallError> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).expect("bind");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        });
        Client::connect(&socket).await?.get("/services").await
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_says_how_to_start_the_agent() {
        let error = Client::connect(Path::new("/nowhere/s")).await.err().expect("no socket");
        assert_eq!(error, CallError::NoSocket("/nowhere/s".into()));
        let shown = Failure::from(error).to_string();
        assert!(shown.starts_with("there is no agent at /nowhere/s\n  why: "), "{shown}");
        assert!(shown.contains("try: edgectl agent"), "{shown}");
    }

    #[tokio::test]
    async fn a_socket_left_over_is_told_apart_from_one_that_is_not_there() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let socket = dir.path().join("s");
        drop(UnixListener::bind(&socket).expect("bind"));
        let error = Client::connect(&socket).await.err().expect("nobody listens");
        assert_eq!(error, CallError::NobodyListens(socket));
        let error = Client::connect(dir.path()).await.err().expect("a folder");
        assert_eq!(error, CallError::NotASocket(dir.path().to_owned()));
    }

    #[tokio::test]
    async fn half_an_answer_is_no_answer() {
        let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[{\"ID\":";
        assert_eq!(answered_with(half).await, Err(CallError::HalfAnswer));
        assert_eq!(answered_with("").await, Err(CallError::HalfAnswer));
    }

    #[tokio::test]
    async fn what_is_not_the_api_is_named() {
        for answer in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhey!",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nhey!",
        ] {
            let error = answered_with(answer).await.expect_err("not the API");
            assert!(matches!(error, CallError::NotTheApi(..)), "{answer}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_shown_in_the_agent_s_words() {
        let answer = "HTTP/1.1 409 Conflict\r\ncontent-length: 53\r\n\r\n\
                      {\"message\":\"name web is taken; choose another one\"}    ";
        let error = answered_with(answer).await.expect_err("refused");
        let expected = "name web is taken\n  try: choose another one";
        assert_eq!(Failure::from(error).to_string(), expected);
    }

    #[test]
    fn what_is_not_unreserved_is_percent_encoded() {
        assert_eq!(escape("aZ09-_.~"), "aZ09-_.~");
        assert_eq!(escape("a/b c?é%"), "a%2Fb%20c%3F%C3%A9%25");
    }

    #[test]
    fn filters_are_percent_encoded_json() {
        assert_eq!(filters(&[("service", "x1")]), "filters=%7B%22service%22%3A%5B%22x1%22%5D%7D");
    }
}
