//! The spec of a service's tasks, in Docker's form: `TaskTemplate` and all below it.
//!
//! A task that runs a program of the host uses the same `ContainerSpec`, with the program in place
//! of the image: `process:/usr/bin/busybox`. When Docker's own clients send a spec back, they lose
//! every object that they do not know, and refuse a `ContainerSpec` with another `Runtime` than
//! `container`. So only the image reference shows the kind of task. `process` is accepted as a
//! `Runtime` in requests, and left out of answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::container_spec::ContainerSpec;
use super::{Nanos, Unknown};

/// Value of [`TaskSpec::runtime`] for a program of the host.
pub const RUNTIME_PROCESS: &str = "process";
/// Value of [`TaskSpec::runtime`] for an OCI container; also what an empty one means.
pub const RUNTIME_CONTAINER: &str = "container";
/// The prefix of an image reference that names a program of the host.
pub const PROCESS_SCHEME: &str = "process:";

/// All that defines a task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_spec: Option<ContainerSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_driver: Option<LogDriver>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkAttachment>,
    pub force_update: u64,
    /// Commands that run to their end before each start of a task; a field of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_start: Option<Vec<Vec<String>>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime: String,
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// The limits of a task, and the resources that are reserved for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ResourceRequirements {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservations: Option<Resources>,
    /// Swap on top of the limit of memory; -1: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_bytes: Option<i64>,
    /// 0 to 100; -1: that of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swappiness: Option<i64>,
}

/// Amounts; 0 means none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    #[serde(rename = "NanoCPUs", skip_serializing_if = "is_zero")]
    pub nano_cpus: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub memory_bytes: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub pids: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub generic_resources: Vec<GenericResource>,
}

fn is_zero(amount: &u64) -> bool {
    *amount == 0
}

/// A countable thing (or, in Docker, a named one).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GenericResource {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discrete_resource_spec: Option<DiscreteResource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_resource_spec: Option<NamedResource>,
}

/// `gpu=2`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiscreteResource {
    pub kind: String,
    pub value: u64,
}

/// `gpu=uuid-1`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NamedResource {
    pub kind: String,
    pub value: String,
}

/// When an ended task is started again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Nanos>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Nanos>,
}

/// Where tasks may run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Placement {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferences: Vec<PlacementPreference>,
    pub max_replicas: u32,
    /// The platforms for which the image exists: a registry's answer, not a setting of an operator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// Our own field: higher is placed first. If it is absent, the service keeps its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Our own field: `service==db`, `image!=redis`. If it is absent, the service keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinities: Option<Vec<String>>,
    /// Our own field: what becomes of the tasks in a partition. If it is absent, the service keeps
    /// its policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
}

/// What becomes of a service's tasks in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Partition {
    /// `run-everywhere`, `stay` or `at-most-one`.
    pub policy: String,
    /// Only of `at-most-one`; absent: 10 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fence_after: Option<Nanos>,
    /// Ids of nodes, only of `at-most-one`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<String>,
}

/// One level of spreading.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlacementPreference {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<SpreadOver>,
}

/// `node.labels.zone`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SpreadOver {
    pub spread_descriptor: String,
}

/// `linux` on `x86_64`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Platform {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    #[serde(rename = "OS", skip_serializing_if = "String::is_empty")]
    pub os: String,
    /// Our own field: `v7`. Docker's clients lose it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// A network that tasks are attached to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkAttachment {
    /// Id or name: `host` or `none`.
    pub target: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
}

/// Where the output goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogDriver {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}
