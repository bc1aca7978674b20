//! The driver of real tasks: programs of the host and containers, each with its own monitor.
//!
//! All work with files and processes is done by one thread of the driver's own, so that a slow SD
//! card never holds up the agent's failure detector. That thread sleeps unless an order comes or a
//! monitor notifies it. The driver must never end a run because it is dropped: a dying agent drops
//! it.
//!
//! An agent under systemd needs `KillMode=process`, or its tasks end with it.

mod adopt;
mod config_files;
mod container_context;
mod driver_loop;
mod launch;
mod orphans;
pub mod prepare;
mod reported;
mod supervise;
mod user_ranges;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crdt_state::task::{AdoptedRun, Run, TaskStart};
use tokio::sync::{mpsc, oneshot};

use crate::cgroup::ability::Ability;
use crate::cgroup::{self, CgroupPlan, Hierarchy};
use crate::driver::{Driver, RUN_EVENTS_MAX, RunEvents};
use crate::run_dir;
use driver_loop::DriverLoop;
use prepare::Prepare;

pub use container_context::{AttachNetworks, ContainerContext};

/// The configuration of the driver.
#[derive(Debug, Clone)]
pub struct ProcessConfig {
    /// The folder of all runs, this driver's alone: `<data>/runs`.
    pub runs: PathBuf,
    /// The middle of `edgectl/<node>/<run>`: different for each agent on one machine, without a
    /// slash. `None`: no cgroups; limits are not enforced, with a warning.
    pub cgroup_node: Option<String>,
    /// The program that is the monitor when called as `<program> monitor <folder>`; it calls
    /// [`crate::monitor_main`] first thing.
    pub monitor: PathBuf,
    /// Prepares containers; without it only programs of the host are run.
    pub containers: Option<Arc<dyn Prepare>>,
    /// As in [`run_dir::Order::making_ms_max`].
    pub making_ms_max: u64,
}

impl ProcessConfig {
    /// Uses the agent's own binary as the monitor, even after the file was replaced on the disk.
    pub fn new(runs: PathBuf, cgroup_node: &str) -> ProcessConfig {
        let monitor = PathBuf::from("/proc/self/exe");
        let cgroup_node = Some(cgroup_node.to_owned());
        let making_ms_max = run_dir::making_ms_max();
        ProcessConfig { runs, cgroup_node, monitor, containers: None, making_ms_max }
    }
}

/// Why the driver could not begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder of all runs.
    #[error("cannot make the folder for runs {path}: {source}")]
    Runs {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The thread, or its event loop.
    #[error("cannot begin the thread that watches tasks: {0}")]
    Thread(io::Error),
}

/// An order to the driver's thread.
#[derive(Debug)]
enum DriverOrder {
    Start(Box<TaskStart>),
    Stop { run: Run, signal: Option<i32>, grace_ms: u64 },
    Expire { run: Run, at_ms: Option<u64> },
    Forget(Run),
    Adopt(std::sync::mpsc::Sender<Vec<AdoptedRun>>),
    Report(oneshot::Sender<ProgressReport>),
}

/// The report of the driver's thread on its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProgressReport {
    /// Containers that the OCI runtime has been making for too long.
    pub slow: usize,
}

/// Checks whether the driver's thread makes progress. It keeps no driver alive.
#[derive(Debug, Clone)]
pub struct ProgressProbe {
    orders: mpsc::WeakUnboundedSender<DriverOrder>,
}

impl ProgressProbe {
    /// Returns when the thread has handled all earlier orders, or the driver is gone.
    pub async fn report(&self) -> ProgressReport {
        let Some(orders) = self.orders.upgrade() else { return ProgressReport::default() };
        let (answer, answered) = oneshot::channel();
        let asked = orders.send(DriverOrder::Report(answer)).is_ok();
        drop(orders);
        if asked { answered.await.unwrap_or_default() } else { ProgressReport::default() }
    }
}

/// What every part of the driver needs to know of this machine.
#[derive(Debug)]
struct DriverContext {
    runs: PathBuf,
    monitor: PathBuf,
    /// Its hierarchies are empty if there are to be no cgroups.
    cgroup_node: String,
    hierarchies: Vec<Hierarchy>,
    boot: String,
    containers: Option<Arc<dyn Prepare>>,
    making_ms_max: u64,
    /// Runs whose containers take too long to make.
    slow: RefCell<BTreeSet<Run>>,
    /// Until when runs may live that were not launched yet.
    ends: RefCell<BTreeMap<Run, u64>>,
}

