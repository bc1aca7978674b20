//! `edgectl service inspect`

mod pretty;
mod reach;
mod rollout;

use std::time::Duration;

use clap::Args;

use super::networks::KnownNetworks;
use super::placement;
use crate::client::Client;
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{Template, print, print_inspected};
use crate::resolve;
use crate::value::{show_bytes, show_cpus, show_duration};
use node_docker::Nanos;
use node_docker::container_spec::ContainerSpec;
use node_docker::service::Service;
use node_docker::task_spec::{Resources, RestartPolicy};

/// Flags and operands.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Services, by name or id
    #[arg(required = true, value_name = "SERVICE")]
    services: Vec<String>,
    /// Go template: '{{.Spec.Name}}', '{{json .Spec.Labels}}'
    #[arg(short, long, value_name = "FORMAT", conflicts_with = "pretty")]
    format: Option<String>,
    /// For people
    #[arg(long)]
    pretty: bool,
}

/// Shows each.
pub async fn run(args: InspectArgs, mut client: Client) -> Result<Exit, Failure> {
    let format = args.format.as_deref().filter(|format| *format != "json");
    let template = format.map(Template::lenient).transpose()?;
    let mut services = Vec::new();
    let mut each = Each::new();
    for typed in &args.services {
        services.extend(each.take(read(&mut client, typed).await));
    }
    if args.pretty && !services.is_empty() {
        // An id is better than no answer.
        let known = KnownNetworks::all(&mut client).await.unwrap_or_default();
        let texts: Vec<String> = services.iter().map(|one| pretty(one, &known)).collect();
        print(texts.join("\n\n"))?;
    } else {
        print_inspected(&services, template.as_ref())?;
    }
    Ok(each.exit())
}

async fn read(client: &mut Client, typed: &str) -> Result<Service, Failure> {
    let id = resolve::service(client, typed).await?.id;
    Ok(client.get(&format!("/services/{id}")).await?)
}

/// Lines of `name: value`, those that have a value.
#[derive(Default)]
struct Lines {
    lines: Vec<String>,
}

impl Lines {
    fn push(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.lines.push(format!("{:<16}{value}", format!("{name}:")));
        }
    }
}

fn pretty(service: &Service, known: &KnownNetworks) -> String {
    let mut lines = Lines::default();
    let spec = &service.spec;
    lines.push("ID", service.id.as_str());
    lines.push("Name", spec.name.as_str());
    let labels: Vec<String> = spec.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    lines.push("Labels", labels.join(", "));
    let replicas = spec.mode.replicated.and_then(|replicated| replicated.replicas);
    match (replicas, spec.mode.replicated_job) {
        (Some(replicas), _) => lines.push("Mode", format!("replicated, {replicas}")),
        (None, Some(job)) => {
            let (all, most) = (job.total_completions, job.max_concurrent);
            let (all, most) = (all.unwrap_or_default(), most.unwrap_or_default());
            lines.push("Mode", format!("replicated-job, {all}, at most {most} at a time"));
        }
        (None, None) => lines.push("Mode", spec.mode.word()),
    }
    if let Some(job) = &service.job_status {
        lines.push("Iteration", job.job_iteration.index.to_string());
    }
    if let Some(update) = &service.update_status {
        lines.push("Update", format!("{}: {}", update.state, update.message));
    }
    let task = &spec.task_template;
    if let Some(container) = &task.container_spec {
        push_container(&mut lines, container);
        pretty::push(&mut lines, container);
    }
    reach::push(&mut lines, service, known);
    if let Some(placement) = &task.placement {
        lines.push("Platforms", pretty::platforms(&placement.platforms));
        lines.push("Constraints", placement.constraints.join(", "));
        let preferences: Vec<String> =
            placement.preferences.iter().map(placement::written).collect();
        lines.push("Preferences", preferences.join(", "));
        if placement.max_replicas > 0 {
            lines.push("Max per node", placement.max_replicas.to_string());
        }
    }
    if let Some(resources) = &task.resources {
        lines.push("Limits", resources.limits.as_ref().map(amounts).unwrap_or_default());
        lines
            .push("Reservations", resources.reservations.as_ref().map(amounts).unwrap_or_default());
    }
    lines.push("Restart", task.restart_policy.as_ref().map(restart).unwrap_or_default());
    lines.push("Updates", spec.update_config.as_ref().map(rollout::policy).unwrap_or_default());
    lines.push("Rollbacks", spec.rollback_config.as_ref().map(rollout::policy).unwrap_or_default());
    lines.lines.join("\n")
}

fn push_container(lines: &mut Lines, container: &ContainerSpec) {
    lines.push("Image", container.image.as_str());
    lines.push("Command", container.command.join(" "));
    lines.push("Args", container.args.join(" "));
    lines.push("Hostname", container.hostname.as_str());
    lines.push("Env", container.env.join(" "));
    lines.push("Dir", container.dir.as_str());
    lines.push("User", container.user.as_str());
    if let Some(health) = &container.healthcheck {
        lines.push("Health", health.test.join(" "));
    }
    let grace = container.stop_grace_period.map(duration).unwrap_or_default();
    lines.push("Stop", format!("{} {grace}", container.stop_signal).trim());
}

fn duration(nanos: Nanos) -> String {
    show_duration(Duration::from_millis(nanos.to_ms()))
}

fn amounts(resources: &Resources) -> String {
    let mut parts = Vec::new();
    if resources.nano_cpus > 0 {
        parts.push(format!("{} cores", show_cpus(resources.nano_cpus)));
    }
    if resources.memory_bytes > 0 {
        parts.push(show_bytes(resources.memory_bytes));
    }
    if resources.pids > 0 {
        parts.push(format!("{} processes", resources.pids));
    }
    parts.extend(placement::in_words(&resources.generic_resources));
    parts.join(", ")
}

fn restart(policy: &RestartPolicy) -> String {
    let mut text = policy.condition.clone();
    if let Some(delay) = policy.delay {
        text = format!("{text} after {}", duration(delay));
    }
    if let Some(max) = policy.max_attempts.filter(|max| *max > 0) {
        text = format!("{text}, at most {max} times");
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pretty_shows_what_is_set_and_nothing_else() {
        let service: Service = serde_json::from_value(json!({
            "ID": "x1",
            "Spec": {
                "Name": "web", "Mode": {"Replicated": {"Replicas": 3}},
                "TaskTemplate": {
                    "ContainerSpec": {"Image": "process:busybox", "Args": ["httpd", "-f"],
                        "StopSignal": "SIGTERM", "StopGracePeriod": 10_000_000_000_u64},
                    "Resources": {"Limits": {"MemoryBytes": 67_108_864}},
                    "RestartPolicy": {"Condition": "any", "Delay": 5_000_000_000_u64}
                }
            }
        }))
        .expect("a service");
        assert_eq!(
            pretty(&service, &KnownNetworks::default()).lines().collect::<Vec<_>>(),
            [
                "ID:             x1",
                "Name:           web",
                "Mode:           replicated, 3",
                "Image:          process:busybox",
                "Args:           httpd -f",
                "Stop:           SIGTERM 10s",
                "Limits:         64MiB",
                "Restart:        any after 5s",
            ]
        );
    }
}
