//! Sessions in a task: a command, or files in and out, by a helper process in its circumstances.
//!
//! ```text
//! agent ──spawns──▶ edgectl enter <run> ──▶ command      in the task's cgroup, as its user, …
//!   ▲                       │ ▲
//!   └──── one socket ───────┘ └── pipes or a terminal
//! ```
//! The helper is our own binary, like the monitor: one thread, one `poll`, no memory that grows with
//! what passes through it. It outlives neither the task nor, unless it was asked to, whoever asked.
//! What travels over the socket is in [`frame`]; agents pass it on between nodes as it is.

pub(crate) mod channel;
mod command;
pub mod frame;
mod launch;
mod relay;
mod target;
mod terminal;

use std::path::Path;

use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, setsid};
use serde::{Deserialize, Serialize};

use crate::copy;
use crate::files;
use channel::Channel;
use frame::Kind;

pub use command::EnterError;
pub use launch::open;
pub use target::{NotRunning, Target};

/// As `ps` shows it; the kernel keeps 15 characters.
const TITLE: &std::ffi::CStr = c"edgectl-enter";

/// What a session is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// To run a command.
    Exec(ExecOrder),
    /// To tell what is at a path.
    Stat {
        /// Within the task's root.
        path: String,
    },
    /// To pack what is at a path into a tar archive.
    Get {
        /// Within the task's root.
        path: String,
    },
    /// To unpack a tar archive.
    Put(copy::PutOrder),
}

/// A command to run beside a task's program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOrder {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// `NAME=value`, over those of the task.
    pub env: Vec<String>,
    /// Instead of the task's user.
    pub user: Option<String>,
    /// Instead of the task's working directory.
    pub dir: Option<String>,
    /// With every capability. A program of the host has those of its user anyway.
    pub privileged: bool,
    /// On a terminal of this size, instead of pipes.
    pub terminal: Option<Size>,
    /// Somebody will write to it; else it reads the end at once.
    pub stdin: bool,
    /// Nobody listens, and it goes on when whoever asked is gone.
    pub detached: bool,
}

/// Of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters per line.
    pub columns: u16,
}

impl Default for Size {
    /// What everything supposes that is not told.
    fn default() -> Size {
        Size { rows: 24, columns: 80 }
    }
}

/// Whose fault it is that a session came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The task does not run.
    NotRunning,
    /// There is no such path.
    Missing,
    /// What was asked makes no sense there.
    Bad,
    /// The task must not be written to.
    Forbidden,
    /// The machine.
    Failed,
}

/// Why a session came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Whose fault.
    pub fault: Fault,
    /// As a shell would end: 127 if there is no such program, 126 if it cannot be run.
    pub code: i32,
    /// What, why, what to type.
    pub message: String,
}

/// What a shell says of a command that cannot be run.
pub const CODE_CANNOT_RUN: i32 = 126;
/// What a shell says of a command that is not there.
pub const CODE_NOT_FOUND: i32 = 127;

/// Serves one session in the run of this folder, and ends with it. The process is the helper from
/// here on: to be called before anything else in `main`, with the socket as descriptor 0.
pub fn enter_main(dir: &Path) -> ! {
    let code = match Channel::take() {
        Ok(channel) => enter(dir, channel),
        Err(errno) => {
            eprintln!("edgectl enter is started by the agent, not by hand ({errno})");
            2
        }
    };
    std::process::exit(code)
}

fn enter(dir: &Path, mut channel: Channel) -> i32 {
    files::lower();
    // Not fatal: a session leader already, an old kernel, a sandbox.
    let _ = setsid();
    let _ = prctl::set_name(TITLE);
    let _ = prctl::set_child_subreaper(true);
    umask(Mode::from_bits_truncate(0o022));
    let Some(order) = channel.read_order() else { return 1 };
    let served =
        chdir(dir).map_err(|_| NotRunning::Gone).and_then(|()| Target::read(Path::new(".")));
    let served = match served {
        Ok(target) => serve(&target, order, &mut channel),
        Err(why) => Err(Refusal {
            fault: Fault::NotRunning,
            code: CODE_CANNOT_RUN,
            message: why.to_string(),
        }),
    };
    match served {
        Ok(()) => 0,
        Err(refusal) => {
            let words = serde_json::to_vec(&refusal).expect("a refusal is plain text");
            channel.send(Kind::Refused, &words);
            1
        }
    }
}

fn serve(target: &Target, order: Order, channel: &mut Channel) -> Result<(), Refusal> {
    match order {
        Order::Exec(order) => relay::run(target, &order, channel).map_err(|error| error.refusal()),
        Order::Stat { path } => copy::stat(target, &path, channel).map_err(Refusal::from),
        Order::Get { path } => copy::get(target, &path, channel).map_err(Refusal::from),
        Order::Put(order) => copy::put(target, &order, channel).map_err(Refusal::from),
    }
}
