//! The pure node: placement, ownership, reconciliation and the reasons for all of it.
//!
//! No clock, no socket, no disk: [`Node::step`](node::Node::step) takes facts, and
//! [`Node::poll_action`](node::Node::poll_action) gives orders. A list of `(now, Input)` is a
//! complete history and can be replayed.

pub mod assign;
pub mod backoff;
pub mod catalog;
pub mod conditions;
pub mod constraint;
pub mod edit;
pub mod event;
pub mod expand;
pub mod filter;
pub mod handover;
pub mod history;
pub mod input;
pub mod ledger;
pub mod node;
pub mod outbox;
pub mod plan;
pub mod platform;
pub mod reason;
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
pub use node::{Node, NodeConfig, NodeFacts, NodeRow, NodeTimer, TaskView, VolumeRow};
pub use node::{Rollout, RolloutState, UnfitRow};
