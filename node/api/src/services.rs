//! `/services`: the services that operators want, and how many of their tasks run.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use crdt_state::service::Service as ServiceState;
use crdt_state::spec::{NetworkMode, Runtime};
use crdt_state::{Kind, ServiceId};
use node_core::{Edit, Edited, ServiceSpec};
use runtime::image::Reference;
use serde::Deserialize;

use super::autoscale;
use super::failure::Failure;
use super::files;
use super::filters::Filters;
use super::json_list::json_list;
use super::networks;
use super::pin;
use super::snapshot::Snapshot;
use super::{Answer, Api, Change, Sent};
use node_docker::service::{
    Endpoint, JobStatus, ScheduleStatus, Service, ServiceCreated, ServiceEdge, ServiceStatus,
    ServiceUpdated, UpdateStatus, VirtualIp,
};
use node_docker::state::{accept, read_spec, show};
use node_docker::{Timestamp, Version};

const FILTERS: [&str; 4] = ["id", "label", "mode", "name"];

/// The parameters of `GET /services`.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    filters: Option<String>,
    status: Option<String>,
}

/// The parameters of `POST /services/create`.
#[derive(Debug, Default, Deserialize)]
pub struct CreateQuery {
    resolve: Option<String>,
}

/// The parameters of `POST /services/{id}/update`.
#[derive(Debug, Default, Deserialize)]
pub struct UpdateQuery {
    version: Option<u64>,
    resolve: Option<String>,
    rollback: Option<String>,
}

/// `GET /services`.
pub async fn list(
    State(api): State<Api>,
    query: Answer<Query<ListQuery>>,
) -> Result<Response, Failure> {
    let query = query?;
    let filters = Filters::parse(query.filters.as_deref(), &FILTERS)?;
    let with_status = matches!(query.status.as_deref(), Some("1" | "true" | "True"));
    let snapshot = Snapshot::latest(&api).await?;
    let services = snapshot.shown_services().map(|state| {
        let mut service = service_object(state, &snapshot);
        service.service_status = with_status.then(|| status(state, &snapshot));
        service
    });
    Ok(json_list(services.filter(|service| is_wanted(service, &filters))))
}

/// `GET /services/{id}`.
pub async fn inspect(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<Json<Service>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let service = snapshot.service(&wanted)?;
    let mut object = service_object(service, &snapshot);
    if service.autoscale.is_some() {
        object.edge.autoscale =
            autoscale::now(&api, service.id).await?.as_ref().map(autoscale::shown);
    }
    Ok(Json(object))
}

/// `POST /services/create`. Answers once the service is on this node's disk.
pub async fn create(
    State(api): State<Api>,
    query: Answer<Query<CreateQuery>>,
    change: Change,
    headers: HeaderMap,
    body: Sent,
) -> Result<(StatusCode, Json<ServiceCreated>), Failure> {
    let mode = pin::resolve_mode(query?.resolve.as_deref(), &headers)?;
    let login = pin::login(&headers)?;
    let mut sent = read_spec(&body?)?;
    let snapshot = Snapshot::latest(&api).await?;
    files::resolve(&snapshot, &mut sent)?;
    let told = networks::resolve(&snapshot, &mut sent)?;
    let mut spec = accept(sent, None)?;
    if spec.name.is_empty() {
        spec.name = made_up_name(&spec)?;
    }
    spec.check()?;
    let mut warnings = port_warnings(&spec);
    warnings.extend(pin::pin(&api, &mut spec.template, None, mode, login).await);
    warnings.extend(told);
    match change.edit(&api, Edit::CreateService(Box::new(spec))).await? {
        Edited::Service(id) => {
            let created = ServiceCreated { id: id.to_string(), warnings };
            Ok((StatusCode::CREATED, Json(created)))
        }
        _ => {
            unreachable!("a creation answers with the service that it made")
        }
    }
}

