//! `/secrets`, and what only they have: they are sealed when they are made, compared without being
//! shown, and rotated.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use crdt_state::file::TemplateDriver;
use crdt_state::secret::Plaintext;
use crdt_state::{FileClass, FileId, NodeId, SecretId};
use node_core::edit::file::{self, SecretRequest};
use node_core::{Edit, Edited, FileRow};
use node_docker::config::{ConfigCreated, ConfigSpec, Data, Holder, Secret, SecretRotated};
use serde::Deserialize;

use super::{
    FILTERS, ListQuery, check_template, created, fits, object, refuse_driver, template_of,
};
use crate::change::Change;
use crate::failure::Failure;
use crate::filters::Filters;
use crate::snapshot::Snapshot;
use crate::{Answer, Api, Sent};

/// `GET /secrets`.
pub(super) async fn list(
    State(api): State<Api>,
    query: Answer<Query<ListQuery>>,
) -> Result<Json<Vec<Secret>>, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &FILTERS)?;
    let snapshot = Snapshot::latest(&api).await?;
    let rows = snapshot.secrets.iter().filter(|row| fits(row, &filters));
    Ok(Json(rows.map(|row| secret_object(row, &snapshot)).collect()))
}

/// `POST /secrets/create`. Answers once the secret is sealed on this node's disk.
pub(super) async fn create(
    State(api): State<Api>,
    change: Change,
    body: Sent,
) -> Result<(StatusCode, Json<ConfigCreated>), Failure> {
    let request = seal(&api, node_docker::read(&body?)?, None).await?;
    created(change.edit(&api, Edit::CreateSecret(Box::new(request))).await?)
}

/// Seals what was sent; from here on nobody has it in the clear. `held`: what fills in the secret whose
/// place it takes, and goes on to unless something else is sent; an empty name: nothing.
async fn seal(
    api: &Api,
    sent: ConfigSpec,
    held: Option<TemplateDriver>,
) -> Result<SecretRequest, Failure> {
    let ConfigSpec { name, labels, data: Data(data), templating, driver } = sent;
    let data = Plaintext(data);
    refuse_driver(FileClass::Secret, driver.as_ref())?;
    let template = match &templating {
        None => held,
        sent => template_of(FileClass::Secret, sent.as_ref())?,
    };
    file::check(FileClass::Secret, &name, data.0.len())?;
    if template.is_some() {
        check_template(FileClass::Secret, &name, &data.0)?;
    }
    let me = api.read(|node, _| node.public_key()).await?;
    let me = me.ok_or_else(|| {
        Failure::Unavailable("this node does not know itself yet; try again soon".to_owned())
    })?;
    let sealed = tokio::task::spawn_blocking(move || node_agent::secrets::seal(&data, me));
    let (sealed, keys) = sealed.await.expect("sealing does not panic").map_err(|error| {
        Failure::Unavailable(format!("the system gives no random bytes ({error}); try again"))
    })?;
    Ok(SecretRequest { name, labels, sealed, keys, template })
}

/// `GET /secrets/{id or name}`: everything but what is in it.
pub(super) async fn inspect(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<Json<Secret>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let row = snapshot.file(FileClass::Secret, &wanted)?;
    Ok(Json(secret_object(row, &snapshot)))
}

/// What a secret holds, compared with what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Same,
    Other,
}

/// Compares what a secret holds with what was sent; `None`: this node cannot read it.
async fn holds(api: &Api, id: SecretId, sent: Plaintext) -> Result<Option<Held>, Failure> {
    let Some(sealed) = api.read(move |node, _| node.sealed_secret(id)).await? else {
        return Ok(None);
    };
    let held = api.handle.open_secret(&sealed);
    Ok(held.map(|held| if held == sent { Held::Same } else { Held::Other }))
}

/// Is what was sent something else than what the secret holds?
pub(super) async fn is_other(
    api: &Api,
    id: SecretId,
    sent: Plaintext,
    row: &FileRow,
) -> Result<bool, Failure> {
    let held = holds(api, id, sent).await?.ok_or_else(|| unreadable(row))?;
    Ok(held == Held::Other)
}

fn unreadable(row: &FileRow) -> Failure {
    let names: Vec<String> = row.holders.iter().map(name_of).collect();
    Failure::Unavailable(format!(
        "this node cannot read the secret {0}, and cannot say whether what was sent is something else; \
         ask one of {1}, or: edgectl secret rotate {0} FILE",
        row.file.name,
        names.join(", ")
    ))
}

/// The parameters of `POST /edge/secrets/{id}/rotate`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RotateQuery {
    /// Only if it holds something else.
    changed: Option<bool>,
}

/// `POST /edge/secrets/{id or name}/rotate`: a secret of the same name with what is sent. Answers with
/// its id, and which services are updated for it.
pub(super) async fn rotate(
    State(api): State<Api>,
    Path(wanted): Path<String>,
    query: Answer<Query<RotateQuery>>,
    change: Change,
    body: Sent,
) -> Result<Json<SecretRotated>, Failure> {
    let sent: ConfigSpec = node_docker::read(&body?)?;
    let snapshot = Snapshot::latest(&api).await?;
    let row = snapshot.file(FileClass::Secret, &wanted)?;
    let FileId::Secret(id) = row.file.id else { unreachable!("a secret was asked for") };
    if query?.changed == Some(true) {
        let held = match holds(&api, id, Plaintext(sent.data.0.clone())).await? {
            // Of a file that every node has any node may be the one that reads it.
            None if matches!(change, Change::FromFile(_)) => Held::Same,
            held => held.ok_or_else(|| unreadable(row))?,
        };
        let template = template_of(FileClass::Secret, sent.templating.as_ref())?;
        let is_same = sent.templating.is_none() || template == row.file.template;
        if held == Held::Same && is_same {
            return Ok(Json(SecretRotated { id: id.to_string(), services: Vec::new() }));
        }
    }
    let sent = ConfigSpec { name: row.file.name.clone(), ..sent };
    let request = Box::new(seal(&api, sent, row.file.template).await?);
    let services = secret_object(row, &snapshot).services;
    match change.edit(&api, Edit::RotateSecret { id, request }).await? {
        Edited::Secret(id) => Ok(Json(SecretRotated { id: id.to_string(), services })),
        _ => unreachable!("a rotation answers with the secret that it made"),
    }
}

fn name_of((node, hostname): (&NodeId, &String)) -> String {
    if hostname.is_empty() { node.to_string() } else { hostname.clone() }
}

fn secret_object(row: &FileRow, snapshot: &Snapshot) -> Secret {
    let holder = |one: (&NodeId, &String)| Holder { id: one.0.to_string(), hostname: name_of(one) };
    let services = row.services.iter().filter_map(|id| snapshot.service_of(*id));
    Secret {
        secret: object(row, None),
        nodes: row.holders.iter().map(holder).collect(),
        services: services.map(|service| service.name.clone()).collect(),
    }
}
