//! The named volumes of a node: folders of data that outlive every task.
//!
//! ```text
//! <data>/volumes/<name>/
//!   volume.json    when it was made, and its labels
//!   _data/         what is mounted; empty until a task fills it
//!   _new/          an incomplete copy of an image's content; removed by the next copy
//!   _whole/        a complete copy on its way into _data; the move is continued
//!   lock           held by the process that fills it
//! ```
//! A folder without `volume.json` was never acknowledged and is made again. Nothing here decides
//! where a task runs, and nothing removes a volume but [`Volumes::remove`]. Volumes without a name
//! are not handled here: they are in the folder of their run and are removed with it, see
//! [`mod@fill`].

mod fill;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use crdt_state::spec::{Labels, MountSource, Template};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::run_dir::{self, sync, write_bytes};

pub use fill::{Filling, OF_RUN, fill};

const DATA: &str = "_data";
const META: &str = "volume.json";
/// Prefix of a removed volume's folder; no name of a volume begins with it.
const REMOVED: &str = ".removed-";

/// The longest name.
pub const NAME_BYTES_MAX: usize = 100;

/// How many volumes a node holds at most: the description of 500 volumes with the longest names,
/// 125 bytes each, is 62 KB and fits into one record.
pub const VOLUMES_MAX: usize = 500;

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Differs from the id of an earlier volume with the same name.
    pub id: u64,
    /// The labels that it was made with.
    pub labels: Labels,
    /// This node's time of day when it was made, milliseconds since 1970. Display only.
    pub created_wall_ms: u64,
    /// Where its content is.
    pub data: PathBuf,
}

/// Why an operation failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The name breaks Docker's rule.
    #[error(
        "{0:?} is no name for a volume: letters, digits, _ . and - may be in it, the first is a \
         letter or digit, and there are 2 to {NAME_BYTES_MAX} of them"
    )]
    Name(String),
    /// No volume of this name was made.
    #[error("{0}: no such volume on this node: see edgectl volume ls")]
    Unknown(String),
    /// The volume was here earlier.
    #[error(
        "the volume {0:?} was on this node's disk and is not there now: mount the disk that holds \
         it, or say that its data is lost: edgectl volume rm {0}"
    )]
    Missing(String),
    /// More than fit into the node's record.
    #[error("this node holds {VOLUMES_MAX} volumes, no more fit: edgectl volume prune")]
    TooMany,
    /// The disk.
    #[error("cannot {what} the volume {name:?}: {source}{}", explain(.source))]
    Disk {
        /// Which.
        name: String,
        /// Which step.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

fn explain(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": free some space on it",
        io::ErrorKind::ReadOnlyFilesystem => ": the disk is read-only, look at dmesg",
        _ => "",
    }
}

impl VolumeError {
    /// Can it never work with this template?
    pub fn is_permanent(&self) -> bool {
        matches!(self, VolumeError::Name(_))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    id: u64,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    created_wall_ms: u64,
}

/// All named volumes of this node. Its methods read and write files: call them only where blocking
/// is allowed.
#[derive(Debug, Clone)]
pub struct Volumes {
    root: PathBuf,
    changed: Arc<watch::Sender<()>>,
    /// Volumes that were made here and not removed, whether their disk is mounted or not.
    known: Arc<Mutex<BTreeSet<String>>>,
}

impl Volumes {
    /// Opens the folder, or makes it.
    pub fn open(root: &Path) -> Result<Volumes, VolumeError> {
        let open = || {
            fs::create_dir_all(root)?;
            root.canonicalize()
        };
        let root = open().map_err(disk("", "open the folder of"))?;
        let volumes =
            Volumes { root, changed: Arc::new(watch::Sender::new(())), known: Arc::default() };
        volumes.know(volumes.list().into_iter().map(|volume| volume.name));
        Ok(volumes)
    }

    /// Remembers that these were made here: none of them is made again just because its disk is not
    /// mounted.
    pub fn know(&self, names: impl IntoIterator<Item = String>) {
        self.known().extend(names);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.known.lock().expect("nothing panics while it holds this")
    }

    /// Notifies the receiver when a volume was made or removed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// All volumes by name. Unreadable ones are left out.
    pub fn list(&self) -> Vec<Volume> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut volumes: Vec<Volume> = names.filter_map(|name| self.find(&name)).collect();
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        volumes
    }

    /// One volume.
    pub fn find(&self, name: &str) -> Option<Volume> {
        check_name(name).ok()?;
        let folder = self.root.join(name);
        let meta: Meta = serde_json::from_slice(&fs::read(folder.join(META)).ok()?).ok()?;
        Some(Volume {
            name: name.to_owned(),
            id: meta.id,
            labels: meta.labels,
            created_wall_ms: meta.created_wall_ms,
            data: folder.join(DATA),
        })
    }

