//! A folder that nothing leads out of: every name is looked up below its open root.
//!
//! A link means what it means in the container, as if this were the root (`openat2` with
//! `RESOLVE_IN_ROOT`): `/usr/lib` is the layer's, and nothing is above it. For a kernel before 5.6
//! links are read here, folder by folder. A link to what the layer does not have leads nowhere, and
//! nothing is made behind it. The last part of a name is never followed.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstat, fstatat, mkdirat, mknodat,
};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};

use super::{LayerError, xattr};

/// Overlayfs hides what is below a folder with this attribute.
const OPAQUE: &[u8] = b"trusted.overlay.opaque";

/// Links in one name, as many as the kernel follows.
const LINKS_MAX: u32 = 40;

/// A name, cleaned: no empty part, no `.`, no `..`.
pub(super) type Parts = Vec<Vec<u8>>;

pub(super) struct Tree {
    root: OwnedFd,
    /// The layers below, topmost first: what a folder is like that this layer only passes through.
    below: Vec<Tree>,
    /// Folders that were made because something is in them, and their times below.
    implied: Vec<(Parts, (i64, u32))>,
    /// Most entries are in the folder of the one before.
    last: Option<(Parts, OwnedFd)>,
}

/// The parts of a name, which counts from the layer's root with or without a slash in front.
pub(super) fn parts(name: &[u8]) -> Result<Parts, LayerError> {
    let mut parts = Parts::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.pop() {
                Some(_) => {}
                None => return Err(LayerError::Escapes { entry: shown(name), way: "\"..\"" }),
            },
            part if part.contains(&0) => {
                return Err(LayerError::Entry { entry: shown(name), why: "whose name holds NUL" });
            }
            part => parts.push(part.to_vec()),
        }
    }
    Ok(parts)
}

pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// An error of the kernel at an entry.
pub(super) fn failed<'a>(step: &'static str, name: &'a [u8]) -> impl Fn(Errno) -> LayerError + 'a {
    move |errno| LayerError::Disk { step, entry: shown(name), errno }
}

