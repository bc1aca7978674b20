//! From Docker's spec to the facets of a service.

use std::collections::BTreeMap;

use crdt_state::node::Availability;
use crdt_state::spec;
use node_core::ServiceSpec;
use serde_json::Value;

use super::BadSpec;
use crate::docker::Unknown;
use crate::docker::service as docker;
use crate::docker::task_spec::{
    ContainerSpec, HealthConfig, LogDriver, PROCESS_SCHEME, Placement, RUNTIME_CONTAINER,
    RUNTIME_PROCESS, Resources, RestartPolicy, TaskSpec,
};

/// Unless given, the time between the stop signal and SIGKILL.
const STOP_GRACE_MS: u64 = 10_000;

/// Reads a spec. `current` is what the service has now, for the fields that Docker's clients lose.
pub fn accept(
    sent: docker::ServiceSpec,
    current: Option<&ServiceSpec>,
) -> Result<ServiceSpec, BadSpec> {
    refuse_unknown("", &sent.unknown)?;
    refuse_unknown("TaskTemplate.", &sent.task_template.unknown)?;
    let scale = accept_mode(sent.mode)?;
    let update_policy = sent.update_config.map_or_else(|| Ok(Default::default()), accept_update)?;
    let endpoint = sent.endpoint_spec.map_or_else(|| Ok(Default::default()), accept_endpoint)?;
    let mut task = sent.task_template;
    let priority = current.map_or(0, |spec| spec.placement.priority);
    let placement = accept_placement(task.placement.take().unwrap_or_default(), priority)?;
    let template = accept_template(task)?;
    Ok(ServiceSpec {
        name: sent.name,
        template,
        scale,
        placement,
        update_policy,
        endpoint,
        labels: sent.labels,
    })
}

/// Reads the availability of a node.
pub fn availability(word: &str) -> Result<Availability, BadSpec> {
    match word {
        "active" => Ok(Availability::Active),
        "pause" => Ok(Availability::Pause),
        "drain" => Ok(Availability::Drain),
        _ => Err(bad_word("Availability", word, "active, pause, drain")),
    }
}

fn bad_word(field: &'static str, value: &str, allowed: &'static str) -> BadSpec {
    BadSpec::BadWord { field, value: value.to_owned(), allowed }
}

fn refuse_unknown(path: &str, unknown: &Unknown) -> Result<(), BadSpec> {
    match unknown.iter().find(|(name, value)| !asks_for_nothing(name, value)) {
        Some((name, _)) => Err(BadSpec::NotYet(format!("{path}{name}"))),
        None => Ok(()),
    }
}

/// Docker's clients send many fields that nobody asked for: empty ones, and `Isolation`.
fn asks_for_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || (name == "Isolation" && text == "default"),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.iter().all(|(name, value)| asks_for_nothing(name, value)),
        Value::Bool(true) => false,
    }
}

fn accept_mode(mode: docker::ServiceMode) -> Result<spec::Scale, BadSpec> {
    const FIELD: &str = "Mode.Replicated.Replicas";
    if mode.replicated_job.is_some() || mode.global_job.is_some() {
        return Err(BadSpec::NotYet("a job (Mode.ReplicatedJob, Mode.GlobalJob)".to_owned()));
    }
    match (mode.replicated, mode.global) {
        (Some(_), Some(_)) => Err(BadSpec::TwoModes),
        (None, Some(_)) => Ok(spec::Scale::Global),
        (replicated, None) => {
            let replicas = replicated.and_then(|r| r.replicas).unwrap_or(1);
            Ok(spec::Scale::Replicated { replicas: fit_u32(FIELD, replicas)? })
        }
    }
}

fn fit_u32(field: &'static str, value: u64) -> Result<u32, BadSpec> {
    let max = u64::from(u32::MAX);
    u32::try_from(value).map_err(|_| BadSpec::TooMuch { field, value, max })
}

