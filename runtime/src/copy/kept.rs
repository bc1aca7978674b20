//! The files of a container that was made by hand, whether it runs or not: all of them, or what it
//! changed in its image.
//!
//! They are read through a mount that only the helper sees: the layer that the container wrote above
//! those of its image. What is mounted into the container (volumes, `/proc`) is not in it. A
//! container that runs meanwhile may be seen in the middle of a change.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::stat::FileStat;
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use super::folder_entry::{self, FolderEntry, shown};
use super::{CopyError, pack};
use crate::exec::channel::Channel;
use crate::exec::frame::{CHUNK_BYTES, Kind};
use crate::exec::refusal::{CODE_CANNOT_RUN, ExecRefusal, Fault};
use crate::exec::request::ExecRequest;
use crate::oci::backend::CONFIG;
use crate::oci::rootfs::{self, UPPER};
use crate::run_dir::{self, Order};
use crate::tree::{Root, itself, name, whiteout};

/// One change, in Docker's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Change {
    /// In the container.
    pub path: String,
    /// 0: modified, 1: added, 2: deleted.
    pub kind: u8,
}

/// Serves a request that needs no running program, in the folder of the run.
pub(crate) fn serve(request: &ExecRequest, channel: &mut Channel) -> Result<(), ExecRefusal> {
    let order = std::fs::read(run_dir::ORDER).ok();
    let order = order.and_then(|bytes| run_dir::parse_order(&bytes).ok());
    let order = order.filter(|order| order.start.template.is_standalone()).ok_or(ExecRefusal {
        fault: Fault::NotRunning,
        code: CODE_CANNOT_RUN,
        message: "its files are not on its node any more".to_owned(),
    })?;
    let served = match request {
        ExecRequest::Changes => changes(&order, channel),
        ExecRequest::Layer => layer(&order, channel),
        ExecRequest::Stat { path } => super::stat_in(&view(&order)?, path, channel),
        ExecRequest::Get { path } => super::pack_in(&view(&order)?, path, channel),
        _ => export(&view(&order)?, channel),
    };
    served.map_err(ExecRefusal::from)
}

fn shared(order: &Order) -> PathBuf {
    Path::new("..").join(run_dir::name(run_dir::shared(order.start.run.task)))
}

fn layers(order: &Order) -> &[PathBuf] {
    order.container.as_ref().map_or(&[], |container| container.layers.as_slice())
}

fn view(order: &Order) -> Result<Root, ExecRefusal> {
    let fd = rootfs::view(layers(order), &shared(order)).map_err(|error| ExecRefusal {
        fault: Fault::Failed,
        code: CODE_CANNOT_RUN,
        message: error.to_string(),
    })?;
    folder_entry::root_at(&path_of(&fd)).map_err(ExecRefusal::from)
}

