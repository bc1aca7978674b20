//! A layer that is unpacked, or checked, over the layers below it in its image.
//!
//! A link resolves as it does in the container: every name is resolved below the layer's open root
//! ([`crate::tree`]), so `/usr/lib` is the layer's own, and no path leads above the root. A link to
//! a name that the layer does not have is broken, and nothing is created behind it. The last part
//! of a name is never followed.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, fchmodat, fstat, mkdirat};

use super::LayerError;
use crate::tree::whiteout::{is_opaque, is_whiteout, set_opaque};
use crate::tree::{Root, itself, name};

/// A name, cleaned: no empty part, no `.`, no `..`.
pub(super) type Parts = Vec<Vec<u8>>;

pub(super) struct Stack {
    root: Root,
    /// The layers below, topmost first: what a folder is like that this layer only passes through.
    below: Vec<Stack>,
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

impl Stack {
    pub(super) fn open(root: &Path) -> Result<Stack, LayerError> {
        let root_name = root.as_os_str().as_bytes();
        let root = Root::open(root).map_err(failed("open", root_name))?;
        Ok(Stack { root, below: Vec::new(), implied: Vec::new(), last: None })
    }

    /// A new layer, over those that are below it in its image, lowest first.
    pub(super) fn over(root: &Path, below: &[PathBuf]) -> Result<Stack, LayerError> {
        let mut stack = Stack::open(root)?;
        stack.below = below.iter().rev().map(|root| Stack::open(root)).collect::<Result<_, _>>()?;
        stack.copy_from_below(&Parts::new())?;
        Ok(stack)
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
        name::set_owner(&here, itself(), found.st_uid, found.st_gid)
            .map_err(failed("give an owner to", &whole))?;
        let mode = Mode::from_bits_truncate(found.st_mode & 0o7777);
        fchmodat(&here, itself(), mode, FchmodatFlags::FollowSymlink)
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
            self.look_up(above)
                .and_then(|above| stat(&above, name))
                .is_ok_and(|f| name::is_link(&f))
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
        let path = |fd: BorrowedFd<'_>| std::fs::read_link(name::link_to(fd));
        let (root, whole) = (path(self.root()).ok()?, path(folder.as_fd()).ok()?);
        parts(whole.strip_prefix(root).ok()?.as_os_str().as_bytes()).ok()
    }

    /// Is this folder, or one above it, opaque?
    fn hides_below(&self, folder: &[Vec<u8>]) -> bool {
        (0..=folder.len()).any(|depth| {
            let opened = self.look_up(&folder[..depth]);
            opened.is_ok_and(|opened| is_opaque(&name::path_of(opened.as_fd(), itself())))
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
            name::unlink(&above, bytes(name)).map_err(failed("replace", &whole))?;
        }
        let mode = Mode::from_bits_truncate(0o755);
        mkdirat(&above, bytes(name), mode).map_err(|errno| {
            let leads_nowhere = stat(&above, name).is_ok_and(|found| name::is_link(&found));
            if leads_nowhere { astray(folder) } else { refused(folder, errno) }
        })?;
        if hides {
            set_opaque(above.as_fd(), bytes(name)).map_err(failed("make opaque", &whole))?;
        } else {
            self.copy_from_below(folder)?;
        }
        self.look_up(folder).map_err(|errno| refused(folder, errno))
    }

    fn look_up(&self, folder: &[Vec<u8>]) -> nix::Result<OwnedFd> {
        self.root.folder(Path::new(bytes(&folder.join(&b'/'))))
    }

    /// Removes what has this name, a folder with all that is in it. Whether there was one that
    /// hid what is below it: a whiteout.
    pub(super) fn clear(&mut self, folder: &[Vec<u8>], name: &[u8]) -> Result<bool, LayerError> {
        let parent = self.parent(folder)?;
        let removed = name::remove(parent, bytes(name)).map_err(failed("replace", name))?;
        if removed.is_some() {
            self.last = None;
        }
        Ok(removed.is_some_and(|removed| is_whiteout(&removed)))
    }
}

fn astray(folder: &[Vec<u8>]) -> LayerError {
    LayerError::Escapes { entry: shown(&folder.join(&b'/')), way: "a symbolic link" }
}

/// What a name is; a link itself.
pub(super) fn stat(parent: impl AsFd, name: &[u8]) -> nix::Result<FileStat> {
    name::stat(parent, bytes(name))
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
