//! The template of a service's tasks.

use std::collections::BTreeMap;

use crdt_state::{FileClass, spec};
use runtime::image::Reference;

use super::super::BadSpec;
use super::super::unknown::refuse_unknown;
use super::{bad_value, bad_word, container, env, extension, files, or_default, security, users};
use crate::config::ConfigReference;
use crate::container_spec::{ContainerSpec, HealthConfig};
use crate::task_spec::{
    GenericResource, LogDriver, PROCESS_SCHEME, Platform, RUNTIME_CONTAINER, RUNTIME_PROCESS,
    Resources, RestartPolicy, TaskSpec,
};

/// Default time between the stop signal and SIGKILL.
const STOP_GRACE_MS: u64 = 10_000;

/// Reads the template. `platforms` come from a registry, `current` is the service's present
/// template.
pub(super) fn accept(
    task: TaskSpec,
    platforms: &[Platform],
    current: Option<&spec::Template>,
) -> Result<spec::Template, BadSpec> {
    let mut container = task.container_spec.unwrap_or_default();
    refuse_unknown("TaskTemplate.ContainerSpec.", &container.unknown)?;
    let (runtime, image, command) = match accept_program(&task.runtime, &mut container)? {
        Program::OfHost(command) => (spec::Runtime::Process, String::new(), command),
        Program::OfImage(image, command) => (spec::Runtime::Container, image, command),
    };
    let kept = current.map(|current| &current.extension);
    let profiles = match runtime {
        spec::Runtime::Process => (None, None, None),
        spec::Runtime::Container => {
            let (seccomp, apparmor) = security::accept(&container, kept)?;
            (seccomp, apparmor, users::accept(&container, kept)?)
        }
    };
    let of_container = match runtime {
        spec::Runtime::Process => {
            container::refuse(&container, &task.networks)?;
            spec::Container::default()
        }
        spec::Runtime::Container => {
            let current = current.filter(|current| current.runtime == runtime);
            let kept = current.map(|current| &current.container);
            let mut accepted = container::accept(&mut container, &task.networks, kept)?;
            users::check(profiles.2, &accepted)?;
            accepted.platforms = accept_platforms(platforms, &image, current);
            accepted
        }
    };
    let resources = task.resources.unwrap_or_default();
    let configs = files::accept(FileClass::Config, std::mem::take(&mut container.configs))?;
    let secrets = std::mem::take(&mut container.secrets).into_iter().map(ConfigReference::from);
    let files = (configs, files::accept(FileClass::Secret, secrets)?);
    let mut extension = extension::accept(&resources, task.pre_start, files, kept)?;
    (extension.seccomp, extension.apparmor, extension.users) = profiles;
    let given = |text: String| if text.is_empty() { None } else { Some(text) };
    Ok(spec::Template {
        runtime,
        image,
        command,
        args: container.args,
        env: env::in_order(container.env, current.map_or(&[][..], |current| &current.env)),
        dir: given(container.dir),
        user: given(container.user),
        hostname: given(container.hostname),
        stop_signal: given(container.stop_signal),
        stop_grace_ms: container.stop_grace_period.map_or(STOP_GRACE_MS, |grace| grace.to_ms()),
        health: accept_health(container.healthcheck.unwrap_or_default())?,
        restart: accept_restart(task.restart_policy.unwrap_or_default())?,
        limits: accept_resources(resources.limits.unwrap_or_default())?,
        reservations: accept_resources(resources.reservations.unwrap_or_default())?,
        labels: container.labels,
        log_options: accept_log_driver(task.log_driver.unwrap_or_default())?,
        force_update: task.force_update,
        container: of_container,
        extension,
    })
}

/// The program or image of a service.
enum Program {
    /// A program of the host, with the arguments before `Args`.
    OfHost(Vec<String>),
    /// An image, with the words that replace its entrypoint.
    OfImage(String, Vec<String>),
}

fn accept_program(runtime: &str, container: &mut ContainerSpec) -> Result<Program, BadSpec> {
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
        None if container.image.is_empty() => return Err(BadSpec::NoImage),
        None if is_process => return Err(BadSpec::ImageOfProcess(container.image.clone())),
        None => return Ok(Program::OfImage(accept_image(&container.image)?, command)),
    }
    if command.is_empty() && !container.args.is_empty() {
        command.push(container.args.remove(0));
    }
    match command.first() {
        Some(program) if !program.is_empty() => Ok(Program::OfHost(command)),
        _ => Err(BadSpec::NoProgram),
    }
}

