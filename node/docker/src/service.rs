//! Services in Docker's form: the spec that operators send, and the object that is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::task_spec::TaskSpec;
use super::{Nanos, Timestamp, Unknown, Version};

/// A service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Service {
    #[serde(rename = "ID")]
    pub id: String,
    pub version: Version,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub spec: ServiceSpec,
    /// The spec before the last edit; absent before the first edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_spec: Option<ServiceSpec>,
    pub endpoint: Endpoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_status: Option<UpdateStatus>,
    /// Only of jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_status: Option<JobStatus>,
    /// Only when requested with `?status=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_status: Option<ServiceStatus>,
    /// Fields that Docker does not have.
    #[serde(skip_serializing_if = "ServiceEdge::is_empty")]
    pub edge: ServiceEdge,
}

/// Fields of a service that Docker does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceEdge {
    /// The id of an older service of the same name, which owns the name. Empty otherwise.
    pub name_owner: String,
    /// Only of jobs with a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleStatus>,
    /// Only of services that are scaled by their load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<AutoscaleStatus>,
}

impl ServiceEdge {
    fn is_empty(&self) -> bool {
        self.name_owner.is_empty() && self.schedule.is_none() && self.autoscale.is_none()
    }
}

impl Service {
    /// The name to use for it: its name, or its id while another service owns the name.
    pub fn called(&self) -> &str {
        if self.edge.name_owner.is_empty() { &self.spec.name } else { &self.id }
    }
}

/// What operators request from a service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceSpec {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub task_template: TaskSpec,
    pub mode: ServiceMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_config: Option<UpdateConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_config: Option<UpdateConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_spec: Option<EndpointSpec>,
    /// Docker has no such field, and its clients lose it: absent, it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleSpec>,
    /// Docker has no such field: absent, it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<AutoscaleSpec>,
    /// Docker has no such field: the names of services after which tasks start. Absent, they stay
    /// as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<String>>,
    /// Docker has no such field: `any` or `ascending`. Absent, it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot_order: Option<String>,
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// When a job runs. Empty fields: UTC, `skip`, `run-once`; without a pattern there is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ScheduleSpec {
    /// Five fields of a crontab.
    pub cron: String,
    /// A name of the tz database.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub time_zone: String,
    /// A run that is due while the one before has not ended: `skip` or `replace`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub overlap: String,
    /// Runs that were due while the fleet was down: `run-once` or `skip`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub missed: String,
}

/// The schedule of a job, as the node that answers sees it by its own clock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ScheduleStatus {
    /// The next run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run: Option<Timestamp>,
    /// The same as clocks of its zone show it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next: String,
    /// The latest run, as clocks of its zone show it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last: String,
    /// All of it in words.
    pub message: String,
}

/// Between which numbers a service is scaled, and how much its tasks are to use on average. All
/// fields empty: it is not scaled by its load.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AutoscaleSpec {
    pub min: u64,
    pub max: u64,
    /// In percent of the CPU limit, else of the reservation, else of one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u64>,
    /// In percent of the memory limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_percent: Option<u64>,
}

/// How a service is scaled at the moment, as the node that answers sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AutoscaleStatus {
    /// The number of tasks in force.
    pub replicas: u64,
    /// Of so many tasks it is known what they use.
    pub measured: u64,
    /// The mean of these, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u64>,
    /// The mean of these, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_percent: Option<u64>,
    /// The next number of tasks, if the load stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// The code of the reason for the present number.
    pub reason: String,
    /// All of it in words.
    pub message: String,
}

/// At most one of the fields is set; none means one replica.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceMode {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicated: Option<Replicated>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global: Option<Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicated_job: Option<ReplicatedJob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_job: Option<Empty>,
}

impl ServiceMode {
    /// Docker's word for it, as in `--mode`.
    pub fn word(&self) -> &'static str {
        match self {
            ServiceMode { global: Some(_), .. } => "global",
            ServiceMode { replicated_job: Some(_), .. } => "replicated-job",
            ServiceMode { global_job: Some(_), .. } => "global-job",
            _ => "replicated",
        }
    }

    /// Do its tasks run to their end?
    pub fn is_job(&self) -> bool {
        self.replicated_job.is_some() || self.global_job.is_some()
    }
}

/// The iteration of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobStatus {
    /// 0 is the first.
    pub job_iteration: Version,
    /// When it began.
    pub last_execution: Timestamp,
}

/// An object without fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

/// This many tasks, on any nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Replicated {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u64>,
}

/// Tasks that run to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReplicatedJob {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_completions: Option<u64>,
}

/// How a new template is rolled out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateConfig {
    pub parallelism: u64,
    pub delay: Nanos,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub failure_action: String,
    /// Absent or 0: Docker's default, 5 s.
    pub monitor: Nanos,
    pub max_failure_ratio: f32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub order: String,
    /// Docker has no such field, and its clients lose it: absent, it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<u64>,
}

/// Ports of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSpec {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortConfig>,
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub protocol: String,
    pub target_port: u16,
    pub published_port: u16,
    pub publish_mode: String,
}

/// The ports that are in use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Endpoint {
    pub spec: EndpointSpec,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortConfig>,
    #[serde(rename = "VirtualIPs", skip_serializing_if = "Vec::is_empty")]
    pub virtual_ips: Vec<VirtualIp>,
}

/// The virtual address of a service on one network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VirtualIp {
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// `10.0.1.2/32`.
    pub addr: String,
}

/// The state of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateStatus {
    /// `updating`, `paused` or `completed`; of a rollback `rollback_started`, `rollback_paused` or
    /// `rollback_completed`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Docker has no such field: the first tasks run well, and an operator is to promote the update.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub awaits_promotion: bool,
}

/// How many tasks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceStatus {
    pub running_tasks: u64,
    pub desired_tasks: u64,
    pub completed_tasks: u64,
}

/// The answer to `POST /services/create`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceCreated {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The answer to `POST /services/{id}/update`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceUpdated {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
