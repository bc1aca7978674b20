//! Settings of containers only, in Docker's form.

use crdt_state::spec;

use crate::container_spec::{
    BindOptions, ContainerSpec, DeviceMapping, DnsConfig, EdgeContainer, Mount, Privileges,
    Seccomp, TmpfsOptions, USERNS_AUTO, Ulimit, VolumeOptions,
};
use crate::task_spec::{NetworkAttachment, Platform};

/// Fills in the settings of `container`; defaults of `docker run` are left out.
pub(super) fn fill(template: &spec::Template, shown: &mut ContainerSpec) {
    let container = &template.container;
    shown.init = container.init.then_some(true);
    shown.read_only = container.read_only;
    shown.tty = container.tty;
    shown.open_stdin = container.open_stdin;
    shown.groups.clone_from(&container.groups);
    shown.hosts.clone_from(&container.hosts);
    shown.dns_config = show_dns(&container.dns);
    shown.capability_add.clone_from(&container.cap_add);
    shown.capability_drop.clone_from(&container.cap_drop);
    shown.ulimits = container.ulimits.iter().map(show_ulimit).collect();
    shown.sysctls.clone_from(&container.sysctls);
    shown.mounts = container.mounts.iter().map(show_mount).collect();
    shown.privileges = show_privileges(template);
    shown.oom_score_adj = i64::from(container.oom_score_adj);
    shown.edge = show_edge(template);
}

pub(super) fn show_networks(container: &spec::Container) -> Vec<NetworkAttachment> {
    let target = match container.network {
        spec::NetworkMode::Host => "host",
        spec::NetworkMode::None => "none",
    };
    vec![NetworkAttachment { target: target.to_owned(), ..NetworkAttachment::default() }]
}

pub(super) fn show_platform(platform: &spec::Platform) -> Platform {
    Platform {
        architecture: platform.arch.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
    }
}

fn show_dns(dns: &spec::Dns) -> Option<DnsConfig> {
    let shown = DnsConfig {
        nameservers: dns.nameservers.clone(),
        search: dns.search.clone(),
        options: dns.options.clone(),
    };
    Some(shown).filter(|shown| *shown != DnsConfig::default())
}

fn show_ulimit(limit: &spec::Ulimit) -> Ulimit {
    Ulimit { name: limit.name.clone(), hard: limit.hard, soft: limit.soft }
}

fn show_privileges(template: &spec::Template) -> Option<Privileges> {
    let container = &template.container;
    let unconfined = container.seccomp_unconfined.then(Seccomp::unconfined);
    let shown = Privileges {
        seccomp: template.extension.seccomp.as_deref().map(Seccomp::custom).or(unconfined),
        app_armor: None,
        no_new_privileges: container.no_new_privileges,
    };
    Some(shown).filter(|shown| *shown != Privileges::default())
}

fn show_edge(template: &spec::Template) -> Option<EdgeContainer> {
    let container = &template.container;
    let device = |device: &spec::Device| DeviceMapping {
        path_on_host: device.host.clone(),
        path_in_container: device.container.clone(),
        cgroup_permissions: device.permissions.clone(),
    };
    let shown = EdgeContainer {
        app_armor_profile: template.extension.apparmor.clone().unwrap_or_default(),
        devices: container.devices.iter().map(device).collect(),
        privileged: container.privileged,
        userns_mode: template.extension.users.map_or("", |_| USERNS_AUTO).to_owned(),
    };
    Some(shown).filter(|shown| *shown != EdgeContainer::default())
}

fn show_mount(mount: &spec::Mount) -> Mount {
    let shown =
        Mount { target: mount.target.clone(), read_only: mount.read_only, ..Mount::default() };
    match &mount.source {
        spec::MountSource::Bind { path, propagation, non_recursive, create } => {
            let options = BindOptions {
                propagation: propagation.clone(),
                non_recursive: *non_recursive,
                create_mountpoint: *create,
            };
            Mount {
                kind: "bind".to_owned(),
                source: path.clone(),
                bind_options: Some(options).filter(|options| *options != BindOptions::default()),
                ..shown
            }
        }
        spec::MountSource::Volume { name, no_copy, labels } => {
            let options =
                VolumeOptions { no_copy: *no_copy, labels: labels.clone(), driver_config: None };
            Mount {
                kind: "volume".to_owned(),
                source: name.clone(),
                volume_options: Some(options)
                    .filter(|options| *options != VolumeOptions::default()),
                ..shown
            }
        }
        spec::MountSource::Tmpfs { size_bytes, mode } => {
            let size_bytes = i64::try_from(*size_bytes).unwrap_or(i64::MAX);
            let options = TmpfsOptions { size_bytes, mode: *mode };
            Mount {
                kind: "tmpfs".to_owned(),
                tmpfs_options: Some(options).filter(|options| *options != TmpfsOptions::default()),
                ..shown
            }
        }
    }
}
