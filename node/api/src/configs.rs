//! `/configs`: small files of the fleet. Every node answers for the whole fleet.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use crdt_state::ConfigId;
use crdt_state::config::CONFIG_BYTES_MAX;
use node_core::edit::config::{BadConfig, ConfigRequest};
use node_core::{ConfigRow, Edit, Edited};
use node_docker::config::{Config, ConfigCreated, ConfigSpec, Data};
use node_docker::service::ServiceSpec;
use node_docker::{Timestamp, Version};
use serde::Deserialize;

use super::change::Change;
use super::failure::Failure;
use super::filters::Filters;
use super::lookup;
use super::snapshot::Snapshot;
use super::{Answer, Api, Sent};

const FILTERS: [&str; 4] = ["id", "label", "name", "names"];

/// The largest body: what is larger than a config, and is refused as one, must be read to be
/// refused with its size. Base64 takes a third more.
const BODY_BYTES_MAX: usize = 8 * CONFIG_BYTES_MAX;

/// The parameters of `GET /configs`.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    filters: Option<String>,
}

/// The parameters of `POST /configs/{id}/update`.
#[derive(Debug, Default, Deserialize)]
pub struct UpdateQuery {
    version: Option<u64>,
}

/// The routes of configs.
pub fn routes() -> axum::Router<Api> {
    axum::Router::new()
        .route("/configs", get(list))
        .route("/configs/create", post(create).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .route("/configs/{id}", get(inspect).delete(remove))
        .route("/configs/{id}/update", post(update).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
}

/// `GET /configs`. Data that this node does not have yet is left out.
async fn list(
    State(api): State<Api>,
    query: Answer<Query<ListQuery>>,
) -> Result<Json<Vec<Config>>, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &FILTERS)?;
    let snapshot = Snapshot::latest(&api).await?;
    let is_wanted = |row: &&ConfigRow| {
        let (id, name) = (row.config.id.to_string(), &row.config.name);
        filters.holds("id", |wanted| id.starts_with(wanted))
            && filters.holds("name", |wanted| name.starts_with(wanted))
            && filters.holds("names", |wanted| name == wanted)
            && filters.labels_hold("label", &row.config.labels)
    };
    let rows: Vec<&ConfigRow> = snapshot.configs.iter().filter(is_wanted).collect();
    let mut data = read_data(&api, rows.iter().map(|row| row.config.id).collect()).await?;
    let shown = rows.iter().map(|row| object(row, data.remove(&row.config.id)));
    Ok(Json(shown.collect()))
}

/// `POST /configs/create`. Answers once the config is on this node's disk.
async fn create(
    State(api): State<Api>,
    change: Change,
    body: Sent,
) -> Result<(StatusCode, Json<ConfigCreated>), Failure> {
    let ConfigSpec { name, labels, data: Data(data), templating } = node_docker::read(&body?)?;
    if let Some(driver) = templating.filter(|driver| !driver.name.is_empty()) {
        return Err(Failure::NotYet(format!(
            "the template driver {} is not supported yet: a config is given to tasks as it is; \
             leave --template-driver out",
            driver.name
        )));
    }
    let request = ConfigRequest { name, labels, data };
    request.check().map_err(node_core::Refusal::from)?;
    match change.edit(&api, Edit::CreateConfig(Box::new(request))).await? {
        Edited::Config(id) => Ok((StatusCode::CREATED, Json(ConfigCreated { id: id.to_string() }))),
        _ => unreachable!("a creation answers with the config that it made"),
    }
}

/// `GET /configs/{id or name}`.
async fn inspect(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<Json<Config>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let row = snapshot.config(&wanted)?;
    let id = row.config.id;
    let data = read_data(&api, vec![id]).await?.remove(&id).ok_or_else(|| {
        Failure::Unavailable(format!(
            "the data of the config {} has not arrived on this node yet; try again soon, or ask \
             another node",
            row.config.name
        ))
    })?;
    Ok(Json(object(row, Some(data))))
}

