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
    read(path, name, libc::lgetxattr)
}

type Getter = unsafe extern "C" fn(
    *const libc::c_char,
    *const libc::c_char,
    *mut libc::c_void,
    libc::size_t,
) -> libc::ssize_t;

fn read(path: &CString, name: &[u8], get: Getter) -> nix::Result<Option<Vec<u8>>> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let mut value = vec![0_u8; 64 << 10];
    let start = value.as_mut_ptr().cast();
    // SAFETY: path and name end in NUL, the buffer is as long as said.
    let result = unsafe { get(path.as_ptr(), name.as_ptr(), start, value.len()) };
    match Errno::result(result) {
        Ok(length) => {
            value.truncate(length.cast_unsigned());
            Ok(Some(value))
        }
        Err(Errno::ENODATA) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Every attribute of an open file.
pub(super) fn all(file: BorrowedFd<'_>) -> nix::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = vec![0_u8; 64 << 10];
    let start = names.as_mut_ptr().cast();
    // SAFETY: the descriptor is borrowed, the buffer is as long as said.
    let result = unsafe { libc::flistxattr(file.as_raw_fd(), start, names.len()) };
    let length = match Errno::result(result) {
        Ok(length) => length.cast_unsigned(),
        // A file system without attributes.
        Err(Errno::EOPNOTSUPP) => 0,
        Err(errno) => return Err(errno),
    };
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let path = path.expect("a number holds no NUL");
    let mut found = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if let Some(value) = read_of(&path, name)? {
            found.push((name.to_vec(), value));
        }
    }
    Ok(found)
}

/// As [`read_at`], of what a link leads to.
fn read_of(path: &CString, name: &[u8]) -> nix::Result<Option<Vec<u8>>> {
    read(path, name, libc::getxattr)
}
