//! A service in the lines of Docker's client: its fields, its order, its tabs and blanks. Scripts
//! cut these lines apart, so a byte more or less is a fault; a test compares them with that client.
//! What Docker does not know is added by the caller, below.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::time::Duration;

use crate::output::{ago, capital, now};
use crate::service::networks::KnownNetworks;
use crate::value::go::{bytes, duration};
use crate::value::show_cpus;
use node_docker::Timestamp;
use node_docker::container_spec::{ContainerSpec, HealthConfig};
use node_docker::service::{PortConfig, Service, ServiceSpec, UpdateConfig, UpdateStatus};
use node_docker::task_spec::{LogDriver, Placement, ResourceRequirements, Resources, TaskSpec};

/// Lines, each of them beginning with a line feed.
struct Text(String);

impl Text {
    fn line(&mut self, line: impl Display) {
        self.0.push('\n');
        let _ = write!(self.0, "{line}");
    }

    /// `title:`, and a line for each pair, if there are any.
    fn pairs(&mut self, title: &str, pairs: &BTreeMap<String, String>, between: &str) {
        if !pairs.is_empty() {
            self.line(title);
        }
        for (name, value) in pairs {
            match value.as_str() {
                "" => self.line(format_args!(" {name}")),
                value => self.line(format_args!(" {name}{between}{value}")),
            }
        }
    }

    /// A line if there is something to say.
    fn given(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.line(format_args!("{name}{value}"));
        }
    }
}

/// The whole text, which begins and ends with a line feed.
pub(super) fn text(service: &Service, known: &KnownNetworks) -> String {
    let mut text = Text(String::new());
    let spec = &service.spec;
    let task = &spec.task_template;
    text.line(format_args!("ID:\t\t{}", service.id));
    text.line(format_args!("Name:\t\t{}", spec.name));
    text.pairs("Labels:", &spec.labels, "=");
    mode(&mut text, spec);
    let status = service.update_status.as_ref().filter(|status| !status.state.is_empty());
    status.into_iter().for_each(|status| update_status(&mut text, status));
    placement(&mut text, task.placement.as_ref());
    for (title, order, config) in [
        ("UpdateConfig:", " Update order:      ", &spec.update_config),
        ("RollbackConfig:", " Rollback order:    ", &spec.rollback_config),
    ] {
        config.iter().for_each(|config| update_config(&mut text, title, order, config));
    }
    container(&mut text, &task.container_spec.clone().unwrap_or_default());
    task.log_driver.iter().for_each(|driver| log_driver(&mut text, driver));
    task.resources.iter().for_each(|all| resources(&mut text, all));
    networks(&mut text, task, known);
    let mode = spec.endpoint_spec.as_ref().map_or("", |endpoint| endpoint.mode.as_str());
    text.line(format_args!("Endpoint Mode:\t{mode}"));
    ports(&mut text, &service.endpoint.ports);
    let container = task.container_spec.as_ref();
    let health = container.and_then(|container| container.healthcheck.as_ref());
    health.into_iter().for_each(|health| self::health(&mut text, health));
    text.0.push('\n');
    text.0
}

fn mode(text: &mut Text, spec: &ServiceSpec) {
    let replicated = spec.mode.replicated;
    text.line(match (spec.mode.global, replicated) {
        (Some(_), _) => "Service Mode:\tGlobal",
        (None, Some(_)) => "Service Mode:\tReplicated",
        (None, None) => "Service Mode:",
    });
    if let Some(replicas) = replicated.and_then(|replicated| replicated.replicas) {
        text.line(format_args!(" Replicas:\t{replicas}"));
    }
}

fn update_status(text: &mut Text, status: &UpdateStatus) {
    text.line("UpdateStatus:");
    text.line(format_args!(" State:\t\t{}", status.state));
    if let Some(at) = status.started_at {
        text.line(format_args!(" Started:\t{}", since(at)));
    }
    if let Some(at) = status.completed_at.filter(|_| status.state == "completed") {
        text.line(format_args!(" Completed:\t{}", since(at)));
    }
    text.line(format_args!(" Message:\t{}", status.message));
}

/// Docker's client begins these words with a capital.
fn since(at: Timestamp) -> String {
    capital(&ago(Duration::from_millis(now().0.saturating_sub(at.0))))
}

fn placement(text: &mut Text, placement: Option<&Placement>) {
    text.line("Placement:");
    let Some(placement) = placement else { return };
    if !placement.constraints.is_empty() {
        text.line(format_args!(" Constraints:\t[{}]", placement.constraints.join(" ")));
    }
    let over = placement.preferences.iter().filter_map(|preference| preference.spread.as_ref());
    let over: Vec<String> = over.map(|over| format!("spread={}", over.spread_descriptor)).collect();
    if !over.is_empty() {
        text.line(format_args!(" Preferences:   [{}]", over.join(" ")));
    }
    if placement.max_replicas > 0 {
        text.line(format_args!(" Max Replicas Per Node:   {}", placement.max_replicas));
    }
}

