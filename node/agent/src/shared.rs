//! What all ways to the node share: who it is, and everything of the agent that stands beside it.

use std::path::PathBuf;
use std::sync::Mutex;

use crdt_state::NodeId;
use node_core::Event;
use runtime::cgroup::ability::Ability;
use runtime::volume::Volumes;
use tokio::sync::{broadcast, watch};

use super::images::ImagePuller;
use super::refused::Refused;
use crate::config::{Config, FleetKey};
use crate::transport::Transport;

/// What all handles share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) me: NodeId,
    pub(super) events: broadcast::Sender<Event>,
    /// How often the node has settled; set by its thread alone.
    pub(super) revision: watch::Sender<u64>,
    pub(super) transport: Transport,
    pub(super) runs: PathBuf,
    pub(super) ability: Ability,
    pub(super) puller: ImagePuller,
    pub(super) volumes: Volumes,
    /// What the disk last said, as long as it refuses.
    pub(super) disk: Mutex<Option<String>>,
    /// What admits to the fleet.
    pub(super) fleet_key: Mutex<FleetKey>,
    /// Whom this node was to ask, and why nobody answers there.
    pub(super) refused: Refused,
}
