//! A minimal HTTP client for an agent's unix socket.
//!
//! It uses HTTP/1.0 with one request per connection: the answer ends with the connection, so no
//! framing is needed. It must never be used on a network.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// An agent answers from local state; an agent that takes longer than this is broken.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends a `GET`; returns the answer as JSON.
pub fn get(socket: &Path, path: &str) -> Result<Value> {
    request(socket, "GET", path, None)
}

/// Sends a `POST` with a JSON body; returns the answer as JSON.
pub fn post(socket: &Path, path: &str, body: &Value) -> Result<Value> {
    request(socket, "POST", path, Some(body))
}

fn request(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
    let what = || format!("{method} {path} on {}", socket.display());
    let mut stream = UnixStream::connect(socket).with_context(what)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: edge\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).with_context(what)?;
    parse(&answer).with_context(what)
}

/// Parses status line, headers and body; any status but 2xx is an error with the agent's message.
fn parse(answer: &[u8]) -> Result<Value> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of headers")?;
    let status: u16 = head
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok())
        .context("the answer has no status")?;
    let value: Value = match body.trim() {
        "" => Value::Null,
        body => serde_json::from_str(body).unwrap_or_else(|_| body.into()),
    };
    if !(200..300).contains(&status) {
        bail!("{status}: {}", value["message"].as_str().unwrap_or(body.trim()));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_at_the_empty_line() {
        let value = parse(b"HTTP/1.0 200 OK\r\nx: y\r\n\r\n{\"ID\": \"a\"}").unwrap();
        assert_eq!(value["ID"], "a");
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\n\r\nOK").unwrap(), "OK");
        assert_eq!(parse(b"HTTP/1.0 204 No Content\r\n\r\n").unwrap(), Value::Null);
    }

    #[test]
    fn a_refusal_carries_the_agents_words() {
        let error =
            parse(b"HTTP/1.0 409 Conflict\r\n\r\n{\"message\":\"name taken\"}").unwrap_err();
        assert_eq!(error.to_string(), "409: name taken");
    }

    #[test]
    fn an_answer_cut_short_is_an_error() {
        assert!(parse(b"HTTP/1.0 200 OK\r\n").is_err());
        assert!(parse(b"").is_err());
    }
}
