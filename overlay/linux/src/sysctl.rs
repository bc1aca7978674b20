//! The kernel's settings of a network namespace, below `/proc/sys/net`.
//!
//! A thread sees the settings of the namespace that it has entered, so the callers run these
//! functions inside [`crate::namespace::Namespace::enter`].

use std::{fs, io};

use crdt_state::interface;

/// A setting: its path below `/proc/sys/net`, and its value.
pub type Setting = (&'static str, &'static str);

/// A namespace of a network forwards packets. Its links copy `default` when they are made, so
/// these are written before there is any. Reverse-path filtering adds nothing where every route is
/// ours, and duplicate address detection would keep a link-local address unusable for two seconds. All
/// gateways of a network have one address, so errors of another node's come from an address that is
/// this one's too.
pub const OF_NETWORK: &[Setting] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/accept_local", "1"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
];

/// A new namespace copies its IPv4 settings from the machine's first one. A task on two networks
/// that filters by reverse path would drop what its default route does not lead back to.
pub const OF_TASK: &[Setting] = &[
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
];

/// Writes what differs, and counts it.
pub fn apply(settings: &[Setting]) -> io::Result<usize> {
    let mut changes = 0;
    for (name, value) in settings {
        changes += usize::from(set(name, value)?);
    }
    Ok(changes)
}

/// Writes what differs of an operator's settings, and counts it. The kernel shows some of them in
/// other words, with tabs between numbers, or not at all before they were written.
pub fn apply_to_interface(settings: &[interface::Setting]) -> io::Result<usize> {
    let mut changes = 0;
    for interface::Setting { path, value } in settings {
        let held = read(path).unwrap_or_default();
        if !held.split_whitespace().eq(value.split_whitespace()) {
            write(path, value)?;
            changes += 1;
        }
    }
    Ok(changes)
}

/// Writes one setting if it differs.
pub fn set(name: &str, value: &str) -> io::Result<bool> {
    if read(name)? == value {
        return Ok(false);
    }
    write(name, value)?;
    Ok(true)
}

fn write(name: &str, value: &str) -> io::Result<()> {
    let path = path(name);
    fs::write(&path, value).map_err(|error| named(&path, &error))
}

/// Reads one setting.
pub fn read(name: &str) -> io::Result<String> {
    let path = path(name);
    let read = fs::read_to_string(&path).map_err(|error| named(&path, &error))?;
    Ok(read.trim().into())
}

fn named(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}

fn path(name: &str) -> String {
    format!("/proc/sys/net/{name}")
}
