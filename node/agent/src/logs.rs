//! Logs of runs for readers: those of this node from its disk, others from the node that has them.

use std::path::Path;
use std::time::Duration;

use crdt_state::NodeId;
use runtime::logs::{LogEntry, LogReader, ReadFrom, Stream};

use crate::transport::{DialFailure, LogRequest, PeerReply, PeerRequest, Route, Transport};

/// Why a log ends early.
#[derive(Debug, thiserror::Error)]
pub enum LogsGone {
    /// The files are gone or cannot be read.
    #[error("the log cannot be read: {0}")]
    Disk(std::io::Error),
    /// The node that has them is not known here.
    #[error("node {0} has the log and is not a known member; see edgectl node ls")]
    Unknown(NodeId),
    /// The node that has them does not answer.
    #[error("node {node} has the log: {why}")]
    Peer {
        /// Which.
        node: NodeId,
        /// Why not.
        why: DialFailure,
    },
    /// The answer is no log.
    #[error("node {0} sent something that is no log; is it of another version?")]
    Junk(NodeId),
}

/// An item of a log stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogNews {
    /// A line, or a piece of one.
    Entry(LogEntry),
    /// Everything that was written so far was delivered. Agents before 0.2 do not send this.
    CaughtUp,
}

/// A log while it is read.
pub struct LogStream {
    source: Source,
}

enum Source {
    Here {
        reader: Box<LogReader>,
        follow: bool,
        /// Whether `CaughtUp` was returned since the last entry.
        caught_up: bool,
    },
    Peer {
        node: NodeId,
        reply: PeerReply,
        entries: std::vec::IntoIter<LogEntry>,
    },
    /// The reason why there is no log; taken when it is reported.
    None(Option<LogsGone>),
}

impl LogStream {
    pub(super) fn here(dir: &Path, request: &LogRequest) -> LogStream {
        let source = match open(dir, request) {
            Ok(reader) => {
                let reader = Box::new(reader);
                Source::Here { reader, follow: request.follow, caught_up: false }
            }
            Err(error) => Source::None(Some(LogsGone::Disk(error))),
        };
        LogStream { source }
    }

    pub(super) fn from_peer(transport: &Transport, route: Route, request: LogRequest) -> LogStream {
        let node = route.to;
        let reply = transport.request(route, PeerRequest::Logs(request));
        LogStream { source: Source::Peer { node, reply, entries: Vec::new().into_iter() } }
    }

    pub(super) fn unknown(node: NodeId) -> LogStream {
        LogStream { source: Source::None(Some(LogsGone::Unknown(node))) }
    }

    /// New output of this node is looked for this often.
    pub fn checked_every(mut self, interval: Duration) -> LogStream {
        if let Source::Here { reader, .. } = &mut self.source {
            reader.check_every(interval);
        }
        self
    }

    /// The next item; `None` at the end. An error is the last item.
    pub async fn next(&mut self) -> Option<Result<LogNews, LogsGone>> {
        match &mut self.source {
            Source::Here { reader, follow, caught_up } => {
                let entry = match (&follow, &caught_up) {
                    (true, true) => reader.follow().await,
                    _ => reader.next_entry(),
                };
                match entry {
                    Ok(None) if *follow && !*caught_up => {
                        *caught_up = true;
                        Some(Ok(LogNews::CaughtUp))
                    }
                    Ok(entry) => {
                        *caught_up = false;
                        entry.map(|entry| Ok(LogNews::Entry(entry)))
                    }
                    Err(error) => Some(Err(LogsGone::Disk(error))),
                }
            }
            Source::Peer { node, reply, entries } => loop {
                if let Some(entry) = entries.next() {
                    return Some(Ok(LogNews::Entry(entry)));
                }
                match reply.next().await? {
                    Ok(frame) if frame.is_empty() => return Some(Ok(LogNews::CaughtUp)),
                    Ok(frame) => match decode(&frame) {
                        Some(decoded) => *entries = decoded.into_iter(),
                        None => return Some(Err(LogsGone::Junk(*node))),
                    },
                    Err(why) => return Some(Err(LogsGone::Peer { node: *node, why })),
                }
            },
            Source::None(why) => why.take().map(Err),
        }
    }
}

/// Opens the log of a run of this node.
pub(super) fn open(dir: &Path, request: &LogRequest) -> std::io::Result<LogReader> {
    let since_ms = request.since_wall_ms.unwrap_or(0);
    LogReader::open(dir, ReadFrom { tail: request.tail, since_ms })
}

/// Time, stream and length, followed by the bytes.
pub(super) fn encode(frame: &mut Vec<u8>, entry: &LogEntry) {
    frame.extend_from_slice(&entry.wall_ns.to_be_bytes());
    frame.push(match entry.stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    });
    let length = u32::try_from(entry.bytes.len()).expect("an entry is a line of bounded length");
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&entry.bytes);
}

fn decode(mut frame: &[u8]) -> Option<Vec<LogEntry>> {
    let mut entries = Vec::new();
    while !frame.is_empty() {
        let (wall_ns, rest) = frame.split_first_chunk::<8>()?;
        let (stream, rest) = rest.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (bytes, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let stream = match stream {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            _ => return None,
        };
        let wall_ns = u64::from_be_bytes(*wall_ns);
        entries.push(LogEntry { wall_ns, stream, bytes: bytes.to_vec() });
        frame = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_travel_whole_and_junk_is_no_log() {
        let entry =
            |wall_ns, stream, bytes: &[u8]| LogEntry { wall_ns, stream, bytes: bytes.to_vec() };
        let entries = vec![entry(1, Stream::Stdout, b"one\n"), entry(2, Stream::Stderr, b"")];
        let mut frame = Vec::new();
        entries.iter().for_each(|entry| encode(&mut frame, entry));
        assert_eq!(decode(&frame), Some(entries));
        assert_eq!(decode(&[]), Some(Vec::new()));
        for length in 1..13 {
            assert_eq!(decode(&frame[..length]), None);
        }
        frame[8] = 3;
        assert_eq!(decode(&frame), None);
    }
}
