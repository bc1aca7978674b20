//! Opening everything in the right order: the data directory, the store (which also keeps a second
//! agent out), the keys, the port, the tasks that still run, and then the node.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crdt_state::node::NodeDescription;
use crdt_state::replica::Replica;
use crdt_state::signature::{Ed25519Signer, Ed25519Verifier};
use crdt_state::volume::volumes_of;
use crdt_state::{Kind, StoreId, Writer};
use gossip::GossipConfig;
use node_core::{Node, NodeConfig};
use runtime::image::{ImageError, Images, platform};
use runtime::volume::{VolumeError, Volumes};
use runtime::{ContainerSite, Driver, OpenError, ProcessConfig, ProcessDriver, RunEvents};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;

use super::applying::Applying;
use super::handle::{COMMANDS_MAX, EVENTS_MAX, Handle, Shared};
use super::images::{Depot, Reach, Supply};
use super::logs::Archive;
use super::machine::{Clock, Desk, Machine, Sources};
use super::refused::Refused;
use super::{Agent, Ending, collector, conditions, facts, memory, volumes};
use crate::config::{Config, FleetKey, JoinAddr};
use crate::identity::{self, IdentityError, NodeKey};
use crate::store::{Opened, Store, StoreError, StoreEvent, StoreWriter};
use crate::transport::{ARRIVALS_MAX, Arrival, ListenError, Transport, TransportConfig};
use node_docker::container_id;

/// The shortest deadline of a handshake; slower links get five of their round trips.
const DIAL_DEADLINE_MIN: Duration = Duration::from_secs(2);

/// Remembered members that are asked first at a start, besides the configured ones.
const REMEMBERED_MAX: usize = 8;

/// Digits of a container's id that it is called by, unless its service says otherwise: Docker's.
const HOSTNAME_CHARS: usize = 12;

/// Why the agent did not start. Tasks of an earlier one go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Data directory or keys.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// What runs tasks.
    #[error("cannot run tasks: {0}")]
    Runtime(#[from] OpenError),
    /// What images there are.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// What volumes there are.
    #[error(transparent)]
    Volumes(#[from] VolumeError),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}\n  see the limit of processes (ulimit -u) and free memory")]
    Thread(std::io::Error),
}

/// What was opened before the node's thread begins.
struct Opening {
    config: Config,
    key: NodeKey,
    fleet_key: FleetKey,
    boot: u64,
    seed: u64,
    opened: Opened,
    driver: ProcessDriver,
    supply: Supply,
    runs: PathBuf,
    run_events: RunEvents,
    volumes: Volumes,
    background: tokio::runtime::Handle,
}

pub(super) async fn start(config: Config) -> Result<Agent, StartError> {
    let opening = open(config)?;
    let (ready, started) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("node".to_owned())
        .spawn(move || {
            let ending = live(opening, ready);
            // Whoever waited may have gone.
            let _ = end.send(ending);
        })
        .map_err(StartError::Thread)?;
    let handle = started.await.unwrap_or_else(|_| {
        Err(StartError::Thread(std::io::Error::other("the node's thread ended at once")))
    })?;
    let mut upkeep = JoinSet::new();
    upkeep.spawn(collector::collect(handle.clone()));
    upkeep.spawn(memory::tend());
    Ok(Agent { handle, ended, thread: Some(thread), upkeep })
}

fn open(config: Config) -> Result<Opening, StartError> {
    identity::make_data_dir(&config.data_dir)?;
    let mut opened = Store::open(&config.data_dir)?;
    if let Some(aside) = opened.set_aside.take() {
        tracing::error!(
            "the store could not be read ({}) and is kept as {}; this node begins with an empty \
             one and pulls its state from its peers; tasks that run are kept",
            aside.why,
            aside.path.display()
        );
    }
    let key = NodeKey::load_or_create(&config.data_dir)?;
    let fleet_key = identity::fleet_key(&config)?;
    let boot = identity::next_boot(&config.data_dir)?;
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(IdentityError::Random)?;
    let background = tokio::runtime::Handle::current();
    let store = Images::open(&config.data_dir.join("images"), platform::this_node())?;
    let supply = Supply::new(store.clone(), &config, background.clone());
    let runs = config.data_dir.join("runs");
    let mut process = ProcessConfig::new(runs, &key.node().to_string());
    let volumes = Volumes::open(&config.data_dir.join("volumes"))?;
    process.containers = Some(Arc::new(ContainerSite {
        images: store,
        bring: Some(Arc::new(supply.clone())),
        volumes: volumes.clone(),
        runtime: config.oci_runtime.clone(),
        hostname: |run| container_id(run)[..HOSTNAME_CHARS].to_owned(),
    }));
    let (driver, run_events) = ProcessDriver::open(process)?;
    driver.ability().words().iter().for_each(|words| tracing::warn!("{words}"));
    Ok(Opening {
        key,
        fleet_key,
        boot,
        seed: u64::from_le_bytes(seed),
        opened,
        runs: driver.runs().to_owned(),
        driver,
        supply,
        run_events,
        volumes,
        config,
        background,
    })
}

/// The life of the node's thread.
fn live(opening: Opening, ready: oneshot::Sender<Result<Handle, StartError>>) -> Ending {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_stack_size(256 * 1024)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(StartError::Thread(error)));
            return Ending::Stopped;
        }
    };
    runtime.block_on(async {
        match prepare(opening) {
            Ok((handle, machine, sources)) => {
                let _ = ready.send(Ok(handle));
                machine.run(sources).await
            }
            Err(error) => {
                let _ = ready.send(Err(error));
                Ending::Stopped
            }
        }
    })
}

