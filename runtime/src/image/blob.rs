//! Blobs by digest: `blobs/sha256/<hex>` complete and verified, `partial/<hex>` still received.
//!
//! A file is hashed and synced before it gets a blob's name: a power cut leaves the complete blob
//! or none. A partial blob is kept until it is resumed, and is used only after its hash was
//! computed over all of it. Readers can follow a blob while it grows.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::digest::Digest;
use super::error::ImageError;

/// Blobs that no name reaches yet are spared for so long: whoever fetches an image names it last.
const FRESH: Duration = Duration::from_secs(3600);
/// What a file is read with.
pub(crate) const CHUNK: usize = 256 << 10;

/// The blobs of a node.
#[derive(Debug)]
pub(crate) struct Blobs {
    whole: PathBuf,
    partial: PathBuf,
    growing: Mutex<BTreeMap<Digest, Growing>>,
    fresh: Mutex<BTreeMap<Digest, Instant>>,
}

#[derive(Debug)]
struct Growing {
    size: Option<u64>,
    growth: watch::Receiver<Growth>,
}

/// How far a growing blob is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Growth {
    /// Bytes that can be read.
    pub bytes: u64,
    /// Nothing more comes, and the hash is right.
    pub complete: bool,
}

/// A blob that somebody else writes at the moment.
#[derive(Debug)]
pub struct Partial {
    /// Readable up to `growth.borrow().bytes`; stays readable when the blob gets its name. None of
    /// it is verified yet.
    pub file: File,
    /// Of the whole, if it is known.
    pub size: Option<u64>,
    /// Closed without `complete`: its writer gave up.
    pub growth: watch::Receiver<Growth>,
}

impl Blobs {
    pub(crate) fn new(root: &Path) -> Blobs {
        Blobs {
            whole: root.join("blobs/sha256"),
            partial: root.join("partial"),
            growing: Mutex::default(),
            fresh: Mutex::default(),
        }
    }

    /// Where whole blobs are.
    pub(crate) fn folder(&self) -> &Path {
        &self.whole
    }

