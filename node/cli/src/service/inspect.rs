//! `edgectl service inspect`

mod docker_form;
mod pretty;
mod reach;

use std::time::Duration;

use clap::Args;

use super::networks::KnownNetworks;
use super::{autoscale, partition, placement, schedule};
use crate::client::Client;
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{Template, print, print_inspected};
use crate::resolve;
use crate::value::{go, show_duration};
use node_docker::Nanos;
use node_docker::container_spec::ContainerSpec;
use node_docker::node::Node;
use node_docker::service::Service;
use node_docker::task_spec::{ResourceRequirements, RestartPolicy};

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
        let nodes: Vec<Node> = client.get("/nodes").await.unwrap_or_default();
        let texts: Vec<String> = services.iter().map(|one| pretty(one, &known, &nodes)).collect();
        print(texts.join("\n"))?;
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

/// The host name of a node; its id if the node is not known.
fn named(nodes: &[Node], id: &str) -> String {
    let node = nodes.iter().find(|node| node.id == id);
    node.map_or(id, |node| &node.description.hostname).to_owned()
}

/// What Docker's client prints, and below it what that leaves out.
fn pretty(service: &Service, known: &KnownNetworks, nodes: &[Node]) -> String {
    let mut text = docker_form::text(service, known);
    let more = more(service, known, nodes);
    if !more.lines.is_empty() {
        text.push_str("More:\n");
    }
    more.lines.iter().for_each(|line| text.push_str(&format!(" {line}\n")));
    text
}

fn more(service: &Service, known: &KnownNetworks, nodes: &[Node]) -> Lines {
    let mut lines = Lines::default();
    let spec = &service.spec;
    if let Some(job) = spec.mode.replicated_job {
        let (all, most) = (job.total_completions, job.max_concurrent);
        let (all, most) = (all.unwrap_or_default(), most.unwrap_or_default());
        lines.push("Mode", format!("replicated-job, {all}, at most {most} at a time"));
    } else if spec.mode.global_job.is_some() {
        lines.push("Mode", spec.mode.word());
    }
    lines.push("Schedule", spec.schedule.as_ref().map(schedule::written).unwrap_or_default());
    lines.push("Runs", service.edge.schedule.as_ref().map_or("", |said| said.message.as_str()));
    lines.push("Autoscale", spec.autoscale.as_ref().map(autoscale::written).unwrap_or_default());
    lines.push("Load", service.edge.autoscale.as_ref().map_or("", |said| said.message.as_str()));
    if let Some(job) = &service.job_status {
        lines.push("Iteration", job.job_iteration.index.to_string());
    }
    let task = &spec.task_template;
    let commands = task.pre_start.iter().flatten().map(|words| words.join(" "));
    commands.for_each(|command| lines.push("Pre-start", command));
    if let Some(container) = &task.container_spec {
        push_container(&mut lines, container);
        pretty::push(&mut lines, container);
    }
    reach::push(&mut lines, service, known);
    if let Some(placement) = &task.placement {
        lines.push("Platforms", pretty::platforms(&placement.platforms));
        lines.push("Affinities", placement.affinities.clone().unwrap_or_default().join(", "));
        lines.push("Depends on", spec.depends_on.clone().unwrap_or_default().join(", "));
        lines.push("Slot order", spec.slot_order.clone().unwrap_or_default());
        if let Some(priority) = placement.priority {
            lines.push("Priority", priority.to_string());
        }
        if let Some(policy) = &placement.partition {
            lines.push("Partition", partition::text(policy, |id| named(nodes, id)));
        }
    }
    if let Some(resources) = &task.resources {
        push_resources(&mut lines, resources);
    }
    lines.push("Restart", task.restart_policy.as_ref().map(restart).unwrap_or_default());
    let canary = spec.update_config.as_ref().and_then(|config| config.canary);
    if let Some(canary) = canary.filter(|canary| *canary > 0) {
        lines.push("Updates", format!("wait to be promoted after {canary}"));
    }
    lines
}

fn push_resources(lines: &mut Lines, resources: &ResourceRequirements) {
    lines.push(
        "Swap",
        match resources.swap_bytes {
            Some(-1) => "unlimited".to_owned(),
            Some(bytes) => go::bytes(bytes.unsigned_abs()),
            None => String::new(),
        },
    );
    let swappiness = resources.memory_swappiness.map(|swappiness| swappiness.to_string());
    lines.push("Swappiness", swappiness.unwrap_or_default());
    let reserved = resources.reservations.as_ref();
    let generic = reserved.map(|reserved| placement::in_words(&reserved.generic_resources));
    lines.push("Resources", generic.unwrap_or_default().join(", "));
}

fn push_container(lines: &mut Lines, container: &ContainerSpec) {
    lines.push("Command", container.command.join(" "));
    lines.push("Hostname", container.hostname.as_str());
    let grace = container.stop_grace_period.map(duration).unwrap_or_default();
    lines.push("Stop", format!("{} {grace}", container.stop_signal).trim());
}

fn duration(nanos: Nanos) -> String {
    show_duration(Duration::from_millis(nanos.to_ms()))
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
    fn what_docker_leaves_out_stands_below_its_lines() {
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
            pretty(&service, &KnownNetworks::default(), &[]).lines().collect::<Vec<_>>(),
            [
                "",
                "ID:\t\tx1",
                "Name:\t\tweb",
                "Service Mode:\tReplicated",
                " Replicas:\t3",
                "Placement:",
                "ContainerSpec:",
                " Image:\t\tprocess:busybox",
                " Args:\t\thttpd -f ",
                "Resources:",
                " Limits:",
                "  Memory:\t64MiB",
                "Endpoint Mode:\t",
                "More:",
                " Stop:           SIGTERM 10s",
                " Restart:        any after 5s",
            ]
        );
    }
}