fn prepare(mut opening: Opening) -> Result<(Handle, Machine, Sources), StartError> {
    let clock = Clock::start();
    let (inbox, arrivals) = mpsc::channel(ARRIVALS_MAX);
    let transport = listen(&opening, inbox)?;
    let applying = Applying::open(&opening.config);
    let replica = load(&opening.key, &mut opening.opened, &applying)?;
    let remembered = remembered(&replica);
    opening.volumes.know(volumes_of(&replica, replica.me()).into_keys());
    let adopted = opening.driver.adopt();
    tracing::info!(
        "node {} of fleet {} listens on UDP {}, {} records, {} tasks found",
        replica.me(),
        opening.config.fleet,
        transport.local_addr(),
        opening.opened.records.len(),
        adopted.len()
    );
    let node_config = NodeConfig {
        gossip: GossipConfig { profile: opening.config.profile, rumours: opening.config.rumours },
        facts: facts::read(&opening.config, transport.local_addr()),
        boot: opening.boot,
        seed: opening.seed,
        volumes: Some(volumes::found(&opening.volumes)),
    };
    let me = replica.me();
    let node = Node::new(node_config, replica, adopted, clock.now(), clock.wall_ms());
    let (store, disk) = writer(opening.opened.store)?;
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let background = opening.background;
    let archive = Archive { runs: opening.runs.clone(), background: background.clone() };
    transport.serve(Arc::new(Depot { archive, supply: opening.supply.clone() }));
    opening.supply.connect(Reach {
        me,
        transport: transport.downgrade(),
        commands: commands.downgrade(),
    });
    let (joins, join_inbox) = mpsc::channel(COMMANDS_MAX);
    let names = opening.config.join.iter().cloned().chain(remembered).collect::<Vec<_>>();
    let shared = Arc::new(Shared {
        config: opening.config,
        me,
        events: broadcast::Sender::new(EVENTS_MAX),
        transport: transport.clone(),
        runs: opening.runs,
        ability: opening.driver.ability().clone(),
        supply: opening.supply,
        volumes: opening.volumes,
        disk: Mutex::new(None),
        fleet_key: Mutex::new(opening.fleet_key),
        refused: Refused::default(),
    });
    let handle = Handle { shared: Arc::clone(&shared), commands };
    background.spawn(conditions::watch(handle.downgrade(), opening.driver.pulse()));
    let driver = Box::new(opening.driver);
    let mut machine =
        Machine { node, clock, shared, transport, store, driver, joins, desk: Desk::default() };
    names.into_iter().for_each(|name| machine.join(name));
    let sources = Sources {
        arrivals,
        runs: opening.run_events,
        disk,
        commands: inbox,
        joins: join_inbox,
        volumes: handle.volumes().changes(),
    };
    Ok((handle, machine, sources))
}

/// The socket between agents.
fn listen(opening: &Opening, inbox: mpsc::Sender<Arrival>) -> Result<Transport, StartError> {
    let round_trip = Duration::from_millis(opening.config.profile.probe_rtt_ms);
    let config = TransportConfig {
        listen: opening.config.listen,
        key: opening.key.clone(),
        fleet_key: opening.fleet_key.clone(),
        dial_deadline: DIAL_DEADLINE_MIN.max(5 * round_trip),
    };
    Ok(Transport::listen(config, inbox)?)
}

/// The store on a thread of its own, and what it reports.
fn writer(store: Store) -> Result<(StoreWriter, mpsc::UnboundedReceiver<StoreEvent>), StartError> {
    let (reports, disk) = mpsc::unbounded_channel();
    let report = move |event| {
        // The machine may have ended; then nobody waits for it.
        let _ = reports.send(event);
    };
    Ok((StoreWriter::spawn(store, report).map_err(StartError::Thread)?, disk))
}

/// The replica of the store's records. What it cannot read is quarantined, and then this node writes
/// under a new store id: it may have written more under the old one than it still knows.
fn load(key: &NodeKey, opened: &mut Opened, applying: &Applying) -> Result<Replica, StartError> {
    let (replica, unreadable) = replica_of(key, opened.id, opened, applying);
    if unreadable == 0 {
        return Ok(replica);
    }
    tracing::error!("{unreadable} records of the store cannot be read and are kept aside");
    opened.id = opened.store.renew_id()?;
    Ok(replica_of(key, opened.id, opened, applying).0)
}

fn replica_of(
    key: &NodeKey,
    id: StoreId,
    opened: &Opened,
    applying: &Applying,
) -> (Replica, usize) {
    let writer = Writer { node: key.node(), store: id };
    let signer = Box::new(Ed25519Signer::from_secret(&key.secret()));
    let mut replica = Replica::new(writer, signer, Arc::new(Ed25519Verifier));
    match applying.journal() {
        Ok(journal) => {
            let suspects = applying.suspects.clone();
            replica.watch(Box::new(journal), suspects.held_back, suspects.set_aside);
        }
        Err(error) => tracing::warn!("what is applied is not written down: {error}"),
    }
    let unreadable =
        opened.records.iter().filter(|(key, bytes)| replica.load(*key, bytes).is_err()).count();
    (replica, unreadable)
}

/// Where members were when they were last heard of.
fn remembered(replica: &Replica) -> Vec<JoinAddr> {
    let me = replica.me();
    replica
        .keys(Kind::NODE)
        .filter_map(|key| replica.owned::<NodeDescription>(&key))
        .filter(|(node, description)| *node != me && !description.left)
        .filter_map(|(_, description)| description.addresses.first()?.parse().ok())
        .take(REMEMBERED_MAX)
        .collect()
}
