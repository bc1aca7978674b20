//! Extended attributes: which are kept, and what happens where a disk does not support them.
//!
//! All attributes are kept except overlayfs' own, which control how layers cover each other
//! ([`whiteout`]) and must never come from an image. An attribute that a disk or a kernel refuses
//! to *read* (`EOPNOTSUPP`, `EPERM`), or that is gone by then, counts as missing. One that it
//! refuses to *write* (`EINVAL` for a kind that it does not know) is left out, as Docker does, so
//! that an image also runs on a disk with fewer attributes. Only file capabilities differ, see
//! [`Refused`]. Any other error is an error.
//!
//! [`whiteout`]: super::whiteout

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use super::of_system;

/// Prefixes of the attributes that overlayfs itself writes.
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// A file capability: it gives a program more rights than its user has.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// What happens to an attribute that a disk refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A file capability is an error, any other attribute is left out. For layers: they are kept
    /// for all containers of the image, and a program without its capability would not work in any
    /// of them.
    LeftOutUnlessCapability,
    /// It is left out. For copies of files that a container has already: into a volume, or a root
    /// on a disk that overlayfs cannot use. The service chose that disk, and mostly needs no
    /// capability.
    LeftOut,
}

/// Is it copied, and may an image contain it?
pub(crate) fn is_kept(name: &[u8]) -> bool {
    !OVERLAY.iter().any(|prefix| name.starts_with(prefix))
}

/// Names and values of all kept attributes of a file; of a link, its own.
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

/// The value of an attribute; `None` if there is none of that name.
pub(crate) fn read(path: &Path, name: &[u8]) -> nix::Result<Option<Vec<u8>>> {
    xattr::get(path, OsStr::from_bytes(name)).map_err(of_system)
}

/// Sets any attribute; of a link itself, not of its target.
pub(crate) fn set(path: &Path, name: &[u8], value: &[u8]) -> nix::Result<()> {
    xattr::set(path, OsStr::from_bytes(name), value).map_err(of_system)
}

/// Sets the attributes that are kept, if the disk supports them.
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
