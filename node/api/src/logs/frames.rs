//! Docker's multiplexed log stream: 8 bytes in front of every piece, then the piece.
//!
//! ```text
//! ┌ 1 stdout, 2 stderr, 3 errors
//! │ 0 0 0  length (u32, big end first)   payload
//! ```
//! A payload is one line: the time if requested, the details if requested, then the output. The
//! third stream is the error that ends the logs: Docker's client prints it and exits with 1.

use bytes::{BufMut, Bytes, BytesMut};
use runtime::logs::{LogEntry, Stream};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The prefixes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefix {
    /// The time of the line.
    pub timestamps: bool,
    /// The task of the line.
    pub details: bool,
}

/// The origin of a line, in the words of Docker's details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Id of the node.
    pub node: String,
    /// Id of the service.
    pub service: String,
    /// Id of the task (or past attempt).
    pub task: String,
}

/// One line with its prefix, in no frame.
pub fn payload(prefix: Prefix, source: &Source, entry: &LogEntry) -> Vec<u8> {
    let mut payload = Vec::with_capacity(entry.bytes.len() + 160);
    if prefix.timestamps {
        payload.extend_from_slice(timestamp(entry.wall_ns).as_bytes());
        payload.push(b' ');
    }
    if prefix.details {
        let details = format!(
            "com.docker.swarm.node.id={},com.docker.swarm.service.id={},com.docker.swarm.task.id={} ",
            source.node, source.service, source.task
        );
        payload.extend_from_slice(details.as_bytes());
    }
    payload.extend_from_slice(&entry.bytes);
    payload
}

/// The frame of one line.
pub fn frame(prefix: Prefix, source: &Source, entry: &LogEntry) -> Bytes {
    let number = match entry.stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    };
    framed(number, &payload(prefix, source, entry))
}

/// The frame at the end of logs that are incomplete.
pub fn error_frame(what: &str) -> Bytes {
    framed(3, what.as_bytes())
}

fn framed(number: u8, payload: &[u8]) -> Bytes {
    let length = u32::try_from(payload.len()).expect("a line has a bounded length");
    let mut frame = BytesMut::with_capacity(8 + payload.len());
    frame.put_u8(number);
    frame.put_bytes(0, 3);
    frame.put_u32(length);
    frame.put_slice(payload);
    frame.freeze()
}

/// With all nine digits, as in Docker's logs, so that columns stay aligned.
fn timestamp(wall_ns: u64) -> String {
    let whole = OffsetDateTime::from_unix_timestamp_nanos(i128::from(wall_ns))
        .ok()
        .and_then(|at| at.replace_nanosecond(0).ok())
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned());
    format!("{}.{:09}Z", whole.trim_end_matches('Z'), wall_ns % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source { node: "n".to_owned(), service: "s".to_owned(), task: "t".to_owned() }
    }

    #[test]
    fn a_frame_has_stream_and_length_in_front() {
        let entry = LogEntry { wall_ns: 0, stream: Stream::Stderr, bytes: b"hello\n".to_vec() };
        let framed = frame(Prefix::default(), &source(), &entry);
        assert_eq!(&framed[..], b"\x02\0\0\0\0\0\0\x06hello\n");
    }

    #[test]
    fn time_and_details_come_before_the_line() {
        let entry = LogEntry {
            wall_ns: 1_777_636_800_250_000_007,
            stream: Stream::Stdout,
            bytes: b"x\n".to_vec(),
        };
        let framed = frame(Prefix { timestamps: true, details: true }, &source(), &entry);
        let text = String::from_utf8(framed[8..].to_vec()).expect("text");
        assert_eq!(
            text,
            "2026-05-01T12:00:00.250000007Z com.docker.swarm.node.id=n,\
             com.docker.swarm.service.id=s,com.docker.swarm.task.id=t x\n"
        );
    }
}
