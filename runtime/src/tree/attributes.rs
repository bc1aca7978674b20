//! Extended attributes: which are kept, and what happens where a disk does not take them.
//!
//! Kept are all but overlayfs' own, which say how layers lie over each other ([`whiteout`]) and are
//! never an image's to say. What a disk or a kernel refuses to *read* (`EOPNOTSUPP`, `EPERM`), or
//! what is gone by then, is not there. What it refuses to *write* (`EINVAL` for a kind that it
//! does not know) is left out, as Docker does, so that an image also runs on a disk with fewer
//! attributes; only file capabilities differ, see [`Refused`]. Any other error is an error.
//!
//! [`whiteout`]: super::whiteout

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use super::of_system;

/// What overlayfs itself writes.
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// Allows a program more than its user may.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// What becomes of an attribute that a disk refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A capability of a program is an error, any other attribute is left out. For layers: they
    /// are kept for all containers of the image, and its program would not work in any of them.
    LeftOutUnlessCapability,
    /// It is left out. For copies of what a container has already: a volume, or a root on a disk
    /// that overlayfs cannot use. Their service chose that disk, and mostly needs no capability.
    LeftOut,
}

/// Is it copied, and may an image say it?
pub(crate) fn is_kept(name: &[u8]) -> bool {
    !OVERLAY.iter().any(|prefix| name.starts_with(prefix))
}

/// Names and values of all that are kept of a file, or of a link itself.
pub(crate) fn all(path: &Path) -> nix::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names = match xattr::list(path).map_err(of_system) {
        Ok(names) => names,
        Err(Errno::EOPNOTSUPP | Errno::EPERM) => return Ok(Vec::new()),
        Err(errno) => return Err(errno),
    };
    let mut found = Vec::new();
    for name in names.filter(|name| is_kept(name.as_bytes())) {
        match read(path, name.as_bytes()) {
            Ok(value) => found.extend(value.map(|value| (name.into_encoded_bytes(), value))),
            Err(Errno::EOPNOTSUPP | Errno::EPERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

/// The value of one; `None` if there is none of that name.
pub(crate) fn read(path: &Path, name: &[u8]) -> nix::Result<Option<Vec<u8>>> {
    xattr::get(path, OsStr::from_bytes(name)).map_err(of_system)
}

/// Sets one, whatever it is; of a link itself, not of what it leads to.
pub(crate) fn set(path: &Path, name: &[u8], value: &[u8]) -> nix::Result<()> {
    xattr::set(path, OsStr::from_bytes(name), value).map_err(of_system)
}

/// Sets those that are kept, if the disk takes them.
pub(crate) fn write<'a>(
    path: &Path,
    attributes: impl IntoIterator<Item = &'a (Vec<u8>, Vec<u8>)>,
    refused: Refused,
) -> nix::Result<()> {
    for (name, value) in attributes.into_iter().filter(|(name, _)| is_kept(name)) {
        let needed = refused == Refused::LeftOutUnlessCapability && name == CAPABILITY;
        match set(path, name, value) {
            Err(Errno::EOPNOTSUPP | Errno::EPERM | Errno::EINVAL) if !needed => {}
            other => other?,
        }
    }
    Ok(())
}
