//! The pure node: placement, ownership, reconciliation, and the reasons for every decision.
//!
//! No clock, no socket, no disk: [`Node::step`](node::Node::step) takes facts, and
//! [`Node::poll_action`](node::Node::poll_action) gives orders. A list of `(now, Input)` is a
//! complete history and can be replayed.

pub mod assign;
pub mod backoff;
pub mod catalog;
pub mod conditions;
pub mod constraint;
pub mod departure;
pub mod edit;
pub mod editor;
pub mod event;
pub mod expand;
pub mod filter;
pub mod handover;
pub mod history;
pub mod input;
pub mod ledger;
pub mod node;
pub mod outbox;
pub mod own_records;
pub mod plan;
pub mod planner;
pub mod platform;
pub mod reason;
pub mod reconciler;
pub mod report;
pub mod rollout;
pub mod score;
pub mod share;
pub mod stay;
pub mod tasks;
pub mod view;
pub mod volumes;

pub use edit::{Edit, Edited, Refusal, Removal, ServiceSpec};
pub use event::{Event, Subject};
pub use input::{Action, Input};
pub use node::{Node, NodeConfig, NodeTimer};
pub use own_records::NodeFacts;
pub use report::{NodeReport, NodeRow, Rollout, RolloutState, TaskView, UnfitRow, VolumeRow};
