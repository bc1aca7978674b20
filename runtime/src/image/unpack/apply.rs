//! Applies an entry of a layer to the disk, in the format of overlayfs.
//!
//! `.wh.name` becomes a character device 0:0, `.wh..wh..opq` the attribute of an opaque folder.
//! The order is owner, mode, attributes: a change of owner removes setuid bits and capabilities.
//! The times of folders are set last, because every entry in a folder changes them.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, makedev, mkdirat, mknodat};
use nix::unistd::{linkat, symlinkat};

use super::LayerError;
use super::stack::{Parts, Stack, bytes, failed, parts, shown, stat};
use crate::image::blob::CHUNK;
use crate::tar_entries::{Entry, Kind, TarError, Unwritten};
use crate::tree::attributes::{self, Refused};
use crate::tree::name::{self, is_file, is_folder, path_of};
use crate::tree::whiteout::{is_whiteout, make_whiteout, set_opaque};
use crate::tree::{itself, of_system};

pub(super) const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_META: &[u8] = b".wh..wh.";
const OPAQUE_MARK: &[u8] = b".wh..wh..opq";

/// Applies the entries of one layer, in order.
pub(super) struct Applier {
    stack: Stack,
    /// Of the folders that have an entry of their own.
    folder_times: BTreeMap<Parts, (i64, u32)>,
    buffer: Vec<u8>,
}

impl Applier {
    /// Into an empty folder, over the layers that are below, lowest first.
    pub(super) fn new(root: &Path, below: &[PathBuf]) -> Result<Applier, LayerError> {
        Ok(Applier {
            stack: Stack::over(root, below)?,
            folder_times: BTreeMap::new(),
            buffer: vec![0; CHUNK],
        })
    }

    pub(super) fn apply(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), LayerError> {
        let mut folder = parts(&entry.path)?;
        let Some(name) = folder.pop() else { return self.apply_root(entry) };
        if name == OPAQUE_MARK {
            return self.make_opaque(&folder, entry);
        }
        if name.starts_with(WHITEOUT_META) {
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.hide(&folder, hidden, entry);
        }
        if entry.kind == Kind::Dir {
            return self.make_folder(folder, &name, entry);
        }
        self.stack.clear(&folder, &name)?;
        match entry.kind {
            Kind::File => self.make_file(&folder, &name, entry, data),
            Kind::HardLink => self.make_link(&folder, &name, entry),
            _ => self.make_other(&folder, &name, entry),
        }
    }

    /// The times of folders.
    pub(super) fn finish(&mut self) -> Result<(), LayerError> {
        let mut times: BTreeMap<_, _> = self.stack.take_implied().into_iter().collect();
        times.append(&mut self.folder_times);
        for (mut folder, time) in times.into_iter().rev() {
            let whole = folder.join(&b'/');
            match folder.pop() {
                Some(name) => {
                    let parent = self.stack.parent(&folder)?;
                    match name::set_time(parent, bytes(&name), time) {
                        // A later entry took its place.
                        Ok(()) | Err(Errno::ENOENT) => {}
                        Err(errno) => return Err(failed("set the time of", &whole)(errno)),
                    }
                }
                None => name::set_time(self.stack.root(), itself(), time)
                    .map_err(failed("set the time of", b"/"))?,
            }
        }
        Ok(())
    }

    fn apply_root(&mut self, entry: &Entry) -> Result<(), LayerError> {
        if entry.kind != Kind::Dir {
            let why = "which would replace the layer's root";
            return Err(LayerError::Entry { entry: shown(&entry.path), why });
        }
        set_attributes(self.stack.root(), b".", entry)?;
        self.folder_times.insert(Parts::new(), entry.mtime);
        Ok(())
    }

    fn make_opaque(&mut self, folder: &[Vec<u8>], entry: &Entry) -> Result<(), LayerError> {
        match self.stack.parent_of_whiteout(folder)? {
            Some(parent) => {
                set_opaque(parent, itself()).map_err(failed("make opaque", &entry.path))
            }
            None => Ok(()),
        }
    }

