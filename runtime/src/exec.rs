//! Sessions in a task: a command, or files in and out, by a helper process in its circumstances.
//!
//! ```text
//! agent ──spawns──▶ edgectl enter <run> ──▶ command      in the task's cgroup, as its user, …
//!   ▲                       │ ▲
//!   └──── one socket ───────┘ └── pipes or a terminal
//! ```
//! The helper is our own binary, like the monitor: one thread, one `poll`, and no memory that grows
//! with the bytes that pass through. It ends with the task and, unless the session is detached,
//! with the client. The frames on the socket are defined in [`frame`]; agents pass them on between
//! nodes unchanged.

pub(crate) mod channel;
mod command;
pub mod frame;
mod input;
mod launch;
pub(crate) mod refusal;
mod relay;
pub(crate) mod request;
pub(crate) mod target;
mod terminal;

use std::path::Path;

use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, setsid};

use crate::copy;
use crate::files;
use channel::Channel;
use frame::Kind;

pub use command::EnterError;
pub use launch::open;
pub use refusal::{CODE_CANNOT_RUN, CODE_NOT_FOUND, ExecRefusal, Fault};
pub use request::{ExecOrder, ExecRequest, Size};
pub use target::{NotRunning, Target};
pub(crate) use terminal::resize;

/// As `ps` shows it; the kernel keeps 15 characters.
const TITLE: &std::ffi::CStr = c"edgectl-enter";

/// Serves one session in the run of this folder, then ends the process. From here on the process is
/// the helper: to be called before anything else in `main`, with the socket as descriptor 0.
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
    // A failure is not fatal: the process leads a session already, an old kernel, a sandbox.
    let _ = setsid();
    let _ = prctl::set_name(TITLE);
    let _ = prctl::set_child_subreaper(true);
    umask(Mode::from_bits_truncate(0o022));
    let Some(order) = channel.read_order() else { return 1 };
    let target = chdir(dir).map_err(|_| NotRunning::Gone).and_then(|()| target_of(&order));
    let served = match target {
        Ok(Some(target)) => serve(&target, order, &mut channel),
        Ok(None) => copy::serve_kept(&order, &mut channel),
        Err(why) => Err(ExecRefusal {
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

/// The run that a request enters. `None`: it needs no program, only the files that a container made
/// by hand keeps.
fn target_of(order: &ExecRequest) -> Result<Option<Target>, NotRunning> {
    if matches!(order, ExecRequest::Export | ExecRequest::Layer | ExecRequest::Changes) {
        return Ok(None);
    }
    let reads = matches!(order, ExecRequest::Stat { .. } | ExecRequest::Get { .. });
    match Target::read(Path::new(".")) {
        Err(NotRunning::Ended) if reads => Ok(None),
        target => target.map(Some),
    }
}

fn serve(target: &Target, order: ExecRequest, channel: &mut Channel) -> Result<(), ExecRefusal> {
    match order {
        ExecRequest::Exec(order) => {
            relay::run(target, &order, channel).map_err(|error| error.refusal())
        }
        ExecRequest::Input => input::copy(target, channel),
        ExecRequest::Stat { path } => copy::stat(target, &path, channel).map_err(ExecRefusal::from),
        ExecRequest::Get { path } => copy::get(target, &path, channel).map_err(ExecRefusal::from),
        ExecRequest::Export | ExecRequest::Layer | ExecRequest::Changes => {
            copy::serve_kept(&order, channel)
        }
        ExecRequest::Put(order) => copy::put(target, &order, channel).map_err(ExecRefusal::from),
    }
}
