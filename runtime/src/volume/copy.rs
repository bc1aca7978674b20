//! A copy of a folder with everything in it: contents, owners, modes, times, links, devices.
//!
//! Both sides are the node's own for as long as it takes: nothing runs in the container yet. Links
//! are copied and never followed.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::{self, File, FileTimes, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, mknod};

/// Copies what is in `from`, and what it is itself, into `to`, which is empty.
pub fn tree(from: &Path, to: &Path) -> io::Result<()> {
    let mut linked = HashMap::new();
    folder(from, to, &mut linked)
}

/// Gives the folder `to` the owner, mode and time of `from`.
pub fn like(from: &Path, to: &Path) -> io::Result<()> {
    own(&fs::metadata(from)?, to)
}

/// Files with several names, by device and inode: where the first name was copied to.
type Linked = HashMap<(u64, u64), PathBuf>;

fn folder(from: &Path, to: &Path, linked: &mut Linked) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        one(&entry.path(), &to.join(entry.file_name()), linked)?;
    }
    // Last: a folder may be read-only, and its time changes with what is put into it. `from` may
    // be a link of /proc to an open folder, so this once links are followed.
    like(from, to)
}

fn one(from: &Path, to: &Path, linked: &mut Linked) -> io::Result<()> {
    let found = fs::symlink_metadata(from)?;
    let kind = found.file_type();
    if found.nlink() > 1 && !kind.is_dir() {
        if let Some(first) = linked.get(&(found.dev(), found.ino())) {
            return fs::hard_link(first, to);
        }
        linked.insert((found.dev(), found.ino()), to.to_owned());
    }
    if kind.is_dir() {
        fs::create_dir(to)?;
        return folder(from, to, linked);
    }
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
        return lchown(to, Some(found.uid()), Some(found.gid()));
    }
    if kind.is_file() {
        fs::copy(from, to)?;
        attributes(from, to)?;
    } else {
        special(&found, to)?;
    }
    own(&found, to)
}

fn special(found: &Metadata, to: &Path) -> io::Result<()> {
    let kind = found.file_type();
    let (kind, device) = match () {
        () if kind.is_fifo() => (SFlag::S_IFIFO, 0),
        () if kind.is_char_device() => (SFlag::S_IFCHR, found.rdev()),
        () if kind.is_block_device() => (SFlag::S_IFBLK, found.rdev()),
        // A socket without whoever listens means nothing.
        () => (SFlag::S_IFSOCK, 0),
    };
    mknod(to, kind, Mode::from_bits_truncate(found.mode()), device).map_err(io::Error::from)
}

/// The owner before the mode: a change of owner takes the set-user-id bit away.
fn own(found: &Metadata, to: &Path) -> io::Result<()> {
    lchown(to, Some(found.uid()), Some(found.gid()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(found.mode() & 0o7777))?;
    if found.is_file() || found.is_dir() {
        let times = FileTimes::new().set_modified(found.modified()?);
        File::open(to)?.set_times(times)?;
    }
    Ok(())
}

/// Extended attributes of a file, such as the capabilities of a program. A disk that takes none
/// holds the file without.
fn attributes(from: &Path, to: &Path) -> io::Result<()> {
    let from = CString::new(from.as_os_str().as_bytes())?;
    let to = CString::new(to.as_os_str().as_bytes())?;
    for name in xattr::names(&from)? {
        if let Some(value) = xattr::read(&from, &name)? {
            xattr::write(&to, &name, &value)?;
        }
    }
    Ok(())
}

mod xattr;
