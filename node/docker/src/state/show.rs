//! Translates the facets of a service to Docker's spec.

mod container;
mod partition;

use crdt_state::network::Attachments;
use crdt_state::node::Availability;
use crdt_state::relation::SlotOrder;
use crdt_state::resource::NamedResources;
use crdt_state::rollout::{FailureAction, FailurePolicy, RATIO_ONE, RollbackPolicy};
use crdt_state::spec;
use node_core::ServiceSpec;

use super::accept::{extension, files};
use crate::container_spec::{ContainerSpec, HealthConfig};
use crate::service as docker;
use crate::task_spec::{
    DiscreteResource, GenericResource, LogDriver, NamedResource, NetworkAttachment, PROCESS_SCHEME,
    Placement, PlacementPreference, ResourceRequirements, Resources, RestartPolicy, SpreadOver,
    TaskSpec,
};
use crate::{Nanos, Unknown};

/// The inverse of [`accept`](super::accept()).
pub fn show(service: &ServiceSpec) -> docker::ServiceSpec {
    docker::ServiceSpec {
        name: service.name.clone(),
        labels: service.labels.clone(),
        task_template: partition::shown(
            TaskSpec {
                placement: Some(Placement {
                    affinities: some(&service.relations.affinities.rules),
                    ..show_placement(&service.template, &service.placement)
                }),
                ..show_attached_task(&service.template, &service.placement, &service.networks)
            },
            &service.partition,
        ),
        mode: show_mode(service.scale),
        update_config: (!service.scale.is_job()).then(|| docker::UpdateConfig {
            canary: Some(u64::from(service.update_rules.canary)).filter(|canary| *canary > 0),
            ..show_update(&service.update_policy, service.update_rules.failure)
        }),
        rollback_config: (!service.scale.is_job()).then(|| {
            let RollbackPolicy { pace, failure } = &service.rollback_policy;
            show_update(pace, *failure)
        }),
        endpoint_spec: Some(docker::EndpointSpec {
            mode: if service.by_name { "dnsrr" } else { "vip" }.to_owned(),
            ..show_endpoint(&service.endpoint)
        }),
        schedule: service.schedule.as_ref().map(super::accept::schedule::show),
        autoscale: service.autoscale.map(super::accept::autoscale::show),
        depends_on: some(&service.relations.depends_on.services),
        slot_order: match service.relations.slot_order {
            SlotOrder::Any => None,
            SlotOrder::Ascending => Some("ascending".to_owned()),
        },
        unknown: Unknown::new(),
    }
}

/// The spec of a task.
pub fn show_task(template: &spec::Template, placement: &spec::Placement) -> TaskSpec {
    TaskSpec {
        container_spec: Some(show_container(template)),
        resources: Some(ResourceRequirements {
            limits: Some(show_resources(&template.limits)),
            reservations: Some(show_resources(&template.reservations)),
            swap_bytes: extension::swap_bytes(&template.extension),
            memory_swappiness: template.extension.swappiness.map(i64::from),
        }),
        restart_policy: Some(show_restart(&template.restart)),
        placement: Some(show_placement(template, placement)),
        log_driver: Some(LogDriver {
            name: "json-file".to_owned(),
            options: template.log_options.clone(),
        })
        .filter(|driver| !driver.options.is_empty()),
        networks: show_networks(template, &Vec::new()),
        force_update: template.force_update,
        pre_start: Some(&template.extension.pre_start)
            .filter(|commands| !commands.is_empty())
            .cloned(),
        // Docker's client sends back no other runtime than that of containers: so the reference of
        // the image shows what it is.
        runtime: String::new(),
        unknown: Unknown::new(),
    }
}

/// The spec of a task with the networks that its service is on.
pub fn show_attached_task(
    template: &spec::Template,
    placement: &spec::Placement,
    networks: &Attachments,
) -> TaskSpec {
    TaskSpec { networks: show_networks(template, networks), ..show_task(template, placement) }
}

/// The networks of a task: those of the fleet, or else that of its template.
pub fn show_networks(template: &spec::Template, networks: &Attachments) -> Vec<NetworkAttachment> {
    if template.runtime == spec::Runtime::Process {
        return Vec::new();
    }
    if networks.is_empty() {
        return container::show_networks(&template.container);
    }
    let shown = networks.iter().map(|attachment| NetworkAttachment {
        target: attachment.network.to_string(),
        aliases: attachment.aliases.clone(),
        driver_opts: attachment.options.clone(),
    });
    shown.collect()
}

/// Docker's word for it.
pub fn availability_word(availability: Availability) -> &'static str {
    match availability {
        Availability::Active => "active",
        Availability::Pause => "pause",
        Availability::Drain => "drain",
    }
}

fn show_container(template: &spec::Template) -> ContainerSpec {
    let (image, command) = match (template.runtime, template.command.split_first()) {
        (spec::Runtime::Process, Some((program, rest))) => {
            (format!("{PROCESS_SCHEME}{program}"), rest.to_vec())
        }
        _ => (template.image.clone(), template.command.clone()),
    };
    let mut shown = ContainerSpec {
        image,
        labels: template.labels.clone(),
        command,
        args: template.args.clone(),
        hostname: template.hostname.clone().unwrap_or_default(),
        env: template.env.clone(),
        dir: template.dir.clone().unwrap_or_default(),
        user: template.user.clone().unwrap_or_default(),
        stop_signal: template.stop_signal.clone().unwrap_or_default(),
        stop_grace_period: Some(Nanos::from_ms(template.stop_grace_ms)),
        healthcheck: template.health.as_ref().map(show_health),
        configs: files::show(&template.extension.configs),
        secrets: files::show(&template.extension.secrets),
        ..ContainerSpec::default()
    };
    container::fill(template, &mut shown);
    shown
}

