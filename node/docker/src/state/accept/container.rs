//! Settings of containers only, checked as far as possible without the node that will run them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crdt_state::spec;

use super::super::BadSpec;
use super::super::names::{self, SysctlOwner};
use super::{bad_value, bad_word, mount, network};
use crate::container_spec::{
    ContainerSpec, DeviceMapping, DnsConfig, EdgeContainer, Privileges, Ulimit,
};
use crate::task_spec::NetworkAttachment;

/// Takes the container's settings out of `sent`. `kept` are the service's present settings, for
/// fields that Docker's clients lose.
pub(super) fn accept(
    sent: &mut ContainerSpec,
    networks: &[NetworkAttachment],
    kept: Option<&spec::Container>,
) -> Result<spec::Container, BadSpec> {
    let network = network::accept_mode_of(networks)?;
    let privileges = accept_privileges(sent.privileges.take().unwrap_or_default())?;
    let (devices, privileged) = match (sent.edge.take(), kept) {
        (Some(edge), _) => accept_edge(edge)?,
        (None, Some(kept)) => (kept.devices.clone(), kept.privileged),
        (None, None) => (Vec::new(), false),
    };
    let sysctls = std::mem::take(&mut sent.sysctls);
    for name in sysctls.keys() {
        check_sysctl(name, network)?;
    }
    check_hostname(&sent.hostname)?;
    if sent.groups.iter().any(String::is_empty) {
        return Err(bad_value("Groups", "", "a group is a name or a number; leave this one out"));
    }
    for line in &sent.hosts {
        check_host(line)?;
    }
    Ok(spec::Container {
        platforms: Vec::new(),
        init: sent.init.take().unwrap_or(false),
        read_only: std::mem::take(&mut sent.read_only),
        tty: std::mem::take(&mut sent.tty),
        open_stdin: std::mem::take(&mut sent.open_stdin),
        groups: std::mem::take(&mut sent.groups),
        hosts: std::mem::take(&mut sent.hosts),
        dns: accept_dns(sent.dns_config.take().unwrap_or_default())?,
        cap_add: accept_capabilities("CapabilityAdd", &sent.capability_add)?,
        cap_drop: accept_capabilities("CapabilityDrop", &sent.capability_drop)?,
        ulimits: accept_ulimits(std::mem::take(&mut sent.ulimits))?,
        sysctls,
        mounts: accept_mounts(sent)?,
        devices,
        privileged,
        no_new_privileges: privileges.no_new_privileges,
        seccomp_unconfined: privileges.seccomp_unconfined,
        oom_score_adj: accept_oom_score_adj(sent.oom_score_adj)?,
        network,
    })
}

/// Refuses settings of containers for a program of the host.
pub(super) fn refuse(sent: &ContainerSpec, networks: &[NetworkAttachment]) -> Result<(), BadSpec> {
    let edge = sent.edge.clone().unwrap_or_default();
    let dns = sent.dns_config.clone().unwrap_or_default();
    let privileges = sent.privileges.clone().unwrap_or_default();
    let asked = [
        ("Init", sent.init == Some(true)),
        ("ReadOnly", sent.read_only),
        ("TTY", sent.tty),
        ("OpenStdin", sent.open_stdin),
        ("Groups", !sent.groups.is_empty()),
        ("Hosts", !sent.hosts.is_empty()),
        ("DNSConfig", dns != DnsConfig::default()),
        ("CapabilityAdd", !sent.capability_add.is_empty()),
        ("CapabilityDrop", !sent.capability_drop.is_empty()),
        ("Ulimits", !sent.ulimits.is_empty()),
        ("Sysctls", !sent.sysctls.is_empty()),
        ("Mounts", !sent.mounts.is_empty()),
        ("Configs", !sent.configs.is_empty()),
        ("Secrets", !sent.secrets.is_empty()),
        ("Privileges", privileges != Privileges::default()),
        ("OomScoreAdj", sent.oom_score_adj != 0),
        ("Edge.Devices", !edge.devices.is_empty()),
        ("Edge.Privileged", edge.privileged),
        ("Edge.AppArmorProfile", !edge.app_armor_profile.is_empty()),
        ("Edge.UsernsMode", !["", "host"].contains(&edge.userns_mode.as_str())),
    ];
    if let Some((field, _)) = asked.iter().find(|(_, is_asked)| *is_asked) {
        return Err(BadSpec::OnlyContainer(format!("TaskTemplate.ContainerSpec.{field}")));
    }
    match network::accept_mode_of(networks)? {
        spec::NetworkMode::Host => Ok(()),
        spec::NetworkMode::None => Err(BadSpec::OnlyContainer("the network `none`".to_owned())),
    }
}

struct Accepted {
    no_new_privileges: bool,
    seccomp_unconfined: bool,
}

fn accept_privileges(sent: Privileges) -> Result<Accepted, BadSpec> {
    const FIELD: &str = "Privileges.Seccomp.Mode";
    let seccomp_unconfined = match sent.seccomp.unwrap_or_default().mode.as_str() {
        "" | "default" => false,
        "unconfined" => true,
        // The profile is beyond the frozen fields of the template.
        "custom" => false,
        other => return Err(bad_word(FIELD, other, "default, unconfined, custom")),
    };
    Ok(Accepted { no_new_privileges: sent.no_new_privileges, seccomp_unconfined })
}

fn accept_edge(sent: EdgeContainer) -> Result<(Vec<spec::Device>, bool), BadSpec> {
    let devices = sent.devices.into_iter().map(accept_device).collect::<Result<_, _>>()?;
    Ok((devices, sent.privileged))
}

