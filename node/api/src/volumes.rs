//! `/volumes`: the named volumes of the answering node, in Docker's shape; `/edge/volumes`: those
//! of the fleet, from the records in which every node lists its own.
//!
//! Nothing here removes data of another node: only that node itself can do it, or its volume is
//! given up.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use crdt_state::spec::Labels;
use crdt_state::volume::Holding;
use node_core::{Edit, VolumeRow};
use runtime::volume::{Volume as Here, VolumeError, usage};
use serde::Deserialize;

use super::failure::Failure;
use super::filters::Filters;
use super::snapshot::Snapshot;
use super::{Answer, Api, Sent};
use node_agent::{NotRemoved, VolumeRemoval};
use node_docker::volume::{
    EdgeVolume, Volume, VolumeCreate, VolumeList, VolumeUsage, VolumesPruned,
};
use node_docker::{Timestamp, read};

const FILTERS: [&str; 4] = ["dangling", "driver", "label", "name"];
const PRUNE_FILTERS: [&str; 2] = ["all", "label"];
const DRIVER: &str = "local";
/// The label by which Docker's clients recognise a volume without a name.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// The parameters of `GET /volumes` and `POST /volumes/prune`.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    filters: Option<String>,
}

/// The parameters of `DELETE /volumes/{name}`.
#[derive(Debug, Default, Deserialize)]
pub struct RemoveQuery {
    force: Option<String>,
}

/// `GET /volumes`.
pub async fn list(
    State(api): State<Api>,
    query: Answer<Query<ListQuery>>,
) -> Result<Json<VolumeList>, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &FILTERS)?;
    let used = api.handle.volumes_in_use().await;
    let mut volumes = blocking(&api, |volumes| volumes.list()).await?;
    volumes.retain(|volume| {
        filters.holds("name", |name| volume.name.contains(name))
            && filters.holds("driver", |driver| driver == DRIVER)
            && filters.holds("dangling", |word| is_true(word) != used.contains(&volume.name))
            && filters.labels_hold("label", &volume.labels)
    });
    let volumes = volumes.into_iter().map(object).collect();
    Ok(Json(VolumeList { volumes, warnings: None }))
}

/// All volumes of this node, with what they take on its disk.
pub async fn with_usage(api: &Api) -> Result<Vec<Volume>, Failure> {
    let used = api.handle.volumes_in_use().await;
    let measured = blocking(api, |volumes| {
        let listed = volumes.list().into_iter();
        listed.map(|volume| (usage(&volume.data), volume)).collect::<Vec<_>>()
    });
    let shown = measured.await?.into_iter().map(|(size, volume)| {
        let ref_count = u64::from(used.contains(&volume.name));
        Volume { usage_data: Some(VolumeUsage { size, ref_count }), ..object(volume) }
    });
    Ok(shown.collect())
}

/// `POST /volumes/create`.
pub async fn create(
    State(api): State<Api>,
    body: Sent,
) -> Result<(StatusCode, Json<Volume>), Failure> {
    let VolumeCreate { mut name, driver, driver_opts, labels } = read(&body?)?;
    if !matches!(driver.as_str(), "" | "default" | DRIVER) {
        return Err(Failure::Bad(format!(
            "there is no volume driver {driver:?}; a node's own disk is what there is: leave \
             --driver out"
        )));
    }
    if driver_opts.is_some_and(|options| !options.is_empty()) {
        return Err(Failure::Bad(
            "volumes take no driver options; mount what you need on the node and use \
             --mount type=bind"
                .to_owned(),
        ));
    }
    let mut labels: Labels = labels.unwrap_or_default();
    if name.is_empty() {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| Failure::Unavailable(error.to_string()))?;
        name = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        labels.insert(ANONYMOUS.to_owned(), String::new());
    }
    let made = blocking(&api, move |volumes| volumes.create(&name, &labels)).await??;
    api.handle.report_volumes().await?;
    api.recent.tell("volume", "create", &made.name, &[("driver", DRIVER)]);
    Ok((StatusCode::CREATED, Json(object(made))))
}