    /// Where growing blobs are.
    pub(crate) fn partial_folder(&self) -> &Path {
        &self.partial
    }

    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.whole.join(digest.hex())
    }

    /// Its length if it is here as a whole.
    pub(crate) fn size(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.path(digest)).ok().filter(fs::Metadata::is_file).map(|file| file.len())
    }

    pub(crate) fn open(&self, digest: &Digest) -> Option<File> {
        File::open(self.path(digest)).ok()
    }

    /// A small blob, hashed again as it is read. A damaged one is removed and counts as missing.
    pub(crate) fn read(
        &self,
        digest: &Digest,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, ImageError> {
        let path = self.path(digest);
        let Some(file) = self.open(digest) else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
        read.map_err(ImageError::disk("read", &path))?;
        if bytes.len() as u64 > bytes_max {
            return Err(ImageError::malformed(digest, format!("has more than {bytes_max} bytes")));
        }
        if Digest::of(&bytes) == *digest {
            return Ok(Some(bytes));
        }
        tracing::warn!(%digest, "a blob is damaged on the disk: removed, it is fetched again");
        self.remove(digest)?;
        Ok(None)
    }

    /// Hashes a whole blob again.
    pub(crate) fn is_sound(&self, digest: &Digest) -> Result<bool, ImageError> {
        let path = self.path(digest);
        let hashed = File::open(&path).and_then(|mut file| hash(&mut file));
        Ok(Digest::finish(hashed.map_err(ImageError::disk("read", &path))?.0) == *digest)
    }

    pub(crate) fn remove(&self, digest: &Digest) -> Result<(), ImageError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ImageError::disk("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Was it written so recently that nobody may have named it yet?
    pub(crate) fn is_fresh(&self, digest: &Digest) -> bool {
        let mut fresh = locked(&self.fresh);
        fresh.retain(|_, written| written.elapsed() < FRESH);
        fresh.contains_key(digest)
    }

    /// A blob got its name, or was found to be here while somebody wanted to write it.
    pub(crate) fn refresh(&self, digest: &Digest) {
        locked(&self.fresh).insert(digest.clone(), Instant::now());
    }

    /// Is somebody writing it?
    pub(crate) fn is_growing(&self, digest: &Digest) -> bool {
        locked(&self.growing).contains_key(digest)
    }

    /// A blob that somebody writes at the moment, to be read along.
    pub(crate) fn partial(&self, digest: &Digest) -> Option<Partial> {
        let growing = locked(&self.growing);
        let entry = growing.get(digest)?;
        let file = File::open(self.partial.join(digest.hex())).ok()?;
        Some(Partial { file, size: entry.size, growth: entry.growth.clone() })
    }

    /// Gives a synced file the name of what it holds.
    pub(crate) fn adopt(&self, file: &Path, digest: &Digest) -> Result<(), ImageError> {
        let rename = || {
            fs::create_dir_all(&self.whole)?;
            fs::rename(file, self.path(digest))?;
            File::open(&self.whole)?.sync_all()
        };
        rename().map_err(ImageError::disk("keep", &self.path(digest)))?;
        self.refresh(digest);
        Ok(())
    }
}

/// Writes one blob, continuing where an earlier attempt ended. Dropped without [`commit`], what
/// was written is kept for the next attempt.
///
/// [`commit`]: BlobWriter::commit
#[derive(Debug)]
pub struct BlobWriter {
    blobs: Arc<Blobs>,
    digest: Digest,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    size: Option<u64>,
    growth: watch::Sender<Growth>,
}

impl BlobWriter {
    pub(crate) fn open(
        blobs: &Arc<Blobs>,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<BlobWriter, ImageError> {
        let path = blobs.partial.join(digest.hex());
        let (growth, seen) = watch::channel(Growth::default());
        {
            let mut growing = locked(&blobs.growing);
            if growing.contains_key(digest) {
                return Err(ImageError::Busy(digest.clone()));
            }
            growing.insert(digest.clone(), Growing { size, growth: seen });
        }
        let opened = continued(&blobs.partial, &path, size);
        let (file, hasher, bytes) = opened.inspect_err(|_| {
            locked(&blobs.growing).remove(digest);
        })?;
        growth.send_replace(Growth { bytes, complete: false });
        let (blobs, digest) = (blobs.clone(), digest.clone());
        let writer = BlobWriter { blobs, digest, path, file, hasher, size, growth };
        writer.ensure_space()?;
        Ok(writer)
    }

    /// Bytes that are here already: go on from there.
    pub fn offset(&self) -> u64 {
        self.growth.borrow().bytes
    }

    /// Throws away what is here, for a source that cannot go on in the middle.
    pub fn restart(&mut self) -> Result<(), ImageError> {
        let begun = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        begun.map_err(ImageError::disk("restart", &self.path))?;
        self.hasher = Sha256::new();
        self.growth.send_replace(Growth::default());
        Ok(())
    }

    /// Appends. After an error the bytes before it are still good.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        let offset = self.offset();
        let end = offset + bytes.len() as u64;
        if let Some(expected) = self.size.filter(|size| end > *size) {
            return Err(ImageError::WrongSize {
                digest: self.digest.clone(),
                expected,
                found: end,
            });
        }
        if let Err(error) = self.file.write_all(bytes) {
            // Part of it may be on the disk: the hasher has not seen it.
            let undone = self.file.set_len(offset);
            undone.and_then(|()| self.file.seek(SeekFrom::Start(offset))).ok();
            return Err(ImageError::disk("write", &self.path)(error));
        }
        self.hasher.update(bytes);
        self.growth.send_replace(Growth { bytes: end, complete: false });
        Ok(())
    }

    /// Verifies and syncs it and gives it its name. Wrong content is removed; a part stays.
    pub fn commit(mut self) -> Result<(), ImageError> {
        let found = self.offset();
        if let Some(expected) = self.size.filter(|size| *size != found) {
            return Err(ImageError::WrongSize { digest: self.digest.clone(), expected, found });
        }
        let digest = Digest::finish(std::mem::take(&mut self.hasher));
        if digest != self.digest {
            let removed = fs::remove_file(&self.path);
            removed.map_err(ImageError::disk("remove", &self.path))?;
            return Err(ImageError::WrongDigest { expected: self.digest.clone(), found: digest });
        }
        self.file.sync_all().map_err(ImageError::disk("sync", &self.path))?;
        self.blobs.adopt(&self.path, &digest)?;
        self.growth.send_replace(Growth { bytes: found, complete: true });
        Ok(())
    }

    /// Asks before the disk is full, not after an hour of download.
    fn ensure_space(&self) -> Result<(), ImageError> {
        let Some(missing) = self.size.map(|size| size.saturating_sub(self.offset())) else {
            return Ok(());
        };
        let Ok(disk) = nix::sys::statvfs::fstatvfs(&self.file) else { return Ok(()) };
        // Counts have 32 bits on 32-bit machines.
        #[allow(clippy::useless_conversion)]
        let free =
            u64::from(disk.blocks_available()).saturating_mul(u64::from(disk.fragment_size()));
        if missing <= free {
            return Ok(());
        }
        let path = self.blobs.partial.display().to_string();
        Err(ImageError::DiskFull { doing: "keep a layer", path, wanted: Some(missing) })
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        locked(&self.blobs.growing).remove(&self.digest);
    }
}

/// The file of a partial blob, its hash so far, and its length.
fn continued(
    folder: &Path,
    path: &Path,
    size: Option<u64>,
) -> Result<(File, Sha256, u64), ImageError> {
    let open = || {
        fs::create_dir_all(folder)?;
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let mut file = options.open(path)?;
        if size.is_some_and(|size| file.metadata().is_ok_and(|kept| kept.len() > size)) {
            file.set_len(0)?;
        }
        let (hasher, bytes) = hash(&mut file)?;
        Ok((file, hasher, bytes))
    };
    open().map_err(ImageError::disk("continue", path))
}

/// Hashes a file from where it stands to its end.
fn hash(file: &mut File) -> io::Result<(Sha256, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hasher, bytes)),
            count => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}

/// A lock that a panic elsewhere does not take away.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
