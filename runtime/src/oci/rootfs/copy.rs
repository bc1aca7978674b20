//! Layers laid over each other by copying, for a disk that overlayfs cannot use.
//!
//! What the layers say in overlayfs' own words is carried out: a character device 0:0 removes, a
//! folder marked opaque hides what is below. Links between files stay links. Must never follow a
//! symbolic link: a layer is somebody else's work.

use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::sys::time::TimeSpec;

const OPAQUE: &str = "trusted.overlay.opaque";

/// Copies the layers, lowest first, into an existing folder.
pub fn layers(layers: &[PathBuf], target: &Path) -> io::Result<()> {
    for layer in layers {
        // By device and inode: the second name of a file becomes a link to the first copy.
        let mut links = HashMap::new();
        folder(layer, target, &mut links)?;
        attributes(layer, &fs::symlink_metadata(layer)?, target)?;
    }
    Ok(())
}

type Links = HashMap<(u64, u64), PathBuf>;

fn folder(from: &Path, to: &Path, links: &mut Links) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        one(&entry, &to.join(entry.file_name()), links)?;
    }
    Ok(())
}

fn one(entry: &DirEntry, to: &Path, links: &mut Links) -> io::Result<()> {
    let (from, found) = (entry.path(), entry.metadata()?);
    let there = fs::symlink_metadata(to).ok();
    let kind = found.file_type();
    let removes = kind.is_char_device() && found.rdev() == 0;
    let merges = kind.is_dir() && there.as_ref().is_some_and(Metadata::is_dir) && !opaque(&from);
    if let Some(there) = there.filter(|_| !merges) {
        if there.is_dir() { fs::remove_dir_all(to)? } else { fs::remove_file(to)? }
    }
    if removes {
        return Ok(());
    }
    let name = (found.dev(), found.ino());
    if let Some(first) = links.get(&name) {
        return fs::hard_link(first, to);
    }
    if kind.is_dir() {
        if !merges {
            fs::create_dir(to)?;
        }
        folder(&from, to, links)?;
    } else if kind.is_symlink() {
        symlink(fs::read_link(&from)?, to)?;
    } else if kind.is_file() {
        fs::copy(&from, to)?;
    } else {
        mknod(to, SFlag::from_bits_truncate(found.mode()), Mode::empty(), found.rdev())?;
    }
    if found.nlink() > 1 && !kind.is_dir() {
        links.insert(name, to.to_owned());
    }
    attributes(&from, &found, to)
}

fn attributes(from: &Path, found: &Metadata, to: &Path) -> io::Result<()> {
    lchown(to, Some(found.uid()), Some(found.gid()))?;
    for name in names(from) {
        // Those of overlayfs are carried out, not copied.
        if !name.as_bytes().starts_with(b"trusted.overlay.")
            && let Some(value) = value(from, &name)
        {
            set(to, &name, &value)?;
        }
    }
    if !found.is_symlink() {
        // After the owner: changing that clears the set-user-id bit.
        fs::set_permissions(to, fs::Permissions::from_mode(found.mode() & 0o7777))?;
    }
    let time = TimeSpec::new(found.mtime(), found.mtime_nsec());
    let flags = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
    nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, to, &time, &time, flags)?;
    Ok(())
}

fn opaque(folder: &Path) -> bool {
    let name = CString::new(OPAQUE).expect("it holds no NUL");
    value(folder, &name).is_some_and(|value| value == b"y")
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("paths of the file system hold no NUL")
}

fn names(path: &Path) -> Vec<CString> {
    let path = c_path(path);
    let mut list = vec![0_u8; 64 * 1024];
    // SAFETY: the path ends in NUL and the buffer is valid for its length.
    let length = unsafe { libc::llistxattr(path.as_ptr(), list.as_mut_ptr().cast(), list.len()) };
    list.truncate(usize::try_from(length).unwrap_or(0));
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.filter_map(|name| CString::new(OsStr::from_bytes(name).as_bytes()).ok()).collect()
}

fn value(path: &Path, name: &CString) -> Option<Vec<u8>> {
    let path = c_path(path);
    let mut bytes = vec![0_u8; 64 * 1024];
    let (buffer, size) = (bytes.as_mut_ptr().cast(), bytes.len());
    // SAFETY: both strings end in NUL and the buffer is valid for its length.
    let length = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), buffer, size) };
    bytes.truncate(usize::try_from(length).ok()?);
    Some(bytes)
}

fn set(path: &Path, name: &CString, value: &[u8]) -> io::Result<()> {
    let path = c_path(path);
    let (bytes, size) = (value.as_ptr().cast(), value.len());
    // SAFETY: both strings end in NUL and the value is valid for its length.
    let result = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), bytes, size, 0) };
    // A disk without extended attributes loses capabilities of programs; it loses them anyway.
    match Errno::result(result) {
        Ok(_) | Err(Errno::EOPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(root: &Path, name: &str) -> PathBuf {
        let layer = root.join(name);
        fs::create_dir(&layer).expect("writable");
        layer
    }

    #[test]
    fn upper_layers_replace_remove_and_hide_as_overlayfs_does() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED without root: whiteouts are devices");
            return;
        }
        let root = tempfile::tempdir().expect("a folder");
        let low = layer(root.path(), "low");
        for name in ["kept", "replaced", "removed"] {
            fs::write(low.join(name), "low").expect("writable");
        }
        fs::create_dir_all(low.join("opaque")).expect("writable");
        fs::write(low.join("opaque/hidden"), "low").expect("writable");
        fs::hard_link(low.join("kept"), low.join("second")).expect("writable");
        let high = layer(root.path(), "high");
        fs::write(high.join("replaced"), "high").expect("writable");
        mknod(&high.join("removed"), SFlag::S_IFCHR, Mode::empty(), 0).expect("root may");
        fs::create_dir(high.join("opaque")).expect("writable");
        let name = CString::new(OPAQUE).expect("no NUL");
        set(&high.join("opaque"), &name, b"y").expect("root may");
        symlink("/etc/passwd", high.join("link")).expect("writable");
        let target = layer(root.path(), "target");
        layers(&[low, high], &target).expect("it copies");
        let read = |name: &str| fs::read_to_string(target.join(name)).ok();
        assert_eq!(read("kept").as_deref(), Some("low"));
        assert_eq!(read("replaced").as_deref(), Some("high"));
        assert_eq!(read("removed"), None);
        assert_eq!(read("opaque/hidden"), None);
        assert!(target.join("opaque").is_dir());
        let inode = |name: &str| fs::symlink_metadata(target.join(name)).expect("there").ino();
        assert_eq!(inode("kept"), inode("second"));
        let link = fs::read_link(target.join("link")).expect("still a link");
        assert_eq!(link, Path::new("/etc/passwd"));
    }
}
