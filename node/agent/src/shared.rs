//! What all handles to the node share: its identity, and the other parts of the agent.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use crdt_state::NodeId;
use node_core::Event;
use runtime::cgroup::ability::Ability;
use runtime::volume::Volumes;
use tokio::sync::{broadcast, watch};

use super::audit_log::AuditLog;
use super::file_data::FileReader;
use super::images::ImagePuller;
use super::networks::Networks;
use super::own_addresses::OwnAddresses;
use super::refused::Refused;
use crate::config::{Config, FleetKey};
use crate::lock::Keyring;
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
    /// The networks of this machine, if it can have some.
    pub(super) networks: Option<Networks>,
    /// The addresses by which other nodes reach this machine.
    pub(super) own_addresses: OwnAddresses,
    /// Devices of this machine that cannot be offered.
    pub(super) skipped_devices: Arc<Mutex<BTreeSet<String>>>,
    /// The disk's last error, while it refuses writes.
    pub(super) disk: Mutex<Option<String>>,
    /// Reads configs and secrets.
    pub(super) files: FileReader,
    /// The key of the fleet.
    pub(super) fleet_key: Mutex<FleetKey>,
    /// Where the keys of this node are kept.
    pub(super) keyring: Mutex<Keyring>,
    /// What was changed through this node.
    pub(super) audit: Arc<AuditLog>,
    /// Another machine has the key of this node, and this one has to stay out of the fleet.
    pub(super) quarantined: watch::Receiver<bool>,
    /// The nodes that were to be asked but do not answer, with the reason.
    pub(super) refused: Refused,
}

impl Shared {
    /// Where the keys of this node are kept.
    pub(super) fn keyring(&self) -> MutexGuard<'_, Keyring> {
        self.keyring.lock().expect("nothing panics while it holds the keys")
    }
}