fn accept_update(config: docker::UpdateConfig) -> Result<spec::UpdatePolicy, BadSpec> {
    match config.failure_action.as_str() {
        "" | "pause" => {}
        "continue" | "rollback" => {
            let what = format!("UpdateConfig.FailureAction `{}`", config.failure_action);
            return Err(BadSpec::NotYet(what));
        }
        other => {
            return Err(bad_word("UpdateConfig.FailureAction", other, "pause, continue, rollback"));
        }
    }
    if config.max_failure_ratio > 0.0 {
        return Err(BadSpec::NotYet("UpdateConfig.MaxFailureRatio".to_owned()));
    }
    let order = match config.order.as_str() {
        "" | "stop-first" => spec::UpdateOrder::StopFirst,
        "start-first" => spec::UpdateOrder::StartFirst,
        other => return Err(bad_word("UpdateConfig.Order", other, "stop-first, start-first")),
    };
    let default = spec::UpdatePolicy::default();
    Ok(spec::UpdatePolicy {
        parallelism: fit_u32("UpdateConfig.Parallelism", config.parallelism)?,
        delay_ms: config.delay.to_ms(),
        monitor_ms: or_default(config.monitor.to_ms(), default.monitor_ms),
        order,
    })
}

fn or_default(ms: u64, default: u64) -> u64 {
    if ms == 0 { default } else { ms }
}

fn accept_endpoint(endpoint: docker::EndpointSpec) -> Result<spec::Endpoint, BadSpec> {
    match endpoint.mode.as_str() {
        "" | "vip" => {}
        "dnsrr" => return Err(BadSpec::NotYet("EndpointSpec.Mode `dnsrr`".to_owned())),
        other => return Err(bad_word("EndpointSpec.Mode", other, "vip, dnsrr")),
    }
    let ports = endpoint.ports.into_iter().map(accept_port).collect::<Result<_, _>>()?;
    Ok(spec::Endpoint { ports })
}

fn accept_port(port: docker::PortConfig) -> Result<spec::PublishedPort, BadSpec> {
    let protocol = match port.protocol.as_str() {
        "" => "tcp".to_owned(),
        "tcp" | "udp" | "sctp" => port.protocol,
        other => return Err(bad_word("EndpointSpec.Ports.Protocol", other, "tcp, udp, sctp")),
    };
    match port.publish_mode.as_str() {
        "host" => {}
        "" | "ingress" => {
            let what = "EndpointSpec.Ports.PublishMode `ingress` (`mode=host` is)".to_owned();
            return Err(BadSpec::NotYet(what));
        }
        other => return Err(bad_word("EndpointSpec.Ports.PublishMode", other, "ingress, host")),
    }
    Ok(spec::PublishedPort {
        published: port.published_port,
        target: port.target_port,
        protocol,
        host: true,
    })
}

fn accept_placement(sent: Placement, priority: i32) -> Result<spec::Placement, BadSpec> {
    let spread = |descriptor: &str| format!("spread={descriptor}");
    Ok(spec::Placement {
        constraints: sent.constraints,
        preferences: sent
            .preferences
            .iter()
            .filter_map(|preference| preference.spread.as_ref())
            .map(|over| spread(&over.spread_descriptor))
            .collect(),
        max_per_node: sent.max_replicas,
        priority: sent.priority.unwrap_or(priority),
    })
}

fn accept_template(task: TaskSpec) -> Result<spec::Template, BadSpec> {
    let mut container = task.container_spec.unwrap_or_default();
    refuse_unknown("TaskTemplate.ContainerSpec.", &container.unknown)?;
    let command = accept_program(&task.runtime, &mut container)?;
    let resources = task.resources.unwrap_or_default();
    let wish = |text: String| if text.is_empty() { None } else { Some(text) };
    Ok(spec::Template {
        runtime: spec::Runtime::Process,
        image: String::new(),
        command,
        args: container.args,
        env: container.env,
        dir: wish(container.dir),
        user: wish(container.user),
        hostname: wish(container.hostname),
        stop_signal: wish(container.stop_signal),
        stop_grace_ms: container.stop_grace_period.map_or(STOP_GRACE_MS, |grace| grace.to_ms()),
        health: container.healthcheck.and_then(accept_health),
        restart: accept_restart(task.restart_policy.unwrap_or_default())?,
        limits: accept_resources(resources.limits.unwrap_or_default())?,
        reservations: accept_resources(resources.reservations.unwrap_or_default())?,
        labels: container.labels,
        log_options: accept_log_driver(task.log_driver.unwrap_or_default())?,
        force_update: task.force_update,
        container: spec::Container::default(),
    })
}

