//! Extended attributes, which nix does not wrap. Links are not followed.

use std::ffi::{CStr, CString};
use std::io;

use nix::errno::Errno;
use nix::libc;

/// What the kernel takes for all names of a file, and for one value.
const BYTES_MAX: usize = 64 << 10;

/// The names of all attributes; none where the disk knows none.
pub fn names(path: &CStr) -> io::Result<Vec<CString>> {
    let mut bytes = vec![0_u8; BYTES_MAX];
    // SAFETY: the path ends in NUL, the buffer is as long as said.
    let length = unsafe { libc::llistxattr(path.as_ptr(), bytes.as_mut_ptr().cast(), bytes.len()) };
    match Errno::result(length) {
        Ok(length) => {
            bytes.truncate(length.cast_unsigned());
            let names = bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty());
            Ok(names.filter_map(|name| CString::new(name).ok()).collect())
        }
        Err(Errno::ENOTSUP) => Ok(Vec::new()),
        Err(errno) => Err(errno.into()),
    }
}

/// The value of an attribute; `None` if it is gone or not ours to read.
pub fn read(path: &CStr, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0_u8; BYTES_MAX];
    let buffer = bytes.as_mut_ptr().cast();
    // SAFETY: path and name end in NUL, the buffer is as long as said.
    let length = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), buffer, bytes.len()) };
    match Errno::result(length) {
        Ok(length) => {
            bytes.truncate(length.cast_unsigned());
            Ok(Some(bytes))
        }
        Err(Errno::ENODATA | Errno::EPERM | Errno::ENOTSUP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Sets an attribute, where the disk takes it.
pub fn write(path: &CStr, name: &CStr, value: &[u8]) -> io::Result<()> {
    let (start, length) = (value.as_ptr().cast(), value.len());
    // SAFETY: path and name end in NUL, the value is as long as said.
    let done = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), start, length, 0) };
    match Errno::result(done) {
        Ok(_) | Err(Errno::ENOTSUP | Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
