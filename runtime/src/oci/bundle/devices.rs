//! The devices of a container: Docker's default ones, and devices of the node that the service
//! gives it.
//!
//! The runtime itself makes `null`, `zero`, `full`, `random`, `urandom`, `tty`, `ptmx` and the
//! console. A rule of the cgroup allows the use of a device, and a node in `/dev` gives it a name;
//! both are needed.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crdt_state::spec::{Container, Device};
use nix::errno::Errno;
use nix::sys::stat::{major, minor};
use oci_spec::runtime::{
    LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
};

use super::BundleError;

/// What Docker allows to every container: `zero`, `null`, `urandom`, `random`, `tty`, `console`.
const DEFAULT: [(i64, i64); 6] = [(1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1)];
/// Folders of `/dev` that hold no devices of the node, or that the container has itself.
const OWN_FOLDERS: [&str; 5] = ["pts", "shm", "fd", "mqueue", "hugepages"];
/// Deeper than any folder of devices is: `/dev/bus/usb/001/002` is three below.
const DEPTH_MAX: u32 = 8;

/// The device nodes to make, and the rules of the cgroup; of these a later rule wins.
pub fn devices(
    container: &Container,
) -> Result<(Vec<LinuxDevice>, Vec<LinuxDeviceCgroup>), BundleError> {
    let mut nodes = Vec::new();
    if container.privileged {
        walk(Path::new("/dev"), "/dev", DEPTH_MAX, &mut nodes);
        nodes.retain(|node| node.path() != Path::new("/dev/console"));
    }
    let mut rules = vec![deny_all()];
    rules.extend(
        DEFAULT
            .iter()
            .map(|(major, minor)| rule(LinuxDeviceType::C, Some(*major), Some(*minor), "rwm")),
    );
    for device in &container.devices {
        let permissions = permissions(device)?;
        let found = of_node(device)?;
        nodes.retain(|known| found.iter().all(|new| new.path() != known.path()));
        rules.extend(
            found
                .iter()
                .map(|node| rule(node.typ(), Some(node.major()), Some(node.minor()), permissions)),
        );
        nodes.extend(found);
    }
    if container.privileged {
        rules = vec![rule(LinuxDeviceType::A, None, None, "rwm")];
    }
    Ok((nodes, rules))
}

fn permissions(device: &Device) -> Result<&str, BundleError> {
    let given = device.permissions.as_str();
    let known = |letter: char| matches!(letter, 'r' | 'w' | 'm');
    match given {
        "" => Ok("rwm"),
        given if given.chars().all(known) => Ok(given),
        _ => Err(BundleError::DevicePermissions {
            path: device.host.clone(),
            permissions: device.permissions.clone(),
        }),
    }
}

/// The device, or all devices of a folder.
fn of_node(device: &Device) -> Result<Vec<LinuxDevice>, BundleError> {
    let path = Path::new(&device.host);
    let target = if device.container.is_empty() { &device.host } else { &device.container };
    if !target.starts_with('/') {
        return Err(BundleError::RelativeTarget(target.clone()));
    }
    let missing = |error: std::io::Error| BundleError::NoDevice {
        path: device.host.clone(),
        errno: Errno::from_raw(error.raw_os_error().unwrap_or(0)),
    };
    // A link such as /dev/serial/by-id/… stands for its target.
    let path = fs::canonicalize(path).map_err(missing)?;
    if fs::metadata(&path).map_err(missing)?.is_dir() {
        let mut nodes = Vec::new();
        walk(&path, target, DEPTH_MAX, &mut nodes);
        return Ok(nodes);
    }
    match node(&path, target) {
        Some(node) => Ok(vec![node]),
        None => Err(BundleError::NotADevice(device.host.clone())),
    }
}

