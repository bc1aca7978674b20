//! This node's networks in the kernel: a thread that applies the latest plan, gives tasks their
//! namespaces, and looks every second whether the kernel still holds what it was told, also while
//! orders come without a pause.
//!
//! ```text
//! node's thread ─changes, names▶ thread "networks" ──▶ links, balancing      (overlay-linux)
//! runtime ─────── attach(run) ─▶        │         └──▶ name servers of tasks (overlay-dns)
//!                 ◀── namespace ────────┘
//! ```
//! Changes that wait are applied as one. The thread decides nothing; what it could not do is logged when it
//! changes, and kept for those who ask.

mod applier;
mod balancers;
mod concerned;
mod detours;
mod dropped;
mod failed;
mod flow_thread;
mod hosts_file;
mod identity_file;
mod machine_facts;
mod multicast;
mod names;
mod news;
mod obstacles;
mod path_links;
mod paths;
mod repair;
mod resolv_conf;
mod resolvers;
mod socket_keeper;
mod task_servers;
mod tunnel;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crdt_state::interface::TaskInterface;
use crdt_state::task::{Run, TaskStart};
use crdt_state::{NetworkId, NodeId};
use node_core::{NetworkFacts, Node};
use overlay::change::PlanChange;
use overlay_linux::links::Links;
use overlay_tunnel::TunnelKey;
use runtime::AttachNetworks;
use tokio::sync::mpsc::WeakSender;
use tokio::sync::oneshot;

use crate::command::Command;
use crate::config::Config;
use crate::identity::NodeKey;
use crate::name_said::NameSaid;
use crate::own_addresses::OwnAddresses;
use crate::path_row::PathRow;
use applier::{Applier, Parts};
use detours::DetourHolder;
use dropped::DroppedPackets;
use failed::Failures;
use identity_file::IdentityFile;
use machine_facts::Reporter;
use names::FleetNames;
pub(super) use names::short_id;
pub(super) use news::NetworkNews;
use path_links::PathLinks;
use paths::{PathOrder, PathProber};
use resolvers::Resolvers;
use tunnel::NodeTunnelHolder;

/// The namespaces of an agent are kept beside its socket, in a directory with this extension:
/// `/run` is in memory, so that a restart of the machine empties it.
const EXTENSION: &str = "networks";

/// What the thread is told.
enum Order {
    /// The plan changed.
    Change(Box<PlanChange>),
    /// A task is about to start.
    Attach {
        run: Run,
        interfaces: Vec<TaskInterface>,
        done: oneshot::Sender<Result<PathBuf, String>>,
    },
    /// The machine is to be looked at.
    Find { done: Sender<NetworkFacts> },
    /// Somebody asks what was dropped.
    Count { done: oneshot::Sender<DroppedPackets> },
    /// The largest packet of the network below, in bytes, on paths that take less than both of their
    /// ends.
    Limits(BTreeMap<NodeId, u32>),
    /// The nodes that are heard, and that no packet of VXLAN comes back from since then.
    Detours(BTreeMap<NodeId, Instant>),
    /// The nodes whose path loses much.
    Lossy(BTreeSet<NodeId>),
    /// This node has left the fleet: everything of its networks is removed.
    Leave { done: Sender<()> },
}

/// The networks of this node; clones share the thread.
#[derive(Clone)]
pub(super) struct Networks {
    orders: Arc<Sender<Order>>,
    names: FleetNames,
    failures: Arc<Mutex<Failures>>,
    reporter: Reporter,
    /// Was the thread told any plan?
    has_told: Arc<AtomicBool>,
    paths: tokio::sync::mpsc::UnboundedSender<PathOrder>,
}

impl std::fmt::Debug for Networks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Networks")
    }
}

/// The networks, or why this machine has none.
pub(super) struct OpenedNetworks {
    pub(super) networks: Option<Networks>,
    refusal: String,
}

impl OpenedNetworks {
    /// What the node reports of this machine, as it is now.
    pub(super) fn facts(&self) -> NetworkFacts {
        let refused = || NetworkFacts { refusal: self.refusal.clone(), ..NetworkFacts::default() };
        self.networks.as_ref().map_or_else(refused, Networks::find_facts)
    }
}

/// Opens the networks of a node. `background` runs the name servers.
pub(super) fn open(
    config: &Config,
    key: &NodeKey,
    own_addresses: &OwnAddresses,
    background: &tokio::runtime::Handle,
) -> OpenedNetworks {
    match try_open(config, key, own_addresses, background) {
        Ok(networks) => OpenedNetworks { networks: Some(networks), refusal: String::new() },
        Err(refusal) => OpenedNetworks { networks: None, refusal },
    }
}

