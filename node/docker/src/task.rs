//! Tasks in Docker's form. Internally a restart is a further attempt of one task; here each past
//! attempt is a task of its own with the desired state `shutdown`, as Docker's clients expect.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::network::IpamConfig;
use super::task_spec::TaskSpec;
use super::{Timestamp, Version};

/// A task, or a past attempt of one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Task {
    #[serde(rename = "ID")]
    pub id: String,
    pub version: Version,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub labels: BTreeMap<String, String>,
    pub spec: TaskSpec,
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// Absent in a global service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u64>,
    /// Absent while it has no owner.
    #[serde(rename = "NodeID", skip_serializing_if = "String::is_empty")]
    pub node_id: String,
    pub status: TaskStatus,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks_attachments: Vec<NetworkAttachment>,
    /// `running`, `complete` of a job, or `shutdown`: also of a task that is over for good.
    pub desired_state: String,
    /// The iteration of a job that it belongs to, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_iteration: Option<Version>,
    pub edge: EdgeTask,
}

impl Task {
    /// Is it the task of its slot, also when that is over for good?
    pub fn is_wanted(&self) -> bool {
        self.edge.is_last || matches!(self.desired_state.as_str(), "running" | "complete")
    }

    /// Should it run, or have run to its end? By Docker's word for that, or any other.
    pub fn has_desired_state(&self, wanted: &str) -> bool {
        self.desired_state == wanted || (wanted == "accepted" && self.desired_state != "shutdown")
    }
}

/// A network that a task is on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkAttachment {
    pub network: AttachedNetwork,
    /// `10.0.1.7/32`.
    pub addresses: Vec<String>,
}

/// A network, as a task names it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AttachedNetwork {
    #[serde(rename = "ID")]
    pub id: String,
    pub spec: AttachedNetworkSpec,
    #[serde(rename = "IPAMOptions")]
    pub ipam_options: AttachedIpam,
}

/// The name of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AttachedNetworkSpec {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

/// The ranges of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AttachedIpam {
    pub configs: Vec<IpamConfig>,
}

/// The state of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskStatus {
    pub timestamp: Timestamp,
    /// Docker's word: `pending`, `running`, `failed`…
    pub state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Why it does not run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub err: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_status: Option<ContainerStatus>,
    pub port_status: PortStatus,
}

/// The process of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerStatus {
    #[serde(rename = "ContainerID")]
    pub container_id: String,
    #[serde(rename = "PID")]
    pub pid: u32,
    pub exit_code: i32,
}

/// Ports published on the task's own node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortStatus {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<super::service::PortConfig>,
}

/// Fields that Docker does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EdgeTask {
    /// `web.1`, or `web.<node id>` in a global service.
    pub name: String,
    /// The task that this attempt belongs to.
    #[serde(rename = "TaskID")]
    pub task_id: String,
    /// 1 is the first attempt; 0: the task was never started.
    pub attempt: u32,
    /// `unchecked`, `starting`, `healthy` or `unhealthy`.
    pub health: String,
    /// The version of the template that it runs, 16 hexadecimal digits.
    pub template: String,
    /// Does it run the template that the service has now?
    pub up_to_date: bool,
    /// Is it over for good, as its restart policy says, and has no task taken its place?
    pub is_last: bool,
    /// For how long its node has not been heard; all other fields are from its last report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable_ms: Option<u64>,
}
