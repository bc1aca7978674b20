//! `/networks`: the two that every node has, `host` and `none`. Docker's client looks a network up
//! before it names it in a service, and again to show its name.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};

use super::failure::Failure;

const ALL: [&str; 2] = ["host", "none"];

/// `GET /networks`.
pub async fn list() -> Json<Vec<Value>> {
    Json(ALL.map(network).to_vec())
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

/// Their ids are their names: they are the same on every node.
fn network(name: &str) -> Value {
    json!({
        "Name": name, "Id": name, "Created": "0001-01-01T00:00:00Z", "Scope": "swarm",
        "Driver": if name == "none" { "null" } else { name },
        "EnableIPv4": true, "EnableIPv6": false,
        "IPAM": {"Driver": "default", "Options": null, "Config": []},
        "Internal": false, "Attachable": false, "Ingress": false,
        "ConfigFrom": {"Network": ""}, "ConfigOnly": false,
        "Containers": {}, "Options": {}, "Labels": {},
    })
}
