//! `/edge/why/…`: returns the node's recorded reasons. Nothing is decided here.

use axum::Json;
use axum::extract::{Path, State};
use crdt_state::service::Service;
use crdt_state::spec::Scale;
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};
use node_core::TaskView;
use node_core::expand::task_name;
use node_core::report::{NodeVerdict, SlotWhy};

use super::Api;
use super::autoscale;
use super::failure::Failure;
use super::full_networks;
use super::nodes::state_word;
use super::path_failures;
use super::snapshot::Snapshot;
use super::tasks;
use node_docker::edge::{ExcludedNode, Why, WhyRow};

/// `GET /edge/why/service/{id}`.
pub async fn service(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<Json<Why>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let service = snapshot.service(&wanted)?;
    let slots = why_slots(&api, service.id).await?;
    let tasks = snapshot.tasks.iter().filter(|task| task.service == service.id);
    let paths = path_failures::of_tasks(&api.handle.path_failures(), &snapshot, tasks);
    let mut why = Why {
        kind: "service".to_owned(),
        id: service.id.to_string(),
        name: service.name.clone(),
        summary: summary(&snapshot, service),
        notes: [notes(&api, &snapshot, service).await?, paths].concat(),
        rows: slots.iter().map(|slot| slot_row(&snapshot, service.id, slot)).collect(),
        ..Why::default()
    };
    // The nodes are the same for every slot that waits, so they are listed once.
    if let Some(slot) = slots.iter().find(|slot| !slot.running) {
        why.excluded = excluded(slot);
        why.fixes.clone_from(&slot.fixes);
    }
    Ok(Json(why))
}

fn summary(snapshot: &Snapshot, service: &Service) -> String {
    let (running, desired) = snapshot.running.get(&service.id).copied().unwrap_or_default();
    let name = &service.name;
    match (snapshot.jobs.get(&service.id), service.scale) {
        (Some(job), Scale::JobReplicated { completions, .. }) => {
            let completed = job.completed;
            format!(
                "{completed} of {completions} tasks of the job {name} are complete, {running} of \
                 at most {desired} run"
            )
        }
        (Some(job), _) => {
            let (completed, all) = (job.completed, job.completed + desired);
            format!("{completed} of {all} tasks of the job {name} are complete, {running} run")
        }
        (None, _) => format!("{running} of {desired} tasks of {name} run healthy"),
    }
}

/// `GET /edge/why/task/{id or name}`.
pub async fn task(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<Json<Why>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let found = tasks::find(&snapshot, &wanted)?.task;
    let is_found = |view: &&TaskView| view.id.to_string() == found.edge.task_id;
    let view = snapshot.tasks.iter().find(is_found).expect("the task was found in the same copy");
    let slots = why_slots(&api, view.service).await?;
    let mut why =
        Why { kind: "task".to_owned(), id: found.id, name: found.edge.name, ..Why::default() };
    if let Some(service) = snapshot.service_of(view.service) {
        why.notes = notes(&api, &snapshot, service).await?;
    }
    let failures = api.handle.path_failures();
    why.notes.extend(path_failures::of_tasks(&failures, &snapshot, std::iter::once(view)));
    match slots.iter().find(|slot| slot.slot == view.slot) {
        Some(slot) => {
            why.summary.clone_from(&slot.summary);
            why.rows = vec![slot_row(&snapshot, view.service, slot)];
            why.excluded = excluded(slot);
            why.fixes.clone_from(&slot.fixes);
        }
        None => {
            why.summary =
                format!("{} is not wanted any more: its service asks for fewer tasks", why.name);
            why.rows = vec![task_row(&snapshot, view, "unwanted")];
        }
    }
    Ok(Json(why))
}

/// `GET /edge/why/node/{id}`: what is known of the node, and its tasks.
pub async fn node(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<Json<Why>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let row = snapshot.node(&wanted)?;
    let id = row.id;
    let known = api.read(move |node, now| node.report(now).why_node(id)).await?;
    let known = known.ok_or_else(|| {
        Failure::Missing(format!("node {wanted} was just forgotten; `edgectl node ls` lists all"))
    })?;
    let here = snapshot.tasks.iter().filter(|task| task.node == Some(id) && task.desired_running);
    let code = state_word(row.state);
    let mut rows: Vec<WhyRow> = here.map(|task| task_row(&snapshot, task, code)).collect();
    for row in &mut rows {
        if let Some(held) = known.held.iter().find(|held| held.name == row.name) {
            row.code = "held".to_owned();
            row.reason.clone_from(&held.reason);
        }
    }
    Ok(Json(Why {
        kind: "node".to_owned(),
        id: id.to_string(),
        name: known.hostname,
        summary: known.summary,
        notes: Vec::new(),
        rows,
        excluded: Vec::new(),
        fixes: known.fixes,
    }))
}

