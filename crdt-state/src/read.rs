//! The values of a replica's records: one reader for each kind of record.
//!
//! The value types, and their keys, are in the module of the kind ([`crate::node`],
//! [`crate::volume`] and so on), which knows no replica. A record that is missing or unfit reads as
//! its default. Services have a file of their own, [`crate::service`].

mod autoscale;
mod client;
mod condition;
mod file;
mod fleet;
mod fleet_key;
mod handover;
mod image;
mod network;
mod node;
mod partition;
mod resource;
mod rollout;
mod schedule;
mod secret;
mod stack;
mod template;
mod token;
mod volume;

pub use autoscale::{declared_count, scaling_of};
pub use client::{Client, clients, revoked_clients};
pub use condition::conditions_of;
pub use file::{FleetFile, file_data, file_part, file_spec, file_template};
pub use fleet::fleet_settings;
pub use fleet_key::{fleet_keys, newest_fleet_key, wrapped_data};
pub use handover::handovers_of;
pub use image::{FleetImage, fleet_images};
pub use network::{
    Network, networks, node_networks_of, picked_ports_of, slot_addresses, tunnel_of,
};
pub use node::{NodeView, is_evicted, nodes};
pub use partition::grants_of;
pub use resource::named_resources_of;
pub use rollout::{AllFailures, failures_of, rollouts_of};
pub use schedule::runs_of;
pub use secret::{keys_for, public_key_of, secret_keys};
pub use stack::{StackState, stack_file, stack_files};
pub use template::{earlier_extensions, last_good, previous, written_extension};
pub use token::{TokenState, token, token_uses, tokens};
pub use volume::{given_up, holdings, volumes_of};
