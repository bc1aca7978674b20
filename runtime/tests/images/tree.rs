//! A file tree as a map, and layers in overlayfs' form merged into one in the simplest way.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::libc;

/// All that a container can see of a name, except the fractions of its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub kind: u32,
    pub mode: u32,
    pub owner: (u32, u32),
    pub device: u64,
    pub mtime: i64,
    pub content: Vec<u8>,
    pub capability: Option<Vec<u8>>,
    pub note: Option<Vec<u8>>,
    /// Of files with several links: the first of their names.
    pub linked: Option<String>,
}

pub type Tree = BTreeMap<String, Seen>;

/// The tree of one folder.
pub fn read(root: &Path) -> Tree {
    merge(&[root.to_owned()])
}

/// The tree that overlayfs would show for these layers, lowest first.
pub fn merge(layers: &[PathBuf]) -> Tree {
    let mut merged: BTreeMap<String, (Seen, (u64, u64))> = BTreeMap::new();
    for layer in layers {
        let mut names = Vec::new();
        walk(layer, String::new(), &mut names);
        for name in names {
            let path = layer.join(&name);
            let found = fs::symlink_metadata(&path).expect("it was listed");
            let is_whiteout = found.file_type().is_char_device() && found.rdev() == 0;
            let is_opaque = attribute(&path, "trusted.overlay.opaque").is_some();
            if is_whiteout || is_opaque || !found.is_dir() {
                let below = format!("{name}/");
                merged.retain(|other, _| *other != name && !other.starts_with(&below));
            }
            if !is_whiteout {
                merged.insert(name, (look(&path, &found), (found.dev(), found.ino())));
            }
        }
    }
    let mut first: BTreeMap<(u64, u64), String> = BTreeMap::new();
    for (name, (seen, inode)) in &merged {
        if seen.kind != libc::S_IFDIR {
            first.entry(*inode).or_insert_with(|| name.clone());
        }
    }
    let linked = |(name, (mut seen, inode)): (String, (Seen, (u64, u64)))| {
        seen.linked = first.get(&inode).filter(|first| **first != name).cloned();
        (name, seen)
    };
    merged.into_iter().map(linked).collect()
}

/// Names that differ, with their state on both sides; content is shortened.
pub fn differences(ours: &Tree, theirs: &Tree) -> Vec<String> {
    let short = |seen: Option<&Seen>| {
        seen.map(|seen| {
            let mut seen = seen.clone();
            seen.content.truncate(20);
            format!("{seen:?}")
        })
    };
    let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let differing = names.into_iter().filter(|name| ours.get(*name) != theirs.get(*name));
    differing
        .map(|name| {
            format!("{name}\n  {:?}\n  {:?}", short(ours.get(name)), short(theirs.get(name)))
        })
        .collect()
}

fn walk(root: &Path, below: String, names: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(root.join(&below))
        .expect("a folder")
        .map(|entry| entry.expect("read"))
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().expect("UTF-8");
        let name = if below.is_empty() { name } else { format!("{below}/{name}") };
        names.push(name.clone());
        if entry.file_type().expect("read").is_dir() {
            walk(root, name, names);
        }
    }
}

fn look(path: &Path, found: &fs::Metadata) -> Seen {
    let content = if found.is_file() {
        fs::read(path).expect("it can be read")
    } else if found.is_symlink() {
        fs::read_link(path).expect("it can be read").as_os_str().as_bytes().to_vec()
    } else {
        Vec::new()
    };
    Seen {
        kind: found.mode() & libc::S_IFMT,
        mode: found.mode() & 0o7777,
        owner: (found.uid(), found.gid()),
        device: found.rdev(),
        mtime: found.mtime(),
        content,
        capability: attribute(path, "security.capability"),
        note: attribute(path, "user.note"),
        linked: None,
    }
}

/// An attribute of a name itself.
pub fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    let name = CString::new(name).expect("no NUL");
    let mut value = vec![0_u8; 4096];
    let start = value.as_mut_ptr().cast();
    // SAFETY: both names end in NUL and the buffer is as long as said.
    let length = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), start, value.len()) };
    value.truncate(usize::try_from(length).ok()?);
    Some(value)
}

pub fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    let name = CString::new(name).expect("no NUL");
    let start = value.as_ptr().cast();
    // SAFETY: both names end in NUL and the value is as long as said.
    let done = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), start, value.len(), 0) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}
