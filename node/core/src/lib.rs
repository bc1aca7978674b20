//! The pure node: placement, ownership, reconciliation, and the reasons for every decision.
//!
//! No clock, no socket, no disk: [`Node::step`](node::Node::step) takes facts, and
//! [`Node::poll_action`](node::Node::poll_action) gives orders. A list of `(now, Input)` is a
//! complete history and can be replayed.

mod acquaintances;
pub mod addressing;
pub mod affinity;
mod assign;
pub mod autoscale;
mod backoff;
mod catalog;
pub mod conditions;
pub mod constraint;
mod copies;
mod departure;
pub mod devices;
pub mod dry_run;
pub mod edit;
mod editor;
pub mod event;
pub mod expand;
mod filter;
mod fleet_keys;
mod groups;
pub mod handover;
pub mod history;
mod input;
pub mod leases;
mod ledger;
pub mod names;
pub mod neighbours;
pub mod network_news;
pub mod network_plan;
pub mod network_state;
pub mod node;
mod outbox;
mod own_records;
mod paths;
pub mod plan;
mod planner;
mod platform;
pub mod preference;
mod priority;
mod quota;
pub mod reason;
pub mod reconciler;
pub mod report;
mod resources;
mod rollout;
pub mod schedules;
pub mod score;
pub mod secrets;
mod share;
mod stay;
pub mod tasks;
pub mod timetable;
mod token_expiry;
pub mod view;
mod volumes;
mod withdrawals;

pub use addressing::NetworkFacts;
pub use devices::FoundDevices;
pub use dry_run::DryRun;
pub use edit::{Edit, Edited, Refusal, Removal, ServiceSpec, Steer};
pub use event::{Event, Subject};
pub use fleet_keys::{FleetKeyNews, FleetKeyOffer};
pub use input::{Action, Input};
pub use node::{Node, NodeConfig, NodeTimer};
pub use own_records::NodeFacts;
pub use report::{
    FileConflict, FileRow, JobStatus, NetworkConflict, NetworkDetail, NetworkRow, NetworkService,
    NetworkTask, NodeReport, NodeRow, Rollout, RolloutState, SealedSecret, TaskView, UnfitRow,
    VolumeRow,
};
pub use secrets::KeyShare;