/// The program and what follows it before the arguments.
fn accept_program(runtime: &str, container: &mut ContainerSpec) -> Result<Vec<String>, BadSpec> {
    let is_process = match runtime {
        RUNTIME_PROCESS => true,
        "" | RUNTIME_CONTAINER => false,
        "plugin" | "attachment" => {
            return Err(BadSpec::NotYet(format!("TaskTemplate.Runtime `{runtime}`")));
        }
        other => return Err(bad_word("TaskTemplate.Runtime", other, "container, process")),
    };
    let mut command = std::mem::take(&mut container.command);
    match container.image.strip_prefix(PROCESS_SCHEME) {
        Some("") => return Err(BadSpec::NoProgram),
        Some(program) => command.insert(0, program.to_owned()),
        None if container.image.is_empty() && is_process => {}
        None if container.image.is_empty() => return Err(BadSpec::NoProgram),
        None if is_process => return Err(BadSpec::ImageOfProcess(container.image.clone())),
        None => return Err(BadSpec::Container(container.image.clone())),
    }
    if command.is_empty() && !container.args.is_empty() {
        command.push(container.args.remove(0));
    }
    match command.first() {
        Some(program) if !program.is_empty() => Ok(command),
        _ => Err(BadSpec::NoProgram),
    }
}

fn accept_health(sent: HealthConfig) -> Option<spec::HealthCheck> {
    if sent.test.is_empty() {
        return None;
    }
    Some(spec::HealthCheck {
        test: sent.test,
        interval_ms: or_default(sent.interval.to_ms(), 30_000),
        timeout_ms: or_default(sent.timeout.to_ms(), 30_000),
        retries: if sent.retries == 0 { 3 } else { sent.retries },
        start_period_ms: sent.start_period.to_ms(),
        start_interval_ms: or_default(sent.start_interval.to_ms(), 5_000),
    })
}

fn accept_restart(sent: RestartPolicy) -> Result<spec::RestartPolicy, BadSpec> {
    const FIELD: &str = "RestartPolicy.Condition";
    let default = spec::RestartPolicy::default();
    let condition = match sent.condition.as_str() {
        "" | "any" => spec::RestartCondition::Any,
        "none" => spec::RestartCondition::None,
        "on-failure" => spec::RestartCondition::OnFailure,
        other => return Err(bad_word(FIELD, other, "none, on-failure, any")),
    };
    Ok(spec::RestartPolicy {
        condition,
        delay_ms: sent.delay.map_or(default.delay_ms, |delay| delay.to_ms()),
        max_attempts: sent.max_attempts.filter(|attempts| *attempts > 0),
        window_ms: sent.window.map_or(default.window_ms, |window| window.to_ms()),
    })
}

fn accept_resources(sent: Resources) -> Result<spec::Resources, BadSpec> {
    let mut generic = BTreeMap::new();
    for resource in sent.generic_resources {
        if resource.named_resource_spec.is_some() {
            return Err(BadSpec::NotYet("Resources.GenericResources.NamedResourceSpec".to_owned()));
        }
        if let Some(amount) = resource.discrete_resource_spec {
            generic.insert(amount.kind, amount.value);
        }
    }
    Ok(spec::Resources {
        nano_cpus: sent.nano_cpus,
        memory_bytes: sent.memory_bytes,
        pids: sent.pids,
        generic,
    })
}

fn accept_log_driver(sent: LogDriver) -> Result<BTreeMap<String, String>, BadSpec> {
    if !matches!(sent.name.as_str(), "" | "json-file" | "local") {
        return Err(bad_word("LogDriver.Name", &sent.name, "json-file, local"));
    }
    match sent.options.keys().find(|name| !matches!(name.as_str(), "max-size" | "max-file")) {
        Some(name) => Err(BadSpec::NotYet(format!("LogDriver.Options.{name}"))),
        None => Ok(sent.options),
    }
}