fn walk(folder: &Path, target: &str, depth: u32, nodes: &mut Vec<LinuxDevice>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut entries: Vec<fs::DirEntry> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let target = format!("{}/{name}", target.trim_end_matches('/'));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !OWN_FOLDERS.contains(&name.as_str()) => {
                walk(&entry.path(), &target, depth, nodes);
            }
            Ok(kind) if kind.is_char_device() || kind.is_block_device() => {
                nodes.extend(node(&entry.path(), &target));
            }
            _ => {}
        }
    }
}

fn node(path: &Path, target: &str) -> Option<LinuxDevice> {
    let found = fs::metadata(path).ok()?;
    let kind = found.file_type();
    let typ = match (kind.is_char_device(), kind.is_block_device()) {
        (true, _) => LinuxDeviceType::C,
        (_, true) => LinuxDeviceType::B,
        _ => return None,
    };
    let number = |number: u64| i64::try_from(number).ok();
    let node = LinuxDeviceBuilder::default()
        .path(target)
        .typ(typ)
        .major(number(major(found.rdev()))?)
        .minor(number(minor(found.rdev()))?)
        .file_mode(found.mode() & 0o7777)
        .uid(found.uid())
        .gid(found.gid());
    Some(node.build().expect("every field has a default"))
}

fn rule(
    typ: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = deny_all();
    rule.set_allow(true).set_typ(Some(typ)).set_major(major).set_minor(minor);
    rule.set_access(Some(access.to_owned()));
    rule
}

fn deny_all() -> LinuxDeviceCgroup {
    let rule = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm");
    rule.build().expect("every field has a default")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(host: &str, target: &str, permissions: &str) -> Container {
        let device = Device {
            host: host.to_owned(),
            container: target.to_owned(),
            permissions: permissions.to_owned(),
        };
        Container { devices: vec![device], ..Container::default() }
    }

    #[test]
    fn everything_is_denied_first_and_a_given_device_is_allowed_last() {
        let (nodes, rules) = devices(&given("/dev/null", "/dev/void", "r")).expect("it is there");
        assert_eq!(rules[0].to_string(), "a *:* rwm");
        assert!(!rules[0].allow() && rules[1..].iter().all(LinuxDeviceCgroup::allow));
        assert_eq!(rules.last().expect("one was added").to_string(), "c 1:3 r");
        assert_eq!(nodes.len(), 1);
        assert_eq!(nodes[0].path(), Path::new("/dev/void"));
        assert_eq!((nodes[0].major(), nodes[0].minor()), (1, 3));
    }

    #[test]
    fn a_folder_stands_for_all_devices_in_it() {
        let (nodes, _) = devices(&given("/dev", "/host/", "")).expect("it is there");
        assert!(nodes.iter().any(|node| node.path() == Path::new("/host/null")));
        assert!(nodes.iter().all(|node| !node.path().starts_with("/host/pts")));
    }

    #[test]
    fn privileged_means_every_device() {
        let container = Container { privileged: true, ..Container::default() };
        let (nodes, rules) = devices(&container).expect("there is a /dev");
        assert_eq!(rules.len(), 1);
        assert_eq!((rules[0].allow(), rules[0].to_string().as_str()), (true, "a *:* rwm"));
        assert!(nodes.iter().any(|node| node.path() == Path::new("/dev/null")));
    }

    #[test]
    fn what_is_no_device_is_refused_with_a_reason() {
        let refused = |host: &str, target: &str, permissions: &str| {
            devices(&given(host, target, permissions)).expect_err(host)
        };
        let missing = refused("/dev/ttyUSB99", "", "");
        assert!(matches!(missing, BundleError::NoDevice { errno: Errno::ENOENT, .. }));
        assert!(!missing.is_permanent(), "it may be plugged in");
        assert!(matches!(refused("/etc/passwd", "", ""), BundleError::NotADevice(_)));
        let letters = refused("/dev/null", "", "rx");
        assert!(matches!(letters, BundleError::DevicePermissions { .. }));
        assert!(matches!(refused("/dev/null", "x", ""), BundleError::RelativeTarget(_)));
    }
}
