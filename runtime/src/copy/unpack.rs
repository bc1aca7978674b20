//! From a tar archive to a folder below a task's root, entry by entry.
//!
//! The archive may come from anybody, and the task may change the folder meanwhile. So every name
//! is looked up below the root, nothing is written through a link at the last part of a name, and a
//! folder is never removed to make room.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{Mode, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, fchown, linkat, mkfifoat, symlinkat};

use super::folder_entry::{folder, no_folder, shown};
use super::{CopyError, PutOrder};
use crate::exec::frame::CHUNK_BYTES;
use crate::tar_entries::{Entries, Entry, Kind, TarError, Unwritten};
use crate::tree::{Root, name};

/// Folders whose time is set at the end, when nothing more is written to them; 2 MB at most.
const FOLDERS_MAX: usize = 10_000;

/// What is unpacked, where to, and the owner of the files.
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
    /// Folders, with the times that are set at the end.
    folders: Vec<(PathBuf, (i64, u32))>,
    buffer: Vec<u8>,
}

/// Unpacks an archive. After an error, what was unpacked before stays.
pub fn unpack(root: &Root, plan: &Plan, source: impl Read) -> Result<(), CopyError> {
    let failed = |error| {
        let source = match error {
            TarError::Read(error) => error,
            TarError::Junk(_) => io::Error::other(format!("the archive {error}")),
        };
        CopyError::Io { path: plan.order.path.clone(), source }
    };
    let buffer = vec![0; CHUNK_BYTES];
    let mut unpacker = Unpacker { root, plan, folders: Vec::new(), buffer };
    let mut entries = Entries::new(source);
    while let Some(entry) = entries.next().map_err(failed)? {
        unpacker.entry(&entry, &mut entries)?;
    }
    entries.finish().map_err(failed)?;
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
    fn entry(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), CopyError> {
        let path = self.plan.naming.of(&inside(path_of(&entry.path))?);
        let Some(spot) = self.spot(&path)? else { return Ok(()) };
        let made = match entry.kind {
            Kind::Symlink | Kind::HardLink if entry.link.is_empty() => {
                return Err(CopyError::BadKind(spot.shown));
            }
            Kind::Dir => return self.folder(&spot, &path, entry),
            Kind::File => {
                self.make_room(&spot, "a file")?;
                self.file(&spot, entry, data)
            }
            Kind::Symlink => {
                self.make_room(&spot, "a link")?;
                let target = path_of(&entry.link);
                symlinkat(target, &spot.dir, spot.name.as_os_str()).map_err(io::Error::from)
            }
            Kind::HardLink => {
                self.make_room(&spot, "a link")?;
                let first = self.plan.naming.of(&inside(path_of(&entry.link))?);
                let Some(first) = self.spot(&first)? else { return Ok(()) };
                let (from, to) = (first.name.as_os_str(), spot.name.as_os_str());
                let linked = linkat(&first.dir, from, &spot.dir, to, LinkatFlags::empty());
                return linked.map_err(|errno| CopyError::of(spot.shown, errno));
            }
            Kind::Fifo => {
                self.make_room(&spot, "a pipe")?;
                let mode = Mode::from_bits_truncate(0o600);
                mkfifoat(&spot.dir, spot.name.as_os_str(), mode).map_err(io::Error::from)
            }
            Kind::Char | Kind::Block => return Err(CopyError::BadKind(spot.shown)),
        };
        made.and_then(|()| self.dress(&spot, entry))
            .map_err(|error| CopyError::of(spot.shown, error))
    }

    /// `None` for the folder itself that everything is unpacked in.
    fn spot(&self, path: &Path) -> Result<Option<Spot>, CopyError> {
        let Some(name) = path.file_name() else { return Ok(None) };
        let parent = path.parent().unwrap_or(Path::new(""));
        // The target folder must exist: a folder is only made below it.
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

    fn folder(&mut self, spot: &Spot, path: &Path, entry: &Entry) -> Result<(), CopyError> {
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
        self.dress_open(&File::from(folder), entry)
            .map_err(|error| CopyError::of(&spot.shown, error))?;
        if self.folders.len() < FOLDERS_MAX {
            self.folders.push((path.to_path_buf(), entry.mtime));
        }
        Ok(())
    }

    fn file(&mut self, spot: &Spot, entry: &Entry, data: &mut dyn Read) -> io::Result<()> {
        let mut file = name::create_file(&spot.dir, &spot.name)?;
        let copied =
            entry.write_to(&mut file, data, &mut self.buffer).map_err(|error| match error {
                Unwritten::Read(error) | Unwritten::Write(error) => error,
            });
        let copied = copied.and_then(|()| {
            self.dress_open(&file, entry)?;
            set_changed(&file, entry.mtime)
        });
        // A partly written file is worse than none.
        copied.inspect_err(|_| {
            let _ = name::unlink(&spot.dir, &spot.name);
        })
    }

    fn ids(&self, entry: &Entry) -> (u32, u32) {
        self.plan.owner.unwrap_or((entry.uid, entry.gid))
    }

    /// Sets owner and mode through the open file: even if the name was given to another file
    /// meanwhile, the right one is changed.
    fn dress_open(&self, file: &File, entry: &Entry) -> io::Result<()> {
        let (uid, gid) = self.ids(entry);
        match fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
            // An agent that is not root copies as its own user.
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => return Err(errno.into()),
        }
        file.set_permissions(Permissions::from_mode(entry.mode))
    }

    /// Owner and time of what cannot be opened.
    fn dress(&self, spot: &Spot, entry: &Entry) -> io::Result<()> {
        if !matches!(entry.kind, Kind::Symlink | Kind::Fifo) {
            return Ok(());
        }
        let (uid, gid) = self.ids(entry);
        match name::set_owner(&spot.dir, &spot.name, uid, gid) {
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => return Err(errno.into()),
        }
        name::set_time(&spot.dir, &spot.name, entry.mtime).map_err(io::Error::from)
    }

    /// Folders are set last, the deepest first: writing into a folder changes its time.
    fn set_times(&self) {
        for (path, changed) in self.folders.iter().rev() {
            let Ok(Some(spot)) = self.spot(path) else { continue };
            let Ok(folder) = name::open_folder(&spot.dir, &spot.name) else { continue };
            // A time is not worth an error after everything was copied.
            let _ = set_changed(&File::from(folder), *changed);
        }
    }
}

fn set_changed(file: &File, (seconds, nanos): (i64, u32)) -> io::Result<()> {
    let changed = TimeSpec::new(seconds, nanos.into());
    futimens(file, &TimeSpec::UTIME_OMIT, &changed).map_err(io::Error::from)
}

fn path_of(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// A name of an archive as a path that never leads upwards.
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
