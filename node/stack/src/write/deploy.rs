//! `deploy`, `ports` and `x-edge`: how many tasks, where, how they are replaced and reached.

use node_docker::service::{PortConfig, ServiceSpec, UpdateConfig};
use node_docker::task_spec::{Placement, ResourceRequirements, Resources, RestartPolicy};
use node_values::show_cpus;

use super::keys::{Keys, node, size};
use super::without_own;
use crate::service::IMAGE_LABEL;
use crate::tree::Node;

pub fn write(spec: &ServiceSpec, stack: &str, keys: &mut Keys) {
    let task = &spec.task_template;
    let mut deploy = Keys::default();
    mode(spec, &mut deploy);
    let mut labels = without_own(&spec.labels, stack);
    labels.remove(IMAGE_LABEL);
    deploy.pairs("labels", &labels);
    // An empty mode says that there is an endpoint, where no port does.
    let is_said = |mode: &str, ports: &[PortConfig]| !mode.is_empty() || ports.is_empty();
    let endpoint = spec.endpoint_spec.as_ref();
    if let Some(endpoint) = endpoint.filter(|one| is_said(&one.mode, &one.ports)) {
        deploy.text("endpoint_mode", &endpoint.mode);
    }
    if let Some(placement) = &task.placement {
        deploy.map("placement", self::placement(placement));
    }
    if let Some(policy) = &task.restart_policy {
        deploy.map("restart_policy", restart(policy));
    }
    for (key, config) in
        [("update_config", &spec.update_config), ("rollback_config", &spec.rollback_config)]
    {
        if let Some(config) = config {
            deploy.map(key, update(config));
        }
    }
    if let Some(resources) = &task.resources {
        deploy.map("resources", self::resources(resources));
        swap(resources, keys);
    }
    keys.map("deploy", deploy);
    keys.map_unless_empty("x-edge", edge(spec));
}

fn mode(spec: &ServiceSpec, deploy: &mut Keys) {
    let mode = &spec.mode;
    if mode.word() != "replicated" {
        deploy.text("mode", mode.word());
    }
    let replicas = match (&mode.replicated, &mode.replicated_job) {
        (Some(replicated), _) => replicated.replicas,
        (None, Some(job)) => job.total_completions,
        (None, None) => None,
    };
    if let Some(replicas) = replicas {
        deploy.text("replicas", replicas.to_string());
    }
}

fn placement(placement: &Placement) -> Keys {
    let mut keys = Keys::default();
    keys.texts("constraints", placement.constraints.clone());
    let spreads = placement.preferences.iter().filter_map(|one| one.spread.as_ref());
    let preferences: Vec<Node> = spreads
        .map(|spread| {
            let mut one = Keys::default();
            one.text("spread", &spread.spread_descriptor);
            node(one.into_value())
        })
        .collect();
    if !preferences.is_empty() {
        keys.list("preferences", preferences);
    }
    keys.unless_zero("max_replicas_per_node", &placement.max_replicas);
    keys
}

fn restart(policy: &RestartPolicy) -> Keys {
    let mut keys = Keys::default();
    keys.filled("condition", &policy.condition);
    keys.duration("delay", policy.delay);
    if let Some(most) = policy.max_attempts {
        keys.text("max_attempts", most.to_string());
    }
    keys.duration("window", policy.window);
    keys
}

fn update(config: &UpdateConfig) -> Keys {
    let mut keys = Keys::default();
    keys.text("parallelism", config.parallelism.to_string());
    keys.duration("delay", Some(config.delay).filter(|nanos| nanos.0 != 0));
    keys.filled("failure_action", &config.failure_action);
    keys.duration("monitor", Some(config.monitor).filter(|nanos| nanos.0 != 0));
    keys.unless_zero("max_failure_ratio", &config.max_failure_ratio);
    keys.filled("order", &config.order);
    keys
}

fn resources(resources: &ResourceRequirements) -> Keys {
    let mut keys = Keys::default();
    for (key, part) in [("limits", &resources.limits), ("reservations", &resources.reservations)] {
        if let Some(part) = part {
            keys.map(key, amounts(part));
        }
    }
    keys
}

