//! The facets of a service: only what operators wrote.
//!
//! Each type here is the value of one facet, encoded by [`crate::wire`] with a version byte and
//! frozen per version: a new property of a service needs a new facet. Durations are milliseconds,
//! memory is bytes, CPU is billionths of a core, as in Docker's API.

mod container;
pub mod extension;
mod stored;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stamp::Stamp;

pub use container::{Container, Device, Dns, Mount, MountSource, NetworkMode, Platform, Ulimit};
pub use extension::{Extension, Standalone, Swap, UserNamespace};
pub(crate) use stored::Frozen;
pub use stored::StoredTemplate;

/// The number of a facet within its record. Unknown numbers are kept and passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Facet(pub u16);

impl Facet {
    /// Whether the record exists, and its name: [`Life`]. The same number in every shared record.
    pub const LIFE: Facet = Facet(0);
    /// All that defines a task of a service: [`StoredTemplate`].
    pub const TEMPLATE: Facet = Facet(1);
    /// Mode and replicas: [`Scale`].
    pub const SCALE: Facet = Facet(2);
    /// Where tasks may run: [`Placement`].
    pub const PLACEMENT: Facet = Facet(3);
    /// How a new template is rolled out: [`UpdatePolicy`].
    pub const UPDATE_POLICY: Facet = Facet(4);
    /// Ports, networks, aliases: [`Endpoint`].
    pub const ENDPOINT: Facet = Facet(5);
    /// Labels as one map, for versions that do not know single entries: [`Labels`], see
    /// [`mod@crate::labels`].
    pub const LABELS: Facet = Facet(6);
    /// Availability of a node: [`crate::node::Availability`].
    pub const AVAILABILITY: Facet = Facet(7);
    /// What an image's name stands for: [`crate::image::ImageFact`].
    pub const IMAGE: Facet = Facet(8);
    /// Volumes of a node that operators gave up: [`crate::volume::GivenUp`].
    pub const VOLUMES_GIVEN_UP: Facet = Facet(9);
    /// The template of a service that ran before the current one was written, if it ran healthy:
    /// [`StoredTemplate`].
    pub const LAST_GOOD: Facet = Facet(10);
    /// A service before the last edit of it: an optional [`crate::previous::Previous`].
    pub const PREVIOUS: Facet = Facet(11);
    /// What the removal of a record had seen: [`crate::removal::RemovalFact`].
    pub const REMOVAL: Facet = Facet(12);
    /// Labels key by key, see [`mod@crate::labels`].
    pub const LABEL_CHANGES: Facet = Facet(13);
    /// The configuration of a network: [`crate::network::NetworkSpec`].
    pub const NETWORK: Facet = Facet(14);
    /// The networks of a service: [`crate::network::Attachments`].
    pub const NETWORKS: Facet = Facet(15);
    /// The networks of a service before the last edit of it: [`crate::network::Attachments`].
    pub const PREVIOUS_NETWORKS: Facet = Facet(17);
    /// How a service's name is answered: [`crate::network::Balancing`].
    pub const BALANCING: Facet = Facet(16);
    /// What a rollout tolerates, and what it waits for: [`crate::rollout::UpdateRules`].
    pub const UPDATE_RULES: Facet = Facet(18);
    /// How an earlier template is rolled out: [`crate::rollout::RollbackPolicy`].
    pub const ROLLBACK_POLICY: Facet = Facet(19);
    /// What operators say of a rollout: [`crate::rollout::Steering`].
    pub const STEERING: Facet = Facet(20);
    /// What becomes of its tasks in a partition: [`crate::partition::Partition`].
    pub const PARTITION: Facet = Facet(24);
    /// When a job runs: an optional [`crate::schedule::Scheduled`].
    pub const SCHEDULE: Facet = Facet(21);
    /// What tasks have beyond the template: [`extension::Properties`].
    pub const TEMPLATE_EXTENSION: Facet = Facet(23);
    /// What earlier templates had: [`extension::EarlierExtensions`].
    pub const EARLIER_EXTENSIONS: Facet = Facet(25);
    /// Beside whom a service runs: [`crate::relation::Affinities`].
    pub const AFFINITY: Facet = Facet(22);
    /// After whom its tasks start: [`crate::relation::DependsOn`].
    pub const DEPENDS_ON: Facet = Facet(26);
    /// Between which numbers, and by what, it is scaled: an optional
    /// [`crate::autoscale::Autoscale`].
    pub const AUTOSCALE: Facet = Facet(27);
    /// In which order its slots start: [`crate::relation::SlotOrder`].
    pub const SLOT_ORDER: Facet = Facet(28);
    /// What the data of a config or a secret is: [`crate::file::FileSpec`].
    pub const FILE: Facet = Facet(29);
    /// A part of that data: [`crate::file::FilePart`].
    pub const FILE_PART: Facet = Facet(30);
    /// The same of one that is a template: [`crate::file::TemplateFile`], in place of [`Facet::FILE`]. An
    /// agent that knows no templates finds no data, and starts no task with it.
    pub const TEMPLATE_FILE: Facet = Facet(52);
    /// The version of a stack's file that counts: [`crate::stack::StackFile`].
    pub const STACK: Facet = Facet(31);
    /// A join token: [`crate::token::JoinToken`].
    pub const TOKEN: Facet = Facet(40);
    /// That a join token is not taken any more: [`crate::token::TokenEnd`].
    pub const TOKEN_END: Facet = Facet(41);
    /// What a client of the API may do: [`crate::client::ClientRole`].
    pub const CLIENT_ROLE: Facet = Facet(48);
    /// Which key of the fleet it is: [`crate::fleet_key::FleetKeyFact`].
    pub const FLEET_KEY: Facet = Facet(56);
    /// How much of a slot's past is kept: [`crate::fleet::TaskHistory`]. Settings of the fleet have
    /// numbers from 256.
    pub const TASK_HISTORY: Facet = Facet(256);
}

