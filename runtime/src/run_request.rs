//! Requests about a run from outside: its resource usage, its processes, signals, and stopping it.
//!
//! They are answered from the kernel's files; nothing is remembered, and nothing of the run is
//! entered. Blocking: an agent calls it on a thread of its own.

mod groups;
mod processes;
mod stats;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cgroup::{Cgroup, Frozen};
use crate::exec::{CODE_CANNOT_RUN, ExecRefusal, Fault, NotRunning, Size, Target};
use crate::monitor::control::{self, StopOrder};
use crate::{run_dir, signal};

pub use processes::Processes;
pub use stats::{Block, Cpu, Memory, Network, RunTotals, Sample};

/// A request about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunRequest {
    /// What it uses now.
    Stats,
    /// Its processes, by the arguments of `ps`.
    Processes {
        /// Empty: `-ef`.
        args: String,
    },
    /// To signal its program.
    Signal {
        /// By name or number; empty: SIGKILL.
        signal: String,
    },
    /// To set the size of its terminal.
    Resize {
        /// Lines.
        rows: u16,
        /// Characters per line.
        columns: u16,
    },
    /// To stop its processes where they are.
    Pause,
    /// To let them go on.
    Unpause,
    /// To end it: a signal, and SIGKILL after the grace period.
    Stop {
        /// That of its template if there is none.
        signal: Option<String>,
        /// That of its template if there is none.
        grace_ms: Option<u64>,
    },
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RunReply {
    /// What it uses.
    Stats(Box<Sample>),
    /// Its processes.
    Processes(Processes),
    /// The signal or the stop was delivered.
    #[serde(rename = "Told")]
    Delivered,
}

/// Carries out a request about the run of a folder.
pub fn handle_run_request(dir: &Path, request: &RunRequest) -> Result<RunReply, ExecRefusal> {
    let target = Target::read(dir).map_err(|why| not_running(&why))?;
    match request {
        RunRequest::Stats => Ok(RunReply::Stats(Box::new(stats::sample(&target)))),
        RunRequest::Processes { args } => processes::table(&target, args).map(RunReply::Processes),
        RunRequest::Signal { signal } => {
            let signal = if signal.is_empty() { "KILL" } else { signal };
            let number = parse(signal)?;
            target.signal(number).map_err(|why| not_running(&why))?;
            Ok(RunReply::Delivered)
        }
        RunRequest::Resize { rows, columns } => {
            let size = Size { rows: *rows, columns: *columns };
            control::send_size(dir, size).map_err(unheard)?;
            Ok(RunReply::Delivered)
        }
        RunRequest::Pause => pause(dir, &target, Frozen::Yes),
        RunRequest::Unpause => pause(dir, &target, Frozen::No),
        RunRequest::Stop { signal, grace_ms } => {
            let signal = signal.as_deref().map(parse).transpose()?;
            let grace_ms = grace_ms.unwrap_or(target.order.start.template.stop_grace_ms);
            control::send(dir, StopOrder { signal, grace_ms }).map_err(unheard)?;
            Ok(RunReply::Delivered)
        }
    }
}

fn unheard(error: std::io::Error) -> ExecRefusal {
    ExecRefusal {
        fault: Fault::Failed,
        code: CODE_CANNOT_RUN,
        message: format!("the task's monitor cannot be told: {error}"),
    }
}

/// A file says that it is paused: a listing of many containers asks for nothing else.
fn pause(dir: &Path, target: &Target, frozen: Frozen) -> Result<RunReply, ExecRefusal> {
    let marker = dir.join(run_dir::PAUSED);
    let refused = |message: &str| ExecRefusal {
        fault: Fault::NotRunning,
        code: CODE_CANNOT_RUN,
        message: message.to_owned(),
    };
    match (frozen, marker.exists()) {
        (Frozen::Yes, true) => return Err(refused("it is paused already")),
        (Frozen::No, false) => return Err(refused("it is not paused")),
        _ => {}
    }
    if !Cgroup::existing(&target.order.cgroup).freeze(frozen) {
        return Err(refused("this machine has no control group that can be frozen"));
    }
    let noted = match frozen {
        Frozen::Yes => std::fs::write(&marker, ""),
        Frozen::No => std::fs::remove_file(&marker),
    };
    noted.map(|()| RunReply::Delivered).map_err(unheard)
}

/// Processor time and memory of the run of a folder, and nothing else: it is read every few seconds.
pub fn totals_of(dir: &Path) -> Result<RunTotals, ExecRefusal> {
    let target = Target::read(dir).map_err(|why| not_running(&why))?;
    Ok(stats::totals(&target))
}

fn parse(text: &str) -> Result<i32, ExecRefusal> {
    let bad = |error: signal::UnknownSignal| bad(error.to_string());
    signal::parse(text).map_err(bad)
}

fn bad(message: String) -> ExecRefusal {
    ExecRefusal { fault: Fault::Bad, code: CODE_CANNOT_RUN, message }
}

fn not_running(why: &NotRunning) -> ExecRefusal {
    ExecRefusal { fault: Fault::NotRunning, code: CODE_CANNOT_RUN, message: why.to_string() }
}
