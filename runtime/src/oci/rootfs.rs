//! The root file system of a container: the image's layers below, a layer of the container's own
//! above.
//!
//! ```text
//! <run>/rootfs   where it is mounted, in a namespace that only the launcher and the container see
//! <run>/upper    what the container writes
//! <run>/work     overlayfs' own
//! ```
//! Nothing is ever mounted where other processes of the machine see it, so that a killed monitor
//! leaves no mount behind. The layers are never written to.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, fchdir};

use crate::refusal::StartError;
use crate::run_dir;
use crate::tree::copy;
use crate::volume::OF_RUN;

/// Where the root file system is mounted, in the folder of the run.
pub const ROOTFS: &str = "rootfs";
/// Files that the container wrote, in the folder of the run.
pub const UPPER: &str = "upper";
/// Where copies of bind mounts are mounted, in the folder of the run.
pub const COPIES: &str = "binds";
const WORK: &str = "work";
const EMPTY: &str = "empty";

/// Where version 2 of cgroups is mounted on a machine that also has version 1.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// From here on mounts of this process are private to it, and it still sees later mounts of others.
pub fn isolate() -> Result<(), StartError> {
    let step = |step| move |errno| StartError::Step { step, errno };
    unshare(CloneFlags::CLONE_NEWNS).map_err(step("make a mount namespace"))?;
    let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(step("keep mounts from the rest of the machine"))
}

/// Hides version 2 of cgroups, for a runtime that refuses to work with both versions.
pub fn hide_unified_cgroup() {
    // An error means that it is not mounted: nothing to hide.
    let _ = umount2(UNIFIED, MntFlags::MNT_DETACH);
}

/// Mounts the layers, lowest first, on `rootfs` in the current folder. Where overlayfs cannot be
/// mounted they are copied, and a warning says so.
pub fn build(layers: &[PathBuf]) -> Result<Option<String>, StartError> {
    let opened = layers.iter().map(|layer| Ok((layer, folder(layer)?)));
    let mut opened: Vec<(&PathBuf, OwnedFd)> = opened.collect::<Result<_, StartError>>()?;
    for name in [ROOTFS, UPPER, WORK] {
        fs::create_dir(name).or_else(ignore_existing).map_err(|source| broken(name, source))?;
    }
    let nothing = PathBuf::from(EMPTY);
    if opened.is_empty() {
        fs::create_dir(EMPTY).or_else(ignore_existing).map_err(|source| broken(EMPTY, source))?;
        opened.push((&nothing, folder(&nothing)?));
    }
    like_its_image(&opened)?;
    let lower: Vec<&OwnedFd> = opened.iter().map(|(_, fd)| fd).collect();
    let Err(errno) = overlay(&lower) else { return Ok(None) };
    drop(opened);
    for layer in layers {
        copy::over(layer, Path::new(ROOTFS)).map_err(|source| broken(ROOTFS, source))?;
    }
    Ok(Some(format!(
        "overlayfs cannot be mounted in the data directory ({errno}): the image was copied for \
         this task, which takes time and space; use ext4, xfs or btrfs"
    )))
}

/// Sets owner and mode of the upper folder, which the root of an overlay takes over.
fn like_its_image(layers: &[(&PathBuf, OwnedFd)]) -> Result<(), StartError> {
    let Some((top, _)) = layers.last() else { return Ok(()) };
    let made = fs::metadata(top).and_then(|top| {
        chown(UPPER, Some(top.uid()), Some(top.gid()))?;
        fs::set_permissions(UPPER, fs::Permissions::from_mode(top.mode() & 0o7777))
    });
    made.map_err(|source| broken(UPPER, source))
}

/// 127 layers with absolute paths do not fit into the one page of options that the kernel accepts.
/// Named by their descriptors, in the folder of descriptors, they take four bytes each.
fn overlay(layers: &[&OwnedFd]) -> nix::Result<()> {
    let here = place(".")?;
    let [target, upper, work] = [ROOTFS, UPPER, WORK].map(place);
    let (target, upper, work) = (target?, upper?, work?);
    let lower: Vec<String> = layers.iter().rev().map(|fd| fd.as_raw_fd().to_string()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        upper.as_raw_fd(),
        work.as_raw_fd()
    );
    chdir("/proc/self/fd")?;
    let target = target.as_raw_fd().to_string();
    let none = MsFlags::empty();
    let mounted = mount(Some("overlay"), target.as_str(), Some("overlay"), none, Some(&*options));
    fchdir(&here)?;
    mounted
}

fn place(path: &str) -> nix::Result<OwnedFd> {
    open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

fn folder(layer: &Path) -> Result<OwnedFd, StartError> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(layer, flags, Mode::empty())
        .map_err(|errno| StartError::Layer { path: layer.display().to_string(), errno })
}

fn ignore_existing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

fn broken(name: &str, source: io::Error) -> StartError {
    StartError::RunDir { path: name.to_owned(), source }
}

/// Removes the files that a container wrote, its volumes without a name, the files that it had of
/// configs, and its mount point. The
/// container must have ended. What cannot be removed here is removed with the folder of the run.
pub fn remove(run_dir: &Path) {
    remove_root(run_dir);
    let _ = fs::remove_dir_all(run_dir.join(OF_RUN));
    let _ = fs::remove_dir_all(run_dir.join(run_dir::CONFIGS));
}

/// The same without the volumes of the run.
pub fn remove_root(run_dir: &Path) {
    for name in [ROOTFS, UPPER, WORK, EMPTY, COPIES] {
        let _ = fs::remove_dir_all(run_dir.join(name));
    }
}
