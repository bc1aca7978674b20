//! Prepares the volumes of a run, once its root is mounted: volumes without a name, and those that
//! its image declares, filled with the image's content.
//!
//! An empty volume gets the image's content at the path where it is mounted, with owners and modes,
//! unless the service forbids it: so a database finds the folders that its image contains. A volume
//! that is not empty is left alone. The copy is complete or not there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crdt_state::spec::{MountSource, Template};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use oci_spec::image::ImageConfiguration;

use super::{DATA, VolumeError, disk};
use crate::run_dir::sync;
use crate::tree::{self, Root, copy, name};

/// In the folder of a run: its volumes without a name.
pub const OF_RUN: &str = "volumes";
/// An incomplete copy.
const NEW: &str = "_new";
/// A complete copy that is being moved into the volume.
const WHOLE: &str = "_whole";
/// Held by the process that fills the volume.
const LOCK: &str = "lock";

/// The volumes to fill, and the contents to fill them with.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'a> {
    /// What the service mounts.
    pub template: &'a Template,
    /// The image's configuration, which declares volumes.
    pub image: &'a ImageConfiguration,
    /// The named volumes of the template, by name.
    pub named: &'a BTreeMap<String, PathBuf>,
    /// The folder of the run, where its own volumes are made.
    pub run_dir: &'a Path,
    /// The container's root, mounted.
    pub rootfs: &'a Path,
}

/// Makes and fills the volumes; returns the folders of all volumes of the run, by name or by their
/// path in the container.
pub fn fill(filling: &Filling<'_>) -> Result<BTreeMap<String, PathBuf>, VolumeError> {
    let mut volumes = filling.named.clone();
    for (place, named) in wanted(filling) {
        let own = || filling.run_dir.join(OF_RUN).join(number(&place)).join(DATA);
        let (key, copied) = match named {
            Some((name, copied)) if !name.is_empty() => (name, copied),
            Some((_, copied)) => (place.clone(), copied),
            None => (place.clone(), true),
        };
        let data = volumes.entry(key.clone()).or_insert_with(own).clone();
        let make = || -> io::Result<()> {
            fs::create_dir_all(&data)?;
            if copied { copy_up(filling.rootfs, &place, &data) } else { Ok(()) }
        };
        make().map_err(disk(&key, "fill"))?;
    }
    Ok(volumes)
}

/// Paths in the container, with the name of the volume that the service mounts there and whether it
/// is to be filled. The service's mounts replace the image's, whatever they are.
fn wanted(filling: &Filling<'_>) -> BTreeMap<String, Option<(String, bool)>> {
    let declared = filling.image.config().as_ref().and_then(|config| config.volumes().as_ref());
    let declared = declared.into_iter().flatten().filter_map(|path| plain(path));
    let mut wanted: BTreeMap<_, _> = declared.map(|place| (place, None)).collect();
    for mount in &filling.template.container.mounts {
        let Some(place) = plain(&mount.target) else { continue };
        match &mount.source {
            MountSource::Volume { name, no_copy, .. } => {
                wanted.insert(place, Some((name.clone(), !no_copy)));
            }
            _ => drop(wanted.remove(&place)),
        }
    }
    wanted
}

/// A path in the same form as in the mounts of a bundle.
fn plain(place: &str) -> Option<String> {
    let clean = tree::plain(Path::new(place));
    let usable = place.starts_with('/') && clean != Path::new("/");
    usable.then(|| clean.to_string_lossy().into_owned())
}

/// A name for a folder that stands for a path.
fn number(place: &str) -> String {
    place.trim_start_matches('/').replace('%', "%25").replace('/', "%2f")
}

/// Copies the image's content at a path into the folder, if that is empty. The folder itself is
/// kept: another task may have it mounted.
fn copy_up(rootfs: &Path, place: &str, data: &Path) -> io::Result<()> {
    let folder = data.parent().unwrap_or(data);
    // Two tasks of one node may start with one volume at the same time.
    let lock = File::options().create(true).append(true).open(folder.join(LOCK))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    let (new, whole) = (folder.join(NEW), folder.join(WHOLE));
    if whole.exists() {
        return move_up(&whole, data);
    }
    if fs::read_dir(data)?.next().is_some() {
        return Ok(());
    }
    let source = match Root::open(rootfs)?.folder(Path::new(place)) {
        Ok(source) => source,
        // The image has nothing to copy there.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    fs::create_dir(&new)?;
    copy::over(&name::link_to(source.as_fd()), &new)?;
    // The copy must be on the disk before it gets its final name.
    nix::unistd::syncfs(File::open(&new)?)?;
    fs::rename(&new, &whole)?;
    sync(folder)?;
    move_up(&whole, data)
}

/// Moves the copy into the volume; an interrupted move is continued before anything runs.
fn move_up(whole: &Path, data: &Path) -> io::Result<()> {
    for entry in fs::read_dir(whole)? {
        let entry = entry?;
        fs::rename(entry.path(), data.join(entry.file_name()))?;
    }
    copy::like(whole, data)?;
    sync(data)?;
    fs::remove_dir(whole)
}
