//! The devices of this machine, found by the names that udev gives them, at the start and every few
//! seconds.
//!
//! Some folders are read, and nothing is opened: most devices do something when they are. Reading
//! beats being told by the kernel here: the folders come and go with their devices, so that `/dev`
//! itself would have to be watched, where every terminal that is opened makes noise. What the names
//! mean is in [`names`], when a device is gone is decided by the node.

mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use node_core::FoundDevices;

use super::command::Command;
use super::handle::WeakHandle;
use crate::config::DeviceKind;
use names::Listing;

/// Between two looks: on a machine without such devices, six folders that are not there.
const INTERVAL: Duration = Duration::from_secs(3);

/// Where NVIDIA's driver has a folder for each GPU, named by its PCI address.
const NVIDIA: &str = "/proc/driver/nvidia/gpus";

/// Looks for devices of some kinds.
#[derive(Debug)]
pub(super) struct Finder {
    kinds: BTreeSet<DeviceKind>,
    last: FoundDevices,
    skipped: SkippedDevices,
}

/// Devices that cannot be offered, each with the reason; clones share them.
pub(super) type SkippedDevices = Arc<Mutex<BTreeSet<String>>>;

impl Finder {
    /// Nothing was found yet.
    pub(super) fn new(kinds: BTreeSet<DeviceKind>) -> Finder {
        Finder { kinds, last: FoundDevices::new(), skipped: SkippedDevices::default() }
    }

    /// Those that cannot be offered.
    pub(super) fn skipped(&self) -> SkippedDevices {
        Arc::clone(&self.skipped)
    }

    /// All devices that are there. Tells once of each that cannot be offered.
    pub(super) fn find(&mut self) -> &FoundDevices {
        let named = list(&self.kinds).named(&self.kinds);
        let mut skipped = self.skipped.lock().expect("nothing panics while it holds this");
        for new in named.skipped.difference(&skipped) {
            tracing::warn!("a device is not offered to services: {new}");
        }
        *skipped = named.skipped;
        drop(skipped);
        self.last = named.found;
        &self.last
    }

    /// The same, if it differs from the last time.
    fn find_changed(&mut self) -> Option<FoundDevices> {
        let before = std::mem::take(&mut self.last);
        let found = self.find();
        (*found != before).then(|| found.clone())
    }
}

/// Looks for as long as the agent lives, without keeping any part of it alive.
pub(super) async fn watch(handle: WeakHandle, mut finder: Finder) {
    while !finder.kinds.is_empty() {
        tokio::time::sleep(INTERVAL).await;
        let Some(agent) = handle.upgrade() else { return };
        if let Some(found) = finder.find_changed()
            && agent.send(Command::Devices(found)).await.is_err()
        {
            return;
        }
    }
}

fn list(kinds: &BTreeSet<DeviceKind>) -> Listing {
    let folders = kinds.iter().flat_map(|kind| match kind {
        DeviceKind::Serial => &[names::SERIAL_BY_ID, names::SERIAL_BY_PATH][..],
        DeviceKind::Camera => &[names::CAMERA_BY_ID, names::CAMERA_BY_PATH],
        DeviceKind::Gpu => &[names::GPU_BY_PATH],
    });
    let links = folders.map(|folder| (*folder, links(Path::new(folder)))).collect();
    let nvidia = if kinds.contains(&DeviceKind::Gpu) { nvidia() } else { BTreeMap::new() };
    let nvidia_files = if nvidia.is_empty() { BTreeSet::new() } else { nvidia_files() };
    Listing { links, nvidia, nvidia_files }
}

/// The links of a folder that lead to character devices. A link may dangle while udev is at it.
fn links(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let links = entries.filter_map(|entry| {
        let file = fs::canonicalize(entry.path()).ok()?;
        let is_device = fs::metadata(&file).is_ok_and(|found| found.file_type().is_char_device());
        let name = entry.file_name().to_string_lossy().into_owned();
        is_device.then(|| (name, file.to_string_lossy().into_owned()))
    });
    links.collect()
}

/// What NVIDIA's driver says of each GPU.
fn nvidia() -> BTreeMap<String, String> {
    let entries = fs::read_dir(NVIDIA).into_iter().flatten().flatten();
    let gpus = entries.filter_map(|entry| {
        let said = fs::read_to_string(entry.path().join("information")).ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), said))
    });
    gpus.collect()
}

fn nvidia_files() -> BTreeSet<String> {
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    let devices = entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_char_device()));
    let paths = devices.map(|entry| entry.path().to_string_lossy().into_owned());
    paths.filter(|path| path.starts_with("/dev/nvidia")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_to_devices_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = |to: &str, name: &str| symlink(to, folder.path().join(name)).expect("linked");
        link("/dev/null", "usb-A");
        link("/dev/no-such-device", "usb-dangles");
        link("/etc/passwd", "usb-file");
        fs::create_dir(folder.path().join("folder")).expect("made");
        let found = links(folder.path());
        assert_eq!(found, BTreeMap::from([("usb-A".to_owned(), "/dev/null".to_owned())]));
        assert!(links(&folder.path().join("nowhere")).is_empty());
    }

    #[test]
    fn what_did_not_change_is_not_told_again() {
        let mut finder = Finder::new(DeviceKind::ALL.into());
        finder.find();
        assert_eq!(finder.find_changed(), None);
        finder.last.clear();
        assert!(finder.find_changed().is_some());
    }
}