    /// What the same layer has under a hidden name is new, and stays.
    fn hide(&mut self, folder: &[Vec<u8>], hidden: &[u8], entry: &Entry) -> Result<(), LayerError> {
        if matches!(hidden, b"" | b"." | b"..") {
            let way = "a whiteout";
            return Err(LayerError::Escapes { entry: shown(&entry.path), way });
        }
        let whole = [folder, &[hidden.to_vec()]].concat();
        if self.is_hollow(&whole) {
            self.stack.clear(folder, hidden)?;
        }
        let Some(parent) = self.stack.parent_of_whiteout(folder)? else { return Ok(()) };
        match stat(parent, hidden) {
            Ok(found) if is_folder(&found) => {
                set_opaque(parent, bytes(hidden)).map_err(failed("make opaque", &entry.path))
            }
            Ok(_) => Ok(()),
            Err(Errno::ENOENT) => {
                make_whiteout(parent, bytes(hidden)).map_err(failed("make the whiteout", hidden))
            }
            Err(errno) => Err(failed("look at", &entry.path)(errno)),
        }
    }

    /// A folder that stands only because whiteouts are in it, which came before the one of the
    /// folder itself.
    fn is_hollow(&self, folder: &[Vec<u8>]) -> bool {
        if self.folder_times.contains_key(folder) {
            return false;
        }
        let Ok(opened) = self.stack.existing(folder) else { return false };
        let Ok(entries) = name::list(&opened) else { return false };
        entries.flatten().all(|entry| {
            let name = entry.file_name().into_encoded_bytes();
            match stat(&opened, &name) {
                Ok(found) if is_folder(&found) => self.is_hollow(&[folder, &[name]].concat()),
                Ok(found) => is_whiteout(&found),
                Err(_) => false,
            }
        })
    }

    fn make_folder(
        &mut self,
        mut folder: Parts,
        name: &[u8],
        entry: &Entry,
    ) -> Result<(), LayerError> {
        let parent = self.stack.parent(&folder)?;
        let found = stat(parent, name).ok();
        if !found.is_some_and(|found| is_folder(&found)) {
            let hid = self.stack.clear(&folder, name)?;
            let parent = self.stack.parent(&folder)?;
            mkdirat(parent, bytes(name), Mode::from_bits_truncate(0o700))
                .map_err(failed("make the folder", &entry.path))?;
            if hid {
                set_opaque(parent, bytes(name)).map_err(failed("make opaque", &entry.path))?;
            }
        }
        set_attributes(self.stack.parent(&folder)?, name, entry)?;
        folder.push(name.to_vec());
        self.folder_times.insert(folder, entry.mtime);
        Ok(())
    }

    fn make_file(
        &mut self,
        folder: &[Vec<u8>],
        name: &[u8],
        entry: &Entry,
        data: &mut dyn Read,
    ) -> Result<(), LayerError> {
        let parent = self.stack.parent(folder)?;
        let mut file =
            name::create_file(parent, bytes(name)).map_err(failed("make the file", &entry.path))?;
        entry.write_to(&mut file, data, &mut self.buffer).map_err(|error| match error {
            Unwritten::Read(error) => TarError::Read(error).into(),
            Unwritten::Write(error) => failed("write", &entry.path)(of_system(error)),
        })?;
        set_attributes(parent, name, entry)?;
        name::set_time(parent, bytes(name), entry.mtime)
            .map_err(failed("set the time of", &entry.path))
    }

