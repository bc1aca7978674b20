//! Running tasks: drivers that start, watch and end one attempt of a task each.
//!
//! A driver does what it is told and reports what happened. It decides nothing: node-core decides
//! whether an ended task is started again or an unhealthy one is stopped. It must never take a task
//! down because the agent goes: tasks outlive the agent and are adopted.

pub mod boot_clock;
pub mod cgroup;
pub mod copy;
pub mod driver;
pub mod exec;
pub mod files;
mod fleet_files;
pub mod image;
pub mod logs;
pub mod monitor;
pub mod oci;
mod proc_table;
pub mod process;
mod refusal;
pub mod run_dir;
pub mod run_request;
pub mod seccomp_check;
mod secret_files;
pub mod signal;
mod tar_entries;
mod tree;
mod user;
pub mod user_range;
pub mod volume;

pub use driver::{Driver, RUN_EVENTS_MAX, RunEvents};
pub use exec::enter_main;
pub use fleet_files::{FileData, ReadFiles, Reading, RunFiles};
pub use monitor::monitor_main;
pub use oci::{ContainerOrder, OciRuntime};
pub use process::prepare::{Prepare, Prepared};
pub use process::{AttachNetworks, ContainerContext, OpenError, ProcessConfig, ProcessDriver};
pub use refusal::StartError;
