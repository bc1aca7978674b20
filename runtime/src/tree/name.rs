//! One name in an open folder, which is never followed if it is a link.
//!
//! A program that moves folders meanwhile cannot lead elsewhere: the folder is open, and only its
//! own entries are touched.

use std::ffi::OsStr;
use std::fs::{self, File, ReadDir};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, UtimensatFlags, fstatat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};

use super::of_system;

/// The metadata of a name; of a link, its own.
pub(crate) fn stat(dir: impl AsFd, name: &OsStr) -> nix::Result<FileStat> {
    fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// Opens a folder.
pub(crate) fn open_folder(dir: impl AsFd, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// Opens a file to be read, without waiting for anybody.
pub(crate) fn open_file(dir: impl AsFd, name: &OsStr) -> nix::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::empty()).map(File::from)
}

/// Makes a file that only its owner can read for now.
pub(crate) fn create_file(dir: impl AsFd, name: &OsStr) -> nix::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    let mode = Mode::from_bits_truncate(0o600);
    openat(dir, name, flags | OFlag::O_CLOEXEC, mode).map(File::from)
}

/// Removes anything but a folder.
pub(crate) fn unlink(dir: impl AsFd, name: &OsStr) -> nix::Result<()> {
    unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)
}

/// Removes a file, or a folder with all its contents. Returns what was there, if anything was.
pub(crate) fn remove(dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<Option<FileStat>> {
    let found = match stat(dir, name) {
        Ok(found) => found,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    if is_folder(&found) {
        fs::remove_dir_all(path_of(dir, name)).map_err(of_system)?;
    } else {
        unlink(dir, name)?;
    }
    Ok(Some(found))
}

/// Sets the owner and group of a name; of a link, its own. This removes setuid bits and
/// capabilities.
pub(crate) fn set_owner(dir: impl AsFd, name: &OsStr, uid: u32, gid: u32) -> nix::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    fchownat(dir, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// Sets the times of the last change and the last access: seconds and nanoseconds.
pub(crate) fn set_time(dir: impl AsFd, name: &OsStr, time: (i64, u32)) -> nix::Result<()> {
    let time = TimeSpec::new(time.0, time.1.into());
    utimensat(dir, name, &time, &time, UtimensatFlags::NoFollowSymlink)
}

/// What is in a folder.
pub(crate) fn list(dir: impl AsFd) -> io::Result<ReadDir> {
    fs::read_dir(path_of(dir.as_fd(), super::itself()))
}

/// A path for calls that take no descriptor. The folder is open: no name of it is looked up.
pub(crate) fn path_of(dir: BorrowedFd<'_>, name: &OsStr) -> PathBuf {
    link_to(dir).join(name)
}

/// The link of `/proc` to an open file, whose target is the file's path.
pub(crate) fn link_to(file: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn is_kind(found: &FileStat, kind: SFlag) -> bool {
    found.st_mode & SFlag::S_IFMT.bits() == kind.bits()
}

/// A symbolic link?
pub(crate) fn is_link(found: &FileStat) -> bool {
    is_kind(found, SFlag::S_IFLNK)
}

/// A folder?
pub(crate) fn is_folder(found: &FileStat) -> bool {
    is_kind(found, SFlag::S_IFDIR)
}

/// A regular file?
pub(crate) fn is_file(found: &FileStat) -> bool {
    is_kind(found, SFlag::S_IFREG)
}
