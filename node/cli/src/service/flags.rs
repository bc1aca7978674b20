//! Flags that `service create` and `service update` share, in Docker's spelling. A flag that is
//! absent leaves its setting unchanged.

mod container;
mod pre_start;
mod swap;

use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::autoscale::AutoscaleFlags;
use super::endpoint::EndpointFlags;
use super::partition::PartitionFlags;
use super::schedule::ScheduleFlags;
use crate::dry_run::DryRunFlags;
use crate::progress::WaitFlags;
use crate::value::{self, Pair};

pub use container::ContainerFlags;
pub use pre_start::PreStartFlags;
pub use swap::SwapFlags;

/// Everything but lists, which are set by one command and added to and removed from by the other.
#[derive(Debug, Default, Args)]
pub struct SharedFlags {
    #[command(flatten)]
    pub scale: ScaleFlags,
    #[command(flatten)]
    pub task: TaskFlags,
    #[command(flatten)]
    pub container: ContainerFlags,
    #[command(flatten)]
    pub pre_start: PreStartFlags,
    #[command(flatten)]
    pub health: HealthFlags,
    #[command(flatten)]
    pub resources: ResourceFlags,
    #[command(flatten)]
    pub restart: RestartFlags,
    #[command(flatten)]
    pub update: UpdateFlags,
    #[command(flatten)]
    pub rollback: RollbackFlags,
    #[command(flatten)]
    pub partition: PartitionFlags,
    #[command(flatten)]
    pub schedule: ScheduleFlags,
    #[command(flatten)]
    pub autoscale: AutoscaleFlags,
    #[command(flatten)]
    pub endpoint: EndpointFlags,
    #[command(flatten)]
    pub wait: WaitFlags,
    #[command(flatten)]
    pub dry_run: DryRunFlags,
}

/// What a task is.
#[derive(Debug, Default, Args)]
pub struct TaskFlags {
    /// Run as this user: NAME, UID, NAME:GROUP or UID:GID
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Signal that asks a task to end [default: SIGTERM]
    #[arg(long, value_name = "SIGNAL", value_parser = value::signal)]
    pub stop_signal: Option<String>,
    /// Time between that signal and SIGKILL [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    pub stop_grace_period: Option<Duration>,
    /// How the output is kept [default: json-file]
    #[arg(long, value_name = "DRIVER",
        value_parser = PossibleValuesParser::new(["json-file", "local"]))]
    pub log_driver: Option<String>,
    /// Log option: max-size=10m, max-file=3
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::log_option)]
    pub log_opt: Vec<Pair>,
}

/// How a task is found healthy.
#[derive(Debug, Default, Args)]
pub struct HealthFlags {
    /// Shell command that ends with 0 while the task is healthy
    #[arg(long, value_name = "COMMAND", help_heading = "Health")]
    pub health_cmd: Option<String>,
    /// Time between checks [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Health")]
    pub health_interval: Option<Duration>,
    /// A check that takes longer has failed [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Health")]
    pub health_timeout: Option<Duration>,
    /// Failures in a row until the task is unhealthy [default: 3]
    #[arg(long, value_name = "N", help_heading = "Health")]
    pub health_retries: Option<u32>,
    /// Failures in this time after the start do not count [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Health")]
    pub health_start_period: Option<Duration>,
    /// Time between checks during the start period [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Health")]
    pub health_start_interval: Option<Duration>,
    /// No health check
    #[arg(long, help_heading = "Health", conflicts_with_all = [
        "health_cmd", "health_interval", "health_timeout", "health_retries",
        "health_start_period", "health_start_interval",
    ])]
    pub no_healthcheck: bool,
}

/// What a task may use, and what is set aside for it.
#[derive(Debug, Default, Args)]
pub struct ResourceFlags {
    /// Cores that a task may use at most: 0.5
    #[arg(long, value_name = "CPUS", value_parser = value::cpus, help_heading = "Resources")]
    pub limit_cpu: Option<u64>,
    /// Memory that a task may use at most: 64m
    #[arg(long, value_name = "BYTES", value_parser = value::bytes, help_heading = "Resources")]
    pub limit_memory: Option<u64>,
    /// Processes and threads that a task may have at most; 0: no limit
    #[arg(long, value_name = "N", help_heading = "Resources")]
    pub limit_pids: Option<u64>,
    /// Cores set aside for a task when it is placed
    #[arg(long, value_name = "CPUS", value_parser = value::cpus, help_heading = "Resources")]
    pub reserve_cpu: Option<u64>,
    /// Memory set aside for a task when it is placed
    #[arg(long, value_name = "BYTES", value_parser = value::bytes, help_heading = "Resources")]
    pub reserve_memory: Option<u64>,
    #[command(flatten)]
    pub swap: SwapFlags,
}

