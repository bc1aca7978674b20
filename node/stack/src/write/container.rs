//! What runs: image, command, variables, user, rights and the rest of a container.

use node_docker::container_spec::{ContainerSpec, EdgeContainer, HealthConfig, Ulimit};
use node_docker::service::ServiceSpec;

use super::keys::{Keys, node};
use super::without_own;
use crate::tree::Node;

pub fn write(container: &ContainerSpec, spec: &ServiceSpec, stack: &str, keys: &mut Keys) {
    keys.filled("image", &container.image);
    keys.texts("entrypoint", container.command.clone());
    keys.texts("command", container.args.clone());
    environment(container, keys);
    keys.pairs("labels", &without_own(&container.labels, stack));
    keys.filled("user", &container.user);
    keys.filled("working_dir", &container.dir);
    keys.filled("hostname", &container.hostname);
    keys.filled("stop_signal", &container.stop_signal);
    keys.duration("stop_grace_period", container.stop_grace_period);
    keys.truths(&[
        ("init", container.init == Some(true)),
        ("tty", container.tty),
        ("stdin_open", container.open_stdin),
        ("read_only", container.read_only),
    ]);
    keys.texts("group_add", container.groups.clone());
    keys.unless_zero("oom_score_adj", &container.oom_score_adj);
    keys.texts("extra_hosts", container.hosts.iter().map(|line| host(line)));
    if let Some(dns) = &container.dns_config {
        keys.texts("dns", dns.nameservers.clone());
        keys.texts("dns_search", dns.search.clone());
        keys.texts("dns_opt", dns.options.clone());
    }
    rights(container, keys);
    keys.pairs("sysctls", &container.sysctls);
    ulimits(&container.ulimits, keys);
    if let Some(health) = &container.healthcheck {
        keys.map("healthcheck", healthcheck(health));
    }
    if let Some(driver) = &spec.task_template.log_driver {
        let mut logging = Keys::default();
        logging.filled("driver", &driver.name);
        logging.pairs("options", &driver.options);
        keys.map("logging", logging);
    }
    if let Some(steps) = &spec.task_template.pre_start {
        keys.list("pre_start", steps.iter().map(|words| step(words)).collect());
    }
}

/// A variable without a value takes that of whoever deploys, which nobody meant.
fn environment(container: &ContainerSpec, keys: &mut Keys) {
    let mut variables = Keys::default();
    for (name, value) in container.env.iter().filter_map(|line| line.split_once('=')) {
        variables.text(name, value);
    }
    keys.map_unless_empty("environment", variables);
}

/// A line of `/etc/hosts` as `name=address`.
fn host(line: &str) -> String {
    match line.split_once(char::is_whitespace) {
        Some((address, name)) => format!("{}={address}", name.trim()),
        None => line.to_owned(),
    }
}

fn rights(container: &ContainerSpec, keys: &mut Keys) {
    keys.texts("cap_add", container.capability_add.clone());
    keys.texts("cap_drop", container.capability_drop.clone());
    let privileges = container.privileges.clone().unwrap_or_default();
    let mut options = Vec::new();
    if privileges.no_new_privileges {
        options.push("no-new-privileges:true".to_owned());
    }
    if let Some(seccomp) = privileges.seccomp.filter(|seccomp| !seccomp.mode.is_empty()) {
        options.push(match seccomp.mode.as_str() {
            "custom" => format!("seccomp:{}", String::from_utf8_lossy(&seccomp.profile.0)),
            mode => format!("seccomp:{mode}"),
        });
    }
    let edge = container.edge.clone().unwrap_or_default();
    let EdgeContainer { devices, privileged, app_armor_profile, userns_mode } = edge;
    if !app_armor_profile.is_empty() {
        options.push(format!("apparmor:{app_armor_profile}"));
    }
    keys.texts("security_opt", options);
    keys.filled("userns_mode", &userns_mode);
    keys.texts(
        "devices",
        devices.into_iter().map(|device| {
            let (host, inside) = (device.path_on_host, device.path_in_container);
            format!("{host}:{inside}:{}", device.cgroup_permissions)
        }),
    );
    keys.truths(&[("privileged", privileged)]);
}

fn ulimits(limits: &[Ulimit], keys: &mut Keys) {
    let mut inner = Keys::default();
    for limit in limits {
        let mut both = Keys::default();
        both.text("soft", limit.soft.to_string());
        both.text("hard", limit.hard.to_string());
        inner.map(&limit.name, both);
    }
    keys.map_unless_empty("ulimits", inner);
}

fn healthcheck(health: &HealthConfig) -> Keys {
    let mut keys = Keys::default();
    keys.texts("test", health.test.clone());
    let times = [
        ("interval", health.interval),
        ("timeout", health.timeout),
        ("start_period", health.start_period),
        ("start_interval", health.start_interval),
    ];
    for (key, nanos) in times {
        keys.duration(key, Some(nanos).filter(|nanos| nanos.0 != 0));
    }
    keys.unless_zero("retries", &health.retries);
    keys
}

fn step(words: &[String]) -> Node {
    let mut keys = Keys::default();
    keys.texts("command", words.iter().cloned());
    node(keys.into_value())
}
