//! `/edge/status`, `/edge/plan` and `/edge/counters`: one node's view of the whole fleet.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use crdt_state::service::{self, Service};
use crdt_state::task::TaskState;
use crdt_state::{NodeId, ServiceId};
use gossip::MemberState;
use node_agent::{PathFailure, PathFault, PathReach, PathRow};
use node_core::expand::task_name;
use node_core::report::{HeldMove, SlotWhy};
use node_core::{NodeRow, TaskView, UnfitRow};

use super::failure::Failure;
use super::network_failures::network_failures;
use super::path_failures;
use super::services::status as service_status;
use super::snapshot::Snapshot;
use super::wall_clock::wall_clock;
use super::warnings::{clock_warning, copied, disk_warning, not_joined, unable};
use super::{Api, tokens};
use node_docker::edge::{
    Counters, EdgePath, NetworkHealth, NodeCounts, PlanRow, Status, UnfitRecord, WhyRow,
};

/// Unread records that are listed; all are counted.
const UNFIT_MAX: usize = 20;

/// `GET /edge/status`.
pub async fn status(State(api): State<Api>) -> Result<Json<Status>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let shown = Arc::clone(&snapshot);
    let state = api.read(move |node, now| {
        let (replica, report) = (node.replica(), node.report(now));
        let conflicts = replica.conflicts().len() + service::name_conflicts(replica).len();
        let mut held = report.held_moves(&shown.tasks);
        held.retain(|held| held.is_failing);
        (replica.digest(), conflicts, replica.quarantined().count(), report.unfit(), held)
    });
    let (digest, conflicts, damaged, unfit, held) = state.await?;
    let overused = tokens::overused(&api, &snapshot).await?;
    let copied = copied(&api, &snapshot).await?;
    let nodes = count_nodes(&snapshot.nodes);
    let counts = snapshot.shown_services().map(|service| service_status(service, &snapshot));
    let (running, desired) = counts.fold((0, 0), |(running, desired), service| {
        (running + service.running_tasks, desired + service.desired_tasks)
    });
    Ok(Json(Status {
        node_id: snapshot.me.to_string(),
        hostname: snapshot.hostname(snapshot.me),
        at: wall_clock(),
        view_age_ms: view_age_ms(&snapshot.nodes),
        digest: digest.to_string(),
        nodes,
        services: snapshot.shown_services().count() as u64,
        tasks_running: running,
        tasks_desired: desired,
        waiting: of_services(&snapshot).filter_map(|task| waiting(task, &snapshot)).collect(),
        held: held.into_iter().map(|held| held_row(held, &snapshot)).collect(),
        conflicts: conflicts as u64,
        quarantined: (damaged + unfit.len()) as u64,
        unfit: unfit.iter().take(UNFIT_MAX).map(|row| unfit_record(row, &snapshot)).collect(),
        island: nodes.alive + nodes.suspect <= 1 && nodes.unreachable > 0,
        warnings: disk_warning(&api)
            .into_iter()
            .chain(unable(&snapshot))
            .chain(clock_warning(&snapshot))
            .chain(overused.into_iter().map(|(_, words)| words))
            .chain(copied.into_iter().map(|(_, words)| words))
            .chain(
                not_joined(&api, &snapshot)
                    .filter(|_| api.handle.config().join_token_file.is_some()),
            )
            .collect(),
        networks: network_health(&api, &snapshot),
    }))
}

/// A container that was made by hand and has ended waits for nothing.
fn of_services(snapshot: &Snapshot) -> impl Iterator<Item = &TaskView> {
    snapshot.tasks.iter().filter(|task| !snapshot.is_standalone(task.service))
}

fn network_health(api: &Api, snapshot: &Snapshot) -> NetworkHealth {
    let paths = path_failures::all(&api.handle.path_failures(), snapshot);
    NetworkHealth {
        refusal: snapshot.network_refusal.clone(),
        tunnel_refusal: snapshot.tunnel_refusal.clone(),
        failures: [network_failures(api, snapshot), paths].concat(),
    }
}

fn unfit_record(row: &UnfitRow, snapshot: &Snapshot) -> UnfitRecord {
    UnfitRecord {
        kind: row.kind().to_owned(),
        id: ServiceId(row.key.id).to_string(),
        name: row.name.clone(),
        digest: row.digest.to_string(),
        reason: row.why.to_string(),
        writer: row.writer.map(|node| snapshot.hostname(node)).unwrap_or_default(),
    }
}

