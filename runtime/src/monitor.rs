//! The monitor: a small process beside each running program, so that the program outlives the agent
//! and its exit is recorded even without an agent.
//!
//! ```text
//! agent ──spawns──▶ monitor ──forks──▶ program ──▶ …      each in a session of its own
//!   ▲                 │  ▲ ▲───────── stdout, stderr
//!   └──── notify ─────┘  └──────────── control (agent)
//! ```
//! It is our own binary with other arguments, has one thread, and waits in one `poll`: idle, it
//! neither runs nor writes. It must never allocate with the size of the output, and never end
//! before everything that it started has ended.

mod begin;
mod body;
mod container;
mod container_check;
pub mod control;
pub mod descendants;
mod fork;
pub mod health;
pub(crate) mod inherited;
pub mod output;
mod pre_start;
pub mod program;
pub(crate) mod spawn;
pub(crate) mod stdin;
mod watch;

use std::path::Path;

use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, setsid};

use crate::files;
use crate::oci;
use crate::refusal::StartError;
use crate::run_dir::{self, FinalStatus, Order};

use inherited::Inherited;

/// As `ps` shows it; the kernel keeps 15 characters.
const TITLE: &std::ffi::CStr = c"edgectl-monitor";

/// Supervises the run in this folder, then ends the process. From here on the process is the
/// monitor: to be called before anything else in `main`, with the descriptors that the driver gave
/// it.
pub fn monitor_main(dir: &Path) -> ! {
    let code = match Inherited::take() {
        Ok(inherited) => monitor(dir, inherited),
        Err(errno) => {
            eprintln!("edgectl monitor is started by the agent, not by hand ({errno})");
            2
        }
    };
    std::process::exit(code)
}

fn monitor(dir: &Path, mut inherited: Inherited) -> i32 {
    files::lower();
    // A failure is not fatal: the process leads a session already, an old kernel, a sandbox.
    let _ = setsid();
    let _ = prctl::set_name(TITLE);
    let _ = prctl::set_child_subreaper(true);
    // When memory is short, the kernel should kill the program, not the monitor that reports it.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-500");
    umask(Mode::from_bits_truncate(0o022));
    if chdir(dir).is_err() {
        return 1;
    }
    std::panic::set_hook(Box::new(|panic| {
        let _ = std::fs::write("monitor.panic", panic.to_string());
    }));
    let order = match inherited.read_order() {
        Ok(bytes) => run_dir::parse_order(&bytes),
        Err(error) => Err(serde_json::Error::io(error)),
    };
    let Ok(order) = order else { return 1 };
    let final_status = match run(&order, &mut inherited) {
        Ok(final_status) => final_status,
        Err(error) => {
            FinalStatus::Refused { permanent: error.is_permanent(), reason: error.to_string() }
        }
    };
    let code = finish(&final_status, &mut inherited);
    if order.container.is_some() {
        // The exit is reported already: nobody waits while this removes files, which may be many.
        oci::remove_files(Path::new("."));
    }
    code
}

fn run(order: &Order, inherited: &mut Inherited) -> Result<FinalStatus, StartError> {
    let mut order = order.clone();
    if let Some(over) = pre_start::run(&mut order, inherited)? {
        return Ok(over);
    }
    let mut watch = watch::begin(&order, inherited)?.tell_status()?;
    inherited.forget_secrets();
    inherited.notify();
    // The agent is notified already; after a power cut from here on, the run is found in its
    // folder.
    for path in [run_dir::ORDER, run_dir::STATUS, "."] {
        let _ = run_dir::sync(Path::new(path));
    }
    watch.until_exit(inherited);
    Ok(watch.end())
}

fn finish(final_status: &FinalStatus, inherited: &mut Inherited) -> i32 {
    // If the disk refuses the write, the agent finds a run whose exit is unknown.
    if run_dir::write(Path::new("."), run_dir::FINAL_STATUS, final_status).is_err() {
        return 1;
    }
    inherited.notify();
    for path in [run_dir::FINAL_STATUS, "."] {
        let _ = run_dir::sync(Path::new(path));
    }
    0
}