fn update_config(text: &mut Text, title: &str, order: &str, config: &UpdateConfig) {
    text.line(title);
    text.line(format_args!(" Parallelism:\t{}", config.parallelism));
    if config.delay.0 > 0 {
        text.line(format_args!(" Delay:\t\t{}", duration(config.delay)));
    }
    text.line(format_args!(" On failure:\t{}", config.failure_action));
    if config.monitor.0 > 0 {
        text.line(format_args!(" Monitoring Period: {}", duration(config.monitor)));
    }
    text.line(format_args!(" Max failure ratio: {}", config.max_failure_ratio));
    text.line(format_args!("{order}{}", config.order));
}

fn container(text: &mut Text, container: &ContainerSpec) {
    let words =
        |words: &[String]| -> String { words.iter().map(|word| format!("{word} ")).collect() };
    text.line("ContainerSpec:");
    text.line(format_args!(" Image:\t\t{}", container.image));
    text.given(" Args:\t\t", &words(&container.args));
    text.given(" Env:\t\t", &words(&container.env));
    text.given(" Dir:\t\t", &container.dir);
    if let Some(init) = container.init {
        text.line(format_args!(" Init:\t\t{init}"));
    }
    text.given(" User: ", &container.user);
    if !(container.capability_add.is_empty() && container.capability_drop.is_empty()) {
        text.line("Capabilities:");
    }
    text.given(" Add: ", &container.capability_add.join(", "));
    text.given(" Drop: ", &container.capability_drop.join(", "));
    text.pairs("SysCtls:", &container.sysctls, ": ");
    let ulimits = container.ulimits.iter();
    let ulimits =
        ulimits.map(|limit| (limit.name.clone(), format!("{}:{}", limit.soft, limit.hard)));
    text.pairs("Ulimits:", &ulimits.collect(), ": ");
    if !container.mounts.is_empty() {
        text.line("Mounts:");
    }
    for mount in &container.mounts {
        text.line(format_args!(" Target:\t{}", mount.target));
        text.line(format_args!("  Source:\t{}", mount.source));
        text.line(format_args!("  ReadOnly:\t{}", mount.read_only));
        text.line(format_args!("  Type:\t\t{}", mount.kind));
    }
    if !container.secrets.is_empty() {
        text.line("Secrets:");
    }
    for secret in &container.secrets {
        let target = secret.file.as_ref().map_or("", |file| file.name.as_str());
        text.line(format_args!(" Target:\t{target}"));
        text.line(format_args!("  Source:\t{}", secret.secret_name));
    }
    if !container.configs.is_empty() {
        text.line("Configs:");
    }
    for config in &container.configs {
        let target = config.file.as_ref().map_or("", |file| file.name.as_str());
        text.line(format_args!(" Target:\t{target}"));
        text.line(format_args!("  Source:\t{}", config.config_name));
    }
}

fn log_driver(text: &mut Text, driver: &LogDriver) {
    text.line("Log Driver:");
    text.given(" Name:\t\t", &driver.name);
    if !driver.options.is_empty() {
        text.line(" LogOpts:");
    }
    for (name, value) in &driver.options {
        text.line(format_args!("  {name}:       {value}"));
    }
    text.line("");
}

fn resources(text: &mut Text, all: &ResourceRequirements) {
    text.line("Resources:");
    let amounts = |text: &mut Text, title: &str, amounts: &Resources| {
        text.line(title);
        if amounts.nano_cpus > 0 {
            text.line(format_args!("  CPU:\t\t{}", show_cpus(amounts.nano_cpus)));
        }
        if amounts.memory_bytes > 0 {
            text.line(format_args!("  Memory:\t{}", bytes(amounts.memory_bytes)));
        }
    };
    let has = |amounts: &Resources| amounts.nano_cpus > 0 || amounts.memory_bytes > 0;
    if let Some(reserved) = all.reservations.as_ref().filter(|amounts| has(amounts)) {
        amounts(text, " Reservations:", reserved);
    }
    let Some(limits) = &all.limits else { return };
    if has(limits) || limits.pids > 0 {
        amounts(text, " Limits:", limits);
    }
    if limits.pids > 0 {
        text.line(format_args!("  PIDs:\t\t{}", limits.pids));
    }
}

fn networks(text: &mut Text, task: &TaskSpec, known: &KnownNetworks) {
    if !task.networks.is_empty() {
        let names = task.networks.iter().map(|network| format!(" {}", known.name(&network.target)));
        text.line(format_args!("Networks:{} ", names.collect::<String>()));
    }
}

fn ports(text: &mut Text, ports: &[PortConfig]) {
    if ports.is_empty() {
        return;
    }
    text.line("Ports:");
    for port in ports {
        text.line(format_args!(" PublishedPort = {}", port.published_port));
        text.line(format_args!("  Protocol = {}", port.protocol));
        text.line(format_args!("  TargetPort = {}", port.target_port));
        text.line(format_args!("  PublishMode = {}", port.publish_mode));
    }
    text.0.push(' ');
}

fn health(text: &mut Text, health: &HealthConfig) {
    text.line(" Healthcheck:");
    text.line(format_args!("  Interval = {}", duration(health.interval)));
    text.line(format_args!("  Retries = {}", health.retries));
    text.line(format_args!("  StartPeriod =\t{}", duration(health.start_period)));
    text.line(format_args!("  Timeout =\t{}", duration(health.timeout)));
    if !health.test.is_empty() {
        text.line("  Tests:");
        health.test.iter().for_each(|word| text.line(format_args!("\t Test = {word}")));
        text.0.push(' ');
    }
}
