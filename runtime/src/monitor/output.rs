//! The program's output: two pipes in, entries of the log out.
//!
//! A pipe that is not read blocks its program, so reading never waits for anything, and the log
//! drops what it cannot write. A line is kept until its newline comes, until it is too long, or
//! until its stream ends.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Gid, Uid, fchown, pipe2};

use crate::logs::entry::{Ends, LINE_BYTES_MAX, Stream};
use crate::logs::writer::LogWriter;
use crate::user::Identity;

/// Bytes taken from a pipe at a time.
const READ_BYTES: usize = 8 * 1024;
/// Reads per stream before the monitor turns to its other work again.
const READS_MAX: usize = 16;

/// Reads the output of a run.
pub struct Output {
    streams: [Source; 2],
    log: LogWriter,
    buffer: Vec<u8>,
    partial_lines: PartialLines,
}

/// What becomes of a line whose end has not arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartialLines {
    /// It is kept until its end comes.
    Kept,
    /// It is written as a piece: somebody may be attached and wait for a prompt.
    Written,
}

struct Source {
    stream: Stream,
    pipe: Option<File>,
    /// The incomplete line.
    line: Vec<u8>,
}

/// The ends of the pipes that the program writes to.
pub struct WriteEnds {
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
}

impl Output {
    /// Makes the pipes. They belong to the user of the run, who may want to open `/dev/stdout`.
    pub fn open(log: LogWriter, owner: Option<&Identity>) -> nix::Result<(Output, WriteEnds)> {
        let (out, stdout) = pipe2(OFlag::O_CLOEXEC)?;
        let (err, stderr) = pipe2(OFlag::O_CLOEXEC)?;
        for ear in [&out, &err] {
            fcntl(ear, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        if let Some(owner) = owner {
            for mouth in [&stdout, &stderr] {
                fchown(mouth, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?;
            }
        }
        let source = |stream, pipe: OwnedFd| Source {
            stream,
            pipe: Some(File::from(pipe)),
            line: Vec::new(),
        };
        let streams = [source(Stream::Stdout, out), source(Stream::Stderr, err)];
        Ok((Output::new(streams, log), WriteEnds { stdout, stderr }))
    }

    /// Reads from a terminal, which carries all output.
    pub fn of_terminal(log: LogWriter, terminal: OwnedFd) -> Output {
        let source = |stream, pipe| Source { stream, pipe, line: Vec::new() };
        let terminal = Some(File::from(terminal));
        let streams = [source(Stream::Stdout, terminal), source(Stream::Stderr, None)];
        Output::new(streams, log)
    }

    fn new(streams: [Source; 2], log: LogWriter) -> Output {
        Output { streams, log, buffer: Vec::new(), partial_lines: PartialLines::Kept }
    }

    /// Clients attach to it: the beginning of a line does not wait for its end, and nothing is removed
    /// before the first client could read it.
    pub fn write_partial_lines(mut self) -> Output {
        self.log.await_client(wall_ns());
        Output { partial_lines: PartialLines::Written, ..self }
    }

    /// Returns the log, for another output.
    pub fn into_log(self) -> LogWriter {
        self.log
    }

    /// The pipes that are still open.
    pub fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.streams.iter().filter_map(|source| source.pipe.as_ref()).map(AsFd::as_fd)
    }

    /// Reads what has arrived.
    pub fn pump(&mut self) {
        self.buffer.resize(READ_BYTES, 0);
        let mut latest = 0;
        for source in &mut self.streams {
            for _ in 0..READS_MAX {
                let Some(pipe) = source.pipe.as_mut() else { break };
                match pipe.read(&mut self.buffer) {
                    Ok(0) => source.pipe = None,
                    Ok(length) => {
                        latest = wall_ns();
                        source.take(&self.buffer[..length], latest, &mut self.log);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // The other end of a terminal is closed.
                    Err(_) => source.pipe = None,
                }
            }
        }
        if latest > 0 {
            if self.partial_lines == PartialLines::Written {
                self.streams.iter_mut().for_each(|source| source.cut(latest, &mut self.log));
            }
            self.log.flush(latest);
        }
    }

    /// Nobody can write any more: reads the rest.
    pub fn finish(&mut self) {
        // A pipe holds 64 KiB, less than one call of `pump` reads.
        self.pump();
        let now = wall_ns();
        self.streams.iter_mut().for_each(|source| source.cut(now, &mut self.log));
        self.log.flush(now);
    }
}

impl Source {
    /// Writes the beginning of a line.
    fn cut(&mut self, now: u64, log: &mut LogWriter) {
        if !self.line.is_empty() {
            log.append(now, self.stream, Ends::Piece, &self.line);
            self.line.clear();
        }
    }

    fn take(&mut self, mut bytes: &[u8], now: u64, log: &mut LogWriter) {
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - self.line.len();
            let reach = &bytes[..bytes.len().min(room)];
            let (part, ends, used) = match reach.iter().position(|byte| *byte == b'\n') {
                Some(newline) => (&reach[..newline], Some(Ends::Line), newline + 1),
                None if reach.len() == room => (reach, Some(Ends::Piece), room),
                None => (reach, None, reach.len()),
            };
            match ends {
                Some(ends) if self.line.is_empty() => log.append(now, self.stream, ends, part),
                Some(ends) => {
                    self.line.extend_from_slice(part);
                    log.append(now, self.stream, ends, &self.line);
                    // Frees the memory: a program that wrote one long line does not keep it for
                    // ever.
                    self.line = Vec::new();
                }
                None => self.line.extend_from_slice(part),
            }
            bytes = &bytes[used..];
        }
    }
}

fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