impl Tree {
    pub(super) fn open(root: &Path) -> Result<Tree, LayerError> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let root_name = root.as_os_str().as_bytes();
        let root = open(root, flags, Mode::empty()).map_err(failed("open", root_name))?;
        Ok(Tree { root, below: Vec::new(), implied: Vec::new(), last: None })
    }

    /// A new layer, over those that are below it in its image, lowest first.
    pub(super) fn over(root: &Path, below: &[PathBuf]) -> Result<Tree, LayerError> {
        let mut tree = Tree::open(root)?;
        tree.below = below.iter().rev().map(|root| Tree::open(root)).collect::<Result<_, _>>()?;
        tree.copy_from_below(&Parts::new())?;
        Ok(tree)
    }

    /// Folders without an entry of their own, and their times below.
    pub(super) fn take_implied(&mut self) -> Vec<(Parts, (i64, u32))> {
        std::mem::take(&mut self.implied)
    }

    /// Overlayfs shows the owner and the mode of the topmost layer that has a folder. Some writers
    /// (umoci) leave out a folder that did not change itself.
    fn copy_from_below(&mut self, folder: &[Vec<u8>]) -> Result<(), LayerError> {
        let found = self.below.iter().map(|layer| layer.look_up(folder)).find(|found| {
            // Anything but nothing hides what is further below.
            !matches!(found, Err(Errno::ENOENT))
        });
        let Some(Ok(Ok(found))) = found.map(|found| found.map(|opened| fstat(&opened))) else {
            return Ok(());
        };
        let whole = folder.join(&b'/');
        let here = self.look_up(folder).map_err(failed("open", &whole))?;
        let (uid, gid) = (Uid::from_raw(found.st_uid), Gid::from_raw(found.st_gid));
        fchownat(&here, ".", Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(failed("give an owner to", &whole))?;
        let mode = Mode::from_bits_truncate(found.st_mode & 0o7777);
        fchmodat(&here, ".", mode, FchmodatFlags::FollowSymlink)
            .map_err(failed("set the mode of", &whole))?;
        let nanos = u32::try_from(found.st_mtime_nsec).unwrap_or(0);
        self.implied.push((folder.to_vec(), (found.st_mtime, nanos)));
        Ok(())
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The folder that an entry is in; made with what is missing above it.
    pub(super) fn parent(&mut self, folder: &[Vec<u8>]) -> Result<BorrowedFd<'_>, LayerError> {
        let known = self.last.as_ref().is_some_and(|(parts, _)| parts == folder);
        if !known {
            let opened = self.make_folders(folder)?;
            self.last = Some((folder.to_vec(), opened));
        }
        Ok(self.last.as_ref().map_or(self.root.as_fd(), |(_, folder)| folder.as_fd()))
    }

    /// The folder that a whiteout is in. `None`: this layer has something else in its place, which
    /// hides all that the whiteout could.
    pub(super) fn parent_of_whiteout(
        &mut self,
        folder: &[Vec<u8>],
    ) -> Result<Option<BorrowedFd<'_>>, LayerError> {
        match self.look_up(folder) {
            Err(Errno::ENOTDIR) => Ok(None),
            _ => self.parent(folder).map(Some),
        }
    }

    /// A folder that must be there already.
    pub(super) fn existing(&self, folder: &[Vec<u8>]) -> Result<OwnedFd, LayerError> {
        self.look_up(folder).map_err(|errno| match errno {
            Errno::ENOENT if self.is_behind_link(folder) => astray(folder),
            errno => refused(folder, errno),
        })
    }

    /// Is any part of a name a link?
    fn is_behind_link(&self, folder: &[Vec<u8>]) -> bool {
        let is_link = |at: usize| {
            let (name, above) = folder[..=at].split_last().expect("it has a part");
            self.look_up(above).and_then(|above| stat(&above, name)).is_ok_and(|f| is_link(&f))
        };
        (0..folder.len()).any(is_link)
    }

    /// The folder, opened and by its own name, in which a layer below has what a name means: what this
    /// layer or one above it hides is not there.
    pub(super) fn folder_below(&self, folder: &[Vec<u8>], name: &[u8]) -> Option<(OwnedFd, Parts)> {
        for layer in std::iter::once(self).chain(&self.below) {
            let above = match layer.look_up(folder) {
                Ok(above) => Some(above),
                Err(Errno::ENOENT) => None,
                // Something else is in the place of a folder.
                Err(_) => return None,
            };
            match above.as_ref().map(|above| stat(above, name)) {
                Some(Ok(found)) if is_whiteout(&found) => return None,
                Some(Ok(_)) => {
                    let above = above?;
                    let real = layer.real_name(&above)?;
                    return Some((above, real));
                }
                _ if layer.hides_below(folder) => return None,
                _ => {}
            }
        }
        None
    }

    /// What a folder of this layer is called without any link.
    fn real_name(&self, folder: &OwnedFd) -> Option<Parts> {
        let path = |fd: &OwnedFd| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let (root, whole) = (path(&self.root).ok()?, path(folder).ok()?);
        parts(whole.strip_prefix(root).ok()?.as_os_str().as_bytes()).ok()
    }

    /// Is this folder, or one above it, opaque?
    fn hides_below(&self, folder: &[Vec<u8>]) -> bool {
        (0..=folder.len()).any(|depth| {
            let opened = self.look_up(&folder[..depth]);
            let value = opened.map(|opened| xattr::read_at(&path_of(opened.as_fd(), b""), OPAQUE));
            value.is_ok_and(|value| value.is_ok_and(|value| value.is_some()))
        })
    }

    fn make_folders(&mut self, folder: &[Vec<u8>]) -> Result<OwnedFd, LayerError> {
        let errno = match self.look_up(folder) {
            Ok(opened) => return Ok(opened),
            Err(errno) => errno,
        };
        let Some((name, above)) = folder.split_last() else { return Err(refused(folder, errno)) };
        if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR) {
            return Err(refused(folder, errno));
        }
        let above = self.make_folders(above)?;
        let whole = folder.join(&b'/');
        let hides = stat(&above, name).is_ok_and(|found| is_whiteout(&found));
        if hides {
            unlinkat(&above, bytes(name), UnlinkatFlags::NoRemoveDir)
                .map_err(failed("replace", &whole))?;
        }
        let mode = Mode::from_bits_truncate(0o755);
        mkdirat(&above, bytes(name), mode).map_err(|errno| {
            let leads_nowhere = stat(&above, name).is_ok_and(|found| is_link(&found));
            if leads_nowhere { astray(folder) } else { refused(folder, errno) }
        })?;
        if hides {
            set_opaque(above.as_fd(), name, &whole)?;
        }
        if !hides {
            self.copy_from_below(folder)?;
        }
        self.look_up(folder).map_err(|errno| refused(folder, errno))
    }

    fn look_up(&self, folder: &[Vec<u8>]) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let name = if folder.is_empty() { b".".to_vec() } else { folder.join(&b'/') };
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags).resolve(resolve);
        match openat2(&self.root, bytes(&name), how) {
            // EPERM: a filter of system calls from before it knew this one.
            Err(Errno::ENOSYS | Errno::EPERM) => self.walk(folder),
            other => other,
        }
    }

    /// The same by hand: nobody else writes here, so what was looked at stays.
    fn walk(&self, folder: &[Vec<u8>]) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let open =
            |above: BorrowedFd<'_>, name: &[u8]| openat(above, bytes(name), flags, Mode::empty());
        let root = open(self.root.as_fd(), b".")?;
        let mut opened: Vec<OwnedFd> = Vec::new();
        let mut left: Vec<Vec<u8>> = folder.iter().rev().cloned().collect();
        let mut links = 0;
        while let Some(name) = left.pop() {
            let here = opened.last().unwrap_or(&root);
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    opened.pop();
                    continue;
                }
                _ => {}
            }
            if !is_link(&stat(here, &name)?) {
                let next = open(here.as_fd(), &name)?;
                opened.push(next);
                continue;
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(Errno::ELOOP);
            }
            let target = readlinkat(here, bytes(&name))?.into_encoded_bytes();
            if target.starts_with(b"/") {
                opened.clear();
            }
            left.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
        }
        Ok(opened.pop().unwrap_or(root))
    }

    /// Removes what has this name, a folder with all that is in it. Whether there was one that
    /// hid what is below it: a whiteout.
    pub(super) fn clear(&mut self, folder: &[Vec<u8>], name: &[u8]) -> Result<bool, LayerError> {
        let parent = self.parent(folder)?;
        let found = match stat(parent, name) {
            Ok(found) => found,
            Err(Errno::ENOENT) => return Ok(false),
            Err(errno) => return Err(failed("look at", name)(errno)),
        };
        let removed = if is_folder(&found) {
            std::fs::remove_dir_all(OsStr::from_bytes(path_of(parent, name).as_bytes()))
                .map_err(|error| Errno::try_from(error).unwrap_or(Errno::EIO))
        } else {
            unlinkat(parent, bytes(name), UnlinkatFlags::NoRemoveDir)
        };
        removed.map_err(failed("replace", name))?;
        self.last = None;
        Ok(is_whiteout(&found))
    }
}

