//! Makes what an entry says, in overlayfs' form.
//!
//! `.wh.name` becomes a character device 0:0, `.wh..wh..opq` the attribute of an opaque folder.
//! Owner first, then mode, then attributes: a change of owner takes setuid bits and capabilities
//! away. The times of folders come last, as every entry in them changes those.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{
    FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, makedev, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat, linkat, symlinkat};

use super::tree::{
    Parts, Tree, bytes, failed, is_file, is_folder, is_whiteout, make_whiteout, parts, path_of,
    set_opaque, shown, stat,
};
use super::{LayerError, xattr};
use crate::image::blob::CHUNK;
use crate::image::entries::{Entry, Kind, Piece, TarError};

pub(super) const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_META: &[u8] = b".wh..wh.";
const OPAQUE_MARK: &[u8] = b".wh..wh..opq";
/// What overlayfs itself writes there is never an image's to say.
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// Applies the entries of one layer, in order.
pub(super) struct Applier {
    tree: Tree,
    /// Of the folders that have an entry of their own.
    folder_times: BTreeMap<Parts, (i64, u32)>,
    buffer: Vec<u8>,
}

impl Applier {
    /// Into an empty folder, over the layers that are below, lowest first.
    pub(super) fn new(root: &Path, below: &[PathBuf]) -> Result<Applier, LayerError> {
        Ok(Applier {
            tree: Tree::over(root, below)?,
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
        self.tree.clear(&folder, &name)?;
        match entry.kind {
            Kind::File => self.make_file(&folder, &name, entry, data),
            Kind::HardLink => self.make_link(&folder, &name, entry),
            _ => self.make_other(&folder, &name, entry),
        }
    }

    /// The times of folders.
    pub(super) fn finish(&mut self) -> Result<(), LayerError> {
        let mut times: BTreeMap<_, _> = self.tree.take_implied().into_iter().collect();
        times.append(&mut self.folder_times);
        for (mut folder, time) in times.into_iter().rev() {
            let whole = folder.join(&b'/');
            match folder.pop() {
                Some(name) => {
                    let parent = self.tree.parent(&folder)?;
                    match set_times(parent, &name, time) {
                        // A later entry took its place.
                        Ok(()) | Err(Errno::ENOENT) => {}
                        Err(errno) => return Err(failed("set the time of", &whole)(errno)),
                    }
                }
                None => set_times(self.tree.root(), b".", time)
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
        set_attributes(self.tree.root(), b".", entry)?;
        self.folder_times.insert(Parts::new(), entry.mtime);
        Ok(())
    }

    fn make_opaque(&mut self, folder: &[Vec<u8>], entry: &Entry) -> Result<(), LayerError> {
        match self.tree.parent_of_whiteout(folder)? {
            Some(parent) => set_opaque(parent, b".", &entry.path),
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
            self.tree.clear(folder, hidden)?;
        }
        let Some(parent) = self.tree.parent_of_whiteout(folder)? else { return Ok(()) };
        match stat(parent, hidden) {
            Ok(found) if is_folder(&found) => set_opaque(parent, hidden, &entry.path),
            Ok(_) => Ok(()),
            Err(Errno::ENOENT) => make_whiteout(parent, hidden),
            Err(errno) => Err(failed("look at", &entry.path)(errno)),
        }
    }

    /// A folder that stands only because whiteouts are in it, which came before the one of the
    /// folder itself.
    fn is_hollow(&self, folder: &[Vec<u8>]) -> bool {
        if self.folder_times.contains_key(folder) {
            return false;
        }
        let Ok(opened) = self.tree.existing(folder) else { return false };
        let Ok(entries) = std::fs::read_dir(bytes(path_of(opened.as_fd(), b"").as_bytes())) else {
            return false;
        };
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
        let parent = self.tree.parent(&folder)?;
        let found = stat(parent, name).ok();
        if !found.is_some_and(|found| is_folder(&found)) {
            let hid = self.tree.clear(&folder, name)?;
            let parent = self.tree.parent(&folder)?;
            mkdirat(parent, bytes(name), Mode::from_bits_truncate(0o700))
                .map_err(failed("make the folder", &entry.path))?;
            if hid {
                set_opaque(parent, name, &entry.path)?;
            }
        }
        set_attributes(self.tree.parent(&folder)?, name, entry)?;
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
        let parent = self.tree.parent(folder)?;
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(parent, bytes(name), flags, Mode::from_bits_truncate(0o600))
            .map_err(failed("make the file", &entry.path))?;
        let mut file = File::from(file);
        write_data(&mut file, entry, data, &mut self.buffer)?;
        let by_name = |step| failed(step, &entry.path);
        let owner = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
        nix::unistd::fchown(&file, owner.0, owner.1).map_err(by_name("give an owner to"))?;
        nix::sys::stat::fchmod(&file, Mode::from_bits_truncate(entry.mode))
            .map_err(by_name("set the mode of"))?;
        for (name, value) in attributes(entry) {
            tolerated(name, xattr::set(file.as_fd(), name, value))
                .map_err(by_name("set an attribute of"))?;
        }
        let time = timespec(entry.mtime);
        nix::sys::stat::futimens(&file, &time, &time).map_err(by_name("set the time of"))
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
        let is_here = match self.tree.existing(&target) {
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
        let target_folder = self.tree.existing(&target)?;
        let parent = self.tree.parent(folder)?;
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
        let Some((above, folder)) = self.tree.folder_below(folder, name) else { return Ok(None) };
        let read = failed("read the target of", &entry.path);
        let found = stat(&above, name).map_err(&read)?;
        let here = self.tree.existing(&folder).ok().and_then(|here| stat(here, name).ok());
        if let Some(here) = here {
            // Copied for an earlier link, or hidden by this layer.
            return Ok(is_file(&here).then_some(folder));
        }
        if !is_file(&found) {
            return Ok(None);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut file =
            File::from(openat(&above, bytes(name), flags, Mode::empty()).map_err(&read)?);
        let xattrs = xattr::all(file.as_fd()).map_err(&read)?;
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
        let parent = self.tree.parent(folder)?;
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
        set_times(parent, name, entry.mtime).map_err(failed("set the time of", &entry.path))
    }
}

/// Owner, mode and attributes of what is not a file.
fn set_attributes(parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<(), LayerError> {
    let (uid, gid) = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
    fchownat(parent, bytes(name), uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
        .map_err(failed("give an owner to", &entry.path))?;
    if entry.kind != Kind::Symlink {
        let mode = Mode::from_bits_truncate(entry.mode);
        fchmodat(parent, bytes(name), mode, FchmodatFlags::FollowSymlink)
            .map_err(failed("set the mode of", &entry.path))?;
    }
    for (attribute, value) in attributes(entry) {
        tolerated(attribute, xattr::set_at(&path_of(parent, name), attribute, value))
            .map_err(failed("set an attribute of", &entry.path))?;
    }
    Ok(())
}

/// The attributes that an image may set.
pub(super) fn attributes(entry: &Entry) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = entry.xattrs.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    pairs.filter(|(name, _)| !OVERLAY.iter().any(|prefix| name.starts_with(prefix)))
}

/// Attributes that this file system or this kernel does not have are left out, as Docker does; a
/// file capability is not, because the program would not work.
fn tolerated(name: &[u8], result: nix::Result<()>) -> nix::Result<()> {
    match result {
        Err(Errno::EOPNOTSUPP | Errno::EPERM | Errno::EINVAL) if name != b"security.capability" => {
            Ok(())
        }
        other => other,
    }
}

fn set_times(parent: BorrowedFd<'_>, name: &[u8], time: (i64, u32)) -> nix::Result<()> {
    let time = timespec(time);
    utimensat(parent, bytes(name), &time, &time, UtimensatFlags::NoFollowSymlink)
}

fn timespec((seconds, nanos): (i64, u32)) -> TimeSpec {
    TimeSpec::new(seconds, nanos.into())
}

/// Copies what is stored to where it belongs; the rest of a sparse file stays a hole.
fn write_data(
    file: &mut File,
    entry: &Entry,
    data: &mut dyn Read,
    buffer: &mut [u8],
) -> Result<(), LayerError> {
    let disk = |error: io::Error| {
        failed("write", &entry.path)(Errno::try_from(error).unwrap_or(Errno::EIO))
    };
    let all = [Piece { offset: 0, length: entry.size }];
    for piece in entry.pieces.as_deref().unwrap_or(&all) {
        if piece.offset > 0 {
            file.seek(SeekFrom::Start(piece.offset)).map_err(disk)?;
        }
        let mut left = piece.length;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let count = data.read(&mut buffer[..wanted]).map_err(TarError::Read)?;
            if count == 0 {
                return Err(TarError::Read(io::ErrorKind::UnexpectedEof.into()).into());
            }
            file.write_all(&buffer[..count]).map_err(disk)?;
            left -= count as u64;
        }
    }
    if entry.pieces.is_some() {
        file.set_len(entry.size).map_err(disk)?;
    }
    Ok(())
}