/// `GET /edge/paths`: probes every path first, which takes seconds.
pub async fn paths(State(api): State<Api>) -> Result<Json<Vec<EdgePath>>, Failure> {
    let rows = api.handle.check_paths().await;
    let snapshot = Snapshot::latest(&api).await?;
    let failures = api.handle.path_failures();
    let is_silent = |failure: &PathFailure| {
        matches!(failure.path.fault, PathFault::Silent | PathFault::SilentTunnel)
    };
    let silent: BTreeSet<NodeId> =
        failures.iter().filter(|failure| is_silent(failure)).map(|f| f.path.node).collect();
    let shown = |row: PathRow| EdgePath {
        is_tunnel_silent: silent.contains(&row.node),
        ..path(row, &snapshot)
    };
    Ok(Json(rows.into_iter().map(shown).collect()))
}

fn path(row: PathRow, snapshot: &Snapshot) -> EdgePath {
    let (state, silent_ms) = match row.reach {
        PathReach::Unknown => ("unknown", None),
        PathReach::Answers => ("answers", None),
        PathReach::Silent { ms } => ("silent", Some(ms)),
        PathReach::Unlike => ("unlike", None),
    };
    EdgePath {
        node_id: row.node.to_string(),
        node: snapshot.hostname(row.node),
        address: row.address.to_string(),
        state: state.to_owned(),
        is_heard: row.is_heard,
        is_detoured: row.is_detoured,
        is_tunnel_silent: false,
        silent_ms,
        round_trip_us: row.rtt_us,
        sent: row.sent,
        lost: row.lost,
        is_lossy: row.is_lossy,
        packet_bytes: row.bytes,
        packet_bytes_max: row.bytes_max,
    }
}

/// `GET /edge/plan`.
pub async fn plan(State(api): State<Api>) -> Result<Json<Vec<PlanRow>>, Failure> {
    let slots = api.read(|node, now| {
        let of = |service: &Service| (service.id, node.report(now).why_service(service.id));
        node.services().map(of).collect::<Vec<_>>()
    });
    let slots = slots.await?;
    let rows = slots.iter().flat_map(|(id, slots)| slots.iter().map(|slot| plan_row(*id, slot)));
    Ok(Json(rows.collect()))
}

fn plan_row(service: ServiceId, slot: &SlotWhy) -> PlanRow {
    let owner = slot.nodes.iter().find(|verdict| Some(verdict.node) == slot.owner);
    PlanRow {
        service_id: service.to_string(),
        name: slot.name.clone(),
        node_id: slot.owner.map(|node| node.to_string()).unwrap_or_default(),
        node: owner.map(|verdict| verdict.hostname.clone()).unwrap_or_default(),
        code: slot.code.to_owned(),
        reason: owner.map_or_else(|| slot.summary.clone(), |verdict| verdict.detail.clone()),
    }
}

/// `GET /edge/counters`.
pub async fn counters(State(api): State<Api>) -> Result<Json<Counters>, Failure> {
    let mut counters = api.handle.counters().await?;
    counters.insert("api.snapshots".to_owned(), api.snapshots.made());
    Ok(Json(Counters { counters }))
}

fn count_nodes(rows: &[NodeRow]) -> NodeCounts {
    let count = |state| rows.iter().filter(|row| row.state == state).count() as u64;
    NodeCounts {
        alive: count(MemberState::Alive),
        suspect: count(MemberState::Suspect),
        unreachable: count(MemberState::Unreachable),
        left: count(MemberState::Left),
    }
}

/// The longest silence of a member that counts as present.
fn view_age_ms(rows: &[NodeRow]) -> u64 {
    let there = |row: &&NodeRow| {
        !row.is_me && matches!(row.state, MemberState::Alive | MemberState::Suspect)
    };
    rows.iter().filter(there).map(|row| row.heard_ms).max().unwrap_or(0)
}

fn held_row(held: HeldMove, snapshot: &Snapshot) -> WhyRow {
    WhyRow {
        name: held.name,
        node: snapshot.hostname(held.node),
        state: TaskState::Running.as_str().to_owned(),
        code: "held".to_owned(),
        reason: held.reason,
    }
}

/// A task that should run but does not.
fn waiting(task: &TaskView, snapshot: &Snapshot) -> Option<WhyRow> {
    let attempt = task.status.as_ref().map(|status| &status.current);
    let state = attempt.map_or(TaskState::Pending, |attempt| attempt.state);
    if !task.desired_running || matches!(state, TaskState::Running | TaskState::Complete) {
        return None;
    }
    let said = attempt.map(|attempt| attempt.message.clone()).unwrap_or_default();
    Some(WhyRow {
        name: task_name(&task.service_name, task.slot),
        node: task.node.map(|node| snapshot.hostname(node)).unwrap_or_default(),
        state: state.as_str().to_owned(),
        code: state.as_str().to_owned(),
        reason: task.reason.clone().unwrap_or(said),
    })
}
