//! `/configs` and `/secrets`: small files of the fleet. Every node answers for the whole fleet.
//!
//! What is in a secret comes in with its creation, is sealed at once, and never goes out.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use crdt_state::file::{CONFIG_BYTES_MAX, TemplateDriver};
use crdt_state::secret::Plaintext;
use crdt_state::{FileClass, FileId};
use node_core::edit::file::{BadFile, ConfigRequest};
use node_core::{Edit, Edited, FileRow};
use node_docker::config::{
    Config, ConfigCreated, ConfigReference, ConfigSpec, Data, Driver, SecretReference,
};
use node_docker::service::ServiceSpec;
use node_docker::{Timestamp, Version};
use serde::Deserialize;

mod secrets;

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

/// The routes of configs and secrets.
pub fn routes() -> axum::Router<Api> {
    use FileClass::{Config, Secret};
    let limit = || DefaultBodyLimit::max(BODY_BYTES_MAX);
    axum::Router::new()
        .route("/configs", get(list_configs))
        .route("/configs/create", post(create_config).layer(limit()))
        .route("/configs/{id}", get(inspect_config).delete(|api, id| remove(Config, api, id)))
        .route(
            "/configs/{id}/update",
            post(|api, id, query, body| update(Config, api, id, query, body)).layer(limit()),
        )
        .route("/secrets", get(secrets::list))
        .route("/secrets/create", post(secrets::create).layer(limit()))
        .route("/secrets/{id}", get(secrets::inspect).delete(|api, id| remove(Secret, api, id)))
        .route(
            "/secrets/{id}/update",
            post(|api, id, query, body| update(Secret, api, id, query, body)).layer(limit()),
        )
        .route("/edge/secrets/{id}/rotate", post(secrets::rotate).layer(limit()))
}

/// `GET /configs`. Data that this node does not have yet is left out.
async fn list_configs(
    State(api): State<Api>,
    query: Answer<Query<ListQuery>>,
) -> Result<Json<Vec<Config>>, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &FILTERS)?;
    let snapshot = Snapshot::latest(&api).await?;
    let rows: Vec<&FileRow> = snapshot.configs.iter().filter(|row| fits(row, &filters)).collect();
    let mut data = read_data(&api, rows.iter().map(|row| row.file.id).collect()).await?;
    let shown = rows.iter().map(|row| object(row, data.remove(&row.file.id)));
    Ok(Json(shown.collect()))
}

fn fits(row: &FileRow, filters: &Filters) -> bool {
    let (id, name) = (row.file.id.to_string(), &row.file.name);
    filters.holds("id", |wanted| id.starts_with(wanted))
        && filters.holds("name", |wanted| name.starts_with(wanted))
        && filters.holds("names", |wanted| name == wanted)
        && filters.labels_hold("label", &row.file.labels)
}

/// `POST /configs/create`. Answers once the config is on this node's disk.
async fn create_config(
    State(api): State<Api>,
    change: Change,
    body: Sent,
) -> Result<(StatusCode, Json<ConfigCreated>), Failure> {
    let ConfigSpec { name, labels, data: Data(data), templating, driver } =
        node_docker::read(&body?)?;
    refuse_driver(FileClass::Config, driver.as_ref())?;
    let template = template_of(FileClass::Config, templating.as_ref())?;
    if template.is_some() {
        check_template(FileClass::Config, &name, &data)?;
    }
    let request = ConfigRequest { name, labels, data, template };
    request.check()?;
    created(change.edit(&api, Edit::CreateConfig(Box::new(request))).await?)
}

fn created(edited: Edited) -> Result<(StatusCode, Json<ConfigCreated>), Failure> {
    let id = match edited {
        Edited::Config(id) => id.to_string(),
        Edited::Secret(id) => id.to_string(),
        _ => unreachable!("a creation answers with what it made"),
    };
    Ok((StatusCode::CREATED, Json(ConfigCreated { id })))
}

fn refuse_driver(class: FileClass, driver: Option<&Driver>) -> Result<(), Failure> {
    match driver.filter(|driver| !driver.name.is_empty()) {
        None => Ok(()),
        Some(driver) => Err(Failure::NotYet(format!(
            "the {class} driver {} does not exist here: the fleet itself keeps what is in a \
             {class}; leave --driver out",
            driver.name
        ))),
    }
}

/// What is to fill a file in for each task.
fn template_of(
    class: FileClass,
    templating: Option<&Driver>,
) -> Result<Option<TemplateDriver>, Failure> {
    let Some(driver) = templating.filter(|driver| !driver.name.is_empty()) else { return Ok(None) };
    if let Some(option) = driver.options.keys().next() {
        return Err(Failure::Bad(format!(
            "the template driver {} takes no option {option}; leave it out",
            driver.name
        )));
    }
    let unknown = |unknown| {
        Failure::Bad(format!(
            "{unknown}: --template-driver golang, or leave it out, and tasks get the {class} as it is"
        ))
    };
    driver.name.parse().map(Some).map_err(unknown)
}

/// A template that no task could be given is refused before it is stored. Of a secret no word of it is
/// said.
fn check_template(class: FileClass, name: &str, data: &[u8]) -> Result<(), Failure> {
    node_docker::template::file::check(data).map_err(|bad| {
        Failure::Bad(format!(
            "the {class} {name} is no template: {}; leave --template-driver out if tasks are to get \
             it as it is",
            bad.told(class)
        ))
    })
}

/// `GET /configs/{id or name}`.
async fn inspect_config(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<Json<Config>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let row = snapshot.file(FileClass::Config, &wanted)?;
    let id = row.file.id;
    let data = read_data(&api, vec![id]).await?.remove(&id).ok_or_else(|| {
        Failure::Unavailable(format!(
            "the data of the config {} has not arrived on this node yet; try again soon, or ask \
             another node",
            row.file.name
        ))
    })?;
    Ok(Json(object(row, Some(data))))
}

