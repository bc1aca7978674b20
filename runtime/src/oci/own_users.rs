//! A container with user and group ids of its own: its root, and whatever is mounted into it, shown
//! with these ids.
//!
//! ```text
//! on the disk        0 … 65535    layers, volumes, folders of the node, configs
//!    │ mounts with mapped ids, which only the launcher and the container see
//! on the node    first … +65535   what processes of the container are; what they write over the image
//!    │ the namespace of the container
//! in the container   0 … 65535
//! ```
//! All these mounts lie below [`STAGE`]: a runtime looks them up as the container's root, who may not
//! enter the folders of the agent. Nothing may stay unmapped in silence: what the kernel or a file
//! system cannot do ends the start.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open};
use nix::libc::dev_t;
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstat, makedev, mknod};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use oci_spec::runtime::{
    LinuxIdMapping, LinuxIdMappingBuilder, LinuxNamespace, LinuxNamespaceType, Mount, Spec,
};

use super::bundle::{BundleError, is_bind};
use super::idmap::{self, Depth};
use super::rootfs::{self, ROOTFS, UPPER};
use super::{ContainerOrder, OciRuntime};
use crate::refusal::StartError;
use crate::run_dir;
use crate::user_range::{IDS, UserRange};

/// Where all of a container is mounted, for it and its launcher alone. On the machine itself it stays
/// an empty folder, which every user may enter.
const STAGE: &str = "/run/edgectl-root";

/// The number of `/dev/null`.
const NULL: dev_t = makedev(1, 3);

/// Groups that may ping: Docker's value has more of them than there are in the container.
const PING_GROUPS: (&str, &str) = ("net.ipv4.ping_group_range", "0 65535");

/// Gives a container its own user namespace, and mounts its root and its bind mounts with these ids.
/// To be called last before the runtime, in the folder of the run, with the root mounted there.
pub fn apply(
    range: UserRange,
    container: &ContainerOrder,
    spec: &mut Spec,
) -> Result<(), StartError> {
    let devices = spec.linux().as_ref().and_then(|linux| linux.devices().as_ref());
    if devices.is_some_and(|devices| !devices.is_empty()) {
        return Err(BundleError::DevicesOfOwnUsers.into());
    }
    let namespace = idmap::namespace(range).map_err(BundleError::NoUserNamespace)?;
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    // Before something lies over the place where a source may be.
    let trees = trees(&mounts, namespace.as_fd())?;
    make_stage().map_err(|source| StartError::RunDir { path: STAGE.to_owned(), source })?;
    for (at, tree) in trees {
        let place = Path::new(STAGE).join(format!("mount{at}"));
        idmap::attach(&tree, &place).map_err(step("mount files for its users"))?;
        mounts[at].set_source(Some(place));
        keep_flags(&mut mounts[at], &tree).map_err(step("look at what is to be mounted"))?;
    }
    let root = mount_root(range, &container.layers, namespace.as_fd())?;
    if let Some(described) = spec.root_mut() {
        described.set_path(root);
    }
    own_network(spec, &mut mounts)?;
    spec.set_mounts(Some(mounts));
    describe(range, spec);
    Ok(())
}

/// The same id as a process of the container has it on the node. `None`: it has no such id.
pub fn on_node(spec: &Spec, id: u32) -> Option<u32> {
    let maps = spec.linux().as_ref().and_then(|linux| linux.uid_mappings().as_ref());
    match maps.and_then(|maps| maps.first()) {
        None => Some(id),
        Some(map) => UserRange { first: map.host_id() }.on_node(id),
    }
}

/// Prepares this process for a further program in such a container.
pub fn before_exec() -> Result<(), StartError> {
    rootfs::isolate()?;
    make_stage().map_err(|source| StartError::RunDir { path: STAGE.to_owned(), source })?;
    // They look for the root where it was, and then enter that of the container.
    fs::create_dir(Path::new(STAGE).join(ROOTFS))
        .map_err(|source| StartError::RunDir { path: STAGE.to_owned(), source })
}

