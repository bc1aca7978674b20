//! From a place below a task's root to a tar archive, entry by entry.
//!
//! Every name is opened in a folder that is open already, never by its full path: a program that
//! moves folders meanwhile cannot lead out of the root. The archive is made while it is sent;
//! memory does not grow with it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::readlinkat;
use nix::libc;
use nix::sys::stat::{FileStat, major, minor};
use tar::{Builder, EntryType, Header};

use super::CopyError;
use super::folder_entry::{FolderEntry, shown};
use crate::tree::{name, whiteout};

/// Depth of nested folders at most: each is an open descriptor, and 1,024 is a usual limit.
const DEPTH_MAX: usize = 512;

/// Files with several names that are remembered; further ones are packed whole. 10 MB at most.
const LINKS_MAX: usize = 100_000;

/// This much of a file is read before its size is decided.
const BEGIN_BYTES: u64 = 64 * 1024;

/// A file whose reported size is wrong is held in memory, up to this size. The longest in a
/// container's `/proc` have some megabytes.
const UNTOLD_BYTES_MAX: u64 = 64 << 20;

struct Packer<W: Write> {
    archive: Builder<W>,
    /// The first name of a file that has several.
    links: BTreeMap<(u64, u64), PathBuf>,
    form: Form,
}

/// What the archive is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Files as they are.
    Files,
    /// A layer of an image: what overlayfs marks as removed is named as OCI has it.
    Layer,
}

/// In front of the name of what a layer removes.
const WHITEOUT: &str = ".wh.";
/// A layer with this in a folder removes all that the layers below have in it.
const OPAQUE: &str = ".wh..wh..opq";
/// Packs an entry, under this name.
pub fn pack(place: &FolderEntry, name: &str, out: impl Write) -> Result<(), CopyError> {
    let (archive, links) = (Builder::new(out), BTreeMap::new());
    let mut packer = Packer { archive, links, form: Form::Files };
    let name = if name == "/" { Path::new(".") } else { Path::new(name) };
    packer.entry(place.dir.as_fd(), &place.name, name, 0)?;
    packer.archive.finish().map_err(|error| CopyError::of(shown(name), error))
}

/// Packs the upper folder of an overlay as a layer of an image.
pub fn pack_layer(place: &FolderEntry, out: impl Write) -> Result<(), CopyError> {
    let (archive, links) = (Builder::new(out), BTreeMap::new());
    let mut packer = Packer { archive, links, form: Form::Layer };
    let top = Path::new(".");
    packer.entry(place.dir.as_fd(), &place.name, top, 0)?;
    packer.archive.finish().map_err(|error| CopyError::of(shown(top), error))
}

impl<W: Write> Packer<W> {
    /// An empty file whose name says something.
    fn mark(&mut self, path: &Path) -> Result<(), CopyError> {
        let mut header = Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(0);
        header.set_entry_type(EntryType::Regular);
        let added = self.archive.append_data(&mut header, path, io::empty());
        added.map_err(|error| CopyError::of(shown(path), error))
    }

    fn entry(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        depth: usize,
    ) -> Result<(), CopyError> {
        let failed = |error: io::Error| CopyError::of(shown(path), error);
        let found = match name::stat(dir, name) {
            Ok(found) => found,
            // Removed while it was packed.
            Err(Errno::ENOENT) if depth > 0 => return Ok(()),
            Err(errno) => return Err(failed(errno.into())),
        };
        if self.form == Form::Layer && whiteout::is_whiteout(&found) {
            let mut removed = OsStr::new(WHITEOUT).to_owned();
            removed.push(name);
            return self.mark(&path.with_file_name(removed));
        }
        let mut header = header(&found);
        match found.st_mode & libc::S_IFMT {
            libc::S_IFREG => self.file(dir, name, path, &found, header).map_err(failed),
            libc::S_IFDIR => self.folder(dir, name, path, header, depth),
            libc::S_IFLNK => {
                header.set_entry_type(EntryType::Symlink);
                let target = readlinkat(dir, name).map_err(|errno| failed(errno.into()))?;
                self.archive.append_link(&mut header, path, &target).map_err(failed)
            }
            kind @ (libc::S_IFIFO | libc::S_IFCHR | libc::S_IFBLK) => {
                header.set_entry_type(match kind {
                    libc::S_IFIFO => EntryType::Fifo,
                    libc::S_IFCHR => EntryType::Char,
                    _ => EntryType::Block,
                });
                let numbers = (major(found.st_rdev) as u32, minor(found.st_rdev) as u32);
                let set = header
                    .set_device_major(numbers.0)
                    .and_then(|()| header.set_device_minor(numbers.1));
                set.map_err(failed)?;
                self.archive.append_data(&mut header, path, io::empty()).map_err(failed)
            }
            // Sockets are left out: nobody can listen on a copy.
            _ => Ok(()),
        }
    }

