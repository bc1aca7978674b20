//! A copy of a folder with everything in it: contents, owners, modes, times, attributes, links,
//! devices.
//!
//! The copy is merged into the target's content, as overlayfs would do it: a file replaces a file,
//! a whiteout removes, and an opaque folder hides older content. Hard links stay hard links. It
//! must never follow a symbolic link below either side, because others made these. Both sides
//! belong to the node alone during the copy, so paths are safe: no container runs on them yet.

use std::collections::HashMap;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, SFlag, mknod};

use super::attributes::{self, Refused};
use super::{itself, name, whiteout};

/// Files with several names, by device and inode: where the first name was copied to.
type Links = HashMap<(u64, u64), PathBuf>;

/// Copies the contents of `from`, and its own attributes, over the folder `to`. `from` may be a
/// link of `/proc` to an open folder.
pub(crate) fn over(from: &Path, to: &Path) -> io::Result<()> {
    folder(&from.join(itself()), to, &mut Links::new())
}

/// Gives the folder `to` owner, mode, attributes and time of `from`.
pub(crate) fn like(from: &Path, to: &Path) -> io::Result<()> {
    dress(from, &fs::symlink_metadata(from)?, to)
}

fn folder(from: &Path, to: &Path, links: &mut Links) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        one(&entry, &to.join(entry.file_name()), links)?;
    }
    // The folder itself comes last: it may be read-only, and its time changes with new entries.
    like(from, to)
}

fn one(entry: &DirEntry, to: &Path, links: &mut Links) -> io::Result<()> {
    let (from, found) = (entry.path(), entry.metadata()?);
    let there = fs::symlink_metadata(to).ok();
    let kind = found.file_type();
    let merges = kind.is_dir()
        && there.as_ref().is_some_and(Metadata::is_dir)
        && !whiteout::is_opaque(&from);
    if let Some(there) = there.filter(|_| !merges) {
        if there.is_dir() { fs::remove_dir_all(to)? } else { fs::remove_file(to)? }
    }
    if whiteout::is_whiteout_entry(&found) {
        return Ok(());
    }
    if kind.is_dir() {
        if !merges {
            fs::create_dir(to)?;
        }
        return folder(&from, to, links);
    }
    if found.nlink() > 1 {
        let file = (found.dev(), found.ino());
        if let Some(first) = links.get(&file) {
            return fs::hard_link(first, to);
        }
        links.insert(file, to.to_owned());
    }
    if kind.is_symlink() {
        symlink(fs::read_link(&from)?, to)?;
    } else if kind.is_file() {
        fs::copy(&from, to)?;
    } else {
        mknod(to, SFlag::from_bits_truncate(found.mode()), Mode::empty(), found.rdev())?;
    }
    dress(&from, &found, to)
}

/// The owner comes first: a change of owner removes set-user-id bits and capabilities.
fn dress(from: &Path, found: &Metadata, to: &Path) -> io::Result<()> {
    lchown(to, Some(found.uid()), Some(found.gid()))?;
    if !found.is_symlink() {
        fs::set_permissions(to, fs::Permissions::from_mode(found.mode() & 0o7777))?;
    }
    attributes::write(to, &attributes::all(from)?, Refused::LeftOut)?;
    let nanos = u32::try_from(found.mtime_nsec()).unwrap_or(0);
    name::set_time(AT_FDCWD, to.as_os_str(), (found.mtime(), nanos))?;
    Ok(())
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
        attributes::set(&high.join("opaque"), b"trusted.overlay.opaque", b"y").expect("root may");
        symlink("/etc/passwd", high.join("link")).expect("writable");
        let target = layer(root.path(), "target");
        over(&low, &target).and_then(|()| over(&high, &target)).expect("it copies");
        let read = |name: &str| fs::read_to_string(target.join(name)).ok();
        assert_eq!(read("kept").as_deref(), Some("low"));
        assert_eq!(read("replaced").as_deref(), Some("high"));
        assert_eq!(read("removed"), None);
        assert_eq!(read("opaque/hidden"), None);
        assert!(target.join("opaque").is_dir());
        assert!(!whiteout::is_opaque(&target.join("opaque")), "carried out, not copied");
        let inode = |name: &str| fs::symlink_metadata(target.join(name)).expect("there").ino();
        assert_eq!(inode("kept"), inode("second"));
        let link = fs::read_link(target.join("link")).expect("still a link");
        assert_eq!(link, Path::new("/etc/passwd"));
    }

    #[test]
    fn modes_survive_the_change_of_owner_and_links_are_not_followed() {
        let root = tempfile::tempdir().expect("a folder");
        let (from, to) = (layer(root.path(), "from"), layer(root.path(), "to"));
        let outside = layer(root.path(), "outside");
        fs::write(outside.join("file"), "x").expect("writable");
        symlink(&outside, from.join("way")).expect("writable");
        symlink(&outside, to.join("run")).expect("writable");
        fs::write(from.join("run"), "program").expect("writable");
        let mode = |bits| fs::Permissions::from_mode(bits);
        fs::set_permissions(from.join("run"), mode(0o4751)).expect("ours");
        over(&from, &to).expect("it copies");
        let found = fs::symlink_metadata(to.join("run")).expect("it is there");
        assert!(found.is_file() && found.mode() & 0o7777 == 0o4751);
        assert!(fs::symlink_metadata(to.join("way")).expect("it is there").is_symlink());
        assert_eq!(fs::read_dir(&outside).expect("it is there").count(), 1);
    }
}
