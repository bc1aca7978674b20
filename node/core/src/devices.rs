//! The devices that were found on this machine, by stable names: what this node offers besides the
//! generic resources that its configuration declares.
//!
//! ```text
//! found ──▶ present ── not found any more ──▶ missing ── 10 s ──▶ gone: no longer offered
//!              ▲                                 │
//!              └──────────── found again ────────┘
//! ```
//! A device that is missing is still offered and given to nobody: an adapter that resets itself comes
//! back within seconds, and must not move a task. Whose kind the configuration declares is never
//! offered: what an operator wrote does not change by itself.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::resource::{NamedResources, RESOURCE_NAMES_MAX};
use crdt_state::spec::Resources;
use gossip::Now;

/// How long a device may be missing, in milliseconds. A USB device that resets itself is back within
/// 1 to 5 s; one that updates its firmware, within 10 s.
pub const DEVICE_GONE_MS: u64 = 10_000;

/// Devices by kind and name, each with its files in `/dev`: first its own, then those that all of its
/// kind need. A kind that is looked for is there without any device, too.
pub type FoundDevices = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// What this node offers by itself.
#[derive(Debug, Default)]
pub struct Devices {
    /// Kinds that are not offered: the configuration declares them.
    declared: BTreeSet<String>,
    /// How many names the record of this node has room for, besides declared ones.
    room: usize,
    present: FoundDevices,
    /// Until when a device that is not there is offered, with its own file, where that is known.
    missing: BTreeMap<(String, String), Missing>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Missing {
    until: Now,
    file: Option<String>,
}

impl Devices {
    /// At the start of an agent. Devices that it `published` before and does not find count as missing from
    /// now on: a machine that boots finds them one after the other.
    pub fn restore(
        now: Now,
        (declared, named): (&Resources, &NamedResources),
        found: FoundDevices,
        published: &NamedResources,
    ) -> Devices {
        let declared = declared.generic.keys().cloned().collect();
        let names: usize = named.values().map(BTreeSet::len).sum();
        let room = RESOURCE_NAMES_MAX.saturating_sub(names);
        let mut devices = Devices { declared, room, ..Devices::default() };
        let before = published.iter().filter(|(kind, _)| found.contains_key(*kind));
        let before = before.flat_map(|(kind, names)| names.iter().map(move |name| (kind, name)));
        for (kind, name) in before {
            let missing = Missing { until: now.plus(DEVICE_GONE_MS), file: None };
            devices.missing.insert((kind.clone(), name.clone()), missing);
        }
        devices.observe(now, found);
        devices
    }

    /// The machine was looked at: these are all devices that are there now.
    pub fn observe(&mut self, now: Now, found: FoundDevices) {
        let before = std::mem::replace(&mut self.present, found);
        self.present.retain(|kind, _| !self.declared.contains(kind));
        for (kind, devices) in before {
            for (name, files) in devices {
                let missing =
                    Missing { until: now.plus(DEVICE_GONE_MS), file: files.into_iter().next() };
                self.missing.insert((kind.clone(), name), missing);
            }
        }
        let taken: BTreeSet<&String> =
            self.present.values().flat_map(BTreeMap::values).filter_map(|f| f.first()).collect();
        let present = &self.present;
        self.missing.retain(|(kind, name), missing| {
            let is_back = |devices: &BTreeMap<String, _>| devices.contains_key(name);
            let is_looked_for = present.get(kind).is_some_and(|devices| !is_back(devices));
            // Whoever uses the file would use another device.
            is_looked_for && missing.file.as_ref().is_none_or(|file| !taken.contains(file))
        });
        self.on_due(now);
    }

    /// Gives up what has been missing for too long.
    pub fn on_due(&mut self, now: Now) {
        self.missing.retain(|_, missing| missing.until > now);
    }

    /// When the next device that is missing is given up.
    pub fn deadline(&self) -> Now {
        self.missing.values().map(|missing| missing.until).fold(Now::NEVER, Now::min)
    }

    /// The names that are offered, by kind: none of a kind whose devices are all gone.
    pub fn offered(&self) -> NamedResources {
        let present = self.present.iter().flat_map(|(kind, devices)| {
            devices.keys().map(move |name| (kind.clone(), name.clone()))
        });
        let mut offered = NamedResources::new();
        for (kind, name) in present.chain(self.missing.keys().cloned()).take(self.room) {
            offered.entry(kind).or_default().insert(name);
        }
        offered
    }

    /// Is this a kind that is looked for, and that the configuration does not declare?
    pub fn is_kind(&self, kind: &str) -> bool {
        self.present.contains_key(kind)
    }

    /// Is a device offered, whether it is there or missing?
    pub fn is_offered(&self, kind: &str, name: &str) -> bool {
        let named = (kind.to_owned(), name.to_owned());
        self.files(kind, name).is_some() || self.missing.contains_key(&named)
    }

