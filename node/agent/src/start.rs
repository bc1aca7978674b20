//! Starts the agent: the node's thread with its loop, and the background work beside it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::audit_log::AuditLog;
use super::clock::NodeClock;
use super::handle::{COMMANDS_MAX, EVENTS_MAX, Handle};
use super::images::FleetLink;
use super::local_runs::LocalRuns;
use super::machine::{NodeLoop, PendingReplies, Sources};
use super::node::{self, Made};
use super::opening::{AgentStartError, OpenedParts, open};
use super::peer_requests::PeerRequestHandler;
use super::quarantine::Copies;
use super::refused::Refused;
use super::shared::Shared;
use super::token_service::Tokens;
use super::{
    Agent, ExitReason, collector, conditions, devices, discovery, memory, peer_clocks, run_use,
    token_join,
};
use crate::config::{Config, JoinAddr};
use crate::lock::Unlocked;
use crate::store::{Store, StoreEvent, StoreWriter};
use crate::transport::{ARRIVALS_MAX, Arrival, Transport, TransportConfig};

/// The shortest deadline of a handshake; slower links get five of their round trips.
const DIAL_DEADLINE_MIN: Duration = Duration::from_secs(2);

/// Opens everything and starts the thread of the node.
pub(super) async fn start(
    config: Config,
    unlocked: Option<Unlocked>,
) -> Result<Agent, AgentStartError> {
    let opening = open(config, unlocked)?;
    let (ready, started) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("node".to_owned())
        .spawn(move || {
            let ending = live(opening, ready);
            // The caller may be gone.
            let _ = end.send(ending);
        })
        .map_err(AgentStartError::Thread)?;
    let handle = started.await.unwrap_or_else(|_| {
        Err(AgentStartError::Thread(std::io::Error::other("the node's thread ended at once")))
    })?;
    let mut upkeep = JoinSet::new();
    upkeep.spawn(collector::collect(handle.clone()));
    upkeep.spawn(memory::tend());
    Ok(Agent { handle, ended, thread: Some(thread), upkeep })
}

/// Runs the node's thread from start to end.
fn live(
    opening: OpenedParts,
    ready: oneshot::Sender<Result<Handle, AgentStartError>>,
) -> ExitReason {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_stack_size(256 * 1024)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(AgentStartError::Thread(error)));
            return ExitReason::Stopped;
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
                ExitReason::Stopped
            }
        }
    })
}

fn prepare(mut opening: OpenedParts) -> Result<(Handle, NodeLoop, Sources), AgentStartError> {
    let clock = NodeClock::start();
    let (inbox, arrivals) = mpsc::channel(ARRIVALS_MAX);
    let transport = listen(&opening, inbox)?;
    let Made { node, history, remembered } =
        node::make(&mut opening, transport.local_addr(), &clock)?;
    let me = node.me();
    let (store, disk) = writer(opening.opened.store)?;
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let background = opening.background;
    let local_runs = LocalRuns { runs: opening.runs.clone(), background: background.clone() };
    let (puller, networks) = (opening.puller.clone(), opening.networks.networks.clone());
    let audit = Arc::new(AuditLog::new(&opening.config.data_dir));
    let copies = Copies::new(me, &opening.config.data_dir, transport.downgrade());
    let quarantined = copies.quarantined();
    let service = PeerRequestHandler::new(local_runs, puller, networks, Arc::clone(&audit), copies);
    transport.serve(Arc::new(service));
    let (transport_link, command_link) = (transport.downgrade(), commands.downgrade());
    opening.files.connect(command_link.clone());
    opening.networks.networks.iter().for_each(|networks| networks.connect(command_link.clone()));
    let link = FleetLink { me, transport: transport_link, commands: command_link };
    opening.puller.connect(link);
    let (joins, join_inbox) = mpsc::channel(COMMANDS_MAX);
    let names = first_asked(&opening.config, remembered);
    let shared = Arc::new(Shared {
        config: opening.config,
        me,
        events: broadcast::Sender::new(EVENTS_MAX),
        revision: watch::Sender::default(),
        transport: transport.clone(),
        runs: opening.runs,
        ability: opening.driver.ability().clone(),
        puller: opening.puller,
        volumes: opening.volumes,
        networks: opening.networks.networks,
        own_addresses: opening.own_addresses,
        skipped_devices: opening.devices.skipped(),
        disk: Mutex::new(None),
        files: opening.files,
        fleet_key: Mutex::new(opening.fleet_key),
        keyring: Mutex::new(opening.keyring),
        audit,
        quarantined,
        refused: Refused::default(),
    });
    let handle = Handle { shared: Arc::clone(&shared), commands };
    background.spawn(conditions::watch(handle.downgrade(), opening.driver.progress()));
    background.spawn(devices::watch(handle.downgrade(), opening.devices));
    serve_members(&handle, &background);
    let mut machine = NodeLoop {
        node,
        clock,
        shared,
        transport,
        store,
        driver: Box::new(opening.driver),
        joins,
        history,
        pending: PendingReplies::default(),
    };
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

/// The nodes that are asked first. A node that is to join by a token asks nobody before it has the key
/// of the fleet.
fn first_asked(config: &Config, remembered: Vec<JoinAddr>) -> Vec<JoinAddr> {
    match remembered.is_empty() && token_join::is_wanted(config) {
        true => Vec::new(),
        false => config.join.iter().cloned().chain(remembered).collect(),
    }
}

/// Begins what concerns other machines: those that want to join, and what members are asked.
fn serve_members(handle: &Handle, background: &tokio::runtime::Handle) {
    let service = Tokens { handle: handle.downgrade(), background: background.clone() };
    handle.shared.transport.admit_joiners(Arc::new(service));
    background.spawn(token_join::watch(handle.clone()));
    background.spawn(discovery::serve(handle.downgrade()));
    background.spawn(peer_clocks::watch(handle.downgrade()));
    background.spawn(run_use::watch(handle.downgrade()));
}

/// The socket between agents.
fn listen(
    opening: &OpenedParts,
    inbox: mpsc::Sender<Arrival>,
) -> Result<Transport, AgentStartError> {
    let round_trip = Duration::from_millis(opening.config.profile.probe_rtt_ms);
    let config = TransportConfig {
        listen: opening.config.listen,
        key: opening.key.clone(),
        fleet_key: opening.fleet_key.clone(),
        dial_deadline: DIAL_DEADLINE_MIN.max(5 * round_trip),
    };
    Ok(Transport::listen(config, inbox)?)
}

/// The store on a thread of its own, and its reports.
fn writer(
    store: Store,
) -> Result<(StoreWriter, mpsc::UnboundedReceiver<StoreEvent>), AgentStartError> {
    let (reports, disk) = mpsc::unbounded_channel();
    let report = move |event| {
        // The loop may have ended; then nobody needs the report.
        let _ = reports.send(event);
    };
    Ok((StoreWriter::spawn(store, report).map_err(AgentStartError::Thread)?, disk))
}