/// `GET /volumes/{name}`.
pub async fn inspect(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Volume>, Failure> {
    let wanted = name.clone();
    let found = blocking(&api, move |volumes| volumes.find(&wanted)).await?;
    Ok(Json(object(found.ok_or(VolumeError::Unknown(name))?)))
}

/// `DELETE /volumes/{name}`.
pub async fn remove(
    State(api): State<Api>,
    Path(name): Path<String>,
    query: Answer<Query<RemoveQuery>>,
) -> Result<StatusCode, Failure> {
    let force = query?.force.as_deref().is_some_and(is_true);
    let removal = if force { VolumeRemoval::Forced } else { VolumeRemoval::IfUnused };
    match api.handle.remove_volume(&name, removal).await {
        // As in Docker, removing a missing volume with force succeeds.
        Err(NotRemoved::Volume(VolumeError::Unknown(_))) if force => {}
        other => {
            other?;
            api.recent.tell("volume", "destroy", &name, &[("driver", DRIVER)]);
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /volumes/prune`: removes volumes that no task mounts and no service names; without the
/// filter `all` only volumes that were created without a name, as Docker does.
pub async fn prune(
    State(api): State<Api>,
    query: Answer<Query<ListQuery>>,
) -> Result<Json<VolumesPruned>, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &PRUNE_FILTERS)?;
    // Without the filter only volumes that were created without a name.
    let all = !filters.holds("all", |_| false) && filters.holds("all", is_true);
    let mut pruned = VolumesPruned::default();
    for volume in blocking(&api, |volumes| volumes.list()).await? {
        let wanted = all || volume.labels.contains_key(ANONYMOUS);
        if !wanted || !filters.labels_hold("label", &volume.labels) {
            continue;
        }
        let data = volume.data.clone();
        let bytes = blocking(&api, move |_| usage(&data)).await?;
        if api.handle.remove_volume(&volume.name, VolumeRemoval::IfUnused).await.is_ok() {
            api.recent.tell("volume", "destroy", &volume.name, &[("driver", DRIVER)]);
            pruned.volumes_deleted.push(volume.name);
            pruned.space_reclaimed += bytes;
        }
    }
    let bytes = pruned.space_reclaimed.to_string();
    api.recent.tell("volume", "prune", "", &[("reclaimed", &bytes)]);
    Ok(Json(pruned))
}

/// `GET /edge/volumes`.
pub async fn fleet(State(api): State<Api>) -> Result<Json<Vec<EdgeVolume>>, Failure> {
    let rows = api.read(|node, now| node.report(now).volumes()).await?;
    Ok(Json(rows.into_iter().map(row).collect()))
}

/// `DELETE /edge/volumes/{node}/{name}`: removes the volume if it is on this node; a volume of
/// another node is given up, which deletes nothing.
pub async fn remove_on(
    State(api): State<Api>,
    Path((node, name)): Path<(String, String)>,
    query: Answer<Query<RemoveQuery>>,
) -> Result<StatusCode, Failure> {
    let id = Snapshot::latest(&api).await?.node(&node)?.id;
    if id == api.handle.me() {
        return remove(State(api), Path(name), query).await;
    }
    if !query?.force.as_deref().is_some_and(is_true) {
        return Err(Failure::Conflict(format!(
            "volume {name} is on {node}, and only {node} deletes its data; \
             on it: edgectl volume rm {name}; to give the data up and begin anew elsewhere: \
             edgectl volume rm --force --node {node} {name}"
        )));
    }
    api.edit(Edit::GiveUpVolume { node: id, name }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn blocking<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(runtime::volume::Volumes) -> T + Send + 'static,
) -> Result<T, Failure> {
    let volumes = api.handle.volumes().clone();
    let done = tokio::task::spawn_blocking(move || work(volumes)).await;
    done.map_err(|error| Failure::Unavailable(error.to_string()))
}

fn is_true(word: &str) -> bool {
    matches!(word, "1" | "true" | "True" | "TRUE")
}

fn object(volume: Here) -> Volume {
    Volume {
        created_at: Timestamp(volume.created_wall_ms),
        driver: DRIVER.to_owned(),
        labels: Some(volume.labels),
        mountpoint: volume.data.display().to_string(),
        name: volume.name,
        options: None,
        scope: DRIVER.to_owned(),
        usage_data: None,
    }
}

fn row(row: VolumeRow) -> EdgeVolume {
    let state = match row.holding {
        Holding::Here => "here",
        Holding::Missing => "missing",
        Holding::GivenUp => "given-up",
    };
    EdgeVolume {
        name: row.name,
        node_id: row.node.to_string(),
        hostname: row.hostname,
        created_at: Timestamp(row.fact.created_wall_ms),
        state: state.to_owned(),
        unreachable_ms: row.unreachable_ms,
        services: row.services,
    }
}

impl From<VolumeError> for Failure {
    fn from(error: VolumeError) -> Failure {
        let message = error.to_string();
        match error {
            VolumeError::Name(_) => Failure::Bad(message),
            VolumeError::Unknown(_) => Failure::Missing(message),
            VolumeError::Missing(_) | VolumeError::TooMany => Failure::Conflict(message),
            VolumeError::Disk { .. } => Failure::Unavailable(message),
        }
    }
}

impl From<NotRemoved> for Failure {
    fn from(error: NotRemoved) -> Failure {
        let message = error.to_string();
        match error {
            NotRemoved::InUse(_) | NotRemoved::Wanted { .. } => Failure::Conflict(message),
            NotRemoved::Volume(error) => error.into(),
            NotRemoved::Unanswered(error) => error.into(),
        }
    }
}