/// `POST /configs/{id or name}/update`: labels, and nothing else.
async fn update(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<UpdateQuery>>,
    body: Sent,
) -> Result<(), Failure> {
    let sent: ConfigSpec = node_docker::read(&body?)?;
    let snapshot = Snapshot::latest(&api).await?;
    let held = &snapshot.config(&wanted)?.config;
    let other_data = !sent.data.is_empty() && {
        let has = read_data(&api, vec![held.id]).await?.remove(&held.id);
        has.is_none_or(|has| has != sent.data.0)
    };
    let other_name = !sent.name.is_empty() && sent.name != held.name;
    if other_data || other_name || sent.templating.is_some() {
        return Err(Failure::Bad(format!(
            "only updates to Labels are allowed; to change the rest of the config {0}, create \
             another one and give it to the services: edgectl service update --config-rm {0} \
             --config-add NEW SERVICE",
            held.name
        )));
    }
    let (id, version) = (held.id, query?.version);
    api.edit(Edit::UpdateConfig { id, version, labels: sent.labels }).await?;
    Ok(())
}

/// `DELETE /configs/{id or name}`.
async fn remove(State(api): State<Api>, Path(wanted): Path<String>) -> Result<StatusCode, Failure> {
    let id = Snapshot::latest(&api).await?.config(&wanted)?.config.id;
    api.edit(Edit::RemoveConfig { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Completes references to configs: who names one by its name gets the id, and the other way round.
pub fn resolve(snapshot: &Snapshot, spec: &mut ServiceSpec) -> Result<(), Failure> {
    let container = spec.task_template.container_spec.iter_mut();
    for sent in container.flat_map(|container| &mut container.configs) {
        if sent.config_id.is_empty() {
            sent.config_id = snapshot.config(&sent.config_name)?.config.id.to_string();
        } else if sent.config_name.is_empty() {
            sent.config_name = snapshot.config(&sent.config_id)?.config.name.clone();
        }
    }
    Ok(())
}

async fn read_data(api: &Api, ids: Vec<ConfigId>) -> Result<BTreeMap<ConfigId, Vec<u8>>, Failure> {
    let read = api.read(move |node, _| {
        let data = ids.into_iter().filter_map(|id| Some((id, node.config_data(id)?)));
        data.collect()
    });
    read.await
}

fn object(row: &ConfigRow, data: Option<Vec<u8>>) -> Config {
    let config = &row.config;
    Config {
        id: config.id.to_string(),
        version: Version { index: config.version },
        created_at: Timestamp(config.created_wall_ms),
        updated_at: Timestamp(config.updated_wall_ms),
        spec: ConfigSpec {
            name: config.name.clone(),
            labels: config.labels.clone(),
            data: Data(data.unwrap_or_default()),
            templating: None,
        },
    }
}

impl Snapshot {
    /// Finds a config. A name that two sides of a partition created means the older.
    pub fn config(&self, wanted: &str) -> Result<&ConfigRow, Failure> {
        let owns = |row: &ConfigRow, name: &str| {
            let named = self.configs.iter().map(|row| &row.config).filter(|c| c.name == name);
            let owner = named.min_by_key(|config| (config.created, config.id));
            owner.is_some_and(|owner| owner.id == row.config.id)
        };
        let id = |row: &ConfigRow| row.config.id.to_string();
        lookup::find("config", wanted, self.configs.iter(), id, owns)
    }

    /// The name of a config, as `conflicts` shows it.
    pub fn config_name(&self, id: ConfigId) -> String {
        let row = self.configs.iter().find(|row| row.config.id == id);
        row.map_or_else(|| id.to_string(), |row| row.config.name.clone())
    }
}

impl From<BadConfig> for Failure {
    fn from(bad: BadConfig) -> Failure {
        node_core::Refusal::from(bad).into()
    }
}
