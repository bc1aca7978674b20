//! Settings of containers only, in lines for people, that Docker's lines leave out or have in part.
//! Defaults of `docker run` are left out.

use std::collections::BTreeMap;

use super::Lines;
use crate::value::show_bytes;
use node_docker::container_spec::{ContainerSpec, DeviceMapping, Mount};
use node_docker::task_spec::Platform;

pub(super) fn push(lines: &mut Lines, container: &ContainerSpec) {
    lines.push("Labels of it", pairs(&container.labels));
    lines.push("Groups", container.groups.join(", "));
    lines.push("Options", options(container));
    for mount in &container.mounts {
        lines.push("Mount", show_mount(mount));
    }
    let edge = container.edge.clone().unwrap_or_default();
    for device in &edge.devices {
        lines.push("Device", show_device(device));
    }
    lines.push("Hosts", container.hosts.join(", "));
    if let Some(dns) = &container.dns_config {
        let all = [&dns.nameservers[..], &dns.search, &dns.options].concat();
        lines.push("DNS", all.join(" "));
    }
    if container.oom_score_adj != 0 {
        lines.push("OOM score", container.oom_score_adj.to_string());
    }
}

pub(super) fn platforms(platforms: &[Platform]) -> String {
    let one = |platform: &Platform| {
        let parts = [&platform.os, &platform.architecture, &platform.variant];
        let parts: Vec<&str> =
            parts.iter().map(|part| part.as_str()).filter(|part| !part.is_empty()).collect();
        parts.join("/")
    };
    platforms.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn pairs(map: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = map.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(", ")
}

fn options(container: &ContainerSpec) -> String {
    let privileges = container.privileges.clone().unwrap_or_default();
    let edge = container.edge.as_ref();
    let all = [
        ("init", container.init == Some(true)),
        ("read-only", container.read_only),
        ("tty", container.tty),
        ("interactive", container.open_stdin),
        ("privileged", edge.is_some_and(|edge| edge.privileged)),
        ("no-new-privileges", privileges.no_new_privileges),
    ];
    let set = all.iter().filter(|(_, is_set)| *is_set).map(|(word, _)| (*word).to_owned());
    let seccomp = privileges.seccomp.map(|seccomp| match seccomp.mode.as_str() {
        "custom" => format!("seccomp=profile of {} bytes", seccomp.profile.0.len()),
        mode => format!("seccomp={mode}"),
    });
    let apparmor = edge.map(|edge| edge.app_armor_profile.as_str()).filter(|name| !name.is_empty());
    let apparmor = apparmor.map(|name| format!("apparmor={name}"));
    let users = edge.map(|edge| edge.userns_mode.as_str()).filter(|mode| !mode.is_empty());
    let users = users.map(|mode| format!("userns={mode}"));
    set.chain(seccomp).chain(apparmor).chain(users).collect::<Vec<_>>().join(", ")
}

fn show_device(device: &DeviceMapping) -> String {
    let arrow = match device.path_on_host == device.path_in_container {
        true => device.path_on_host.clone(),
        false => format!("{} -> {}", device.path_on_host, device.path_in_container),
    };
    format!("{arrow} {}", device.cgroup_permissions)
}

/// `volume pgdata -> /data, read-only`.
fn show_mount(mount: &Mount) -> String {
    let kind = if mount.kind.is_empty() { "volume" } else { &mount.kind };
    let size = mount.tmpfs_options.as_ref().map_or(0, |options| options.size_bytes);
    let source = match (kind, u64::try_from(size)) {
        ("tmpfs", Ok(size)) if size > 0 => show_bytes(size),
        _ => mount.source.clone(),
    };
    let mut text = format!("{kind} {source} -> {}", mount.target).replace("  ", " ");
    if mount.read_only {
        text.push_str(", read-only");
    }
    if let Some(bind) = mount.bind_options.as_ref().filter(|bind| !bind.propagation.is_empty()) {
        text.push_str(&format!(", {}", bind.propagation));
    }
    if mount.volume_options.as_ref().is_some_and(|volume| volume.no_copy) {
        text.push_str(", nocopy");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_is_told_in_lines() {
        let container: ContainerSpec = serde_json::from_value(json!({
            "Image": "db", "Init": true, "ReadOnly": true, "Groups": ["dialout"],
            "Mounts": [
                {"Type": "bind", "Source": "/srv", "Target": "/srv", "ReadOnly": true,
                    "BindOptions": {"Propagation": "rslave"}},
                {"Source": "pg", "Target": "/data", "VolumeOptions": {"NoCopy": true}},
                {"Target": "/scratch"},
                {"Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": {"SizeBytes": 67_108_864}}],
            "Edge": {"Privileged": true, "Devices": [{"PathOnHost": "/dev/a",
                "PathInContainer": "/dev/b", "CgroupPermissions": "rw"}]}
        }))
        .expect("a container");
        let mut lines = Lines::default();
        push(&mut lines, &container);
        assert_eq!(
            lines.lines,
            [
                "Groups:         dialout",
                "Options:        init, read-only, privileged",
                "Mount:          bind /srv -> /srv, read-only, rslave",
                "Mount:          volume pg -> /data, nocopy",
                "Mount:          volume -> /scratch",
                "Mount:          tmpfs 64MiB -> /tmp",
                "Device:         /dev/a -> /dev/b rw",
            ]
        );
    }
}