    fn file(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        found: &FileStat,
        mut header: Header,
    ) -> io::Result<()> {
        let id = (found.st_dev, found.st_ino);
        if let Some(first) = self.links.get(&id) {
            header.set_entry_type(EntryType::Link);
            return self.archive.append_link(&mut header, path, first);
        }
        if found.st_nlink > 1 && self.links.len() < LINKS_MAX {
            self.links.insert(id, path.to_path_buf());
        }
        let file = match name::open_file(dir, name) {
            Ok(file) => file,
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        // The name may belong to another file by now, perhaps to a pipe.
        let opened = file.metadata()?;
        if !opened.is_file() {
            return Ok(());
        }
        let (begin, ends) = begin_of(&file)?;
        let size = match ends {
            true => begin.len() as u64,
            false => opened.len(),
        };
        header.set_size(size);
        let whole = io::Cursor::new(begin).chain(file);
        self.archive.append_data(&mut header, path, Exactly { file: whole, left: size })
    }

    fn folder(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        mut header: Header,
        depth: usize,
    ) -> Result<(), CopyError> {
        let failed = |error: io::Error| CopyError::of(shown(path), error);
        if depth >= DEPTH_MAX {
            let why = format!("folders are more than {DEPTH_MAX} deep");
            return Err(failed(io::Error::other(why)));
        }
        header.set_entry_type(EntryType::Directory);
        // With a slash at its end, as tar programs write folders.
        let named = path.join("");
        self.archive.append_data(&mut header, &named, io::empty()).map_err(failed)?;
        let folder = name::open_folder(dir, name).map_err(|errno| failed(errno.into()))?;
        let own = format!("/proc/self/fd/{}", folder.as_raw_fd());
        if self.form == Form::Layer && whiteout::is_opaque(Path::new(&own)) {
            self.mark(&path.join(OPAQUE))?;
        }
        for entry in name::list(&folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            self.entry(folder.as_fd(), &name, &path.join(&name), depth + 1)?;
        }
        Ok(())
    }
}

fn header(found: &FileStat) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(found.st_mode & 0o7777);
    header.set_uid(u64::from(found.st_uid));
    header.set_gid(u64::from(found.st_gid));
    header.set_mtime(u64::try_from(found.st_mtime).unwrap_or(0));
    header.set_size(0);
    header.set_entry_type(EntryType::Regular);
    header
}

/// The beginning of a file, and whether that is all of it. The kernel's own files are smaller than
/// their reported size (4,096 bytes in `/sys`) or larger (none in `/proc`). So a file that ends
/// soon has the size that was read. A file that is longer than its reported size is read to its
/// end.
fn begin_of(file: &fs::File) -> io::Result<(Vec<u8>, bool)> {
    let said = file.metadata()?.len();
    let mut begin = Vec::new();
    file.take(BEGIN_BYTES).read_to_end(&mut begin)?;
    if (begin.len() as u64) < BEGIN_BYTES {
        return Ok((begin, true));
    }
    if said > BEGIN_BYTES {
        return Ok((begin, false));
    }
    file.take(UNTOLD_BYTES_MAX).read_to_end(&mut begin)?;
    match begin.len() as u64 >= UNTOLD_BYTES_MAX {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it says that it has {said} bytes, and has more than 64 MiB"),
        )),
        false => Ok((begin, true)),
    }
}

/// Exactly as many bytes as the header says, whatever happens to the file: a growing file is cut, a
/// shrinking file is filled with zeros.
struct Exactly<R> {
    file: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..room];
        let count = match self.file.read(buffer)? {
            0 => {
                buffer.fill(0);
                room
            }
            count => count,
        };
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::folder_entry;
    use super::*;

    fn packed(dir: &Path, path: &str) -> Vec<u8> {
        let root = folder_entry::root_at(dir).expect("a folder");
        let place = folder_entry::find(&root, path).expect("found");
        let mut archive = Vec::new();
        pack(&place, "it", &mut archive).expect("packed");
        let mut archive = tar::Archive::new(&archive[..]);
        let mut entry = archive.entries().expect("an archive").next().expect("one").expect("whole");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("readable");
        content
    }

    #[test]
    fn a_file_of_the_kernels_is_as_long_as_it_reads() {
        for path in ["/proc/sys/kernel/ostype", "/proc/filesystems", "/sys/class/net/lo/mtu"] {
            let Ok(expected) = fs::read(path) else { continue };
            assert!(!expected.is_empty());
            assert_eq!(packed(Path::new("/"), path), expected, "{path}");
        }
    }

    #[test]
    fn any_other_file_is_as_long_as_it_says() {
        let dir = tempfile::tempdir().expect("a folder");
        for length in [0, 1, BEGIN_BYTES - 1, BEGIN_BYTES, BEGIN_BYTES + 1, 3 * BEGIN_BYTES] {
            let expected: Vec<u8> = (0..length).map(|at| at as u8).collect();
            fs::write(dir.path().join("file"), &expected).expect("writable");
            assert!(packed(dir.path(), "file") == expected, "{length}");
        }
    }
}