/// The path of an open folder, for calls that take no descriptor.
fn path_of(fd: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn export(root: &Root, channel: &mut Channel) -> Result<(), CopyError> {
    send(channel, |out| pack::pack(&folder_entry::find(root, "/")?, "/", out))
}

/// What the container wrote, as a layer of an image.
fn layer(order: &Order, channel: &mut Channel) -> Result<(), CopyError> {
    let upper = folder_entry::root_at(&shared(order).join(UPPER))?;
    send(channel, |out| pack::pack_layer(&folder_entry::find(&upper, "/")?, out))
}

fn send(
    channel: &mut Channel,
    packed: impl FnOnce(&mut BufWriter<&mut Channel>) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    channel.send(Kind::Started, &0_i32.to_be_bytes());
    let mut out = BufWriter::with_capacity(CHUNK_BYTES, &mut *channel);
    packed(&mut out)?;
    out.flush().map_err(|error| CopyError::of("/", error))?;
    drop(out);
    channel.send(Kind::Exited, &0_i32.to_be_bytes());
    Ok(())
}

fn changes(order: &Order, channel: &mut Channel) -> Result<(), CopyError> {
    let upper = folder_entry::root_at(&shared(order).join(UPPER))?;
    let below = layers(order).iter().rev().map(|layer| folder_entry::root_at(layer));
    let walk = Walk { below: below.collect::<Result<_, _>>()?, mounted: mount_points() };
    let mut found = Vec::new();
    let top = folder_entry::folder(&upper, "/")?;
    walk.folder(top.as_fd(), itself(), Path::new("/"), &mut found)?;
    found.sort_by(|one, other| one.path.cmp(&other.path));
    let words = serde_json::to_vec(&found).expect("changes are plain text");
    send(channel, |out| out.write_all(&words).map_err(|error| CopyError::of("/", error)))
}

/// Where something is mounted into the container: files and folders that its runtime made for that.
fn mount_points() -> Vec<PathBuf> {
    let spec = File::open(CONFIG).ok();
    let spec = spec.and_then(|file| serde_json::from_reader::<_, Spec>(BufReader::new(file)).ok());
    let mounts = spec.and_then(|spec| spec.mounts().clone()).unwrap_or_default();
    mounts.iter().map(|mount| mount.destination().clone()).collect()
}

struct Walk {
    /// The image's layers, the topmost first.
    below: Vec<Root>,
    mounted: Vec<PathBuf>,
}

/// Whether something below a folder is shown, or only the traces of mounts are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Below {
    Changes,
    Mounts,
    Nothing,
}

impl Walk {
    fn folder(
        &self,
        dir: BorrowedFd<'_>,
        entry: &OsStr,
        path: &Path,
        found: &mut Vec<Change>,
    ) -> Result<Below, CopyError> {
        let failed = |error: io::Error| CopyError::of(shown(path), error);
        let folder = name::open_folder(dir, entry).map_err(|errno| failed(errno.into()))?;
        let mut below = Below::Nothing;
        for child in name::list(&folder).map_err(failed)? {
            let child = child.map_err(failed)?.file_name();
            let seen = self.entry(&folder, &child, &path.join(&child), found)?;
            below = match (below, seen) {
                (Below::Changes, _) | (_, Below::Changes) => Below::Changes,
                (Below::Mounts, _) | (_, Below::Mounts) => Below::Mounts,
                _ => Below::Nothing,
            };
        }
        Ok(below)
    }

    fn entry(
        &self,
        folder: &OwnedFd,
        child: &OsStr,
        path: &Path,
        found: &mut Vec<Change>,
    ) -> Result<Below, CopyError> {
        let stat =
            name::stat(folder.as_fd(), child).map_err(|errno| CopyError::of(shown(path), errno))?;
        let mut push = |kind| found.push(Change { path: shown(path), kind });
        if whiteout::is_whiteout(&stat) {
            push(2);
            return Ok(Below::Changes);
        }
        let kind = u8::from(!self.is_below(path));
        let is_folder = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let is_mounted = kind == 1 && self.mounted.iter().any(|mounted| mounted == path);
        if !is_folder {
            if !is_mounted {
                push(kind);
            }
            return Ok(if is_mounted { Below::Mounts } else { Below::Changes });
        }
        let at = found.len();
        let below = self.folder(folder.as_fd(), child, path, found)?;
        // A folder in which nothing but mount points was made is no change of the container's.
        if below == Below::Mounts || is_mounted && below == Below::Nothing {
            return Ok(Below::Mounts);
        }
        found.insert(at, Change { path: shown(path), kind });
        Ok(Below::Changes)
    }

    /// Does the image have it?
    fn is_below(&self, path: &Path) -> bool {
        let looked_up = self.below.iter().map(|layer| self.stat(layer, path));
        let mut there = looked_up.flatten();
        there.next().is_some_and(|stat| !whiteout::is_whiteout(&stat))
    }

    fn stat(&self, layer: &Root, path: &Path) -> Option<FileStat> {
        let FolderEntry { dir, name } = folder_entry::find(layer, &shown(path)).ok()?;
        name::stat(dir.as_fd(), &name).ok()
    }
}