/// `POST /configs/{id or name}/update`: labels, and nothing else.
async fn update(
    class: FileClass,
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<UpdateQuery>>,
    body: Sent,
) -> Result<(), Failure> {
    let sent: ConfigSpec = node_docker::read(&body?)?;
    let snapshot = Snapshot::latest(&api).await?;
    let held_row = snapshot.file(class, &wanted)?;
    let held = &held_row.file;
    let other_data = match held.id {
        FileId::Config(_) if !sent.data.is_empty() => {
            let has = read_data(&api, vec![held.id]).await?.remove(&held.id);
            has.is_none_or(|has| has != sent.data.0)
        }
        FileId::Config(_) => false,
        // Docker's client sends what is in a secret with every deployment of a stack.
        FileId::Secret(id) if !sent.data.is_empty() => {
            let what = Plaintext(sent.data.0.clone());
            secrets::is_other(&api, id, what, held_row).await?
        }
        FileId::Secret(_) => false,
    };
    let other_name = !sent.name.is_empty() && sent.name != held.name;
    let other_template =
        sent.templating.is_some() && template_of(class, sent.templating.as_ref())? != held.template;
    if other_data || other_name || other_template || sent.driver.is_some() {
        let how = match class {
            FileClass::Config => format!(
                "to change the rest of the config {0}, create another one and give it to the \
                 services: edgectl service update --config-rm {0} --config-add NEW SERVICE",
                held.name
            ),
            FileClass::Secret => format!(
                "to change what is in the secret {0}: edgectl secret rotate {0} FILE",
                held.name
            ),
        };
        return Err(Failure::Bad(format!("only updates to Labels are allowed; {how}")));
    }
    let (version, labels) = (query?.version, sent.labels);
    api.edit(match held.id {
        FileId::Config(id) => Edit::UpdateConfig { id, version, labels },
        FileId::Secret(id) => Edit::UpdateSecret { id, version, labels },
    })
    .await?;
    Ok(())
}

/// `DELETE /configs/{id or name}`.
async fn remove(
    class: FileClass,
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<StatusCode, Failure> {
    let id = Snapshot::latest(&api).await?.file(class, &wanted)?.file.id;
    api.edit(match id {
        FileId::Config(id) => Edit::RemoveConfig { id },
        FileId::Secret(id) => Edit::RemoveSecret { id },
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Completes references to configs and secrets: who names one by its name gets the id, and the other
/// way round.
pub fn resolve(snapshot: &Snapshot, spec: &mut ServiceSpec) -> Result<(), Failure> {
    if let Some(container) = &mut spec.task_template.container_spec {
        for sent in &mut container.configs {
            resolve_one(snapshot, FileClass::Config, sent)?;
        }
        for sent in &mut container.secrets {
            let mut one = ConfigReference::from(std::mem::take(sent));
            resolve_one(snapshot, FileClass::Secret, &mut one)?;
            *sent = SecretReference::from(one);
        }
    }
    Ok(())
}

fn resolve_one(
    snapshot: &Snapshot,
    class: FileClass,
    sent: &mut ConfigReference,
) -> Result<(), Failure> {
    if sent.config_id.is_empty() {
        sent.config_id = snapshot.file(class, &sent.config_name)?.file.id.to_string();
    } else if sent.config_name.is_empty() {
        sent.config_name = snapshot.file(class, &sent.config_id)?.file.name.clone();
    }
    Ok(())
}

async fn read_data(api: &Api, ids: Vec<FileId>) -> Result<BTreeMap<FileId, Vec<u8>>, Failure> {
    let read = api.read(move |node, _| {
        let data = ids.into_iter().filter_map(|id| Some((id, node.file_data(id)?)));
        data.collect()
    });
    read.await
}

fn object(row: &FileRow, data: Option<Vec<u8>>) -> Config {
    let file = &row.file;
    Config {
        id: file.id.to_string(),
        version: Version { index: file.version },
        created_at: Timestamp(file.created_wall_ms),
        updated_at: Timestamp(file.updated_wall_ms),
        spec: ConfigSpec {
            name: file.name.clone(),
            labels: file.labels.clone(),
            data: Data(data.unwrap_or_default()),
            templating: file
                .template
                .map(|driver| Driver { name: driver.to_string(), options: BTreeMap::new() }),
            driver: None,
        },
    }
}

impl Snapshot {
    /// Finds a config or a secret. A name that two sides of a partition created means the older.
    pub fn file(&self, class: FileClass, wanted: &str) -> Result<&FileRow, Failure> {
        let rows = self.files(class);
        let owns = |row: &FileRow, name: &str| {
            let named = rows.iter().map(|row| &row.file).filter(|file| file.name == name);
            let owner = named.min_by_key(|file| (file.created, file.id));
            owner.is_some_and(|owner| owner.id == row.file.id)
        };
        let id = |row: &FileRow| row.file.id.to_string();
        lookup::find(&class.to_string(), wanted, rows.iter(), id, owns)
    }

    fn files(&self, class: FileClass) -> &[FileRow] {
        match class {
            FileClass::Config => &self.configs,
            FileClass::Secret => &self.secrets,
        }
    }

    /// The name of a config or secret, as `conflicts` shows it.
    pub fn file_name(&self, id: FileId) -> String {
        let row = self.files(id.class()).iter().find(|row| row.file.id == id);
        row.map_or_else(|| id.to_string(), |row| row.file.name.clone())
    }
}

impl From<BadFile> for Failure {
    fn from(bad: BadFile) -> Failure {
        node_core::Refusal::from(bad).into()
    }
}
