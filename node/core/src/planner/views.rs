//! The views that the plan depends on, built from the records of one service or one node.

use std::collections::BTreeMap;

use crdt_state::network::NodeNetworks;
use crdt_state::service::Service;
use crdt_state::task::{Slot, TaskState, TaskStatus};
use crdt_state::{NodeId, ServiceId};

use crate::addressing::is_on_networks;
use crate::affinity::Affinity;
use crate::assign;
use crate::catalog::{Catalog, NetworkCatalog, NodeEntry};
use crate::constraint::Constraint;
use crate::preference::Preference;
use crate::view::{Holder, JobView, NodeView, Presence, ServiceView, Standing};
use crate::volumes;

/// The view of a service; `None` if it does not exist.
pub fn service(catalog: &Catalog, id: ServiceId) -> Option<ServiceView> {
    let service = catalog.services.get(&id)?;
    let is_job = service.scale.is_job();
    let mut holders = Vec::new();
    for ((slot, node), record) in catalog.tasks.get(&id).into_iter().flatten() {
        let best = record
            .tasks
            .iter()
            .filter(|s| s.desired_running)
            .filter(|s| match s.current.state.is_terminal() {
                true => s.template == service.template_version && !is_job,
                false => s.template == service.template_version || !is_job,
            })
            .map(|s| match s.current.state {
                // No health check keeps a task of a job from ending well.
                TaskState::Running if is_job => (Standing::Running, s.running_since),
                _ => (assign::standing(s), s.running_since),
            })
            .min();
        if let Some((standing, running_since)) = best {
            holders.push(Holder { slot: *slot, node: *node, standing, running_since });
        }
    }
    // Ports without a number are picked by each node, so they keep no task from any.
    let ports = service.endpoint.ports.iter();
    let fixed = ports.filter(|port| port.host && port.published != 0);
    let preferences = service.placement.preferences.iter();
    let preferences = preferences.filter_map(|text| Preference::parse(text).ok());
    let template = service.placed_template();
    Some(ServiceView {
        id,
        name: service.name.clone(),
        image: template.image.clone(),
        created: service.created,
        scale: service.scale,
        constraints: service
            .placement
            .constraints
            .iter()
            .map(|text| Constraint::parse(text).map_err(|_| text.clone()))
            .collect(),
        affinities: service
            .relations
            .affinities
            .rules
            .iter()
            .map(|text| Affinity::parse(text).map_err(|_| text.clone()))
            .collect(),
        preferences: preferences.collect(),
        platforms: template.container.platforms.clone(),
        max_per_node: service.placement.max_per_node,
        priority: service.placement.priority,
        reservations: template.reservations.clone(),
        host_ports: fixed.cloned().collect(),
        volumes: volumes::named_by(service),
        has_networks: is_on_networks(service),
        needs_tunnel: is_on_networks(service) && catalog.networks.encrypted_of(service).is_some(),
        holders,
        leases: leases(catalog, service),
        partition: service.partition.clone(),
        job: if is_job { job(catalog, service) } else { JobView::default() },
    })
}

/// The node that has the leases of a majority of the anchors, by slot.
fn leases(catalog: &Catalog, service: &Service) -> BTreeMap<Slot, NodeId> {
    let (partition, mut votes) = (&service.partition, BTreeMap::<(Slot, NodeId), usize>::new());
    for grants in partition.anchors.iter().filter_map(|anchor| catalog.grants.get(anchor)) {
        for ((of, slot), grant) in &grants.given {
            if *of == service.id {
                *votes.entry((*slot, grant.node)).or_default() += 1;
            }
        }
    }
    votes.retain(|_, votes| *votes >= partition.majority());
    votes.into_keys().collect()
}

/// What the tasks of a job have come to in its iteration.
fn job(catalog: &Catalog, service: &Service) -> JobView {
    let version = service.template_version;
    let reports = catalog.jobs.get(&service.id).into_iter().flat_map(|reports| reports.values());
    let mut view = JobView { awaits_run: service.awaits_run, ..JobView::default() };
    view.completed.extend(reports.flat_map(|report| report.slots(version)));
    for ((slot, _), record) in catalog.tasks.get(&service.id).into_iter().flatten() {
        let is_current = |s: &&TaskStatus| s.desired_running && s.template == version;
        for status in record.tasks.iter().filter(is_current) {
            match status.current.state {
                // The report of the completion may still be on its way.
                TaskState::Complete => view.completed.insert(*slot),
                state if state.is_terminal() => view.failed.insert(*slot),
                _ => false,
            };
        }
    }
    view
}

/// The view of a node; `None` while the node has not described itself.
pub fn node(
    id: NodeId,
    entry: &NodeEntry,
    presence: Presence,
    networks: &NetworkCatalog,
) -> Option<NodeView> {
    let description = entry.description.as_ref()?;
    let ip = |text: &String| {
        text.parse::<std::net::SocketAddr>()
            .map(|addr| addr.ip())
            .or_else(|_| text.parse::<std::net::IpAddr>())
            .ok()
    };
    Some(NodeView {
        id,
        presence,
        availability: entry.availability,
        hostname: description.hostname.clone(),
        os: description.os.clone(),
        arch: description.arch.clone(),
        labels: entry.labels.clone(),
        engine_labels: description.engine_labels.clone(),
        ips: description.addresses.iter().filter_map(ip).collect(),
        resources: description.resources.clone(),
        volumes: entry.volumes.clone(),
        unable: unable(entry),
        no_networks: no_networks(networks.claims.get(&id)),
        no_tunnel: networks.no_tunnel(id).map(str::to_owned),
    })
}

/// Why a node takes part in no network of the fleet.
fn no_networks(said: Option<&NodeNetworks>) -> Option<String> {
    let silent = "it has not said that it can, so its agent may be of an older version";
    let refusal = said.map_or(silent, |said| said.refusal.as_str());
    (!refusal.is_empty()).then(|| refusal.to_owned())
}

/// Why a node cannot start tasks, in one line.
fn unable(entry: &NodeEntry) -> Option<String> {
    let texts: Vec<&str> = entry.conditions.values().map(String::as_str).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

const _: () = {
    // Terminal states come last: `is_terminal` and the order of standings rely on it.
    assert!((TaskState::Running as u8) < (TaskState::Complete as u8));
    assert!((Standing::Running as u8) < (Standing::Ended as u8));
};
