//! `edgectl agent`: its flags, which set keys of the configuration, and the agent with its API,
//! until a signal ends it or it has left the fleet.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use node_agent::config::{Config, ConfigKey};
use node_agent::lock::{self, Locked, Unlocked};
use node_agent::quarantine::Quarantine;
use node_agent::rekey::{self, Rekeyed, RunningTasks};
use node_agent::{Agent, ExitReason};
use tokio::net::UnixListener;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::stacks;

/// How long the last answers of the API may take to be sent.
const LINGER_TIME: Duration = Duration::from_millis(300);

/// Flags of `edgectl agent`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct AgentFlags {
    /// The fleet's configuration, the same file on every node
    #[arg(long, value_name = "FILE", env = "EDGECTL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Check the configuration, say what is wrong with it, and end
    #[arg(long)]
    pub check: bool,
    /// Name of the fleet
    #[arg(long, value_name = "NAME")]
    pub fleet: Option<String>,
    /// File that holds the fleet's key (64 hex digits or base64)
    #[arg(long, value_name = "FILE")]
    pub fleet_key_file: Option<String>,
    /// Where the node's key, its state and its tasks' files are kept
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Unix socket of the API
    #[arg(long, value_name = "PATH")]
    pub socket: Option<String>,
    /// UDP address to listen on
    #[arg(long, value_name = "IP[:PORT]")]
    pub listen: Option<String>,
    /// Address that other nodes are told
    #[arg(long, value_name = "IP[:PORT]")]
    pub advertise: Option<String>,
    /// A node to ask first; can be repeated
    #[arg(long, value_name = "HOST[:PORT]")]
    pub join: Vec<String>,
    /// What the links are like: lan, wan or metered
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Host name that other nodes are told
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Label for placement (engine.labels.NAME); can be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// What this node has of a kind (gpu=2), or one of them by name (camera=front); can be repeated
    #[arg(long, value_name = "KIND=VALUE")]
    pub generic_resource: Vec<String>,
    /// Devices that this node finds and offers: serial,camera,gpu, or true, or false
    #[arg(long, value_name = "KINDS")]
    pub discover_devices: Option<String>,
    /// What is logged: error, warn, info, debug, or a filter
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Write everything that the node is told to a file, to be replayed by the simulator
    #[arg(long, value_name = "FILE")]
    pub history: Option<String>,
    /// Spread changes as rumours too (true), or by anti-entropy alone (false)
    #[arg(long, value_name = "BOOL", hide = true)]
    pub rumours: Option<String>,
}

impl AgentFlags {
    /// The given flags, as keys and texts. The fleet key has no flag, because every user could read
    /// it in the list of processes.
    fn given(&self) -> Vec<(ConfigKey, String)> {
        let list = |items: &[String]| if items.is_empty() { None } else { Some(items.join(",")) };
        [
            (ConfigKey::Fleet, self.fleet.clone()),
            (ConfigKey::FleetKeyFile, self.fleet_key_file.clone()),
            (ConfigKey::DataDir, self.data_dir.clone()),
            (ConfigKey::Socket, self.socket.clone()),
            (ConfigKey::Listen, self.listen.clone()),
            (ConfigKey::Advertise, self.advertise.clone()),
            (ConfigKey::Join, list(&self.join)),
            (ConfigKey::Profile, self.profile.clone()),
            (ConfigKey::Hostname, self.hostname.clone()),
            (ConfigKey::Labels, list(&self.label)),
            (ConfigKey::GenericResources, list(&self.generic_resource)),
            (ConfigKey::DiscoverDevices, self.discover_devices.clone()),
            (ConfigKey::Log, self.log.clone()),
            (ConfigKey::History, self.history.clone()),
            (ConfigKey::Rumours, self.rumours.clone()),
        ]
        .into_iter()
        .filter_map(|(key, text)| text.map(|text| (key, text)))
        .collect()
    }
}

/// The agent of a removed node ends at every start.
#[derive(Debug, thiserror::Error)]
#[error(
    "this node was removed from its fleet (edgectl node rm, on {by}); its tasks have ended\n  \
     why: a removed node stays removed, whatever it still says of itself; its volumes and images are \
     still in {path}\n  \
     try: edgectl node rekey --data-dir {path}, start the agent again, and join with a token: the \
     machine is a new node then\n  \
     try: rm -r {path}, if nothing of it is needed any more", path = .data_dir.display()
)]
pub struct Removed {
    by: String,
    data_dir: PathBuf,
}

/// `edgectl node rekey`: this machine is a new node afterwards.
pub fn rekey(args: &node_cli::RekeyArgs) -> anyhow::Result<()> {
    let flags = args.data_dir.iter().map(|dir| (ConfigKey::DataDir, dir.clone()));
    let config = Config::load(args.config.as_deref(), &flags.collect::<Vec<_>>())?;
    let running = if args.force { RunningTasks::Ignore } else { RunningTasks::Refuse };
    let Rekeyed { before, after, aside } = rekey::rekey(&config.data_dir, running)?;
    let aside: Vec<String> = aside.iter().map(|path| path.display().to_string()).collect();
    println!("This machine was the node {before}, and is {after}, which belongs to no fleet.");
    println!("Moved aside: {}", aside.join(", "));
    println!("Start the agent, and join: edgectl swarm join --token EDGE-2-… ADDRESS");
    if config.fleet_key.is_some() {
        eprintln!(
            "warning: the configuration has a fleet_key, by which the node joins without a token"
        );
    }
    Ok(())
}