fn amounts(amounts: &Resources) -> Keys {
    let mut keys = Keys::default();
    if amounts.nano_cpus > 0 {
        keys.text("cpus", show_cpus(amounts.nano_cpus));
    }
    if amounts.memory_bytes > 0 {
        keys.text("memory", size(amounts.memory_bytes));
    }
    keys.unless_zero("pids", &amounts.pids);
    let kinds =
        amounts.generic_resources.iter().filter_map(|one| one.discrete_resource_spec.as_ref());
    let kinds: Vec<Node> = kinds
        .map(|discrete| {
            let (mut outer, mut inner) = (Keys::default(), Keys::default());
            inner.text("kind", &discrete.kind);
            inner.text("value", discrete.value.to_string());
            outer.map("discrete_resource_spec", inner);
            node(outer.into_value())
        })
        .collect();
    if !kinds.is_empty() {
        keys.list("generic_resources", kinds);
    }
    keys
}

/// Swap is written with the memory, as a whole.
fn swap(resources: &ResourceRequirements, keys: &mut Keys) {
    let memory = resources.limits.as_ref().map_or(0, |limits| limits.memory_bytes);
    if let Some(swap) = resources.swap_bytes {
        let whole = match swap {
            -1 => -1,
            swap => swap.saturating_add_unsigned(memory),
        };
        keys.text("memswap_limit", whole.to_string());
    }
    if let Some(swappiness) = resources.memory_swappiness {
        keys.text("mem_swappiness", swappiness.to_string());
    }
}

pub fn write_ports(spec: &ServiceSpec, keys: &mut Keys) {
    let ports = spec.endpoint_spec.iter().flat_map(|endpoint| &endpoint.ports);
    let ports: Vec<Node> = ports
        .map(|port| {
            let mut one = Keys::default();
            one.filled("name", &port.name);
            one.text("target", port.target_port.to_string());
            one.unless_zero("published", &port.published_port);
            one.filled("protocol", &port.protocol);
            one.filled("mode", &port.publish_mode);
            node(one.into_value())
        })
        .collect();
    if !ports.is_empty() {
        keys.list("ports", ports);
    }
}

fn edge(spec: &ServiceSpec) -> Keys {
    let mut keys = Keys::default();
    let placement = spec.task_template.placement.clone().unwrap_or_default();
    if let Some(priority) = placement.priority {
        keys.text("priority", priority.to_string());
    }
    keys.texts("affinity", placement.affinities.unwrap_or_default());
    if let Some(partition) = placement.partition {
        let mut inner = Keys::default();
        inner.filled("policy", &partition.policy);
        inner.duration("fence_after", partition.fence_after);
        inner.texts("anchors", partition.anchors);
        keys.map("partition", inner);
    }
    if let Some(order) = &spec.slot_order {
        keys.text("slot_order", order);
    }
    if let Some(canary) = spec.update_config.as_ref().and_then(|config| config.canary) {
        keys.text("canary", canary.to_string());
    }
    of_load_and_time(spec, &mut keys);
    let job = spec.mode.replicated_job.as_ref();
    let most = job.filter(|job| job.max_concurrent != job.total_completions);
    if let Some(most) = most.and_then(|job| job.max_concurrent) {
        keys.text("max_concurrent", most.to_string());
    }
    keys
}

fn of_load_and_time(spec: &ServiceSpec, keys: &mut Keys) {
    if let Some(autoscale) = &spec.autoscale {
        let mut inner = Keys::default();
        inner.text("min", autoscale.min.to_string());
        inner.text("max", autoscale.max.to_string());
        for (key, percent) in [("cpu", autoscale.cpu_percent), ("memory", autoscale.memory_percent)]
        {
            if let Some(percent) = percent {
                inner.text(key, format!("{percent}%"));
            }
        }
        keys.map("autoscale", inner);
    }
    if let Some(schedule) = &spec.schedule {
        let mut inner = Keys::default();
        inner.filled("cron", &schedule.cron);
        inner.filled("time_zone", &schedule.time_zone);
        inner.filled("overlap", &schedule.overlap);
        inner.filled("missed", &schedule.missed);
        keys.map("schedule", inner);
    }
}