/// Names and values that operators set.
pub type Labels = BTreeMap<String, String>;

/// Whether a shared record exists. A removal wins over every edit that it did not see: any
/// concurrent `Removed` among the register's values removes the record, whatever its stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// It exists under this name, since this stamp: the age that orders services in placement.
    Present {
        /// Unique among existing records, except for names that both sides of a partition created.
        name: String,
        /// When it was created.
        created: Stamp,
    },
    /// It was removed.
    Removed {
        /// Its last name, for display.
        name: String,
    },
}

impl Life {
    /// Its current or last name.
    pub fn into_name(self) -> String {
        match self {
            Life::Present { name, .. } | Life::Removed { name } => name,
        }
    }
}

/// The first 8 bytes of the hash of the encoded template. Equal templates are one version, whoever
/// wrote them, so a template that was written on both sides of a partition restarts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TemplateVersion(pub u64);

/// What runs a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Runtime {
    /// An OCI container.
    Container,
    /// A program of the host.
    #[default]
    Process,
}

/// All that defines a task of a service. Its stored form is [`StoredTemplate`], and the extension
/// beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Template {
    /// What runs it.
    pub runtime: Runtime,
    /// Image reference as given, followed by `@` and the digest that it had then, if that could be
    /// found out; empty for a process.
    pub image: String,
    /// Program and leading arguments (Docker's `Command`, the entrypoint).
    pub command: Vec<String>,
    /// Arguments after `command`.
    pub args: Vec<String>,
    /// `NAME=value`; `{{.Task.Slot}}` and similar templates are expanded on the node that runs the
    /// task.
    pub env: Vec<String>,
    /// Working directory.
    pub dir: Option<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`.
    pub user: Option<String>,
    /// Host name; templates are expanded.
    pub hostname: Option<String>,
    /// Signal that asks the task to end, `SIGTERM` unless given.
    pub stop_signal: Option<String>,
    /// Time between that signal and SIGKILL.
    pub stop_grace_ms: u64,
    /// How its health is checked.
    pub health: Option<HealthCheck>,
    /// What happens when it ends.
    pub restart: RestartPolicy,
    /// The most that it may use.
    pub limits: Resources,
    /// What is reserved for it.
    pub reservations: Resources,
    /// Labels of the task itself.
    pub labels: Labels,
    /// Log options: `max-size` (`10m`), `max-file` (`3`).
    pub log_options: BTreeMap<String, String>,
    /// Raised by `service update --force`: makes a new version of an otherwise equal template.
    pub force_update: u64,
    /// Settings that only a container has.
    pub container: Container,
    /// What the stored form has no field for.
    pub extension: Extension,
}

/// A command that tells whether a task is healthy, with Docker's meaning of each field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// `["CMD", program, args…]`, `["CMD-SHELL", line]` or `["NONE"]`.
    pub test: Vec<String>,
    /// Time between checks, 30 s unless given.
    pub interval_ms: u64,
    /// A check that takes longer counts as failed, 30 s unless given.
    pub timeout_ms: u64,
    /// Failures in a row that make the task unhealthy, 3 unless given.
    pub retries: u32,
    /// Failures in this time after the start do not count.
    pub start_period_ms: u64,
    /// Time between checks during the start period, 5 s unless given.
    pub start_interval_ms: u64,
}

/// When an ended task is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartCondition {
    /// Never.
    None,
    /// When it exited with a code other than 0, or could not be started.
    OnFailure,
    /// Always.
    Any,
}

/// Restart policy. The first restart is immediate; then the delay doubles from `delay_ms`, with
/// jitter, up to 5 minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// When a task is restarted.
    pub condition: RestartCondition,
    /// The base of the backoff.
    pub delay_ms: u64,
    /// The most restarts within `window_ms`; `None`: without limit.
    pub max_attempts: Option<u64>,
    /// The window in which restarts are counted; 0: the whole life of the task.
    pub window_ms: u64,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        RestartPolicy {
            condition: RestartCondition::Any,
            delay_ms: 5_000,
            max_attempts: None,
            window_ms: 0,
        }
    }
}

/// Amounts; 0 and absent mean none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Resources {
    /// Billionths of a core.
    pub nano_cpus: u64,
    /// Bytes.
    pub memory_bytes: u64,
    /// Processes and threads; limits only.
    pub pids: u64,
    /// Countable resources by name.
    pub generic: BTreeMap<String, u64>,
}

/// Mode and number of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// This many tasks, on any nodes.
    Replicated {
        /// The slots are numbered from 1 to this.
        replicas: u32,
    },
    /// One on every eligible node.
    Global,
    /// Tasks that run to their end, on any nodes.
    JobReplicated {
        /// So many slots, numbered from 1, must end with code 0.
        completions: u32,
        /// At most so many of them run at the same time.
        max_concurrent: u32,
    },
    /// A task that runs to its end, once on every eligible node.
    JobGlobal,
}

impl Scale {
    /// Do its tasks run to their end, and never again?
    pub fn is_job(self) -> bool {
        matches!(self, Scale::JobReplicated { .. } | Scale::JobGlobal)
    }
}

/// Where tasks may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Placement {
    /// `node.labels.zone==a`, as written; parsed by the planner, checked before it is stored.
    pub constraints: Vec<String>,
    /// `spread=node.labels.zone`, outermost first.
    pub preferences: Vec<String>,
    /// The most tasks of this service on one node; 0: no limit.
    pub max_per_node: u32,
    /// Services with a higher priority are placed first.
    pub priority: i32,
}

/// In which order the old and the new task of a slot are stopped and started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum UpdateOrder {
    /// Stop the old one, then start the new one.
    #[default]
    StopFirst,
    /// Start the new one, and stop the old one when the new one runs.
    StartFirst,
    /// Start all new ones beside all old ones. When all run healthy, connections go to the new ones
    /// in one step; the old ones stop when the new ones have stayed for the monitor time.
    BlueGreen,
}

/// How a new template is rolled out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdatePolicy {
    /// Slots changed at the same time; 0: all.
    pub parallelism: u32,
    /// Time between one slot and the next.
    pub delay_ms: u64,
    /// How long a new task must run before its update counts as successful.
    pub monitor_ms: u64,
    /// Which of the two tasks of a slot goes first.
    pub order: UpdateOrder,
}

impl Default for UpdatePolicy {
    fn default() -> Self {
        UpdatePolicy {
            parallelism: 1,
            delay_ms: 0,
            monitor_ms: 5_000,
            order: UpdateOrder::StopFirst,
        }
    }
}

/// Ports and networks of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Endpoint {
    /// Published ports.
    pub ports: Vec<PublishedPort>,
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The port on the node; 0: chosen automatically.
    pub published: u16,
    /// The port of the task.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Published only on the nodes that run a task: such a port is a resource of the node.
    pub host: bool,
}