/// `POST /services/{id}/update`. The whole spec is sent; only facets that differ are written.
pub async fn update(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<UpdateQuery>>,
    (change, headers): (Change, HeaderMap),
    body: Sent,
) -> Result<Json<ServiceUpdated>, Failure> {
    let query = query?;
    let snapshot = Snapshot::latest(&api).await?;
    let service = snapshot.service(&wanted)?;
    match query.rollback.as_deref() {
        None | Some("") => {}
        // The body is the spec that the client has just read.
        Some("previous") => {
            let (id, version) = (service.id, query.version);
            change.edit(&api, Edit::RollBackService { id, version }).await?;
            return Ok(Json(ServiceUpdated::default()));
        }
        Some(other) => {
            let message = format!("rollback: `{other}` is none of previous; leave it out");
            return Err(Failure::Bad(message));
        }
    }
    let mode = pin::resolve_mode(query.resolve.as_deref(), &headers)?;
    let login = pin::login(&headers)?;
    let before = ServiceSpec::of(service);
    let mut sent = read_spec(&body?)?;
    files::resolve(&snapshot, &mut sent)?;
    let told = networks::resolve(&snapshot, &mut sent)?;
    let mut spec = accept(sent, Some(&before))?;
    if spec.name.is_empty() {
        spec.name.clone_from(&service.name);
    }
    spec.check_change(&service.name)?;
    let mut warnings = port_warnings(&spec);
    warnings.retain(|warning| !port_warnings(&before).contains(warning));
    let was_told = before.networks.is_empty();
    warnings.extend(told.filter(|_| !was_told));
    let template = &mut spec.template;
    warnings.extend(pin::pin(&api, template, Some(&before.template), mode, login).await);
    let (id, version) = (service.id, query.version);
    let spec = Box::new(spec);
    change.edit(&api, Edit::UpdateService { id, version, spec }).await?;
    Ok(Json(ServiceUpdated { warnings }))
}

/// `DELETE /services/{id}`.
pub async fn remove(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    change: Change,
) -> Result<(), Failure> {
    let id = match Snapshot::latest(&api).await?.service(&wanted) {
        Ok(service) => service.id,
        Err(failure) => unread(&api, &wanted).await?.ok_or(failure)?,
    };
    change.edit(&api, Edit::RemoveService { id }).await?;
    Ok(())
}

/// A service that this version cannot read can be removed by its whole id or its name.
async fn unread(api: &Api, wanted: &str) -> Result<Option<ServiceId>, Failure> {
    let unfit = api.read(|node, now| node.report(now).unfit()).await?;
    let services = unfit.iter().filter(|row| row.key.kind == Kind::SERVICE);
    let mut ids = services.map(|row| (ServiceId(row.key.id), row.name.as_str()));
    Ok(ids.find(|(id, name)| id.to_string() == wanted || *name == wanted).map(|(id, _)| id))
}

/// On the node's own network no port is translated: the published port is the one that the task
/// opens.
fn port_warnings(spec: &ServiceSpec) -> Vec<String> {
    let shares_network = spec.template.runtime == Runtime::Container
        && spec.template.container.network == NetworkMode::Host;
    let chosen = spec.endpoint.ports.iter().filter(|port| port.published != 0);
    let differs = chosen.filter(|port| port.published != port.target);
    let words = differs.map(|port| {
        format!(
            "port {} is published as {}, but on the node's own network nothing translates it: \
             let the task listen on {}",
            port.target, port.published, port.published
        )
    });
    if shares_network { words.collect() } else { Vec::new() }
}

