//! The files of an archive, kept while they are received: small ones in memory, blobs in the store,
//! the rest in the store under their computed digest.
//!
//! Names in an archive are keys of a map and never paths of this machine.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest as _, Sha256};

use crate::image::blob::CHUNK;
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::layers::DRAFT;
use crate::image::manifest::DOCUMENT_BYTES_MAX;
use crate::image::{Images, unpack};
use crate::tar_entries::{Entries, Entry, Kind, TarError};

use super::BLOBS;

/// A small file stays in memory as long as all of them fit into this.
const MEMORY_BYTES_MAX: u64 = 8 << 20;
/// A file that may be a document is not longer.
const SMALL_BYTES_MAX: u64 = 1 << 20;
/// Links to links, in the archives of old versions.
const LINKS_MAX: u8 = 8;

static SPOOLS: AtomicU32 = AtomicU32::new(0);

/// A file of an archive.
pub(super) enum Content {
    Bytes(Vec<u8>),
    Blob(Digest, u64),
    Link(String),
}

/// All files of an archive, by name.
#[derive(Default)]
pub(super) struct Spool {
    files: BTreeMap<String, Content>,
    memory: u64,
}

impl Spool {
    /// Reads an archive to its end.
    pub(super) fn fill(images: &Images, stream: impl Read + Send) -> Result<Spool, ImageError> {
        let read = |error: std::io::Error| ImageError::Archive(format!("cannot be read ({error})"));
        let mut entries = Entries::new(unpack::decompressed(stream).map_err(read)?);
        let mut spool = Spool::default();
        while let Some(entry) = entries.next().map_err(junk)? {
            let name = cleaned(&entry.path);
            let content = match entry.kind {
                Kind::File => spool.keep(images, &name, &entry, &mut entries)?,
                Kind::HardLink => Content::Link(cleaned(&entry.link)),
                Kind::Symlink => Content::Link(beside(&name, &entry.link)),
                _ => continue,
            };
            spool.files.insert(name, content);
        }
        Ok(spool)
    }

    /// A file, through links.
    pub(super) fn file(&self, name: &str) -> Option<&Content> {
        let mut name = cleaned(name.as_bytes());
        for _ in 0..LINKS_MAX {
            match self.files.get(&name)? {
                Content::Link(target) => name.clone_from(target),
                content => return Some(content),
            }
        }
        None
    }

    /// The bytes of a document.
    pub(super) fn document(
        &self,
        images: &Images,
        name: &str,
    ) -> Result<Option<Vec<u8>>, ImageError> {
        match self.file(name) {
            Some(Content::Bytes(bytes)) => Ok(Some(bytes.clone())),
            Some(Content::Blob(digest, _)) => images.0.blobs.read(digest, DOCUMENT_BYTES_MAX),
            _ => Ok(None),
        }
    }

    /// The blob that a file is.
    pub(super) fn blob(
        &self,
        images: &Images,
        name: &str,
    ) -> Result<Option<(Digest, u64)>, ImageError> {
        match self.file(name) {
            Some(Content::Bytes(bytes)) => Ok(Some((images.keep(bytes)?, bytes.len() as u64))),
            Some(Content::Blob(digest, size)) => Ok(Some((digest.clone(), *size))),
            _ => Ok(None),
        }
    }

    fn keep(
        &mut self,
        images: &Images,
        name: &str,
        entry: &Entry,
        data: &mut impl Read,
    ) -> Result<Content, ImageError> {
        if entry.pieces.is_some() {
            return Err(ImageError::Archive(format!("has the sparse file {name}")));
        }
        let hex = name.strip_prefix(BLOBS).map(Digest::from_hex);
        if let Some(Ok(digest)) = hex {
            let size = write_blob(images, &digest, entry.size, data)?;
            return Ok(Content::Blob(digest, size));
        }
        if entry.size <= SMALL_BYTES_MAX && self.memory + entry.size <= MEMORY_BYTES_MAX {
            self.memory += entry.size;
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes).map_err(|error| junk(error.into()))?;
            return Ok(Content::Bytes(bytes));
        }
        let (digest, size) = spool(images, data)?;
        Ok(Content::Blob(digest, size))
    }
}

/// Keeps a stream under the digest that it turns out to have.
pub(crate) fn spool(images: &Images, data: &mut dyn Read) -> Result<(Digest, u64), ImageError> {
    let folder = images.0.blobs.partial_folder();
    let number = SPOOLS.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("{}{number}", DRAFT));
    let mut file = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::File::create(&path))
        .map_err(ImageError::disk("make", &path))?;
    let removed = Removed(&path);
    let mut hasher = Sha256::new();
    let size = each_chunk(data, |bytes| {
        hasher.update(bytes);
        std::io::Write::write_all(&mut file, bytes).map_err(ImageError::disk("write", &path))
    })?;
    let digest = Digest::finish(hasher);
    if images.has_blob(&digest) == Some(size) {
        images.0.blobs.refresh(&digest);
        return Ok((digest, size));
    }
    file.sync_all().map_err(ImageError::disk("sync", &path))?;
    images.0.blobs.adopt(&path, &digest)?;
    std::mem::forget(removed);
    Ok((digest, size))
}

/// Removes a file unless it is forgotten.
struct Removed<'a>(&'a std::path::Path);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        std::fs::remove_file(self.0).ok();
    }
}

/// Writes a blob that an archive names; one that is here already is not read again.
fn write_blob(
    images: &Images,
    digest: &Digest,
    size: u64,
    data: &mut dyn Read,
) -> Result<u64, ImageError> {
    images.0.blobs.refresh(digest);
    if images.has_blob(digest) == Some(size) {
        return Ok(size);
    }
    let mut writer = images.write_blob(digest, Some(size))?;
    writer.restart()?;
    each_chunk(data, |bytes| writer.write(bytes))?;
    writer.commit()?;
    Ok(size)
}

fn each_chunk(
    data: &mut dyn Read,
    mut each: impl FnMut(&[u8]) -> Result<(), ImageError>,
) -> Result<u64, ImageError> {
    let mut buffer = vec![0; CHUNK];
    let mut size = 0;
    loop {
        match data.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(count) => {
                each(&buffer[..count])?;
                size += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(junk(error.into())),
        }
    }
}

pub(crate) fn junk(error: TarError) -> ImageError {
    ImageError::Archive(error.to_string())
}

/// `./a//b/../c` is `a/c`.
fn cleaned(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn beside(name: &str, target: &[u8]) -> String {
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    cleaned(&[folder.as_bytes(), b"/", target].concat())
}