    fn make_link(
        &mut self,
        folder: &[Vec<u8>],
        name: &[u8],
        entry: &Entry,
    ) -> Result<(), LayerError> {
        let (path, link) = (shown(&entry.path), shown(&entry.link));
        let missing = || LayerError::NoTarget { entry: path.clone(), target: link.clone() };
        let mut target = parts(&entry.link)?;
        let target_name = target.pop().ok_or_else(missing)?;
        let is_here = match self.stack.existing(&target) {
            Ok(opened) => match stat(&opened, &target_name) {
                Ok(found) if is_whiteout(&found) => return Err(missing()),
                found => found.is_ok(),
            },
            Err(LayerError::Disk { errno: Errno::ENOENT, .. }) => false,
            Err(error) => return Err(error),
        };
        if !is_here {
            target = self.copy_up(&target, &target_name, entry)?.ok_or_else(missing)?;
        }
        let target_folder = self.stack.existing(&target)?;
        let parent = self.stack.parent(folder)?;
        let (from, to) = (bytes(&target_name), bytes(name));
        match linkat(&target_folder, from, parent, to, AtFlags::empty()) {
            Err(Errno::ENOENT) => Err(missing()),
            other => other.map_err(failed("link", &entry.path)),
        }
    }

    /// Makes a file of a layer below one of this layer, as overlayfs does before it links one.
    /// Returns the folder that it is in now; `None` if there is no such file.
    fn copy_up(
        &mut self,
        folder: &[Vec<u8>],
        name: &[u8],
        entry: &Entry,
    ) -> Result<Option<Parts>, LayerError> {
        let Some((above, folder)) = self.stack.folder_below(folder, name) else { return Ok(None) };
        let read = failed("read the target of", &entry.path);
        let found = stat(&above, name).map_err(&read)?;
        let here = self.stack.existing(&folder).ok().and_then(|here| stat(here, name).ok());
        if let Some(here) = here {
            // Copied for an earlier link, or hidden by this layer.
            return Ok(is_file(&here).then_some(folder));
        }
        if !is_file(&found) {
            return Ok(None);
        }
        let mut file = name::open_file(&above, bytes(name)).map_err(&read)?;
        let xattrs = attributes::all(&path_of(above.as_fd(), bytes(name))).map_err(&read)?;
        let nanos = u32::try_from(found.st_mtime_nsec).unwrap_or(0);
        let copy = Entry {
            path: [folder.as_slice(), &[name.to_vec()]].concat().join(&b'/'),
            kind: Kind::File,
            link: Vec::new(),
            mode: found.st_mode & 0o7777,
            uid: found.st_uid,
            gid: found.st_gid,
            size: found.st_size.cast_unsigned(),
            mtime: (found.st_mtime, nanos),
            device: (0, 0),
            xattrs,
            pieces: None,
        };
        self.make_file(&folder, name, &copy, &mut file)?;
        Ok(Some(folder))
    }

    fn make_other(
        &mut self,
        folder: &[Vec<u8>],
        name: &[u8],
        entry: &Entry,
    ) -> Result<(), LayerError> {
        let parent = self.stack.parent(folder)?;
        let device = makedev(entry.device.0.into(), entry.device.1.into());
        let node = |kind, device| mknodat(parent, bytes(name), kind, Mode::empty(), device);
        let made = match entry.kind {
            Kind::Symlink if entry.link.contains(&0) => Err(Errno::EINVAL),
            Kind::Symlink => symlinkat(bytes(&entry.link), parent, bytes(name)),
            Kind::Char => node(SFlag::S_IFCHR, device),
            Kind::Block => node(SFlag::S_IFBLK, device),
            _ => node(SFlag::S_IFIFO, 0),
        };
        made.map_err(failed("make", &entry.path))?;
        set_attributes(parent, name, entry)?;
        name::set_time(parent, bytes(name), entry.mtime)
            .map_err(failed("set the time of", &entry.path))
    }
}

/// Owner, mode and attributes.
fn set_attributes(parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<(), LayerError> {
    let name = bytes(name);
    name::set_owner(parent, name, entry.uid, entry.gid)
        .map_err(failed("give an owner to", &entry.path))?;
    if entry.kind != Kind::Symlink {
        let mode = Mode::from_bits_truncate(entry.mode);
        fchmodat(parent, name, mode, FchmodatFlags::FollowSymlink)
            .map_err(failed("set the mode of", &entry.path))?;
    }
    let refused = Refused::LeftOutUnlessCapability;
    attributes::write(&path_of(parent, name), &entry.xattrs, refused)
        .map_err(failed("set an attribute of", &entry.path))
}