/// Docker names services without a name: here after the program or image, with four random digits.
fn made_up_name(spec: &ServiceSpec) -> Result<String, Failure> {
    let mut random = [0; 2];
    getrandom::fill(&mut random).map_err(|error| {
        Failure::Unavailable(format!("no name can be made up: {error}; give one with --name"))
    })?;
    let program = spec.template.command.first().map_or("", |program| program.as_str());
    let image = spec.template.image.parse::<Reference>().map(|image| image.repository);
    let what = image.as_deref().unwrap_or(program);
    let file = what.rsplit('/').next().unwrap_or_default();
    let is_plain = |c: &char| c.is_ascii_alphanumeric();
    let word: String = file.chars().filter(is_plain).take(32).collect();
    Ok(format!(
        "{}-{:04x}",
        if word.is_empty() { "service" } else { &word },
        u16::from_be_bytes(random)
    ))
}

fn is_wanted(service: &Service, filters: &Filters) -> bool {
    filters.holds("id", |id| service.id.starts_with(id))
        && filters.holds("name", |name| service.spec.name.starts_with(name))
        && filters.holds("mode", |mode| mode == service.spec.mode.word())
        && filters.labels_hold("label", &service.spec.labels)
}

/// A service in Docker's form.
fn service_object(service: &ServiceState, snapshot: &Snapshot) -> Service {
    let spec = show(&ServiceSpec::of(service));
    let endpoint_spec = spec.endpoint_spec.clone().unwrap_or_default();
    Service {
        id: service.id.to_string(),
        version: Version { index: service.version },
        created_at: Timestamp(service.created_wall_ms),
        updated_at: Timestamp(service.updated_wall_ms),
        endpoint: Endpoint {
            ports: endpoint_spec.ports.clone(),
            spec: endpoint_spec,
            virtual_ips: virtual_ips(service.id, snapshot),
        },
        previous_spec: ServiceSpec::before(service).as_ref().map(show),
        spec,
        update_status: update_status(service.id, snapshot),
        job_status: snapshot.jobs.get(&service.id).map(|job| JobStatus {
            job_iteration: Version { index: job.iteration },
            last_execution: Timestamp(job.began_wall_ms),
        }),
        service_status: None,
        edge: ServiceEdge {
            name_owner: snapshot.name_owner(service).map(|id| id.to_string()).unwrap_or_default(),
            schedule: snapshot.schedules.get(&service.id).map(|status| ScheduleStatus {
                next_run: status.next_s.map(|next_s| Timestamp(next_s * 1_000)),
                next: status.next.clone().unwrap_or_default(),
                last: status.last.clone().unwrap_or_default(),
                message: status.in_words(),
            }),
            autoscale: snapshot.autoscaled.get(&service.id).map(autoscale::shown),
        },
    }
}

fn virtual_ips(id: ServiceId, snapshot: &Snapshot) -> Vec<VirtualIp> {
    let addresses = snapshot.service_addresses.get(&id).into_iter().flatten();
    let shown = addresses.map(|(network, ip)| VirtualIp {
        network_id: network.to_string(),
        addr: format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 }),
    });
    shown.collect()
}

/// The state of the template's rollout; absent until the template was updated for the first time.
fn update_status(id: ServiceId, snapshot: &Snapshot) -> Option<UpdateStatus> {
    let rollout = snapshot.rollouts.get(&id)?;
    Some(UpdateStatus {
        state: rollout.state.as_str(rollout.direction).to_owned(),
        awaits_promotion: rollout.awaits_promotion,
        started_at: Some(Timestamp(rollout.started_wall_ms)),
        completed_at: rollout.completed_wall_ms.map(Timestamp),
        message: rollout.message.clone(),
    })
}

/// How many tasks there are. A task that is not healthy, or on an unreachable node, does not count
/// as running.
pub fn status(service: &ServiceState, snapshot: &Snapshot) -> ServiceStatus {
    let (running, wanted) = snapshot.running.get(&service.id).copied().unwrap_or_default();
    ServiceStatus {
        running_tasks: running as u64,
        desired_tasks: wanted as u64,
        completed_tasks: snapshot.jobs.get(&service.id).map_or(0, |job| job.completed as u64),
    }
}
