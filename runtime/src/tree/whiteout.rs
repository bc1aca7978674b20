//! How overlayfs marks that a layer hides something below it: a character device 0:0 hides a name,
//! an attribute of a folder hides the contents of that folder in the layers below.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::sys::stat::{FileStat, Mode, SFlag, mknodat};

use super::{attributes, name};

const OPAQUE: &[u8] = b"trusted.overlay.opaque";

/// Is it a whiteout, which hides its name?
pub(crate) fn is_whiteout(found: &FileStat) -> bool {
    found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits() && found.st_rdev == 0
}

/// As [`is_whiteout`], for metadata of the standard library.
pub(crate) fn is_whiteout_entry(found: &Metadata) -> bool {
    found.file_type().is_char_device() && found.rdev() == 0
}

/// Hides what the layers below have under this name.
pub(crate) fn make_whiteout(dir: impl AsFd, name: &OsStr) -> nix::Result<()> {
    mknodat(dir, name, SFlag::S_IFCHR, Mode::empty(), 0)
}

/// Does a folder hide the contents of the layers below? Not if its attribute cannot be read.
pub(crate) fn is_opaque(folder: &Path) -> bool {
    attributes::read(folder, OPAQUE).is_ok_and(|value| value.as_deref() == Some(b"y"))
}

/// Hides the contents that the layers below have in this folder.
pub(crate) fn set_opaque(dir: BorrowedFd<'_>, folder: &OsStr) -> nix::Result<()> {
    attributes::set(&name::path_of(dir, folder), OPAQUE, b"y")
}
