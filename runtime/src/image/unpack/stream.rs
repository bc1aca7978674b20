//! From a blob to the bytes of its tar: read and decompressed in one thread, hashed in another.
//!
//! How a layer is compressed is told by its first bytes: media types are wrong too often. At most
//! a megabyte waits between the threads.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{Builder, Scope};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::LayerError;
use crate::image::blob::CHUNK;
use crate::image::digest::Digest;

const CHUNKS_WAITING: usize = 4;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// As `gzip` does.
    Gzip,
    /// As `zstd` does.
    Zstd,
}

impl Compression {
    /// Of a stream that begins so.
    pub(crate) fn of(start: &[u8]) -> Compression {
        if start.starts_with(&GZIP) {
            Compression::Gzip
        } else if start.starts_with(&ZSTD) || is_skippable(start) {
            Compression::Zstd
        } else {
            Compression::None
        }
    }

    /// The end of a layer's media type.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => "+gzip",
            Compression::Zstd => "+zstd",
        }
    }
}

/// Frames that zstd skips stand first in what is made for partial pulls.
fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50)
}

/// The bytes of a stream as they were before it was compressed.
pub(crate) fn decompressed<'a>(
    stream: impl Read + Send + 'a,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut stream = BufReader::with_capacity(CHUNK, stream);
    Ok(match Compression::of(stream.fill_buf()?) {
        Compression::None => Box::new(stream),
        Compression::Gzip => Box::new(MultiGzDecoder::new(stream)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(stream)?),
    })
}

/// The tar of a layer, with its digest so far.
pub(crate) struct Unpacked {
    chunks: Receiver<io::Result<Vec<u8>>>,
    used: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    hasher: Sha256,
}

impl Unpacked {
    /// Begins to decompress in a thread of the scope. It ends when this is dropped.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        blob: File,
    ) -> Result<Unpacked, LayerError> {
        let (give, chunks) = sync_channel(CHUNKS_WAITING);
        let (used, reuse) = sync_channel(CHUNKS_WAITING + 2);
        let thread = Builder::new().name("decompress".to_owned());
        let started = thread.spawn_scoped(scope, move || decompress(blob, &give, &reuse));
        started.map_err(super::TarError::Read)?;
        Ok(Unpacked { chunks, used, chunk: Vec::new(), at: 0, hasher: Sha256::new() })
    }

    /// Of all that was read; of the whole tar once it was read to its end.
    pub(super) fn digest(self) -> Digest {
        Digest::finish(self.hasher)
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let used = std::mem::take(&mut self.chunk);
        self.at = 0;
        // A full channel: the thread has enough buffers.
        self.used.try_send(used).ok();
        if let Ok(chunk) = self.chunks.recv() {
            self.chunk = chunk?;
            self.hasher.update(&self.chunk);
        }
        Ok(())
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            self.next_chunk()?;
        }
        let count = buffer.len().min(self.chunk.len() - self.at);
        buffer[..count].copy_from_slice(&self.chunk[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn decompress(blob: File, give: &SyncSender<io::Result<Vec<u8>>>, reuse: &Receiver<Vec<u8>>) {
    let mut stream = match decompressed(blob) {
        Ok(stream) => stream,
        Err(error) => return drop(give.send(Err(error))),
    };
    loop {
        let mut chunk = match reuse.try_recv() {
            Ok(used) => used,
            Err(TryRecvError::Empty) => Vec::with_capacity(CHUNK),
            Err(TryRecvError::Disconnected) => return,
        };
        chunk.resize(CHUNK, 0);
        let filled = fill(&mut stream, &mut chunk);
        let done = match filled {
            Ok(0) => return,
            Ok(count) => {
                chunk.truncate(count);
                give.send(Ok(chunk))
            }
            Err(error) => {
                give.send(Err(error)).ok();
                return;
            }
        };
        if done.is_err() {
            return;
        }
    }
}

fn fill(stream: &mut dyn Read, chunk: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match stream.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
