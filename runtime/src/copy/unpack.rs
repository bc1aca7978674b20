//! From a tar archive to a folder below a task's root, entry by entry.
//!
//! The archive may come from anybody and the folder may be changed by the task meanwhile: every name
//! is looked up below the root, nothing is written through a link at its last part, and a folder is
//! never removed to make room.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode, UtimensatFlags, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, fchownat, linkat, mkfifoat, symlinkat};
use tar::{Archive, Entry, EntryType, Header};

use super::place::{folder, no_folder, shown};
use super::{CopyError, PutOrder};
use crate::tree::{Root, name};

/// Folders whose time is set at the end, when nothing is written to them any more; 2 MB at most.
const FOLDERS_MAX: usize = 10_000;

/// What is unpacked, where to, and whose it will be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// As it was asked for.
    pub order: PutOrder,
    /// User and group, instead of those in the archive.
    pub owner: Option<(u32, u32)>,
    /// What the entries are called.
    pub naming: Naming,
}

/// What entries are called when they are unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// As in the archive.
    Archive,
    /// With this for the first part of their names.
    Instead(String),
    /// Below a folder of this name.
    Below(String),
}

impl Naming {
    fn of(&self, path: &Path) -> PathBuf {
        match self {
            Naming::Archive => path.to_path_buf(),
            Naming::Instead(name) => {
                Path::new(name).components().chain(path.components().skip(1)).collect()
            }
            Naming::Below(name) => Path::new(name).components().chain(path.components()).collect(),
        }
    }
}

struct Unpacker<'a> {
    root: &'a Root,
    plan: &'a Plan,
    folders: Vec<(PathBuf, u64)>,
}

/// Unpacks an archive. After an error, what was unpacked before stays.
pub fn unpack(root: &Root, plan: &Plan, mut source: impl Read) -> Result<(), CopyError> {
    let failed = |error| CopyError::Io { path: plan.order.path.clone(), source: error };
    let mut unpacker = Unpacker { root, plan, folders: Vec::new() };
    let mut archive = Archive::new(&mut source);
    for entry in archive.entries().map_err(failed)? {
        unpacker.entry(&mut entry.map_err(failed)?)?;
    }
    // What fills the last block up.
    io::copy(&mut source, &mut io::sink()).map_err(failed)?;
    unpacker.set_times();
    Ok(())
}

/// The folder of an entry, open, and its name in there.
struct Spot {
    dir: OwnedFd,
    name: OsString,
    shown: String,
}