/// The runtime that makes such a container. libcontainer runs further programs, health commands among
/// them, outside of its user namespace, as root of the node: it must never be asked.
pub fn runtime(configured: &OciRuntime) -> Result<OciRuntime, StartError> {
    if *configured != OciRuntime::Embedded {
        return Ok(configured.clone());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    match ["crun", "runc"].into_iter().find(|name| is_there(name)) {
        Some(name) => Ok(name.parse().expect("a name of a runtime")),
        None => Err(StartError::NoRuntimeOfUsers),
    }
}

/// A `/dev/null` of the container's own, which this process and its children see in place of the
/// node's: a runtime hands it over to the container's user, who could then close it to all others.
pub fn null() -> Result<OwnedFd, StartError> {
    let path = Path::new(STAGE).join("null");
    let mode = Mode::from_bits_truncate(0o666);
    let opened = mknod(&path, SFlag::S_IFCHR, mode, NULL)
        .and_then(|()| fchmodat(AT_FDCWD, &path, mode, FchmodatFlags::FollowSymlink))
        .and_then(|()| {
            mount(Some(&path), "/dev/null", None::<&str>, MsFlags::MS_BIND, None::<&str>)
        })
        .and_then(|()| open(&path, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()));
    opened.map_err(step("make a /dev/null for its users"))
}

/// The streams with another one in place of the node's `/dev/null`.
pub fn streams<'a>(streams: [BorrowedFd<'a>; 3], null: Option<&'a OwnedFd>) -> [BorrowedFd<'a>; 3] {
    let Some(null) = null else { return streams };
    let is_null = |stream: &BorrowedFd<'_>| {
        let is_device = |mode| SFlag::from_bits_truncate(mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
        fstat(stream).is_ok_and(|found| is_device(found.st_mode) && found.st_rdev == NULL)
    };
    streams.map(|stream| if is_null(&stream) { null.as_fd() } else { stream })
}

/// What the bind mounts show, by their numbers.
fn trees(mounts: &[Mount], namespace: BorrowedFd<'_>) -> Result<Vec<(usize, OwnedFd)>, StartError> {
    let mut trees = Vec::new();
    for (at, mount) in mounts.iter().enumerate().filter(|(_, mount)| is_bind(mount)) {
        let Some(source) = mount.source() else { continue };
        let is_whole = mount.options().iter().flatten().any(|option| option == "rbind");
        let depth = if is_whole { Depth::Whole } else { Depth::One };
        let tree = idmap::tree(source, depth).map_err(|errno| match errno {
            Errno::ENOENT => {
                BundleError::NoSource { path: source.display().to_string(), errno }.into()
            }
            errno => StartError::Step { step: "look at what is to be mounted", errno },
        })?;
        // They were written for the users of the container.
        if source.parent().is_none_or(|parent| !parent.ends_with(run_dir::SECRETS)) {
            map(&tree, source, depth, namespace)?;
        }
        trees.push((at, tree));
    }
    Ok(trees)
}

fn map(
    tree: &OwnedFd,
    path: &Path,
    depth: Depth,
    namespace: BorrowedFd<'_>,
) -> Result<(), StartError> {
    let unmapped = |errno| BundleError::NoMappedIds { path: path.display().to_string(), errno };
    idmap::map(tree, depth, namespace).map_err(|errno| unmapped(errno).into())
}

/// What a file system forbids must be asked for again: only root of the node may allow it.
fn keep_flags(mount: &mut Mount, tree: &OwnedFd) -> nix::Result<()> {
    let flags = fstatvfs(tree)?.flags();
    let mut options = mount.options().clone().unwrap_or_default();
    for (flag, word) in [
        (FsFlags::ST_RDONLY, "ro"),
        (FsFlags::ST_NOSUID, "nosuid"),
        (FsFlags::ST_NODEV, "nodev"),
        (FsFlags::ST_NOEXEC, "noexec"),
    ] {
        if flags.contains(flag) && !options.iter().any(|option| option == word) {
            options.push(word.to_owned());
        }
    }
    if options.iter().any(|option| option == "ro") {
        options.retain(|option| option != "rw");
    }
    mount.set_options(Some(options));
    Ok(())
}

fn make_stage() -> io::Result<()> {
    let made = fs::DirBuilder::new().mode(0o755).create(STAGE);
    made.or_else(rootfs::ignore_existing)?;
    let (kind, options) = (Some("tmpfs"), Some("mode=0755,size=1m"));
    let flags = MsFlags::MS_NOSUID;
    mount(kind, STAGE, kind, flags, options).map_err(io::Error::from)?;
    fs::set_permissions(STAGE, fs::Permissions::from_mode(0o755))
}

/// Mounts the layers, with mapped ids, below what the container writes, which has its ids on the disk:
/// it ends with the run.
fn mount_root(
    range: UserRange,
    layers: &[PathBuf],
    namespace: BorrowedFd<'_>,
) -> Result<PathBuf, StartError> {
    umount(ROOTFS).map_err(step("mount the root for its users"))?;
    let owned = own(range, Path::new(UPPER));
    owned.map_err(|source| StartError::RunDir { path: UPPER.to_owned(), source })?;
    let mut mapped = Vec::new();
    for (number, layer) in rootfs::lower(layers).iter().enumerate() {
        let tree = idmap::tree(layer, Depth::One).map_err(step("look at the image's layers"))?;
        map(&tree, layer, Depth::One, namespace)?;
        let place = Path::new(STAGE).join(format!("layer{number}"));
        idmap::attach(&tree, &place).map_err(step("mount the image's layers"))?;
        mapped.push(rootfs::folder(&place)?);
    }
    let root = Path::new(STAGE).join(ROOTFS);
    fs::create_dir(&root)
        .map_err(|source| StartError::RunDir { path: STAGE.to_owned(), source })?;
    rootfs::overlay(&mapped, &root).map_err(BundleError::NoMappedRoot)?;
    Ok(root)
}