/// Runs `edgectl agent` until a signal ends it or it has left the fleet.
pub fn run(flags: &AgentFlags) -> anyhow::Result<()> {
    let config = Config::load(flags.config.as_deref(), &flags.given())?;
    runtime::files::raise();
    node_agent::memory::begin();
    if flags.check {
        eprintln!(
            "the configuration is fine: fleet {}, profile {}",
            config.fleet, config.profile.name
        );
        return Ok(());
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(config.log_filter())).init();
    node_agent::capabilities::drop_unneeded().context("cannot drop capabilities")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_stack_size(256 * 1024)
        .build()
        .context("cannot start the agent's runtime")?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    let (socket, data_dir) = (config.socket.clone(), config.data_dir.clone());
    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(told);
    let exit_reason = loop {
        let listener = node_api::socket::bind(&socket).await?;
        let exit_reason = match Quarantine::look(&data_dir)? {
            None => live(config.clone(), listener, &mut told).await,
            Some(quarantine) => tokio::select! {
                exit_reason = wait_out(&quarantine, &data_dir, &listener) => exit_reason,
                () = &mut told => Ok(ExitReason::Stopped),
            },
        };
        match exit_reason {
            Ok(ExitReason::Quarantined) => {}
            exit_reason => break exit_reason,
        }
    };
    // A client that finds the file expects an agent that answers.
    let _ = std::fs::remove_file(&socket);
    match exit_reason? {
        ExitReason::Stopped | ExitReason::Departed | ExitReason::Quarantined => Ok(()),
        ExitReason::Removed { by } => Err(Removed { by, data_dir }.into()),
        ExitReason::Crashed => {
            bail!("the agent has failed, see the message above; its tasks go on; start it again")
        }
    }
}

/// Waits until a machine in quarantine has a key of its own.
async fn wait_out(
    quarantine: &Quarantine,
    data_dir: &Path,
    listener: &UnixListener,
) -> anyhow::Result<ExitReason> {
    let sentence = quarantine.sentence(data_dir);
    tracing::error!("{sentence}");
    tokio::select! {
        ended = node_api::refuse_all(listener, &quarantine.node, &sentence) => {
            ended.context("the API of the machine in quarantine has ended")?;
        }
        () = Quarantine::ended(data_dir) => tracing::info!("the quarantine has ended"),
    }
    Ok(ExitReason::Quarantined)
}

/// Waits until a locked node is unlocked.
async fn unlock(config: &Config, listener: &UnixListener) -> anyhow::Result<Option<Unlocked>> {
    let Some(locked) = Locked::look(&config.data_dir)?.map(Arc::new) else {
        return Ok(None);
    };
    tracing::warn!("this node is locked, its tasks go on; to unlock it: edgectl swarm unlock");
    let by_file = async {
        match &config.unlock_key_file {
            Some(path) => lock::opened_by_file(&locked, path).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        unlocked = node_api::until_unlocked(listener, Arc::clone(&locked)) => {
            Ok(Some(unlocked.context("the API of the locked node has ended")?))
        }
        unlocked = by_file => Ok(Some(unlocked)),
    }
}

/// Runs the agent and its API, until `told` or the agent ends.
async fn live(
    config: Config,
    listener: UnixListener,
    told: impl Future<Output = ()>,
) -> anyhow::Result<ExitReason> {
    let folder = config.stacks.clone();
    let (data_dir, socket) = (config.data_dir.clone(), config.socket.clone());
    tokio::pin!(told);
    let unlocked = tokio::select! {
        unlocked = unlock(&config, &listener) => unlocked?,
        () = &mut told => return Ok(ExitReason::Stopped),
    };
    let mut agent = Agent::start(config, unlocked).await?;
    let mut serving = tokio::spawn(node_api::serve(listener, agent.handle().clone()));
    let handle = agent.handle().clone();
    let watching =
        folder.map(|folder| tokio::spawn(stacks::watch(folder, data_dir, socket, handle)));
    let exit_reason = tokio::select! {
        reason = agent.ended() => reason,
        failed = &mut serving => {
            tracing::error!("the API has ended ({failed:?}); the agent ends, its tasks go on");
            ExitReason::Crashed
        }
        () = &mut told => ExitReason::Stopped,
    };
    match &exit_reason {
        ExitReason::Stopped => tracing::info!("the agent ends; its tasks go on"),
        ExitReason::Departed => {
            tracing::info!("this node has left the fleet");
            tokio::time::sleep(LINGER_TIME).await;
        }
        ExitReason::Removed { .. } => tokio::time::sleep(LINGER_TIME).await,
        ExitReason::Quarantined | ExitReason::Crashed => {}
    }
    agent.stop().await;
    serving.abort();
    if let Some(watching) = watching {
        watching.abort();
    }
    Ok(exit_reason)
}
