//! Looking at a run from outside: what it uses, which processes it has, and telling it to end.
//!
//! By reading the kernel's files; nothing is remembered and nothing of the run is entered. Blocking:
//! an agent calls it on a thread of its own.

mod groups;
mod processes;
mod stats;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::exec::{CODE_CANNOT_RUN, Fault, NotRunning, Refusal, Target};
use crate::monitor::control::{self, StopOrder};
use crate::signal;

pub use processes::Processes;
pub use stats::{Block, Cpu, Memory, Network, Sample};

/// What is wanted of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Look {
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
    /// To end it: a signal, and SIGKILL after the grace.
    Stop {
        /// That of its template if there is none.
        signal: Option<String>,
        /// That of its template if there is none.
        grace_ms: Option<u64>,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Seen {
    /// What it uses.
    Stats(Box<Sample>),
    /// Its processes.
    Processes(Processes),
    /// It was told.
    Told,
}

/// Looks at the run of a folder.
pub fn look(dir: &Path, look: &Look) -> Result<Seen, Refusal> {
    let target = Target::read(dir).map_err(|why| not_running(&why))?;
    match look {
        Look::Stats => Ok(Seen::Stats(Box::new(stats::sample(&target)))),
        Look::Processes { args } => processes::table(&target, args).map(Seen::Processes),
        Look::Signal { signal } => {
            let signal = if signal.is_empty() { "KILL" } else { signal };
            let number = parse(signal)?;
            target.signal(number).map_err(|why| not_running(&why))?;
            Ok(Seen::Told)
        }
        Look::Stop { signal, grace_ms } => {
            let signal = signal.as_deref().map(parse).transpose()?;
            let grace_ms = grace_ms.unwrap_or(target.order.start.template.stop_grace_ms);
            control::send(dir, StopOrder { signal, grace_ms }).map_err(|error| Refusal {
                fault: Fault::Failed,
                code: CODE_CANNOT_RUN,
                message: format!("the task's monitor cannot be told: {error}"),
            })?;
            Ok(Seen::Told)
        }
    }
}

fn parse(text: &str) -> Result<i32, Refusal> {
    let bad = |error: signal::UnknownSignal| bad(error.to_string());
    signal::parse(text).map_err(bad)
}

fn bad(message: String) -> Refusal {
    Refusal { fault: Fault::Bad, code: CODE_CANNOT_RUN, message }
}

fn not_running(why: &NotRunning) -> Refusal {
    Refusal { fault: Fault::NotRunning, code: CODE_CANNOT_RUN, message: why.to_string() }
}
