//! Opens everything in the right order: the data directory, the store (which also keeps a second
//! agent out), the keys, the images, the volumes, and the tasks that still run.

use std::path::PathBuf;
use std::sync::Arc;

use crdt_state::StoreId;
use crdt_state::task::TaskStart;
use node_docker::container_id;
use runtime::image::{ImageError, Images, platform};
use runtime::volume::{VolumeError, Volumes};
use runtime::{ContainerContext, OpenError, ProcessConfig, ProcessDriver, RunEvents};

use super::devices::Finder;
use super::file_data::FileReader;
use super::images::ImagePuller;
use super::networks::{self, OpenedNetworks};
use super::own_addresses::OwnAddresses;
use super::sealing;
use crate::config::{Config, FleetKey};
use crate::identity::{self, IdentityError, NodeKey};
use crate::lock::{Keyring, KeyringError, Unlocked};
use crate::store::{Copied, OpenedStore, Store, StoreError};
use crate::transport::ListenError;

/// Digits of a container's id that are its default host name, as in Docker.
const HOSTNAME_CHARS: usize = 12;

/// The host name of a container that is given none: the beginning of its id.
fn own_hostname(start: &TaskStart) -> String {
    container_id(start.template.known_as(start.run))[..HOSTNAME_CHARS].to_owned()
}

/// Why the agent did not start. Tasks of an earlier agent continue.
#[derive(Debug, thiserror::Error)]
pub enum AgentStartError {
    /// The data directory.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The keys of the node.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The runtime that runs tasks.
    #[error("cannot run tasks: {0}")]
    Runtime(#[from] OpenError),
    /// The image store.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// The volume store.
    #[error(transparent)]
    Volumes(#[from] VolumeError),
    /// The history cannot be written.
    #[error(
        "cannot write the history to {path}: {error}\n  see that its folder is there and has room, or start without --history",
        path = .path.display()
    )]
    History {
        /// The requested path.
        path: PathBuf,
        /// The system's message.
        error: std::io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start a thread: {0}\n  see the limit of processes (ulimit -u) and free memory")]
    Thread(std::io::Error),
}

/// What was opened before the node's thread begins.
pub(super) struct OpenedParts {
    pub(super) config: Config,
    pub(super) key: NodeKey,
    pub(super) fleet_key: FleetKey,
    pub(super) keyring: Keyring,
    pub(super) boot: u64,
    pub(super) seed: u64,
    pub(super) opened: OpenedStore,
    pub(super) driver: ProcessDriver,
    pub(super) puller: ImagePuller,
    pub(super) runs: PathBuf,
    pub(super) run_events: RunEvents,
    pub(super) volumes: Volumes,
    pub(super) networks: OpenedNetworks,
    pub(super) files: FileReader,
    pub(super) own_addresses: OwnAddresses,
    pub(super) devices: Finder,
    pub(super) background: tokio::runtime::Handle,
}

/// Opens everything; uses no network.
pub(super) fn open(
    config: Config,
    unlocked: Option<Unlocked>,
) -> Result<OpenedParts, AgentStartError> {
    identity::make_data_dir(&config.data_dir)?;
    let store_key = unlocked.as_ref().map(Unlocked::store_key);
    let mut opened = Store::open(&config.data_dir, store_key)?;
    if let Some(why) = opened.not_rewritten.take() {
        tracing::error!("the store could not be sealed ({why}); that is tried at the next start");
    }
    if let Some(aside) = opened.set_aside.take() {
        tracing::error!(
            "the store could not be read ({}) and is kept as {}; this node begins with an empty \
             one and pulls its state from its peers; tasks that run are kept",
            aside.why,
            aside.path.display()
        );
    }
    let mut keyring = Keyring::open(&config.data_dir, unlocked)?;
    let key = keyring.node().clone();
    let fleet_key = keyring.fleet_key(&config)?;
    sealing::trust_file(&mut keyring, &config);
    let boot = identity::next_boot(&config.data_dir)?;
    if let Some(id) = id_of_copy(&opened.store, boot) {
        opened.id = id;
    }
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(IdentityError::Random)?;
    let background = tokio::runtime::Handle::current();
    let store = Images::open(&config.data_dir.join("images"), platform::this_node())?;
    let puller = ImagePuller::new(store.clone(), &config, background.clone());
    let own_addresses = OwnAddresses::new(&config);
    let networks = networks::open(&config, &key, &own_addresses, &background);
    let files = FileReader::new(key.clone());
    let runs = config.data_dir.join("runs");
    let mut process = ProcessConfig::new(runs, &key.node().to_string());
    let volumes = Volumes::open(&config.data_dir.join("volumes"))?;
    process.containers = Some(Arc::new(ContainerContext {
        images: store,
        puller: Some(Arc::new(puller.clone())),
        volumes: volumes.clone(),
        runtime: config.oci_runtime.clone(),
        networks: networks.networks.clone().map(|networks| Arc::new(networks) as _),
        files: Some(Arc::new(files.clone())),
        hostname: own_hostname,
    }));
    let (driver, run_events) = ProcessDriver::open(process)?;
    driver.ability().words().iter().for_each(|words| tracing::warn!("{words}"));
    Ok(OpenedParts {
        key,
        fleet_key,
        keyring,
        boot,
        seed: u64::from_le_bytes(seed),
        opened,
        runs: driver.runs().to_owned(),
        driver,
        puller,
        run_events,
        volumes,
        networks,
        files,
        own_addresses,
        devices: Finder::new(config.discover_devices.clone()),
        config,
        background,
    })
}

/// A new id for a store that is an older copy: under the old id this node has signed more than the
/// copy knows, and would use counters twice. A disk that refuses writes now does not keep the node
/// from starting; nothing is sent before it is on the disk.
fn id_of_copy(store: &Store, boot: u64) -> Option<StoreId> {
    let renewed = store.note_boot(boot).and_then(|copied| match copied {
        Copied::No => Ok(None),
        Copied::Older { last } => {
            tracing::error!(
                "the store is an older copy: start {last} of this agent used it last, and this is \
                 start {boot}; this node writes under a new store id, and pulls what is missing from \
                 its peers"
            );
            store.renew_id().map(Some)
        }
    });
    renewed.unwrap_or_else(|error| {
        tracing::warn!("{error}");
        None
    })
}
