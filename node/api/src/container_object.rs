//! A container in Docker's terms: the line of a listing, and the full description.

mod ports;
mod status;

use std::collections::BTreeMap;

use crdt_state::spec::{Labels, MountSource, NetworkMode, RestartCondition, Runtime, Template};
use serde_json::{Value, json};

use super::container::Container;
use super::wall_clock::wall_clock;
use node_docker::container::{ContainerSummary, SummaryHealth, SummaryHostConfig, SummaryNetworks};
use node_docker::container_spec::USERNS_AUTO;
use node_docker::state::memory_and_swap;
use node_docker::task::NetworkAttachment;
use node_docker::task_spec::PROCESS_SCHEME;
use ports::{port_list, port_map};
use status::status_text;

pub use status::{is_running, state, state_word};

/// Docker's value for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Characters of a command in a listing.
const COMMAND_CHARS_MAX: usize = 200;

/// The line of a listing.
pub fn summary(container: &Container) -> ContainerSummary {
    let network = network(container);
    ContainerSummary {
        id: container.id.clone(),
        names: vec![format!("/{}", container.name())],
        image: image(container),
        image_id: pinned(&container.template),
        command: words(container).join(" ").chars().take(COMMAND_CHARS_MAX).collect(),
        created: i64::try_from(container.task.created_at.0 / 1_000).unwrap_or(0),
        ports: port_list(container),
        labels: labels(container),
        state: state(container).to_owned(),
        status: status_text(container, wall_clock()),
        health: health(container),
        host_config: SummaryHostConfig { network_mode: network.to_owned() },
        network_settings: SummaryNetworks { networks: networks(container) },
        mounts: mounts(&container.template),
    }
}

fn health(container: &Container) -> Option<SummaryHealth> {
    let status = &container.task.edge.health;
    let is_checked = is_running(&container.task) && status != "unchecked";
    is_checked.then(|| SummaryHealth { status: status.clone(), failing_streak: 0 })
}

/// The full description.
pub fn inspect(container: &Container, hostname: &str) -> Value {
    let Container { task, template, .. } = container;
    let words = words(container);
    let status = task.status.container_status.clone().unwrap_or_default();
    let running = is_running(task);
    let at = task.status.timestamp.to_rfc3339();
    let never = || NEVER.to_owned();
    let (started, finished) = match state_word(task) {
        "running" => (at, never()),
        "exited" => (task.created_at.to_rfc3339(), at),
        _ => (never(), never()),
    };
    let mut state = json!({
        "Status": state(container), "Running": running, "Paused": container.paused,
        "Restarting": state(container) == "restarting",
        "OOMKilled": task.status.err.contains("memory") && status.exit_code == 137, "Dead": false,
        "Pid": if running { status.pid } else { 0 }, "ExitCode": status.exit_code,
        "Error": task.status.err, "StartedAt": started, "FinishedAt": finished,
    });
    if running && task.edge.health != "unchecked" {
        state["Health"] = json!({ "Status": task.edge.health, "FailingStreak": 0, "Log": [] });
    }
    let network = network(container);
    json!({
        "Id": container.id, "Created": task.created_at.to_rfc3339(),
        "Path": words.first().cloned().unwrap_or_default(), "Args": words.get(1..).unwrap_or_default(),
        "State": state, "Image": pinned(template), "ResolvConfPath": "", "HostnamePath": "",
        "HostsPath": "", "LogPath": "", "Name": format!("/{}", container.name()),
        "RestartCount": task.edge.attempt.saturating_sub(1), "Driver": "overlay2", "Platform": "linux",
        "MountLabel": "", "ProcessLabel": "", "AppArmorProfile": "", "ExecIDs": null,
        "HostConfig": host_config(container, network),
        "GraphDriver": { "Data": null, "Name": "overlay2" },
        "Mounts": mounts(template), "Config": config(container, &words),
        "NetworkSettings": { "Ports": port_map(container), "Networks": networks(container) },
        "Edge": {
            "NodeID": task.node_id, "Node": hostname, "TaskID": task.id, "Task": task.edge.name,
            "Process": template.runtime == Runtime::Process,
        },
    })
}