/// What is not as its service asks, though tasks run.
async fn notes(api: &Api, snapshot: &Snapshot, service: &Service) -> Result<Vec<String>, Failure> {
    let networks: Vec<_> = service.networks.iter().map(|attached| attached.network).collect();
    let met_routes = api.read(move |node, _| node.met_routes(&networks)).await?;
    let full = full_networks::of_service(api, snapshot, service).await?;
    let (names, ports) = (name_notes(snapshot, service), port_notes(api, snapshot, service));
    let schedule = snapshot.schedules.get(&service.id).map(|status| status.in_words());
    let load = autoscale::now(api, service.id).await?.map(|status| status.in_words());
    let schedule = schedule.into_iter().chain(load).collect();
    let id = service.id;
    let unheeded = api.read(move |node, now| node.report(now).not_waited_for(id)).await?;
    Ok([schedule, names, ports, met_routes, full, unheeded].concat())
}

/// Two sides of a partition created the same name: both services run, and the name means the older
/// one.
fn name_notes(snapshot: &Snapshot, service: &Service) -> Vec<String> {
    let means = match snapshot.name_owner(service) {
        Some(_) => "means that one, this one goes by its id",
        None => "means this one",
    };
    let note = |other: &Service| {
        let made = snapshot.hostname(other.created.writer.node);
        format!(
            "it shares its name with {}, made on {made}; {} {means}; to resolve it: edgectl service \
             rename {} NEW, or edgectl conflicts pick NUMBER",
            other.id, service.name, service.id
        )
    };
    snapshot.namesakes(service).map(note).collect()
}

/// The ports of the service that this node could not publish.
fn port_notes(api: &Api, snapshot: &Snapshot, service: &Service) -> Vec<String> {
    let asked = service.endpoint.ports.iter().map(|port| (port.published, &port.protocol));
    let tasks = snapshot.tasks.iter().filter(|task| task.service == service.id);
    let picked = tasks.filter_map(|task| snapshot.picked_ports.get(&task.id)).flatten();
    let picked = picked.map(|port| (port.published, &port.protocol));
    let ports: Vec<String> = asked
        .chain(picked)
        .map(|(number, protocol)| format!("port {number}/{protocol} "))
        .collect();
    let failures = api.handle.network_failures().into_iter();
    failures.filter(|why| ports.iter().any(|port| why.starts_with(port))).collect()
}

async fn why_slots(api: &Api, id: ServiceId) -> Result<Vec<SlotWhy>, Failure> {
    api.read(move |node, now| node.report(now).why_service(id)).await
}

fn slot_row(snapshot: &Snapshot, service: ServiceId, slot: &SlotWhy) -> WhyRow {
    let owner = slot.nodes.iter().find(|verdict| Some(verdict.node) == slot.owner);
    let view = view_of(snapshot, service, slot.slot, slot.owner);
    let waits = view.and_then(|view| view.reason.clone());
    // A slot of a job that is over has no owner: who had it last speaks.
    let view = view.or_else(|| ended(snapshot, service, slot));
    let chosen = owner.map(|verdict| verdict.detail.clone());
    WhyRow {
        name: slot.name.clone(),
        node: slot.owner.map(|node| snapshot.hostname(node)).unwrap_or_default(),
        state: state_of(view),
        code: slot.code.to_owned(),
        reason: waits.or(chosen).unwrap_or_else(|| slot.summary.clone()),
    }
}

fn task_row(snapshot: &Snapshot, view: &TaskView, code: &str) -> WhyRow {
    WhyRow {
        name: task_name(&view.service_name, view.slot),
        node: view.node.map(|node| snapshot.hostname(node)).unwrap_or_default(),
        state: state_of(Some(view)),
        code: code.to_owned(),
        reason: view.reason.clone().unwrap_or_default(),
    }
}

fn view_of(
    snapshot: &Snapshot,
    service: ServiceId,
    slot: Slot,
    owner: Option<NodeId>,
) -> Option<&TaskView> {
    let of_slot = |view: &&TaskView| view.service == service && view.slot == slot;
    snapshot.tasks.iter().filter(of_slot).find(|view| view.desired_running && view.node == owner)
}

fn ended<'a>(snapshot: &'a Snapshot, service: ServiceId, slot: &SlotWhy) -> Option<&'a TaskView> {
    let of_slot = |view: &&TaskView| view.service == service && view.slot == slot.slot;
    let wanted = |view: &&TaskView| view.desired_running && slot.owner.is_none();
    snapshot.tasks.iter().filter(of_slot).find(wanted)
}

fn state_of(view: Option<&TaskView>) -> String {
    let state = view.and_then(|view| view.status.as_ref()).map(|status| status.current.state);
    state.map_or("pending", |state| state.as_str()).to_owned()
}

/// Every node but the owner, with the reason why the task is not there.
fn excluded(slot: &SlotWhy) -> Vec<ExcludedNode> {
    let others = slot.nodes.iter().filter(|verdict| Some(verdict.node) != slot.owner);
    let one = |verdict: &NodeVerdict| ExcludedNode {
        node_id: verdict.node.to_string(),
        node: verdict.hostname.clone(),
        code: verdict.code.to_owned(),
        reason: verdict.detail.clone(),
    };
    others.map(one).collect()
}
