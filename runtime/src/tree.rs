//! A folder with lookups that never leave it: every name is looked up below its open root.
//!
//! Its content was made by others: by an image, a task, or the sender of an archive. A path is
//! resolved as if the root were the whole file system: an absolute link starts at this root, `..`
//! never leads above it, and no magic link of `/proc` is followed. This is done by `openat2` with
//! `RESOLVE_IN_ROOT`, through `pathrs`, which resolves the path part by part where a filter of
//! system calls forbids that call. A single name in an open folder ([`name`]) is never followed at
//! all.
//!
//! Image layers, copies into volumes, `cp` and bundles all look up their names here.

pub(crate) mod attributes;
pub(crate) mod copy;
pub(crate) mod name;
pub(crate) mod whiteout;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, mkdirat};
use pathrs::error::{Error, ErrorKind};
use pathrs::flags::OpenFlags;

/// The root of a tree, held open.
#[derive(Debug)]
pub(crate) struct Root(pathrs::Root);

impl Root {
    /// Makes a folder of this machine the root of lookups. Its own path is followed as usual.
    pub(crate) fn open(path: &Path) -> nix::Result<Root> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        open(path, flags, Mode::empty()).map(|dir| Root(pathrs::Root::from_fd(dir)))
    }

    /// Finds the file at a path, links followed; the result cannot be read.
    pub(crate) fn find(&self, path: &Path) -> nix::Result<File> {
        self.open_at(path, OpenFlags::O_PATH)
    }

    /// A folder, links followed.
    pub(crate) fn folder(&self, path: &Path) -> nix::Result<OwnedFd> {
        self.open_at(path, OpenFlags::O_PATH | OpenFlags::O_DIRECTORY).map(OwnedFd::from)
    }

    /// The beginning of a file, links followed. Empty if it is something special: a device or a
    /// fifo is never read.
    pub(crate) fn read(&self, path: &Path, bytes_max: u64) -> nix::Result<Vec<u8>> {
        // O_NONBLOCK: opening a fifo must not wait.
        let file = self.open_at(path, OpenFlags::O_RDONLY | OpenFlags::O_NONBLOCK)?;
        let mut bytes = Vec::new();
        if file.metadata().map_err(of_system)?.is_file() {
            file.take(bytes_max).read_to_end(&mut bytes).map_err(of_system)?;
        }
        Ok(bytes)
    }

    /// Makes a folder and those missing above it, as `mkdir -p` does. Nothing is made behind a
    /// broken link.
    pub(crate) fn make_folders(&self, path: &Path) -> nix::Result<OwnedFd> {
        match self.folder(path) {
            Err(Errno::ENOENT) => {}
            other => return other,
        }
        let above = self.make_folders(path.parent().ok_or(Errno::ENOENT)?)?;
        if let Some(Component::Normal(name)) = path.components().next_back() {
            match mkdirat(&above, name, Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.folder(path)
    }

    fn open_at(&self, path: &Path, flags: OpenFlags) -> nix::Result<File> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // `pathrs` would use only the part before the NUL byte.
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(Errno::EINVAL);
        }
        self.0.open_subpath(path, flags).map_err(|error| errno(&error))
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A path from the root without `.` and `..`, so that two names of one place are equal. Links are
/// not resolved.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            _ => {}
        }
    }
    plain
}

/// The name of a folder in itself.
pub(crate) fn itself() -> &'static OsStr {
    OsStr::new(".")
}

fn errno(error: &Error) -> Errno {
    match error.kind() {
        ErrorKind::OsError(Some(number)) => Errno::from_raw(number),
        // A program moved folders while a path was resolved part by part.
        ErrorKind::SafetyViolation => Errno::EXDEV,
        _ => Errno::EINVAL,
    }
}

/// The error number of an error of the system.
pub(crate) fn of_system(error: io::Error) -> Errno {
    Errno::try_from(error).unwrap_or(Errno::EIO)
}

#[cfg(test)]
mod tests;
