//! A blob while it is written: a thread of its own hashes and writes, so that neither holds up the
//! runtime, and whoever receives waits when the disk is slower.

use bytes::Bytes;
use runtime::image::blob::BlobWriter;
use runtime::image::{Digest, ImageError, Images};
use tokio::sync::{mpsc, oneshot};

/// Pieces that wait for the disk: 8 of at most 64 KiB, or a few more from a registry.
const PIECES_MAX: usize = 8;

/// See the module. Dropped, it keeps what was written for the next attempt.
pub(super) struct Sink {
    offset: u64,
    pieces: Option<mpsc::Sender<Bytes>>,
    written: oneshot::Receiver<Result<BlobWriter, ImageError>>,
}

impl Sink {
    /// Begins, or goes on where an earlier attempt ended.
    pub(super) async fn open(
        images: &Images,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<Sink, ImageError> {
        let (images, digest) = (images.clone(), digest.clone());
        let (ready, opened) = oneshot::channel();
        let (pieces, inbox) = mpsc::channel(PIECES_MAX);
        let (done, written) = oneshot::channel();
        let work = move || match images.write_blob(&digest, size) {
            Ok(writer) => {
                let _ = ready.send(Ok(writer.offset()));
                let _ = done.send(write(writer, inbox));
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("blob".to_owned()).stack_size(256 * 1024);
        thread.spawn(work).map_err(|source| ImageError::Disk {
            doing: "start a thread for",
            path: "a blob".to_owned(),
            source,
        })?;
        let offset = opened.await.expect("the thread answers before it ends")?;
        Ok(Sink { offset, pieces: Some(pieces), written })
    }

    /// Bytes that were here when it began.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Hands bytes on; false when the disk does not take them: [`Sink::finish`] says why.
    pub(super) async fn write(&mut self, bytes: Bytes) -> bool {
        match &self.pieces {
            Some(pieces) => pieces.send(bytes).await.is_ok(),
            None => false,
        }
    }

    /// Waits until everything is written, verified and synced.
    pub(super) async fn finish(mut self) -> Result<(), ImageError> {
        self.pieces = None;
        let writer = self.written.await.expect("the thread says how it ended")?;
        super::blocking(move || writer.commit()).await
    }

    /// Waits until everything is written, and keeps it for the next attempt.
    pub(super) async fn suspend(mut self) -> Result<(), ImageError> {
        self.pieces = None;
        self.written.await.expect("the thread says how it ended").map(drop)
    }
}

fn write(
    mut writer: BlobWriter,
    mut inbox: mpsc::Receiver<Bytes>,
) -> Result<BlobWriter, ImageError> {
    while let Some(piece) = inbox.blocking_recv() {
        writer.write(&piece)?;
    }
    Ok(writer)
}
