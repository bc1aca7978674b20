//! Extended attributes, which nix does not wrap.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;

/// Sets an attribute of an open file or folder.
pub(super) fn set(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> nix::Result<()> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let start = value.as_ptr().cast();
    // SAFETY: the descriptor is borrowed, the name ends in NUL, the value is as long as said.
    let result = unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), start, value.len(), 0) };
    Errno::result(result).map(drop)
}

/// Sets an attribute of what a path names; of a link itself, not of what it leads to.
pub(super) fn set_at(path: &CString, name: &[u8], value: &[u8]) -> nix::Result<()> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let start = value.as_ptr().cast();
    // SAFETY: path and name end in NUL, the value is as long as said.
    let result = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), start, value.len(), 0) };
    Errno::result(result).map(drop)
}

/// An attribute of what a path names; `None` if it has none of that name.
pub(super) fn read_at(path: &CString, name: &[u8]) -> nix::Result<Option<Vec<u8>>> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let mut value = vec![0_u8; 64 << 10];
    let start = value.as_mut_ptr().cast();
    // SAFETY: path and name end in NUL, the buffer is as long as said.
    let result = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), start, value.len()) };
    match Errno::result(result) {
        Ok(length) => {
            value.truncate(length.cast_unsigned());
            Ok(Some(value))
        }
        Err(Errno::ENODATA) => Ok(None),
        Err(errno) => Err(errno),
    }
}
