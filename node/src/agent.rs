//! `edgectl agent`: one pure node and everything that it needs of the machine.
//!
//! ```text
//!  thread "main": API, signals, logs ──Handle──▶ thread "node": the node, its timer, all sockets
//!                                                  │ batches        ▲ run events
//!                                                  ▼                │
//!                                  thread "store": the disk   the runtime's own thread
//! ```
//! The node's thread never waits for a disk, a peer or a request, so that its failure detector is
//! on time. When the agent ends, tasks go on; whoever starts it again finds them.

mod applying;
mod collector;
mod conditions;
mod facts;
mod handle;
pub mod images;
mod joining;
mod logs;
mod look;
mod machine;
mod memory;
mod neighbours;
mod refused;
mod route;
mod sessions;
mod start;
mod volumes;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use collector::users;
pub use handle::{Handle, Traffic, Unanswered};
pub use images::{Pinned, Supply};
pub use joining::Unresolved;
pub use logs::{LogNews, LogStream, LogsGone};
pub use neighbours::overflows;
pub use sessions::{Session, SessionGone, SessionWriter};
pub use start::StartError;
pub use volumes::{NotRemoved, Regard};

use crate::api;
use crate::config::{AgentFlags, Config};
use crate::identity::NODE_KEY_FILE;

/// The last answers of the API are given so long to leave.
const FAREWELL: Duration = Duration::from_millis(300);

/// A running agent without its API; dropping it ends it, and no task.
pub struct Agent {
    handle: Handle,
    ended: oneshot::Receiver<Ending>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Why an agent ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It was told to stop.
    Stopped,
    /// It has left the fleet.
    Departed,
    /// Operators removed it from the fleet.
    Removed {
        /// The host name of the node that they did it on, or its id.
        by: String,
    },
    /// An assertion failed; a supervisor should start it again.
    Crashed,
}

/// The agent of a removed node ends, however often it is started.
#[derive(Debug, thiserror::Error)]
#[error(
    "this node was removed from its fleet (edgectl node rm, on {by}); its tasks have ended\n  \
     why: a removed node stays removed, whatever it still says of itself; its volumes and images are \
     still in {path}\n  \
     try: mv {path}/{NODE_KEY_FILE} {path}/{NODE_KEY_FILE}.removed, and start the agent again: the \
     machine joins as a new node\n  \
     try: rm -r {path}, if nothing of it is needed any more", path = .data_dir.display()
)]
pub struct Removed {
    by: String,
    data_dir: PathBuf,
}

impl Agent {
    /// Opens everything and starts. To be called in the runtime that shall read logs.
    pub async fn start(config: Config) -> Result<Agent, StartError> {
        start::start(config).await
    }

    /// The way to the node.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until the agent ends by itself.
    pub async fn ended(&mut self) -> Ending {
        (&mut self.ended).await.unwrap_or(Ending::Crashed)
    }

    /// Ends it: what waits is written, peers are told, tasks stay.
    pub async fn stop(mut self) {
        self.handle.stop().await;
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Runs `edgectl agent` until a signal ends it or it has left the fleet.
pub fn run(flags: &AgentFlags) -> anyhow::Result<()> {
    let config = Config::load(flags)?;
    runtime::files::raise();
    memory::begin();
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
    let listener = api::socket::bind(&socket).await?;
    let ending = live(config, listener, async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    let ending = ending.await;
    // Nobody shall take it for that of a living agent.
    let _ = std::fs::remove_file(&socket);
    match ending? {
        Ending::Stopped | Ending::Departed => Ok(()),
        Ending::Removed { by } => Err(Removed { by, data_dir }.into()),
        Ending::Crashed => {
            bail!("the agent has failed, see the message above; its tasks go on; start it again")
        }
    }
}

/// Everything between the first and the last answer of the API.
async fn live(
    config: Config,
    listener: UnixListener,
    told: impl Future<Output = ()>,
) -> Result<Ending, StartError> {
    let mut agent = Agent::start(config).await?;
    let mut serving = tokio::spawn(api::serve(listener, agent.handle().clone()));
    let collecting = tokio::spawn(collector::collect(agent.handle().clone()));
    let tending = tokio::spawn(memory::tend());
    let ending = tokio::select! {
        ending = agent.ended() => ending,
        failed = &mut serving => {
            tracing::error!("the API has ended ({failed:?}); the agent ends, its tasks go on");
            Ending::Crashed
        }
        () = told => Ending::Stopped,
    };
    collecting.abort();
    tending.abort();
    match &ending {
        Ending::Stopped => tracing::info!("the agent ends; its tasks go on"),
        Ending::Departed => {
            tracing::info!("this node has left the fleet");
            tokio::time::sleep(FAREWELL).await;
        }
        Ending::Removed { .. } => tokio::time::sleep(FAREWELL).await,
        Ending::Crashed => {}
    }
    agent.stop().await;
    serving.abort();
    Ok(ending)
}