/// What happens when a task ends.
#[derive(Debug, Default, Args)]
pub struct RestartFlags {
    /// When an ended task is started again [default: any]
    #[arg(long, value_name = "CONDITION", help_heading = "Restart",
        value_parser = PossibleValuesParser::new(["none", "on-failure", "any"]))]
    pub restart_condition: Option<String>,
    /// The first restart is immediate; later ones wait this long, doubling [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Restart")]
    pub restart_delay: Option<Duration>,
    /// Restarts at most; 0: no limit [default: 0]
    #[arg(long, value_name = "N", help_heading = "Restart")]
    pub restart_max_attempts: Option<u64>,
    /// The time in which restarts are counted [default: the task's whole life]
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Restart")]
    pub restart_window: Option<Duration>,
}

/// How a change reaches the tasks that run.
#[derive(Debug, Default, Args)]
pub struct UpdateFlags {
    /// Tasks changed at the same time; 0: all [default: 1]
    #[arg(long, value_name = "N", help_heading = "Updates")]
    pub update_parallelism: Option<u64>,
    /// Time between one task and the next [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Updates")]
    pub update_delay: Option<Duration>,
    /// How long a changed task must run before it counts [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Updates")]
    pub update_monitor: Option<Duration>,
    /// Whether the old task stops before or after the new one runs, or all new ones run beside all
    /// old ones and take the traffic in one step [default: stop-first]
    #[arg(long, value_name = "ORDER", help_heading = "Updates",
        value_parser = PossibleValuesParser::new(["stop-first", "start-first", "blue-green"]))]
    pub update_order: Option<String>,
    /// What happens when tasks fail: pause, continue or rollback [default: pause]
    #[arg(long, value_name = "ACTION", help_heading = "Updates",
        value_parser = PossibleValuesParser::new(["pause", "continue", "rollback"]))]
    pub update_failure_action: Option<String>,
    /// So many of all tasks may fail, from 0 to 1 [default: 0]
    #[arg(long, value_name = "RATIO", value_parser = value::ratio, help_heading = "Updates",
        allow_negative_numbers = true)]
    pub update_max_failure_ratio: Option<f32>,
    /// So many tasks take the new version, then it waits for `service promote`; 0: all [default: 0]
    #[arg(long, value_name = "N", help_heading = "Updates")]
    pub update_canary: Option<u64>,
}

/// How a service goes back to its earlier version.
#[derive(Debug, Default, Args)]
pub struct RollbackFlags {
    /// Tasks rolled back at the same time; 0: all [default: 1]
    #[arg(long, value_name = "N", help_heading = "Rollbacks")]
    pub rollback_parallelism: Option<u64>,
    /// Time between one task and the next [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Rollbacks")]
    pub rollback_delay: Option<Duration>,
    /// How long a task must run before it counts [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Rollbacks")]
    pub rollback_monitor: Option<Duration>,
    /// Whether the newer task stops before or after the earlier one runs [default: stop-first]
    #[arg(long, value_name = "ORDER", help_heading = "Rollbacks",
        value_parser = PossibleValuesParser::new(["stop-first", "start-first"]))]
    pub rollback_order: Option<String>,
    /// What happens when tasks fail again: pause or continue [default: pause]
    #[arg(long, value_name = "ACTION", help_heading = "Rollbacks",
        value_parser = PossibleValuesParser::new(["pause", "continue"]))]
    pub rollback_failure_action: Option<String>,
    /// So many of all tasks may fail, from 0 to 1 [default: 0]
    #[arg(long, value_name = "RATIO", value_parser = value::ratio, help_heading = "Rollbacks",
        allow_negative_numbers = true)]
    pub rollback_max_failure_ratio: Option<f32>,
}

/// How many tasks there are.
#[derive(Debug, Default, Args)]
pub struct ScaleFlags {
    /// Number of tasks; of a job, of tasks that must end well [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub replicas: Option<u32>,
    /// Tasks of a job that run at the same time at most [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub max_concurrent: Option<u32>,
    /// Tasks of this service on one node at most; 0: no limit
    #[arg(long, value_name = "N", help_heading = "Placement")]
    pub replicas_max_per_node: Option<u32>,
}