impl Unpacker<'_> {
    fn entry(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), CopyError> {
        let path = entry.path().map_err(|error| CopyError::of(&self.plan.order.path, error))?;
        let path = self.plan.naming.of(&inside(&path)?);
        let kind = entry.header().entry_type();
        let Some(spot) = self.spot(&path)? else { return Ok(()) };
        match kind {
            EntryType::Directory => return self.folder(&spot, &path, entry.header()),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.make_room(&spot, "a file")?;
                self.file(&spot, entry)
            }
            EntryType::Symlink => {
                self.make_room(&spot, "a link")?;
                let target = link_name(entry, &spot)?;
                symlinkat(&target, &spot.dir, spot.name.as_os_str()).map_err(io::Error::from)
            }
            EntryType::Link => {
                self.make_room(&spot, "a link")?;
                let first = self.plan.naming.of(&inside(&link_name(entry, &spot)?)?);
                let Some(first) = self.spot(&first)? else { return Ok(()) };
                let none = LinkatFlags::empty();
                let linked = linkat(
                    &first.dir,
                    first.name.as_os_str(),
                    &spot.dir,
                    spot.name.as_os_str(),
                    none,
                );
                return linked.map_err(|errno| CopyError::of(spot.shown, errno));
            }
            EntryType::Fifo => {
                self.make_room(&spot, "a pipe")?;
                let mode = Mode::from_bits_truncate(0o600);
                mkfifoat(&spot.dir, spot.name.as_os_str(), mode).map_err(io::Error::from)
            }
            // Of the archive as a whole.
            EntryType::XGlobalHeader => return Ok(()),
            _ => return Err(CopyError::BadKind(spot.shown)),
        }
        .and_then(|()| self.dress(&spot, kind, entry.header()))
        .map_err(|error| CopyError::of(spot.shown, error))
    }

    /// `None` for the folder itself that everything is unpacked in.
    fn spot(&self, path: &Path) -> Result<Option<Spot>, CopyError> {
        let Some(name) = path.file_name() else { return Ok(None) };
        let parent = path.parent().unwrap_or(Path::new(""));
        // It must be there: a folder is only made in it.
        let mut dir = folder(self.root, &self.plan.order.path)?;
        let mut place = self.plan.order.path.trim_end_matches('/').to_owned();
        if parent != Path::new("") {
            place = format!("{place}/{}", shown(parent));
            let made = self.root.make_folders(&Path::new(&self.plan.order.path).join(parent));
            dir = made.map_err(|errno| no_folder(&place, errno))?;
        }
        let shown = format!("{place}/{}", shown(Path::new(name)));
        Ok(Some(Spot { dir, name: name.to_owned(), shown }))
    }

    /// Removes what has the name already, unless it is a folder.
    fn make_room(&self, spot: &Spot, sent: &'static str) -> Result<(), CopyError> {
        let failed = |errno| CopyError::of(&spot.shown, errno);
        match name::stat(&spot.dir, &spot.name) {
            Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(failed(errno)),
            Ok(found) if name::is_folder(&found) => {
                Err(CopyError::OtherKind { path: spot.shown.clone(), found: "a folder", sent })
            }
            Ok(_) => name::unlink(&spot.dir, &spot.name).map_err(failed),
        }
    }

    fn folder(&mut self, spot: &Spot, path: &Path, header: &Header) -> Result<(), CopyError> {
        let failed = |errno| CopyError::of(&spot.shown, errno);
        match name::stat(&spot.dir, &spot.name) {
            Ok(found) if name::is_folder(&found) => {}
            Ok(_) if self.plan.order.keep_kinds => {
                let path = spot.shown.clone();
                return Err(CopyError::OtherKind { path, found: "no folder", sent: "a folder" });
            }
            found => {
                if found.is_ok() {
                    self.make_room(spot, "a folder")?;
                }
                let mode = Mode::from_bits_truncate(0o700);
                mkdirat(&spot.dir, spot.name.as_os_str(), mode).map_err(failed)?;
            }
        }
        let folder = name::open_folder(&spot.dir, &spot.name).map_err(failed)?;
        let file = File::from(folder);
        self.own(&file, header)
            .and_then(|()| file.set_permissions(permissions(header)?))
            .map_err(|error| CopyError::of(&spot.shown, error))?;
        if self.folders.len() < FOLDERS_MAX {
            self.folders.push((path.to_path_buf(), header.mtime().unwrap_or(0)));
        }
        Ok(())
    }

    fn file(&self, spot: &Spot, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        let mut file = name::create_file(&spot.dir, &spot.name)?;
        let copied = io::copy(entry, &mut file).and_then(|_| {
            self.own(&file, entry.header())?;
            file.set_permissions(permissions(entry.header())?)?;
            let changed =
                SystemTime::UNIX_EPOCH + Duration::from_secs(entry.header().mtime().unwrap_or(0));
            file.set_modified(changed)
        });
        // Half a file is worse than none.
        copied.inspect_err(|_| {
            let _ = name::unlink(&spot.dir, &spot.name);
        })
    }

    fn ids(&self, header: &Header) -> io::Result<(Uid, Gid)> {
        let (uid, gid) = match self.plan.owner {
            Some(owner) => owner,
            None => {
                let number = |id: u64| u32::try_from(id).map_err(io::Error::other);
                (number(header.uid()?)?, number(header.gid()?)?)
            }
        };
        Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
    }

    fn own(&self, file: &File, header: &Header) -> io::Result<()> {
        let (uid, gid) = self.ids(header)?;
        match nix::unistd::fchown(file, Some(uid), Some(gid)) {
            // An agent that is not root copies as who it is.
            Err(Errno::EPERM) => Ok(()),
            other => other.map_err(io::Error::from),
        }
    }

    /// Owner and time of what cannot be opened.
    fn dress(&self, spot: &Spot, kind: EntryType, header: &Header) -> io::Result<()> {
        if !matches!(kind, EntryType::Symlink | EntryType::Fifo) {
            return Ok(());
        }
        let (uid, gid) = self.ids(header)?;
        let (name, nofollow) = (spot.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        match fchownat(&spot.dir, name, Some(uid), Some(gid), nofollow) {
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => return Err(errno.into()),
        }
        let at = TimeSpec::new(i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0), 0);
        utimensat(&spot.dir, name, &at, &at, UtimensatFlags::NoFollowSymlink)?;
        Ok(())
    }

    /// Folders last, the deepest first: what is written into a folder changes its time.
    fn set_times(&self) {
        for (path, changed) in self.folders.iter().rev() {
            let Ok(Some(spot)) = self.spot(path) else { continue };
            let Ok(folder) = name::open_folder(&spot.dir, &spot.name) else { continue };
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(*changed);
            // A time is not worth an error after everything was copied.
            let _ = File::from(folder).set_modified(at);
        }
    }
}

fn permissions(header: &Header) -> io::Result<Permissions> {
    Ok(Permissions::from_mode(header.mode()? & 0o7777))
}

fn link_name(entry: &Entry<'_, impl Read>, spot: &Spot) -> Result<PathBuf, CopyError> {
    let name = entry.link_name().map_err(|error| CopyError::of(&spot.shown, error))?;
    name.map(|name| name.into_owned()).ok_or_else(|| CopyError::BadKind(spot.shown.clone()))
}

/// A name of an archive as a path that only leads down.
fn inside(path: &Path) -> Result<PathBuf, CopyError> {
    let mut inside = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => inside.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(CopyError::Escapes(shown(path)));
            }
        }
    }
    Ok(inside)
}