fn try_open(
    config: &Config,
    key: &NodeKey,
    own_addresses: &OwnAddresses,
    background: &tokio::runtime::Handle,
) -> Result<Networks, String> {
    let reached_at = config.advertise.unwrap_or(config.listen).ip();
    if reached_at.is_loopback() {
        return Err(format!(
            "it listens on the loopback address {reached_at}, which no other machine reaches; set \
             listen or advertise"
        ));
    }
    let (orders, inbox) = mpsc::channel();
    let orders = Arc::new(orders);
    let names = FleetNames::default();
    let failures = Arc::<Mutex<Failures>>::default();
    let directory = config.socket.with_extension(EXTENSION);
    let runs = config.data_dir.join("runs");
    let (ready, opened) = mpsc::channel();
    let reporter = Reporter::new(own_addresses.clone());
    let (paths, path_inbox) = tokio::sync::mpsc::unbounded_channel();
    let detours = DetourHolder::open(&directory);
    let prober = PathProber::new(path_inbox, Arc::downgrade(&orders), detours.taken().clone());
    background.spawn(prober.run());
    let networks = Networks {
        orders,
        names: names.clone(),
        failures: failures.clone(),
        reporter,
        has_told: Arc::default(),
        paths: paths.clone(),
    };
    let paths = PathLinks::new(paths, key.node(), detours);
    let reporter = networks.reporter.clone();
    let background = background.clone();
    let (me, tunnel_key) = (key.node(), TunnelKey::derive(&key.secret()));
    // Links belong to the namespace of the thread that opens them, which is the agent's.
    let spawned = std::thread::Builder::new()
        .name("networks".to_owned())
        .stack_size(512 * 1024)
        .spawn(move || match Links::open(&directory) {
            Ok(links) => {
                let tag = me.to_string()[..8].to_owned();
                let identity = IdentityFile::take_over(&directory, &tag, &links);
                let tunnel = NodeTunnelHolder::new(&links, &directory, &tag, tunnel_key);
                reporter.report_tunnel(&tunnel.said());
                let _ = ready.send(Ok(()));
                let resolvers = Resolvers::new(names, background, &directory);
                let parts = Parts { resolvers, failures, reporter, tunnel, paths, identity, runs };
                Applier::new(links, tag, parts).run(&inbox);
            }
            Err(unsupported) => {
                let _ = ready.send(Err(unsupported.to_string()));
            }
        });
    spawned.map_err(|error| format!("no thread for networks: {error}"))?;
    let ended = |_| Err("the thread for networks ended".to_owned());
    opened.recv().unwrap_or_else(ended)?;
    Ok(networks)
}

impl Networks {
    fn find_facts(&self) -> NetworkFacts {
        let (done, found) = mpsc::channel();
        // The thread ends with the agent.
        let _ = self.orders.send(Order::Find { done });
        found.recv().unwrap_or_default()
    }

    /// Brings names and kernel up to date with a node. Costs nothing unless something changed.
    pub(super) fn follow(&self, node: &mut Node) {
        if !node.has_network_news() || !node.knows_its_networks() {
            return;
        }
        let news = node.drain_network_news();
        let change = self.names.update(node, news);
        // The first is awaited, also if it is empty: what an earlier agent left may have to go.
        if !self.has_told.swap(true, Ordering::Relaxed) || !change.is_empty() {
            // The thread ends with the agent.
            let _ = self.orders.send(Order::Change(Box::new(change)));
        }
    }

    /// What the name servers of this node's containers answer about a name on one network.
    pub(super) fn say_name(&self, name: &str, network: NetworkId) -> NameSaid {
        self.names.say(name, network)
    }

    /// What is known of the paths to other nodes, after every path was probed.
    pub(super) async fn check_paths(&self) -> Vec<PathRow> {
        let (done, checked) = oneshot::channel();
        // It ends with the agent.
        let _ = self.paths.send(PathOrder::Check { done });
        checked.await.unwrap_or_default()
    }

    /// From now on the node is told when this machine's own network changes.
    pub(super) fn connect(&self, commands: WeakSender<Command>) {
        self.reporter.connect(commands);
    }

    /// Removes everything of this node's networks from the machine.
    pub(super) fn leave(&self) {
        let (done, removed) = mpsc::channel();
        if self.orders.send(Order::Leave { done }).is_ok() {
            let _ = removed.recv_timeout(std::time::Duration::from_secs(10));
        }
    }

    /// The packets that were dropped because of where they came from.
    pub(super) async fn dropped(&self) -> DroppedPackets {
        let (done, counted) = oneshot::channel();
        let _ = self.orders.send(Order::Count { done });
        counted.await.unwrap_or_default()
    }

    /// What is not as planned now.
    pub(super) fn failures(&self) -> Failures {
        self.failures.lock().expect("nothing panics while it holds this").clone()
    }
}

impl AttachNetworks for Networks {
    fn attach<'a>(
        &'a self,
        start: &'a TaskStart,
    ) -> Pin<Box<dyn Future<Output = Result<PathBuf, String>> + Send + 'a>> {
        Box::pin(async move {
            let (done, attached) = oneshot::channel();
            let (run, interfaces) = (start.run, start.interfaces.clone());
            let sent = self.orders.send(Order::Attach { run, interfaces, done });
            let ended = || Err("the thread for networks has ended".to_owned());
            if sent.is_err() {
                return ended();
            }
            attached.await.unwrap_or_else(|_| ended())
        })
    }
}