/// Gives the container what was made for it before.
fn own(range: UserRange, path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let id = |id: u32| if range.holds(id) { Some(id) } else { range.on_node(id) };
    lchown(path, id(found.uid()), id(found.gid()))?;
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            own(range, &entry?.path())?;
        }
    }
    Ok(())
}

/// What its network lets only root of the node do: a namespace that was made before, or that of the
/// node, is not the container's.
fn own_network(spec: &mut Spec, mounts: &mut [Mount]) -> Result<(), StartError> {
    let Some(linux) = spec.linux_mut() else { return Ok(()) };
    let network = linux.namespaces().iter().flatten();
    let network = network.filter(|one| one.typ() == LinuxNamespaceType::Network);
    let network: Option<Option<PathBuf>> = network.map(|one| one.path().clone()).next();
    let mut settings = linux.sysctl().clone().unwrap_or_default();
    let joined = match network {
        Some(None) => {
            if let Some(groups) = settings.get_mut(PING_GROUPS.0) {
                PING_GROUPS.1.clone_into(groups);
            }
            linux.set_sysctl(Some(settings));
            return Ok(());
        }
        Some(Some(path)) => Some(path),
        None => None,
    };
    let of_network = settings.extract_if(|name, _| name.starts_with("net.")).collect();
    linux.set_sysctl(Some(settings));
    let Some(path) = joined else { return mount_sysfs(mounts) };
    let back = join(&path)?;
    set(&of_network)?;
    mount_sysfs(mounts)?;
    setns(back, CloneFlags::CLONE_NEWNET).map_err(step("leave its network namespace"))
}

/// Joins a network namespace; returns the one before.
fn join(path: &Path) -> Result<fs::File, StartError> {
    let broken = |source| StartError::RunDir { path: path.display().to_string(), source };
    let back = fs::File::open("/proc/self/ns/net").map_err(broken)?;
    let opened = fs::File::open(path).map_err(broken)?;
    setns(opened, CloneFlags::CLONE_NEWNET).map_err(step("join its network namespace"))?;
    Ok(back)
}

/// Sets parameters of the network that this process is in.
fn set(settings: &HashMap<String, String>) -> Result<(), StartError> {
    for (name, value) in settings {
        // Of a name with dots, a `/` is a dot in the name of a device.
        let swapped = |c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        };
        let path: PathBuf =
            ["/proc/sys", &name.chars().map(swapped).collect::<String>()].iter().collect();
        fs::write(&path, value)
            .map_err(|source| StartError::RunDir { path: path.display().to_string(), source })?;
    }
    Ok(())
}

/// Only who owns a network may mount its view of the devices: it is mounted here, to be shown.
fn mount_sysfs(mounts: &mut [Mount]) -> Result<(), StartError> {
    let is_sysfs = |mount: &&mut Mount| mount.typ().as_deref() == Some("sysfs");
    let Some(asked) = mounts.iter_mut().find(is_sysfs) else { return Ok(()) };
    let place = Path::new(STAGE).join("sys");
    fs::create_dir(&place)
        .map_err(|source| StartError::RunDir { path: STAGE.to_owned(), source })?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    mount(Some("sysfs"), &place, Some("sysfs"), flags, None::<&str>)
        .map_err(step("mount /sys for its users"))?;
    let options = ["bind", "ro", "nosuid", "noexec", "nodev"].map(str::to_owned).to_vec();
    asked.set_typ(Some("bind".to_owned())).set_source(Some(place)).set_options(Some(options));
    Ok(())
}

fn describe(range: UserRange, spec: &mut Spec) {
    let Some(linux) = spec.linux_mut() else { return };
    let map: LinuxIdMapping = LinuxIdMappingBuilder::default()
        .container_id(0_u32)
        .host_id(range.first)
        .size(IDS)
        .build()
        .expect("every field is given");
    let mut namespaces = linux.namespaces().clone().unwrap_or_default();
    let mut users = LinuxNamespace::default();
    users.set_typ(LinuxNamespaceType::User);
    namespaces.push(users);
    linux.set_namespaces(Some(namespaces));
    linux.set_uid_mappings(Some(vec![map])).set_gid_mappings(Some(vec![map]));
}

fn step(step: &'static str) -> impl Fn(Errno) -> StartError {
    move |errno| StartError::Step { step, errno }
}
