//! Compares an unpacked layer with the tar that it came from.
//!
//! The last entry of a name decides, as when it was unpacked: until the stream ends, a difference
//! is only suspected. Times are not compared, and nothing is changed.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::fcntl::readlinkat;
use nix::sys::stat::{FileStat, SFlag};

use super::LayerError;
use super::apply::WHITEOUT;
use super::stack::{Stack, bytes, failed, parts, shown, stat};
use crate::image::blob::CHUNK;
use crate::tar_entries::{Entry, Kind, Piece, TarError};
use crate::tree::attributes::{self, CAPABILITY};
use crate::tree::name::{open_file, path_of};

/// Looks at the entries of one layer, in order.
pub(super) struct LayerChecker {
    stack: Stack,
    suspects: BTreeSet<Vec<u8>>,
}

impl LayerChecker {
    pub(super) fn new(root: &Path) -> Result<LayerChecker, LayerError> {
        Ok(LayerChecker { stack: Stack::open(root)?, suspects: BTreeSet::new() })
    }

    pub(super) fn check(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), LayerError> {
        let mut folder = parts(&entry.path)?;
        let whole = folder.join(&b'/');
        let Some(name) = folder.pop() else { return Ok(()) };
        if name.starts_with(WHITEOUT) {
            return Ok(());
        }
        let same = match self.stack.existing(&folder) {
            Ok(parent) => self.is_same(parent.as_fd(), &name, entry, data)?,
            Err(_) => false,
        };
        if entry.kind != Kind::Dir {
            let below = [whole.as_slice(), b"/"].concat();
            self.suspects.retain(|suspect| !suspect.starts_with(&below));
        }
        if same {
            self.suspects.remove(&whole);
        } else {
            self.suspects.insert(whole);
        }
        Ok(())
    }

    /// A name that is not what it was, if there is one.
    pub(super) fn finish(self) -> Option<String> {
        self.suspects.first().map(|name| shown(name))
    }

    fn is_same(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        data: &mut dyn Read,
    ) -> Result<bool, LayerError> {
        let Ok(found) = stat(parent, name) else { return Ok(false) };
        let kind = found.st_mode & SFlag::S_IFMT.bits();
        let expected = match entry.kind {
            Kind::HardLink => return Ok(self.is_linked(&found, entry)),
            Kind::File => SFlag::S_IFREG,
            Kind::Dir => SFlag::S_IFDIR,
            Kind::Symlink => SFlag::S_IFLNK,
            Kind::Char => SFlag::S_IFCHR,
            Kind::Block => SFlag::S_IFBLK,
            Kind::Fifo => SFlag::S_IFIFO,
        };
        let mode = entry.kind == Kind::Symlink || found.st_mode & 0o7777 == entry.mode;
        let owner = (found.st_uid, found.st_gid) == (entry.uid, entry.gid);
        let path = path_of(parent, bytes(name));
        let attribute = |(name, value): &(Vec<u8>, Vec<u8>)| {
            // Any other may have been left out.
            name != CAPABILITY
                || attributes::read(&path, name).is_ok_and(|found| found.as_ref() == Some(value))
        };
        if kind != expected.bits() || !mode || !owner || !entry.xattrs.iter().all(attribute) {
            return Ok(false);
        }
        match entry.kind {
            Kind::Symlink => Ok(readlinkat(parent, bytes(name))
                .is_ok_and(|target| target.as_encoded_bytes() == entry.link)),
            Kind::File if found.st_size.cast_unsigned() != entry.size => Ok(false),
            Kind::File => has_content(parent, name, entry, data),
            _ => Ok(true),
        }
    }

    fn is_linked(&self, found: &FileStat, entry: &Entry) -> bool {
        let Ok(mut target) = parts(&entry.link) else { return false };
        let Some(name) = target.pop() else { return false };
        let Ok(folder) = self.stack.existing(&target) else { return false };
        stat(&folder, &name).is_ok_and(|other| other.st_ino == found.st_ino)
    }
}

fn has_content(
    parent: BorrowedFd<'_>,
    name: &[u8],
    entry: &Entry,
    data: &mut dyn Read,
) -> Result<bool, LayerError> {
    let file = open_file(parent, bytes(name)).map_err(failed("read", &entry.path))?;
    let mut there = vec![0; CHUNK];
    let mut wanted = vec![0; CHUNK];
    let all = [Piece { offset: 0, length: entry.size }];
    for piece in entry.pieces.as_deref().unwrap_or(&all) {
        let mut at = piece.offset;
        let end = piece.offset + piece.length;
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(CHUNK);
            data.read_exact(&mut wanted[..length]).map_err(TarError::Read)?;
            // A disk that cannot read it has damaged it.
            let read = std::os::unix::fs::FileExt::read_exact_at(&file, &mut there[..length], at);
            if read.is_err() || there[..length] != wanted[..length] {
                return Ok(false);
            }
            at += length as u64;
        }
    }
    Ok(true)
}