impl DriverContext {
    fn cgroup(&self, run: Run) -> CgroupPlan {
        let path = format!("edgectl/{}/{}", self.cgroup_node, run_dir::name(run));
        CgroupPlan { hierarchies: self.hierarchies.clone(), path }
    }

    fn dir(&self, run: Run) -> PathBuf {
        run_dir::path(&self.runs, run)
    }
}

/// Runs programs of the host.
#[derive(Debug)]
pub struct ProcessDriver {
    runs: PathBuf,
    ability: Ability,
    /// Unbounded, because an order cannot wait; node-core has a few pending orders per slot of this
    /// node at most. `None` only while the driver is dropped.
    orders: Option<mpsc::UnboundedSender<DriverOrder>>,
    thread: Option<JoinHandle<()>>,
}

impl ProcessDriver {
    /// Starts the driver; call [`Driver::adopt`] first. Events arrive on the channel.
    pub fn open(config: ProcessConfig) -> Result<(ProcessDriver, RunEvents), OpenError> {
        let runs = config.runs;
        // Absolute, because a monitor works in the folder of its run.
        let made = fs::create_dir_all(&runs).and_then(|()| runs.canonicalize());
        let runs = made.map_err(|source| OpenError::Runs { path: runs, source })?;
        let context = DriverContext {
            runs: runs.clone(),
            monitor: config.monitor,
            hierarchies: config.cgroup_node.as_ref().map_or(vec![], |_| cgroup::mounts::detect()),
            cgroup_node: config.cgroup_node.unwrap_or_default(),
            boot: crate::proc_table::boot_id(),
            containers: config.containers,
            making_ms_max: config.making_ms_max,
            slow: RefCell::default(),
            ends: RefCell::default(),
        };
        let ability = Ability::detect(&context.hierarchies, &context.cgroup_node);
        let reactor = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let reactor = reactor.map_err(OpenError::Thread)?;
        let (orders, inbox) = mpsc::unbounded_channel();
        let (events, outbox) = mpsc::channel(RUN_EVENTS_MAX);
        let work = move || {
            let driver_loop = DriverLoop::new(context, events);
            tokio::task::LocalSet::new().block_on(&reactor, driver_loop.serve(inbox));
        };
        let thread = thread::Builder::new().name("edgectl-runs".to_owned()).spawn(work);
        let thread = Some(thread.map_err(OpenError::Thread)?);
        Ok((ProcessDriver { runs, ability, orders: Some(orders), thread }, outbox))
    }

    /// Where the log of a run is, for [`crate::logs::LogReader::open`].
    pub fn log_dir(&self, run: Run) -> PathBuf {
        run_dir::path(&self.runs, run)
    }

    /// Which limits are enforced here.
    pub fn ability(&self) -> &Ability {
        &self.ability
    }

    /// Checks whether its thread makes progress.
    pub fn progress(&self) -> ProgressProbe {
        let orders = self.orders.as_ref().expect("it is only taken when the driver is dropped");
        ProgressProbe { orders: orders.downgrade() }
    }

    /// The folder of all runs.
    pub fn runs(&self) -> &Path {
        &self.runs
    }

    fn order(&self, order: DriverOrder) {
        let orders = self.orders.as_ref().expect("it is only taken when the driver is dropped");
        orders.send(order).expect("the thread of the driver lives as long as the driver");
    }
}

impl Driver for ProcessDriver {
    fn start(&mut self, start: &TaskStart) {
        self.order(DriverOrder::Start(Box::new(start.clone())));
    }

    fn stop(&mut self, run: Run, signal: Option<&str>, grace_ms: u64) {
        let signal = signal.and_then(|text| match crate::signal::parse(text) {
            Ok(signal) => Some(signal),
            Err(unknown) => {
                // A stop must work, so the signal of the template is used.
                tracing::warn!(run = run_dir::name(run), "{unknown}");
                None
            }
        });
        self.order(DriverOrder::Stop { run, signal, grace_ms });
    }

    fn expire(&mut self, run: Run, at_ms: Option<u64>) {
        self.order(DriverOrder::Expire { run, at_ms });
    }

    fn forget(&mut self, run: Run) {
        self.order(DriverOrder::Forget(run));
    }

    fn adopt(&mut self) -> Vec<AdoptedRun> {
        let (answer, answered) = std::sync::mpsc::channel();
        self.order(DriverOrder::Adopt(answer));
        answered.recv().expect("the thread of the driver lives as long as the driver")
    }
}

impl Drop for ProcessDriver {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; the runs continue in any case.
            let _ = thread.join();
        }
    }
}