    /// Makes a volume, or finds the one that has the name already, as Docker does. When this
    /// returns, the volume survives a power cut.
    pub fn create(&self, name: &str, labels: &Labels) -> Result<Volume, VolumeError> {
        check_name(name)?;
        if let Some(known) = self.find(name) {
            return Ok(known);
        }
        if self.known().contains(name) {
            return Err(VolumeError::Missing(name.to_owned()));
        }
        if self.list().len() >= VOLUMES_MAX {
            return Err(VolumeError::TooMany);
        }
        self.make(name, labels).map_err(disk(name, "create"))?;
        self.known().insert(name.to_owned());
        self.changed.send_replace(());
        self.find(name).ok_or_else(|| VolumeError::Unknown(name.to_owned()))
    }

    fn make(&self, name: &str, labels: &Labels) -> io::Result<()> {
        let folder = self.root.join(name);
        fs::create_dir_all(folder.join(DATA))?;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let created_wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        let meta = Meta { id: random()?, labels: labels.clone(), created_wall_ms };
        write_bytes(&folder, META, &serde_json::to_vec(&meta).map_err(io::Error::from)?)?;
        sync(&folder.join(META))?;
        sync(&folder)?;
        sync(&self.root)
    }

    /// Removes a volume, also one whose disk is not mounted; [`Volumes::sweep`] deletes its
    /// contents. The caller must know that no task uses it.
    pub fn remove(&self, name: &str) -> Result<(), VolumeError> {
        let here = self.find(name);
        let was_known = self.known().remove(name);
        match here {
            Some(volume) => {
                let gone = self.root.join(format!("{REMOVED}{:016x}", volume.id));
                let removed =
                    fs::rename(self.root.join(name), gone).and_then(|()| sync(&self.root));
                removed.map_err(disk(name, "remove"))?;
            }
            None if was_known => {}
            None => return Err(VolumeError::Unknown(name.to_owned())),
        }
        self.changed.send_replace(());
        Ok(())
    }

    /// Deletes the contents of removed volumes; returns the freed bytes. Takes as long as deleting
    /// takes.
    pub fn sweep(&self) -> u64 {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let removed = entries.filter(|e| e.file_name().to_string_lossy().starts_with(REMOVED));
        removed
            .map(|entry| {
                let bytes = usage(&entry.path());
                // A folder that cannot be deleted now is tried again by the next call.
                fs::remove_dir_all(entry.path()).map_or(0, |()| bytes)
            })
            .sum()
    }

    /// The volumes that a template names, made if they do not exist: their folders, by name.
    pub fn of_template(
        &self,
        template: &Template,
    ) -> Result<BTreeMap<String, PathBuf>, VolumeError> {
        let mut found = BTreeMap::new();
        for mount in &template.container.mounts {
            if let MountSource::Volume { name, labels, .. } = &mount.source
                && !name.is_empty()
            {
                found.insert(name.clone(), self.create(name, labels)?.data);
            }
        }
        Ok(found)
    }
}

/// The named volumes that runs on this node have mounted, or may still mount, read from the folder
/// of all runs. A run whose final status is written has none.
pub fn in_use(runs: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten().map(|entry| entry.path());
    let live = entries.filter(|run| !run.join(run_dir::FINAL_STATUS).exists());
    let orders = live.filter_map(|run| fs::read(run.join(run_dir::ORDER)).ok());
    let orders = orders.filter_map(|bytes| run_dir::parse_order(&bytes).ok());
    orders.flat_map(|order| names(&order.start.template)).collect()
}

/// The names of the volumes that a template mounts.
pub fn names(template: &Template) -> BTreeSet<String> {
    let mounts = template.container.mounts.iter();
    let names = mounts.filter_map(|mount| match &mount.source {
        MountSource::Volume { name, .. } => Some(name.clone()),
        _ => None,
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// Docker's rule for names of volumes.
pub fn check_name(name: &str) -> Result<(), VolumeError> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-');
    let good = (2..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(fits)
        && name.as_bytes()[0].is_ascii_alphanumeric();
    if good { Ok(()) } else { Err(VolumeError::Name(name.to_owned())) }
}

/// Bytes in a folder and all folders below.
pub fn usage(data: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(data) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => usage(&entry.path()),
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn disk(name: &str, what: &'static str) -> impl FnOnce(io::Error) -> VolumeError {
    let name = name.to_owned();
    move |source| VolumeError::Disk { name, what, source }
}

#[cfg(test)]
mod tests;