fn accept_device(sent: DeviceMapping) -> Result<spec::Device, BadSpec> {
    const HINT: &str = "a device is a path of the node; write it like /dev/ttyUSB0";
    let container = if sent.path_in_container.is_empty() {
        sent.path_on_host.clone()
    } else {
        sent.path_in_container
    };
    for path in [&sent.path_on_host, &container] {
        if !path.starts_with('/') {
            return Err(bad_value("Edge.Devices", path, HINT));
        }
    }
    let permissions = match sent.cgroup_permissions.as_str() {
        "" => "rwm".to_owned(),
        given => given.to_owned(),
    };
    let mut seen = BTreeSet::new();
    if !permissions.chars().all(|c| "rwm".contains(c) && seen.insert(c)) {
        let hint = "permissions are of r (read), w (write) and m (make the node); write rwm";
        return Err(bad_value("Edge.Devices.CgroupPermissions", &permissions, hint));
    }
    Ok(spec::Device { host: sent.path_on_host, container, permissions })
}

fn check_sysctl(name: &str, network: spec::NetworkMode) -> Result<(), BadSpec> {
    let hint = match (names::sysctl_owner(name), network) {
        (SysctlOwner::Container, _) | (SysctlOwner::Network, spec::NetworkMode::None) => {
            return Ok(());
        }
        (SysctlOwner::Network, spec::NetworkMode::Host) => {
            "the container uses the node's own network, whose parameters it may not change; set \
             it on the nodes, or use --network none"
        }
        (SysctlOwner::Machine, _) => {
            "it belongs to the whole node, not to a container; set it on the nodes, in \
             /etc/sysctl.d"
        }
    };
    Err(bad_value("Sysctls", name, hint))
}

/// Placeholders are expanded on the node that runs the task, which checks the result again.
fn check_hostname(name: &str) -> Result<(), BadSpec> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let is_edged = |c: char| matches!(c, '-' | '.');
    let is_name = name.len() <= 63 && name.chars().all(is_plain) && !name.starts_with(is_edged);
    if name.contains("{{") || (is_name && !name.ends_with(is_edged)) {
        return Ok(());
    }
    let hint = "a host name is at most 63 letters, digits, `-` and `.`; write it like till-1";
    Err(bad_value("Hostname", name, hint))
}

fn check_host(line: &str) -> Result<(), BadSpec> {
    let mut words = line.split_whitespace();
    let is_address = words.next().is_some_and(|word| word.parse::<IpAddr>().is_ok());
    if is_address && words.next().is_some() {
        return Ok(());
    }
    let hint = "it is an address and a name, as in /etc/hosts; write it like 10.0.0.7 printer \
                (--host printer:10.0.0.7)";
    Err(bad_value("Hosts", line, hint))
}

fn accept_dns(sent: DnsConfig) -> Result<spec::Dns, BadSpec> {
    if let Some(server) = sent.nameservers.iter().find(|text| text.parse::<IpAddr>().is_err()) {
        let hint = "a name server is an address; write it like 10.0.0.1";
        return Err(bad_value("DNSConfig.Nameservers", server, hint));
    }
    // Each is a word of a line of `/etc/resolv.conf`.
    let is_word = |text: &&String| !text.is_empty() && !text.contains(char::is_whitespace);
    for (field, list) in [("DNSConfig.Search", &sent.search), ("DNSConfig.Options", &sent.options)]
    {
        if let Some(text) = list.iter().find(|text| !is_word(text)) {
            return Err(bad_value(field, text, "write each as one word: lan, ndots:2"));
        }
    }
    Ok(spec::Dns { nameservers: sent.nameservers, search: sent.search, options: sent.options })
}

fn accept_capabilities(field: &'static str, sent: &[String]) -> Result<Vec<String>, BadSpec> {
    let one = |text: &String| {
        names::capability(text).ok_or_else(|| {
            let hint = "the kernel has no such capability; write one like NET_ADMIN, or ALL";
            bad_value(field, text, hint)
        })
    };
    sent.iter().map(one).collect()
}

fn accept_ulimits(sent: Vec<Ulimit>) -> Result<Vec<spec::Ulimit>, BadSpec> {
    let one = |limit: Ulimit| {
        if !names::ULIMITS.contains(&limit.name.as_str()) {
            let hint = format!("there are {}", names::ULIMITS.join(", "));
            return Err(bad_value("Ulimits.Name", &limit.name, &hint));
        }
        let is_above = limit.hard >= 0 && (limit.soft > limit.hard || limit.soft < 0);
        if is_above {
            let text = format!("{}={}:{}", limit.name, limit.soft, limit.hard);
            let hint = "the soft limit is above the hard one; write the lower one first";
            return Err(bad_value("Ulimits", &text, hint));
        }
        Ok(spec::Ulimit { name: limit.name, soft: limit.soft, hard: limit.hard })
    };
    sent.into_iter().map(one).collect()
}

fn accept_mounts(sent: &mut ContainerSpec) -> Result<Vec<spec::Mount>, BadSpec> {
    let mounts: Vec<spec::Mount> = std::mem::take(&mut sent.mounts)
        .into_iter()
        .map(mount::accept)
        .collect::<Result<_, _>>()?;
    let mut targets = BTreeSet::new();
    for mount in &mounts {
        let target = mount.target.trim_end_matches('/');
        if !targets.insert(target) {
            let hint = "two mounts have this target; leave one of them out";
            return Err(bad_value("Mounts.Target", target, hint));
        }
    }
    Ok(mounts)
}

fn accept_oom_score_adj(sent: i64) -> Result<i32, BadSpec> {
    let fits = i32::try_from(sent).ok().filter(|score| (-1_000..=1_000).contains(score));
    fits.ok_or_else(|| {
        bad_value("OomScoreAdj", &sent.to_string(), "it is from -1000 (never killed) to 1000")
    })
}
