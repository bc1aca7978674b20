//! The root file system of a container: the image's layers below, a layer of the container's own
//! above.
//!
//! ```text
//! <run>/rootfs   where it is mounted, in a namespace that only the launcher and the container see
//! <run>/upper    what the container writes
//! <run>/work     overlayfs' own
//! ```
//! Those of a container that was made by hand lead into the folder that its attempts share, so that a
//! further start finds what it wrote.
//! Nothing is ever mounted where other processes of the machine see it, so that a killed monitor
//! leaves no mount behind. The layers are never written to.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
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
/// The image's copy, where overlayfs cannot be mounted, in the folder that attempts share.
const COPY: &str = "copy";

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
/// mounted they are copied, and a warning says so. What the container writes goes into `shared`, if
/// its attempts share a folder.
pub fn build(layers: &[PathBuf], shared: Option<&Path>) -> Result<Option<String>, StartError> {
    if let Some(shared) = shared {
        share(shared).map_err(|source| broken("the folder that attempts share", source))?;
    }
    for name in [ROOTFS, UPPER, WORK] {
        fs::create_dir(name).or_else(ignore_existing).map_err(|source| broken(name, source))?;
    }
    if layers.is_empty() {
        fs::create_dir(EMPTY).or_else(ignore_existing).map_err(|source| broken(EMPTY, source))?;
    }
    let lower = lower(layers);
    let opened = lower.iter().map(|layer| folder(layer));
    let opened: Vec<OwnedFd> = opened.collect::<Result<_, StartError>>()?;
    like_its_image(&lower)?;
    let Err(errno) = overlay(&opened, Path::new(ROOTFS)) else { return Ok(None) };
    drop(opened);
    match shared {
        None => copy_all(layers, Path::new(ROOTFS)).map_err(|source| broken(ROOTFS, source))?,
        Some(shared) => copy_once(layers, &shared.join(COPY))?,
    }
    Ok(Some(format!(
        "overlayfs cannot be mounted in the data directory ({errno}): the image was copied for \
         this task, which takes time and space; use ext4, xfs or btrfs"
    )))
}

/// The folders below what a container writes, lowest first: there is always one.
pub fn lower(layers: &[PathBuf]) -> Vec<PathBuf> {
    if layers.is_empty() { vec![PathBuf::from(EMPTY)] } else { layers.to_vec() }
}

/// The root file system of a container as it would be mounted, to read: whether it runs or not, without
/// what is mounted into it. It covers the current folder, where only this process sees it.
pub fn view(layers: &[PathBuf], shared: &Path) -> Result<OwnedFd, StartError> {
    let copy = shared.join(COPY);
    if copy.exists() {
        return folder(&copy);
    }
    // The folders must be those of the namespace in which they are mounted.
    isolate()?;
    let top = shared.join(UPPER);
    let opened = std::iter::once(&top).chain(layers.iter().rev()).map(|layer| folder(layer));
    let opened: Vec<OwnedFd> = opened.collect::<Result<_, StartError>>()?;
    if opened.len() < 2 {
        return folder(&top);
    }
    let here = std::env::current_dir().map_err(|source| broken(".", source))?;
    let step = |errno| StartError::Step { step: "mount the container's files", errno };
    let mounted = || {
        let (target, back) = (place(".")?, place(".")?);
        let lower: Vec<String> = opened.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
        let options = format!("lowerdir={}", lower.join(":"));
        chdir("/proc/self/fd")?;
        let target = target.as_raw_fd().to_string();
        let flags = MsFlags::MS_RDONLY;
        let done = mount(Some("overlay"), target.as_str(), Some("overlay"), flags, Some(&*options));
        fchdir(&back)?;
        done
    };
    mounted().map_err(step)?;
    folder(&here)
}

/// Leads the names of what the container writes into the folder that its attempts share.
fn share(shared: &Path) -> io::Result<()> {
    let made = fs::DirBuilder::new().mode(0o700).create(shared);
    made.or_else(ignore_existing)?;
    for name in [UPPER, WORK, OF_RUN] {
        fs::create_dir(shared.join(name)).or_else(ignore_existing)?;
        symlink(shared.join(name), name).or_else(ignore_existing)?;
    }
    Ok(())
}

fn copy_all(layers: &[PathBuf], into: &Path) -> io::Result<()> {
    layers.iter().try_for_each(|layer| copy::over(layer, into))
}

/// A further attempt finds the copy, with what the container changed in it.
fn copy_once(layers: &[PathBuf], copy: &Path) -> Result<(), StartError> {
    let made = || {
        if copy.exists() {
            return Ok(());
        }
        let draft = copy.with_extension("new");
        let _ = fs::remove_dir_all(&draft);
        fs::create_dir(&draft)?;
        copy_all(layers, &draft)?;
        fs::rename(&draft, copy)
    };
    made().map_err(|source| broken(COPY, source))?;
    mount(Some(copy), ROOTFS, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|errno| StartError::Step { step: "mount the copy of the image", errno })
}

/// Sets owner and mode of the upper folder, which the root of an overlay takes over.
fn like_its_image(layers: &[PathBuf]) -> Result<(), StartError> {
    let Some(top) = layers.last() else { return Ok(()) };
    let made = fs::metadata(top).and_then(|top| {
        chown(UPPER, Some(top.uid()), Some(top.gid()))?;
        fs::set_permissions(UPPER, fs::Permissions::from_mode(top.mode() & 0o7777))
    });
    made.map_err(|source| broken(UPPER, source))
}

/// Mounts open layers, lowest first, and what the container writes over them.
///
/// 127 layers with absolute paths do not fit into the one page of options that the kernel accepts.
/// Named by their descriptors, in the folder of descriptors, they take four bytes each.
pub fn overlay(layers: &[OwnedFd], target: &Path) -> nix::Result<()> {
    let [here, upper, work] = [".", UPPER, WORK].map(place);
    let (here, target, upper, work) = (here?, place(target)?, upper?, work?);
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

fn place(path: impl AsRef<Path>) -> nix::Result<OwnedFd> {
    open(path.as_ref(), OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// A layer, open as a place in the file system.
pub fn folder(layer: &Path) -> Result<OwnedFd, StartError> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(layer, flags, Mode::empty())
        .map_err(|errno| StartError::Layer { path: layer.display().to_string(), errno })
}

/// What is there already is as good as made.
pub fn ignore_existing(error: io::Error) -> io::Result<()> {
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
    let _ = fs::remove_dir(run_dir.join(run_dir::SECRETS));
}

/// The same without the volumes of the run.
pub fn remove_root(run_dir: &Path) {
    for name in [ROOTFS, UPPER, WORK, EMPTY, COPIES] {
        let _ = fs::remove_dir_all(run_dir.join(name));
    }
}
