//! Translates Docker's spec to the facets of a service.

pub(super) mod autoscale;
mod check;
mod container;
mod env;
pub(super) mod extension;
pub(super) mod files;
mod mode;
mod mount;
mod network;
mod partition;
pub(super) mod schedule;
mod security;
mod template;
mod update;
mod users;

use crdt_state::node::Availability;
use crdt_state::relation::{Affinities, DependsOn, Relations, SlotOrder};
use crdt_state::spec;
use node_core::ServiceSpec;

use super::BadSpec;
use super::unknown::refuse_unknown;
use crate::service as docker;
use crate::task_spec::Placement;

/// Reads a spec. `current` is the service's present spec, for fields that Docker's clients lose.
pub fn accept(
    sent: docker::ServiceSpec,
    current: Option<&ServiceSpec>,
) -> Result<ServiceSpec, BadSpec> {
    refuse_unknown("", &sent.unknown)?;
    refuse_unknown("TaskTemplate.", &sent.task_template.unknown)?;
    let autoscale =
        autoscale::accept(sent.autoscale, current.and_then(|current| current.autoscale))?;
    let first = autoscale.map_or(1, |asked| asked.min);
    let scale = mode::accept(sent.mode, first)?;
    mode::check_update(scale, sent.update_config.as_ref())?;
    mode::check_update(scale, sent.rollback_config.as_ref())?;
    let current_rules = current.map(|spec| spec.update_rules).unwrap_or_default();
    let (update_policy, update_rules) = update::accept(sent.update_config, current_rules)?;
    let rollback_policy = update::accept_rollback(sent.rollback_config)?;
    let current_schedule = current.and_then(|spec| spec.schedule.clone());
    let schedule = schedule::accept(sent.schedule, current_schedule)?;
    let sent_endpoint = sent.endpoint_spec.unwrap_or_default();
    let endpoint_mode = sent_endpoint.mode.clone();
    let endpoint = accept_endpoint(sent_endpoint)?;
    let mut task = mode::with_restart(scale, sent.task_template);
    let priority = current.map_or(0, |spec| spec.placement.priority);
    let mut sent_placement = task.placement.take().unwrap_or_default();
    let platforms = std::mem::take(&mut sent_placement.platforms);
    let partition = partition::accept(
        sent_placement.partition.take(),
        current.map(|spec| spec.partition.clone()).unwrap_or_default(),
    )?;
    let held = current.map(|spec| spec.relations.clone()).unwrap_or_default();
    let slot_order = slot_order(sent.slot_order.as_deref(), held.slot_order)?;
    let relations = Relations {
        slot_order,
        ..relations(sent_placement.affinities.take(), sent.depends_on, held)
    };
    let placement = accept_placement(sent_placement, priority)?;
    let networks = network::accept(&task)?;
    let by_name = network::accept_mode(&endpoint_mode, &networks, &endpoint)?;
    let template = template::accept(task, &platforms, current.map(|spec| &spec.template))?;
    check::check(scale, &placement, &template)?;
    Ok(ServiceSpec {
        name: sent.name,
        template,
        scale,
        placement,
        relations,
        update_policy,
        update_rules,
        rollback_policy,
        partition,
        schedule,
        autoscale,
        endpoint,
        networks: networks.attachments,
        by_name,
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

fn bad_value(field: &'static str, value: &str, hint: &str) -> BadSpec {
    BadSpec::BadValue { field, value: value.to_owned(), hint: hint.to_owned() }
}

fn fit_u32(field: &'static str, value: u64) -> Result<u32, BadSpec> {
    let max = u64::from(u32::MAX);
    u32::try_from(value).map_err(|_| BadSpec::TooMuch { field, value, max })
}

fn or_default(ms: u64, default: u64) -> u64 {
    if ms == 0 { default } else { ms }
}

fn accept_endpoint(endpoint: docker::EndpointSpec) -> Result<spec::Endpoint, BadSpec> {
    let ports = endpoint.ports.into_iter().map(accept_port).collect::<Result<Vec<_>, _>>()?;
    let is_twin = |one: &spec::PublishedPort, other: &spec::PublishedPort| {
        one.published != 0 && (one.published, &one.protocol) == (other.published, &other.protocol)
    };
    for (at, port) in ports.iter().enumerate() {
        if ports[..at].iter().any(|other| is_twin(port, other)) {
            let value = format!("{}/{}", port.published, port.protocol);
            let hint = "it is published twice by this service; leave one out";
            return Err(bad_value("EndpointSpec.Ports.PublishedPort", &value, hint));
        }
    }
    Ok(spec::Endpoint { ports })
}

fn accept_port(port: docker::PortConfig) -> Result<spec::PublishedPort, BadSpec> {
    let protocol = match port.protocol.as_str() {
        "" => "tcp".to_owned(),
        "tcp" | "udp" | "sctp" => port.protocol,
        other => return Err(bad_word("EndpointSpec.Ports.Protocol", other, "tcp, udp, sctp")),
    };
    let host = match port.publish_mode.as_str() {
        "host" => true,
        "" | "ingress" => false,
        other => return Err(bad_word("EndpointSpec.Ports.PublishMode", other, "ingress, host")),
    };
    if port.target_port == 0 {
        let hint = "a task listens on a port from 1 to 65535; give one";
        return Err(bad_value("EndpointSpec.Ports.TargetPort", "0", hint));
    }
    Ok(spec::PublishedPort {
        published: port.published_port,
        target: port.target_port,
        protocol,
        host,
    })
}

/// What is absent stays as it is: Docker's clients lose it.
fn relations(
    affinities: Option<Vec<String>>,
    depends_on: Option<Vec<String>>,
    held: Relations,
) -> Relations {
    Relations {
        affinities: affinities.map_or(held.affinities, |rules| Affinities { rules }),
        depends_on: depends_on.map_or(held.depends_on, |services| DependsOn { services }),
        slot_order: held.slot_order,
    }
}

fn slot_order(sent: Option<&str>, held: SlotOrder) -> Result<SlotOrder, BadSpec> {
    match sent {
        None => Ok(held),
        Some("any") => Ok(SlotOrder::Any),
        Some("ascending") => Ok(SlotOrder::Ascending),
        Some(other) => Err(bad_word("SlotOrder", other, "any, ascending")),
    }
}

fn accept_placement(sent: Placement, priority: i32) -> Result<spec::Placement, BadSpec> {
    let preferences = sent.preferences.iter().map(|preference| match &preference.spread {
        Some(over) => Ok(format!("spread={}", over.spread_descriptor)),
        None => {
            let hint = "a preference without Spread says nothing; \
                        write {\"Spread\": {\"SpreadDescriptor\": \"node.labels.zone\"}}";
            Err(bad_value("Placement.Preferences", "{}", hint))
        }
    });
    Ok(spec::Placement {
        constraints: sent.constraints,
        preferences: preferences.collect::<Result<_, _>>()?,
        max_per_node: sent.max_replicas,
        priority: sent.priority.unwrap_or(priority),
    })
}
