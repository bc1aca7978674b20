//! The frozen encoding of a template: what was always stored, and nothing more.
//!
//! A template's [`Extension`] is stored apart from it. Whoever writes a template into a facet does
//! it through [`StoredTemplate`]; an encoding of a whole [`Template`] is one for this node only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Container, Extension, HealthCheck, Labels, Resources, RestartPolicy, Runtime, Template,
};

/// The value of [`super::Facet::TEMPLATE`] and [`super::Facet::LAST_GOOD`]. Decoded, its extension
/// is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTemplate(#[serde(with = "Frozen")] pub Template);

/// The frozen fields, in their frozen order.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Template")]
pub(crate) struct Frozen {
    runtime: Runtime,
    image: String,
    command: Vec<String>,
    args: Vec<String>,
    env: Vec<String>,
    dir: Option<String>,
    user: Option<String>,
    hostname: Option<String>,
    stop_signal: Option<String>,
    stop_grace_ms: u64,
    health: Option<HealthCheck>,
    restart: RestartPolicy,
    limits: Resources,
    reservations: Resources,
    labels: Labels,
    log_options: BTreeMap<String, String>,
    force_update: u64,
    container: Container,
    #[serde(skip)]
    extension: Extension,
}
