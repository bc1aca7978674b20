//! `/networks`: the two that every node has, `host` and `none`. Docker's client resolves a network
//! before it names it in a service, and again to show its name.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Answer;
use super::failure::Failure;
use super::filters::Filters;

const ALL: [&str; 2] = ["host", "none"];

const FILTERS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/// The parameters of `GET /networks`.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    filters: Option<String>,
}

/// `GET /networks`. They belong to no service or stack, and have no labels.
pub async fn list(query: Answer<Query<ListQuery>>) -> Result<Json<Vec<Value>>, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &FILTERS)?;
    let none = BTreeMap::new();
    let is_wanted = |name: &&str| {
        filters.holds("name", |wanted| name.contains(wanted))
            && filters.holds("id", |wanted| name.starts_with(wanted))
            && filters.holds("driver", |wanted| wanted == driver(name))
            && filters.holds("scope", |wanted| wanted == "swarm")
            && filters.holds("type", |wanted| wanted == "builtin")
            && filters.holds("dangling", |wanted| matches!(wanted, "false" | "0"))
            && filters.labels_hold("label", &none)
    };
    Ok(Json(ALL.iter().copied().filter(is_wanted).map(network).collect()))
}

/// `POST /networks/prune`: both networks belong to the node, and stay.
pub async fn prune() -> Json<Value> {
    Json(json!({ "NetworksDeleted": null }))
}

/// `GET /networks/{id or name}`.
pub async fn inspect(Path(wanted): Path<String>) -> Result<Json<Value>, Failure> {
    if ALL.contains(&wanted.as_str()) {
        return Ok(Json(network(&wanted)));
    }
    Err(Failure::Missing(format!(
        "network {wanted} not found; there are host (the node's own) and none"
    )))
}

fn driver(name: &str) -> &str {
    if name == "none" { "null" } else { name }
}

/// The id of a network is its name, so that it is the same on every node.
fn network(name: &str) -> Value {
    json!({
        "Name": name, "Id": name, "Created": "0001-01-01T00:00:00Z", "Scope": "swarm",
        "Driver": driver(name),
        "EnableIPv4": true, "EnableIPv6": false,
        "IPAM": {"Driver": "default", "Options": null, "Config": []},
        "Internal": false, "Attachable": false, "Ingress": false,
        "ConfigFrom": {"Network": ""}, "ConfigOnly": false,
        "Containers": {}, "Options": {}, "Labels": {},
    })
}
