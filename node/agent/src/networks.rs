//! This node's networks in the kernel: a thread that applies the latest plan, gives tasks their
//! namespaces, and looks every second whether the kernel still holds what it was told.
//!
//! ```text
//! node's thread ──plan, names──▶ thread "networks" ──▶ links, balancing      (overlay-linux)
//! runtime ─────── attach(run) ─▶        │         └──▶ name servers of tasks (overlay-dns)
//!                 ◀── namespace ────────┘
//! ```
//! Only the latest plan counts. The thread decides nothing; what it could not do is logged when it
//! changes, and kept for those who ask.

mod applier;
mod names;
mod resolv_conf;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};

use crdt_state::NodeId;
use crdt_state::network::TaskInterface;
use crdt_state::task::{Run, TaskStart};
use node_core::{NetworkFacts, Node};
use overlay::plan::OverlayPlan;
use overlay_linux::links::Links;
use runtime::AttachNetworks;
use tokio::sync::oneshot;

use crate::config::Config;
use applier::Applier;
use names::FleetNames;

/// The namespaces of an agent are kept beside its socket, in a directory with this extension:
/// `/run` is in memory, so that a restart of the machine empties it.
const EXTENSION: &str = "networks";

/// What the thread is told.
enum Order {
    /// The plan and the names changed.
    Plan(Box<OverlayPlan>),
    /// A task is about to start.
    Attach {
        run: Run,
        interfaces: Vec<TaskInterface>,
        done: oneshot::Sender<Result<PathBuf, String>>,
    },
    /// This node has left the fleet: everything of its networks is removed.
    Leave { done: Sender<()> },
}

/// The networks of this node; clones share the thread.
#[derive(Clone)]
pub(super) struct Networks {
    orders: Sender<Order>,
    names: FleetNames,
    failures: Arc<Mutex<Vec<String>>>,
}

impl std::fmt::Debug for Networks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Networks")
    }
}

/// The networks, or why this machine has none.
pub(super) struct OpenedNetworks {
    pub(super) networks: Option<Networks>,
    /// Empty if there are networks.
    pub(super) refusal: String,
}

/// Opens the networks of a node. `background` runs the name servers.
pub(super) fn open(
    config: &Config,
    me: NodeId,
    background: &tokio::runtime::Handle,
) -> OpenedNetworks {
    match try_open(config, me, background) {
        Ok(networks) => OpenedNetworks { networks: Some(networks), refusal: String::new() },
        Err(refusal) => OpenedNetworks { networks: None, refusal },
    }
}

fn try_open(
    config: &Config,
    me: NodeId,
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
    let names = FleetNames::default();
    let failures = Arc::new(Mutex::new(Vec::new()));
    let directory = config.socket.with_extension(EXTENSION);
    let (ready, opened) = mpsc::channel();
    let (thread_names, thread_failures) = (names.clone(), Arc::clone(&failures));
    let background = background.clone();
    // Links belong to the namespace of the thread that opens them, which is the agent's.
    let spawned = std::thread::Builder::new()
        .name("networks".to_owned())
        .stack_size(512 * 1024)
        .spawn(move || match Links::open(&directory) {
            Ok(links) => {
                let _ = ready.send(Ok(()));
                Applier::new(links, me, thread_names, thread_failures, background).run(&inbox);
            }
            Err(unsupported) => {
                let _ = ready.send(Err(unsupported.to_string()));
            }
        });
    spawned.map_err(|error| format!("no thread for networks: {error}"))?;
    opened.recv().unwrap_or_else(|_| Err("the thread for networks ended".to_owned()))?;
    Ok(Networks { orders, names, failures })
}

impl OpenedNetworks {
    /// What the node reports of this machine. `addresses` are those where its agent is reached,
    /// best first.
    pub(super) fn facts(&self, addresses: &[String]) -> NetworkFacts {
        let reached_at = addresses.iter().filter_map(|text| text.parse::<SocketAddr>().ok());
        let ip = reached_at.map(|address| address.ip()).find(|ip| !ip.is_loopback());
        let mut refusal = self.refusal.clone();
        if refusal.is_empty() && ip.is_none() {
            refusal = "no link of this machine has an address that others reach; connect it, and \
                       start the agent again"
                .to_owned();
        }
        NetworkFacts { refusal, data_address: ip, mtu: 0, routes: Vec::new() }
    }
}

impl Networks {
    /// The plan of a node, and the names on its networks. Costs nothing unless something changed.
    pub(super) fn follow(&self, node: &Node) {
        let plan = node.overlay_plan();
        self.names.replace(node, &plan);
        // The thread ends with the agent.
        let _ = self.orders.send(Order::Plan(Box::new(plan)));
    }

    /// Removes everything of this node's networks from the machine.
    pub(super) fn leave(&self) {
        let (done, removed) = mpsc::channel();
        if self.orders.send(Order::Leave { done }).is_ok() {
            let _ = removed.recv_timeout(std::time::Duration::from_secs(10));
        }
    }

    /// What the kernel does not hold as planned, as sentences.
    pub(super) fn failures(&self) -> Vec<String> {
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

/// The address of the name server in every container.
pub(super) const NAME_SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 11));