/// In the form that Docker stores: with an explicit tag, without default parts.
fn accept_image(image: &str) -> Result<String, BadSpec> {
    let reference: Reference = image.parse()?;
    Ok(reference.with_default_tag().to_string())
}

/// The platforms of the image. Docker's clients lose the variants, and keep the platforms of the
/// previous image when a registry does not answer for the new one.
fn accept_platforms(
    sent: &[Platform],
    image: &str,
    current: Option<&spec::Template>,
) -> Vec<spec::Platform> {
    let accepted = sent.iter().map(|platform| spec::Platform {
        os: platform.os.clone(),
        arch: platform.architecture.clone(),
        variant: platform.variant.clone(),
    });
    let Some(current) = current else { return accepted.collect() };
    let known = &current.container.platforms;
    let looks_kept = sent.len() == known.len()
        && sent
            .iter()
            .zip(known)
            .all(|(sent, known)| (&sent.os, &sent.architecture) == (&known.os, &known.arch));
    match (current.image == image, looks_kept) {
        (true, _) if looks_kept || sent.is_empty() => known.clone(),
        (false, true) if !image.contains('@') => Vec::new(),
        _ => accepted.collect(),
    }
}

fn accept_health(sent: HealthConfig) -> Result<Option<spec::HealthCheck>, BadSpec> {
    if sent.test.is_empty() {
        return match sent == HealthConfig::default() {
            true => Ok(None),
            false => Err(BadSpec::TimesOfNoCheck),
        };
    }
    Ok(Some(spec::HealthCheck {
        test: sent.test,
        interval_ms: or_default(sent.interval.to_ms(), 30_000),
        timeout_ms: or_default(sent.timeout.to_ms(), 30_000),
        retries: if sent.retries == 0 { 3 } else { sent.retries },
        start_period_ms: sent.start_period.to_ms(),
        start_interval_ms: or_default(sent.start_interval.to_ms(), 5_000),
    }))
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

/// Swarm's minimum: below it the kernel ends a task before it has begun.
const MEMORY_BYTES_MIN: u64 = 4 << 20;
/// Swarm's minimum: a thousandth of a core.
const NANO_CPUS_MIN: u64 = 1_000_000;

fn accept_resources(sent: Resources) -> Result<spec::Resources, BadSpec> {
    if (1..MEMORY_BYTES_MIN).contains(&sent.memory_bytes) {
        let hint = "no task can begin with less than 4 MiB; write at least 4m";
        return Err(bad_value("Resources.MemoryBytes", &sent.memory_bytes.to_string(), hint));
    }
    if (1..NANO_CPUS_MIN).contains(&sent.nano_cpus) {
        let hint = "these are billionths of a core; write at least 0.001 of one";
        return Err(bad_value("Resources.NanoCPUs", &sent.nano_cpus.to_string(), hint));
    }

    let mut generic = BTreeMap::new();
    for resource in sent.generic_resources {
        let (kind, value) = accept_generic(resource)?;
        if generic.insert(kind.clone(), value).is_some() {
            let hint = "it is there twice; leave one out";
            return Err(bad_value(GENERIC, &kind, hint));
        }
    }
    Ok(spec::Resources {
        nano_cpus: sent.nano_cpus,
        memory_bytes: sent.memory_bytes,
        pids: sent.pids,
        generic,
    })
}

const GENERIC: &str = "Resources.GenericResources";

/// A service asks for a number, as in Docker: which ones a task gets, its node decides.
fn accept_generic(sent: GenericResource) -> Result<(String, u64), BadSpec> {
    if let Some(named) = sent.named_resource_spec {
        let hint = "a service asks for a number of them, and its tasks find in DOCKER_RESOURCE_… \
                    which they were given; write DiscreteResourceSpec";
        return Err(bad_value(GENERIC, &format!("{}={}", named.kind, named.value), hint));
    }
    let amount = sent.discrete_resource_spec.unwrap_or_default();
    let is_kind = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if amount.kind.is_empty() || !amount.kind.chars().all(is_kind) || amount.value == 0 {
        let hint = "a kind of letters, digits, -, _ and . and at least one of it; write gpu=1";
        return Err(bad_value(GENERIC, &format!("{}={}", amount.kind, amount.value), hint));
    }
    Ok((amount.kind, amount.value))
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