fn host_config(shown: &Container, network: &str) -> Value {
    let template = &shown.template;
    let container = &template.container;
    let auto_remove = shown.standalone.is_some_and(|standalone| standalone.auto_remove);
    json!({
        "NetworkMode": network, "Privileged": container.privileged,
        "ReadonlyRootfs": container.read_only, "Init": container.init,
        "CapAdd": container.cap_add, "CapDrop": container.cap_drop,
        "ExtraHosts": container.hosts, "Sysctls": container.sysctls,
        "Dns": container.dns.nameservers, "DnsSearch": container.dns.search,
        "DnsOptions": container.dns.options, "OomScoreAdj": container.oom_score_adj,
        "Memory": template.limits.memory_bytes, "NanoCpus": template.limits.nano_cpus,
        "MemorySwap": memory_and_swap(template), "MemorySwappiness": template.extension.swappiness,
        "PidsLimit": template.limits.pids,
        "RestartPolicy": restart_policy(shown), "PortBindings": port_map(shown),
        "Devices": devices(template),
        "LogConfig": { "Type": "json-file", "Config": template.log_options },
        "Isolation": "default", "AutoRemove": auto_remove, "IpcMode": "private", "CgroupnsMode": "private",
        "UsernsMode": template.extension.users.map_or("", |_| USERNS_AUTO),
    })
}

fn restart_policy(container: &Container) -> Value {
    let restart = &container.template.restart;
    let name = match (container.standalone, restart.condition) {
        (None, _) | (_, RestartCondition::None) => "no",
        (_, RestartCondition::OnFailure) => "on-failure",
        (Some(standalone), _) if standalone.unless_stopped => "unless-stopped",
        (Some(_), _) => "always",
    };
    let times = restart.max_attempts.filter(|_| name == "on-failure").unwrap_or(0);
    json!({ "Name": name, "MaximumRetryCount": times })
}

fn devices(template: &Template) -> Vec<Value> {
    let device = |device: &crdt_state::spec::Device| {
        json!({
            "PathOnHost": device.host, "PathInContainer": device.container,
            "CgroupPermissions": device.permissions,
        })
    };
    template.container.devices.iter().map(device).collect()
}

fn config(container: &Container, words: &[String]) -> Value {
    let Container { task, template, .. } = container;
    let is_process = template.runtime == Runtime::Process;
    let (entrypoint, cmd) = match is_process {
        true => words.split_at(words.len().min(1)),
        false => parts(container),
    };
    let short = container.id.get(..12).unwrap_or_default();
    let mut config = json!({
        "Hostname": template.hostname.clone().unwrap_or_else(|| short.to_owned()), "Domainname": "",
        "User": template.user.clone().unwrap_or_default(), "AttachStdin": false,
        "AttachStdout": false, "AttachStderr": false, "Tty": is_terminal(template),
        "OpenStdin": template.container.open_stdin,
        "StdinOnce": container.standalone.is_some_and(|standalone| standalone.stdin_once),
        "Env": template.env,
        "Cmd": cmd, "Image": image(container), "Volumes": null,
        "WorkingDir": template.dir.clone().unwrap_or_default(), "Entrypoint": entrypoint,
        "OnBuild": null, "Labels": labels(container),
    });
    if let Some(signal) = &template.stop_signal {
        config["StopSignal"] = json!(signal);
    }
    if let Some(spec) = task.spec.container_spec.as_ref().and_then(|spec| spec.healthcheck.as_ref())
    {
        config["Healthcheck"] = json!(spec);
    }
    config
}

/// Does it print to a terminal? Then its log has no frames.
pub fn is_terminal(template: &Template) -> bool {
    template.runtime == Runtime::Container && template.container.tty
}

/// The reference of its image, `process:/usr/bin/redis-server` for a program of the host.
pub fn image(container: &Container) -> String {
    let template = &container.template;
    match template.runtime {
        // Of a container that was made by hand, what was typed: it says itself which image it has.
        Runtime::Container if container.standalone.is_some() => {
            template.image.split('@').next().unwrap_or_default().to_owned()
        }
        Runtime::Container => template.image.clone(),
        Runtime::Process => {
            format!("{PROCESS_SCHEME}{}", words(container).first().map_or("", String::as_str))
        }
    }
}

/// The digest that its image was pinned to.
fn pinned(template: &Template) -> String {
    template.image.rsplit_once('@').map_or_else(String::new, |(_, digest)| digest.to_owned())
}

/// The program and its arguments, those of the image where the template has none.
fn words(container: &Container) -> Vec<String> {
    let (entrypoint, cmd) = parts(container);
    entrypoint.iter().chain(cmd).cloned().collect()
}

/// Docker's rule: if the service gives a program, all words of the image are ignored.
fn parts(container: &Container) -> (&[String], &[String]) {
    let Container { template, image_words, .. } = container;
    match (template.command.as_slice(), template.args.as_slice()) {
        ([], []) => (&image_words.entrypoint, &image_words.cmd),
        ([], args) => (&image_words.entrypoint, args),
        (command, args) => (command, args),
    }
}

