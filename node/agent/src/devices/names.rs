//! From what udev lists to devices by kind and stable name. Pure: it sees a listing, not the machine.
//!
//! | kind | names | rules of systemd's udev |
//! |---|---|---|
//! | serial | `/dev/serial/by-id`, else `by-path` | `60-serial.rules` |
//! | camera | `/dev/v4l/by-id`, else `by-path`, the first interface of each | `60-persistent-v4l.rules` |
//! | gpu | `/dev/dri/by-path/…-render` without its last word; of NVIDIA's driver, the PCI address in the same form | `60-drm.rules` |
//!
//! A name is of the device (its serial number) or of its place (its port), never of the order in which
//! the kernel found it. `/dev/gpiochip*` and `/dev/i2c-*` have no such names and are left out.

use std::collections::{BTreeMap, BTreeSet};

use node_core::FoundDevices;

use crate::config::{DeviceKind, name_fault};

pub(super) const SERIAL_BY_ID: &str = "/dev/serial/by-id";
pub(super) const SERIAL_BY_PATH: &str = "/dev/serial/by-path";
pub(super) const CAMERA_BY_ID: &str = "/dev/v4l/by-id";
pub(super) const CAMERA_BY_PATH: &str = "/dev/v4l/by-path";
pub(super) const GPU_BY_PATH: &str = "/dev/dri/by-path";

/// The interface of a camera that gives pictures. The next ones of the same camera give metadata of
/// them, and would be counted as further cameras.
const FIRST_INTERFACE: &str = "-video-index0";

/// A device that computes without a screen: the other one of a GPU, `…-card`, is for who owns the
/// screen.
const RENDER: &str = "-render";

/// What all programs that use a GPU of NVIDIA need, if it is there.
const NVIDIA_SHARED: [&str; 4] =
    ["/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl"];

/// What was read from the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// By folder, the names of links to character devices, and these devices.
    pub(super) links: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// By PCI address, what NVIDIA's driver says of a GPU.
    pub(super) nvidia: BTreeMap<String, String>,
    /// Devices of NVIDIA's driver in `/dev`.
    pub(super) nvidia_files: BTreeSet<String>,
}

/// A name, and the files of its device: first its own.
type Candidate = (String, Vec<String>);

/// Devices that are offered, and those that cannot be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) found: FoundDevices,
    /// A device that no service could be given, with the reason.
    pub(super) skipped: BTreeSet<String>,
}

impl Listing {
    fn links(&self, folder: &'static str) -> impl Iterator<Item = (&String, &String)> {
        self.links.get(folder).into_iter().flatten()
    }

    /// The devices of these kinds.
    pub(super) fn named(&self, kinds: &BTreeSet<DeviceKind>) -> Named {
        let mut named = Named::default();
        for kind in kinds {
            let candidates = match kind {
                DeviceKind::Serial => self.plugged(SERIAL_BY_ID, SERIAL_BY_PATH, |_| true),
                DeviceKind::Camera => self
                    .plugged(CAMERA_BY_ID, CAMERA_BY_PATH, |link| link.ends_with(FIRST_INTERFACE)),
                DeviceKind::Gpu => self.gpus(),
            };
            named.add(kind.as_str(), candidates);
        }
        named
    }

    /// Devices that are plugged into USB, by their own name; those that have none, or share it with
    /// one that has it already, by their port. What is built in is in `by-path` too (codecs of a
    /// Raspberry Pi, a serial port for remote maintenance), and is no camera and no adapter.
    fn plugged(
        &self,
        by_id: &'static str,
        by_path: &'static str,
        is_one: impl Fn(&str) -> bool,
    ) -> Vec<Candidate> {
        let own = self.links(by_id);
        // A port has several links since systemd 255; `usb` comes before `usbv2`.
        let ports = self.links(by_path).filter(|(link, _)| {
            link.contains("-usb-") || link.contains("-usbv2-") || link.contains("-usbv3-")
        });
        let links = own.chain(ports).filter(|(link, _)| is_one(link));
        links.map(|(link, file)| (link.clone(), vec![file.clone()])).collect()
    }

    /// Renderers, and GPUs of NVIDIA's driver: with `nvidia-drm`, one GPU is both.
    fn gpus(&self) -> Vec<Candidate> {
        let renderers = self.links(GPU_BY_PATH).filter_map(|(link, file)| {
            let name = link.strip_suffix(RENDER)?;
            // A processor for neural networks has a renderer, too, and draws nothing.
            (!name.ends_with(".npu")).then(|| (name.to_owned(), vec![file.clone()]))
        });
        let mut gpus: BTreeMap<String, Vec<String>> = renderers.collect();
        for (address, said) in &self.nvidia {
            let Some(file) = nvidia_file(said).filter(|file| self.nvidia_files.contains(file))
            else {
                continue;
            };
            let files = gpus.entry(format!("pci-{address}")).or_default();
            files.insert(0, file);
            let shared = NVIDIA_SHARED.iter().filter(|file| self.nvidia_files.contains(**file));
            files.extend(shared.map(|file| (*file).to_owned()));
        }
        gpus.into_iter().collect()
    }
}

impl Named {
    /// Adds each device by the first of its names that a resource can have.
    fn add(&mut self, kind: &str, candidates: Vec<Candidate>) {
        let of_kind = self.found.entry(kind.to_owned()).or_default();
        let (mut seen, mut faults) = (BTreeSet::new(), BTreeMap::new());
        for (name, files) in candidates {
            let Some(file) = files.first().cloned() else { continue };
            if let Some(why) = name_fault(&name) {
                faults
                    .entry(file)
                    .or_insert_with_key(|file| format!("{kind} {name:?} ({file}): {why}"));
            } else if seen.insert(file) {
                of_kind.insert(name, files);
            }
        }
        faults.retain(|file, _| !seen.contains(file));
        self.skipped.extend(faults.into_values());
    }
}

/// The device of a GPU, by the number in its `information`: it is not the order of PCI addresses.
fn nvidia_file(information: &str) -> Option<String> {
    let line = information.lines().find_map(|line| line.strip_prefix("Device Minor:"))?;
    let number: u8 = line.trim().parse().ok()?;
    Some(format!("/dev/nvidia{number}"))
}

#[cfg(test)]
mod tests;