fn show_health(check: &spec::HealthCheck) -> HealthConfig {
    HealthConfig {
        test: check.test.clone(),
        interval: Nanos::from_ms(check.interval_ms),
        timeout: Nanos::from_ms(check.timeout_ms),
        start_period: Nanos::from_ms(check.start_period_ms),
        start_interval: Nanos::from_ms(check.start_interval_ms),
        retries: check.retries,
    }
}

/// Amounts of a task, or of a node.
pub fn show_resources(resources: &spec::Resources) -> Resources {
    let discrete = |(kind, value): (&String, &u64)| GenericResource {
        discrete_resource_spec: Some(DiscreteResource { kind: kind.clone(), value: *value }),
        named_resource_spec: None,
    };
    Resources {
        nano_cpus: resources.nano_cpus,
        memory_bytes: resources.memory_bytes,
        pids: resources.pids,
        generic_resources: resources.generic.iter().map(discrete).collect(),
    }
}

/// What a node has: resources that have names are listed by them.
pub fn show_node_resources(resources: &spec::Resources, named: &NamedResources) -> Resources {
    let mut shown = show_resources(resources);
    let is_counted = |resource: &GenericResource| {
        let kind = resource.discrete_resource_spec.as_ref().map(|amount| &amount.kind);
        kind.is_some_and(|kind| !named.contains_key(kind))
    };
    shown.generic_resources.retain(is_counted);
    let names = named.iter().flat_map(|(kind, names)| names.iter().map(move |name| (kind, name)));
    shown.generic_resources.extend(names.map(|(kind, name)| GenericResource {
        discrete_resource_spec: None,
        named_resource_spec: Some(NamedResource { kind: kind.clone(), value: name.clone() }),
    }));
    shown
}

fn show_restart(policy: &spec::RestartPolicy) -> RestartPolicy {
    let condition = match policy.condition {
        spec::RestartCondition::None => "none",
        spec::RestartCondition::OnFailure => "on-failure",
        spec::RestartCondition::Any => "any",
    };
    RestartPolicy {
        condition: condition.to_owned(),
        delay: Some(Nanos::from_ms(policy.delay_ms)),
        max_attempts: Some(policy.max_attempts.unwrap_or(0)),
        window: Some(Nanos::from_ms(policy.window_ms)).filter(|window| window.0 > 0),
    }
}

fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn show_placement(template: &spec::Template, placement: &spec::Placement) -> Placement {
    let preference = |text: &String| PlacementPreference {
        spread: Some(SpreadOver {
            spread_descriptor: text.strip_prefix("spread=").unwrap_or(text).to_owned(),
        }),
    };
    Placement {
        constraints: placement.constraints.clone(),
        preferences: placement.preferences.iter().map(preference).collect(),
        max_replicas: placement.max_per_node,
        platforms: template.container.platforms.iter().map(container::show_platform).collect(),
        priority: Some(placement.priority).filter(|priority| *priority != 0),
        affinities: None,
        partition: None,
    }
}

fn show_mode(scale: spec::Scale) -> docker::ServiceMode {
    match scale {
        spec::Scale::Replicated { replicas } => docker::ServiceMode {
            replicated: Some(docker::Replicated { replicas: Some(u64::from(replicas)) }),
            ..docker::ServiceMode::default()
        },
        spec::Scale::Global => {
            docker::ServiceMode { global: Some(docker::Empty {}), ..docker::ServiceMode::default() }
        }
        spec::Scale::JobReplicated { completions, max_concurrent } => docker::ServiceMode {
            replicated_job: Some(docker::ReplicatedJob {
                max_concurrent: Some(u64::from(max_concurrent)),
                total_completions: Some(u64::from(completions)),
            }),
            ..docker::ServiceMode::default()
        },
        spec::Scale::JobGlobal => docker::ServiceMode {
            global_job: Some(docker::Empty {}),
            ..docker::ServiceMode::default()
        },
    }
}

fn show_update(policy: &spec::UpdatePolicy, failure: FailurePolicy) -> docker::UpdateConfig {
    let order = match policy.order {
        spec::UpdateOrder::StopFirst => "stop-first",
        spec::UpdateOrder::StartFirst => "start-first",
        spec::UpdateOrder::BlueGreen => "blue-green",
    };
    docker::UpdateConfig {
        parallelism: u64::from(policy.parallelism),
        delay: Nanos::from_ms(policy.delay_ms),
        failure_action: match failure.action {
            FailureAction::Pause => "pause",
            FailureAction::Continue => "continue",
            FailureAction::Rollback => "rollback",
        }
        .to_owned(),
        monitor: Nanos::from_ms(policy.monitor_ms),
        max_failure_ratio: (f64::from(failure.max_ratio) / f64::from(RATIO_ONE)) as f32,
        order: order.to_owned(),
        canary: None,
    }
}

fn show_endpoint(endpoint: &spec::Endpoint) -> docker::EndpointSpec {
    docker::EndpointSpec {
        mode: "vip".to_owned(),
        ports: endpoint.ports.iter().map(show_port).collect(),
    }
}

/// One published port.
pub fn show_port(port: &spec::PublishedPort) -> docker::PortConfig {
    docker::PortConfig {
        name: String::new(),
        protocol: port.protocol.clone(),
        target_port: port.target,
        published_port: port.published,
        publish_mode: if port.host { "host" } else { "ingress" }.to_owned(),
    }
}