fn astray(folder: &[Vec<u8>]) -> LayerError {
    LayerError::Escapes { entry: shown(&folder.join(&b'/')), way: "a symbolic link" }
}

pub(super) fn is_link(found: &FileStat) -> bool {
    found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits()
}

/// What a name is; a link itself.
pub(super) fn stat(parent: impl AsFd, name: &[u8]) -> nix::Result<FileStat> {
    fstatat(parent, bytes(name), AtFlags::AT_SYMLINK_NOFOLLOW)
}

pub(super) fn is_folder(found: &FileStat) -> bool {
    found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits()
}

pub(super) fn is_file(found: &FileStat) -> bool {
    found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits()
}

pub(super) fn is_whiteout(found: &FileStat) -> bool {
    found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits() && found.st_rdev == 0
}

/// Hides what the layers below have under this name.
pub(super) fn make_whiteout(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), LayerError> {
    mknodat(parent, bytes(name), SFlag::S_IFCHR, Mode::empty(), 0)
        .map_err(failed("make the whiteout", name))
}

/// Hides what the layers below have in this folder.
pub(super) fn set_opaque(
    parent: BorrowedFd<'_>,
    name: &[u8],
    whole: &[u8],
) -> Result<(), LayerError> {
    xattr::set_at(&path_of(parent, name), OPAQUE, b"y").map_err(failed("make opaque", whole))
}

/// A path for calls that take no descriptor. The folder is open: no name of it is looked up.
pub(super) fn path_of(parent: BorrowedFd<'_>, name: &[u8]) -> CString {
    let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
    path.extend_from_slice(if name.is_empty() { b"." } else { name });
    CString::new(path).expect("parts hold no NUL")
}

pub(super) fn bytes(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

fn refused(folder: &[Vec<u8>], errno: Errno) -> LayerError {
    let name = folder.join(&b'/');
    match errno {
        Errno::EXDEV | Errno::ELOOP => astray(folder),
        Errno::ENOTDIR | Errno::EEXIST => LayerError::Entry {
            entry: shown(&name),
            why: "which is in something that is no folder",
        },
        errno => failed("make the folder", &name)(errno),
    }
}