/// The networks of a container by name, each with its address.
fn networks(container: &Container) -> BTreeMap<String, Value> {
    let attachments = &container.task.networks_attachments;
    if attachments.is_empty() {
        return BTreeMap::from([(network(container).to_owned(), json!({}))]);
    }
    let endpoint = |attachment: &NetworkAttachment| {
        let plain = |is_ipv6: bool| {
            let of_family = attachment.addresses.iter().find(|ip| ip.contains(':') == is_ipv6);
            of_family.and_then(|ip| ip.split('/').next()).unwrap_or_default().to_owned()
        };
        let gateway = |is_ipv6: bool| {
            let configs = &attachment.network.ipam_options.configs;
            let of_family = configs.iter().find(|config| config.gateway.contains(':') == is_ipv6);
            of_family.map(|config| config.gateway.clone()).unwrap_or_default()
        };
        let (ipv4, ipv6) = (plain(false), plain(true));
        json!({
            "NetworkID": attachment.network.id, "EndpointID": container.task.id,
            "IPAddress": ipv4, "IPPrefixLen": if ipv4.is_empty() { 0 } else { 32 },
            "Gateway": gateway(false), "GlobalIPv6Address": ipv6,
            "GlobalIPv6PrefixLen": if ipv6.is_empty() { 0 } else { 128 },
            "IPv6Gateway": gateway(true), "MacAddress": mac(&ipv4, &ipv6),
            "IPAMConfig": null, "Links": null, "Aliases": null, "DriverOpts": null,
        })
    };
    let named = attachments.iter().map(|a| (a.network.spec.name.clone(), endpoint(a)));
    named.collect()
}

fn mac(ipv4: &str, ipv6: &str) -> String {
    let addresses = [ipv4, ipv6].into_iter().filter_map(|text| text.parse().ok());
    let mac = node_core::addressing::mac(&addresses.collect::<Vec<_>>());
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// The first network of a container.
pub fn network(container: &Container) -> &str {
    if let Some(attachment) = container.task.networks_attachments.first() {
        return &attachment.network.spec.name;
    }
    match (container.template.runtime, container.template.container.network) {
        (Runtime::Container, NetworkMode::None) => "none",
        _ => "host",
    }
}

/// The labels of its service, and those by which Swarm's tools find the containers of a task.
pub fn labels(container: &Container) -> Labels {
    let task = &container.task;
    let mut labels = container.template.labels.clone();
    if container.standalone.is_some() {
        return labels;
    }
    let swarm = [
        ("com.docker.swarm.node.id", task.node_id.clone()),
        ("com.docker.swarm.service.id", task.service_id.clone()),
        ("com.docker.swarm.service.name", container.service.clone()),
        ("com.docker.swarm.task", String::new()),
        ("com.docker.swarm.task.id", task.id.clone()),
        ("com.docker.swarm.task.name", container.name()),
    ];
    labels.extend(swarm.map(|(name, value)| (name.to_owned(), value)));
    labels
}

/// Does it mount this volume, given by name or by mount target?
pub fn has_volume(container: &Container, wanted: &str) -> bool {
    container.template.container.mounts.iter().any(|mount| {
        let named = matches!(&mount.source, MountSource::Volume { name, .. } if name == wanted);
        named || mount.target == wanted
    })
}

fn mounts(template: &Template) -> Vec<Value> {
    let mount = |mount: &crdt_state::spec::Mount| {
        let (kind, name, source) = match &mount.source {
            MountSource::Bind { path, .. } => ("bind", "", path.as_str()),
            MountSource::Volume { name, .. } => ("volume", name.as_str(), ""),
            MountSource::Tmpfs { .. } => ("tmpfs", "", ""),
        };
        json!({
            "Type": kind, "Name": name, "Source": source, "Destination": mount.target,
            "Driver": if kind == "volume" { "local" } else { "" }, "Mode": "",
            "RW": !mount.read_only, "Propagation": "",
        })
    };
    template.container.mounts.iter().map(mount).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_says_what_runs_where_the_template_does_not() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let words_of = |command: &[&str], args: &[&str]| {
            let mut container = Container {
                id: String::new(),
                node: crdt_state::NodeId([0; 16]),
                run: crdt_state::task::Run { task: crdt_state::TaskId([0; 16]), attempt: 1 },
                task: node_docker::task::Task::default(),
                template: Template::default(),
                service_id: crdt_state::ServiceId([0; 16]),
                service: String::new(),
                image_words: Default::default(),
                paused: false,
                last_code: 0,
                standalone: None,
            };
            container.template.runtime = Runtime::Container;
            (container.template.command, container.template.args) = (list(command), list(args));
            container.image_words.entrypoint = list(&["/entry"]);
            container.image_words.cmd = list(&["serve"]);
            words(&container).join(" ")
        };
        assert_eq!(words_of(&[], &[]), "/entry serve");
        assert_eq!(words_of(&[], &["check"]), "/entry check");
        assert_eq!(words_of(&["sh"], &[]), "sh");
    }
}