    /// The files of a device that is there; the first is its own.
    pub fn files(&self, kind: &str, name: &str) -> Option<&[String]> {
        self.present.get(kind)?.get(name).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(adapters: &[(&str, &str)]) -> FoundDevices {
        let adapters =
            adapters.iter().map(|(name, file)| ((*name).to_owned(), vec![(*file).to_owned()]));
        FoundDevices::from([
            ("serial".to_owned(), adapters.collect()),
            ("gpu".to_owned(), BTreeMap::new()),
        ])
    }

    fn offered(devices: &Devices) -> Vec<String> {
        let offered = devices.offered();
        offered
            .into_iter()
            .flat_map(|(kind, names)| names.into_iter().map(move |n| format!("{kind}={n}")))
            .collect()
    }

    fn restored(declared: &[&str], found: FoundDevices, published: &[&str]) -> Devices {
        let generic = declared.iter().map(|kind| ((*kind).to_owned(), 1)).collect();
        let declared = Resources { generic, ..Resources::default() };
        let names = published.iter().map(|name| (*name).to_owned()).collect();
        let published = NamedResources::from([("serial".to_owned(), names)]);
        Devices::restore(Now(0), (&declared, &NamedResources::new()), found, &published)
    }

    #[test]
    fn a_device_that_comes_back_in_time_was_never_away() {
        let mut devices = restored(&[], found(&[("usb-A", "/dev/ttyUSB0")]), &[]);
        assert_eq!(
            (offered(&devices), devices.deadline()),
            (vec!["serial=usb-A".to_owned()], Now::NEVER)
        );
        devices.observe(Now(1_000), found(&[]));
        assert_eq!(devices.deadline(), Now(11_000));
        devices.on_due(Now(10_999));
        assert_eq!(offered(&devices), ["serial=usb-A"]);
        assert_eq!(devices.files("serial", "usb-A"), None, "nobody is given it");
        devices.observe(Now(10_999), found(&[("usb-A", "/dev/ttyUSB1")]));
        assert_eq!(
            (offered(&devices), devices.deadline()),
            (vec!["serial=usb-A".to_owned()], Now::NEVER)
        );
        assert_eq!(devices.files("serial", "usb-A"), Some(&["/dev/ttyUSB1".to_owned()][..]));
    }

    #[test]
    fn a_device_that_stays_away_is_gone() {
        let mut devices = restored(&[], found(&[("usb-A", "/dev/ttyUSB0")]), &[]);
        devices.observe(Now(1_000), found(&[]));
        devices.observe(Now(5_000), found(&[]));
        devices.on_due(Now(11_000));
        assert_eq!((offered(&devices), devices.deadline()), (Vec::new(), Now::NEVER));
        assert!(devices.is_kind("serial") && devices.is_kind("gpu") && !devices.is_kind("camera"));
    }

    #[test]
    fn a_device_whose_file_is_another_one_s_is_gone_at_once() {
        let mut devices = restored(&[], found(&[("usb-A", "/dev/ttyUSB0")]), &[]);
        devices.observe(Now(1_000), found(&[("usb-B", "/dev/ttyUSB0")]));
        assert_eq!(offered(&devices), ["serial=usb-B"]);
    }

    #[test]
    fn what_was_published_before_a_boot_is_awaited() {
        let mut devices = restored(&[], found(&[("usb-B", "/dev/ttyUSB0")]), &["usb-A", "usb-B"]);
        assert_eq!(offered(&devices), ["serial=usb-A", "serial=usb-B"]);
        devices.on_due(Now(DEVICE_GONE_MS));
        assert_eq!(offered(&devices), ["serial=usb-B"]);
        // Nothing is looked for any more: what was published then is not awaited.
        assert_eq!(offered(&restored(&[], FoundDevices::new(), &["usb-A"])), [""; 0]);
    }

    #[test]
    fn a_declared_kind_is_never_offered() {
        let mut devices = restored(&["serial"], found(&[("usb-A", "/dev/ttyUSB0")]), &["usb-A"]);
        assert!(offered(&devices).is_empty() && !devices.is_kind("serial"));
        devices.observe(Now(1), found(&[("usb-B", "/dev/ttyUSB0")]));
        assert!(offered(&devices).is_empty());
    }

    #[test]
    fn no_more_names_are_offered_than_a_record_may_have() {
        let names: Vec<String> = (0..2_000).map(|number| format!("usb-{number}")).collect();
        let adapters = names.iter().map(|name| (name.clone(), vec![format!("/dev/{name}")]));
        let many = FoundDevices::from([("serial".to_owned(), adapters.collect())]);
        assert_eq!(offered(&restored(&[], many, &[])).len(), RESOURCE_NAMES_MAX);
    }
}
