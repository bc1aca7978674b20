//! From a blob to the bytes of its tar: read and decompressed in one thread, hashed in another.
//!
//! The compression is detected by the first bytes, because media types are wrong too often. At
//! most a megabyte is buffered between the threads.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{Builder, Scope};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use sha2::{Digest as _, Sha256};

use super::LayerError;
use crate::image::blob::CHUNK;
use crate::image::digest::Digest;
use crate::tar_entries::TarError;

const CHUNKS_WAITING: usize = 4;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BZIP2: [u8; 3] = *b"BZh";
const XZ: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
/// What a stream of xz may make this node set aside, in KiB: `xz -9` wants 65 MiB.
const XZ_KIB_MAX: u32 = 80 * 1024;
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
    /// As `xz` does; no layer may be.
    Xz,
    /// As `bzip2` does; no layer may be.
    Bzip2,
}

impl Compression {
    /// Bytes that tell.
    pub(crate) const START: usize = XZ.len();

    /// Of a stream that begins so.
    pub(crate) fn of(start: &[u8]) -> Compression {
        if start.starts_with(&GZIP) {
            Compression::Gzip
        } else if start.starts_with(&ZSTD) || is_skippable(start) {
            Compression::Zstd
        } else if start.starts_with(&XZ) {
            Compression::Xz
        } else if start.starts_with(&BZIP2) {
            Compression::Bzip2
        } else {
            Compression::None
        }
    }

    /// The end of a layer's media type.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Compression::None | Compression::Xz | Compression::Bzip2 => "",
            Compression::Gzip => "+gzip",
            Compression::Zstd => "+zstd",
        }
    }

    /// Is there a media type for layers that are?
    pub(crate) fn is_for_layers(self) -> bool {
        !matches!(self, Compression::Xz | Compression::Bzip2)
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
    opened(stream, |_| true)
}

/// The bytes of a stream as a layer may have them: compressed as it came, if there is a media type for
/// that.
pub(crate) fn storable<'a>(stream: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    opened(stream, |compression| !compression.is_for_layers())
}

fn opened<'a>(
    mut stream: impl Read + Send + 'a,
    is_to_be: impl Fn(Compression) -> bool,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    // A stream over the network may begin with a single byte.
    let mut start = vec![0; Compression::START];
    let length = fill(&mut stream, &mut start)?;
    start.truncate(length);
    let compression = Some(Compression::of(&start)).filter(|found| is_to_be(*found));
    let stream = BufReader::with_capacity(CHUNK, io::Cursor::new(start).chain(stream));
    Ok(match compression {
        None | Some(Compression::None) => Box::new(stream),
        Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(stream)),
        Some(Compression::Zstd) => Box::new(zstd::Decoder::with_buffer(stream)?),
        Some(Compression::Xz) => Box::new(XzReader::new_mem_limit(stream, true, XZ_KIB_MAX)),
        Some(Compression::Bzip2) => Box::new(MultiBzDecoder::new(stream)),
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
        started.map_err(TarError::Read)?;
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
