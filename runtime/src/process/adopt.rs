//! What the agent finds in the folder of runs when it starts.
//!
//! The lock on its order shows whether a monitor lives, never a process id. A folder that cannot be
//! read is moved to `quarantine`, never deleted and never fatal.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crdt_state::task::{AdoptedRun, Exit, Run, RunEvent};
use tokio::net::unix::pipe;

use super::launch::open_notify;
use super::reported::Reported;
use super::{DriverContext, orphans};
use crate::monitor::control::{self, StopOrder};
use crate::oci;
use crate::refusal::StartError;
use crate::run_dir::{self, FinalStatus, Order, Status};

/// Folders in quarantine; the oldest is deleted for a further one.
const QUARANTINE_MAX: usize = 16;
/// Beside the runs' own folders.
const QUARANTINE: &str = "quarantine";
/// How long a start that was in progress when the agent died is waited for: 20 times what it takes
/// on a slow machine.
const START_TIMEOUT: Duration = Duration::from_secs(2);
/// The same for a container: on a slow card with nothing cached its runtime takes seconds.
const CONTAINER_TIMEOUT: Duration = Duration::from_secs(10);
const START_PAUSE: Duration = Duration::from_millis(5);

/// A run that was found again.
pub struct Adopted {
    /// Which.
    pub run: Run,
    /// The events that its discovery reports.
    pub reported: Reported,
    /// `None` if its monitor has ended.
    pub notify: Option<pipe::Receiver>,
}

/// Reads all folders.
pub fn scan(context: &DriverContext) -> Vec<(AdoptedRun, Adopted)> {
    let mut found = Vec::new();
    // All of them start at the same time, so one timeout is enough for all.
    let begun = Instant::now();
    for entry in fs::read_dir(&context.runs).into_iter().flatten().flatten() {
        let Some(run) = entry.file_name().to_str().and_then(run_dir::parse_name) else { continue };
        if run == run_dir::shared(run.task) {
            orphans::remove_shared(&context.runs, run.task);
            continue;
        }
        match read(context, run, &entry.path(), begun) {
            Ok(run) => found.push(run),
            Err(error) => put_aside(context, run, &entry.path(), &error),
        }
    }
    found.sort_by_key(|(_, adopted)| adopted.run);
    found
}

fn read(
    context: &DriverContext,
    run: Run,
    dir: &Path,
    begun: Instant,
) -> io::Result<(AdoptedRun, Adopted)> {
    let order: Order = run_dir::parse_order(&fs::read(dir.join(run_dir::ORDER))?)?;
    if order.start.run != run {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the order is of another run"));
    }
    // Opened before the folder is read, so that no later change is missed.
    let lives = monitor_lives(dir)?;
    let notify = if lives { Some(open_notify(dir)?) } else { None };
    let event = if lives { await_start(dir, &order, begun)? } else { None };
    let event = match event {
        Some(event) => event,
        None => without_monitor(context, run, dir, &order)?,
    };
    let mut reported = Reported::default();
    match &event {
        RunEvent::Started { pid } => reported.started = Some(*pid),
        over => reported.over = Some(over.clone()),
    }
    let adopted = Adopted { run, reported, notify };
    Ok((AdoptedRun { start: order.start, event }, adopted))
}

/// Does somebody hold the lock of this run's order?
fn monitor_lives(dir: &Path) -> io::Result<bool> {
    match File::open(dir.join(run_dir::ORDER))?.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The event that a living monitor has written; `None` if it died before it wrote any.
fn await_start(dir: &Path, order: &Order, begun: Instant) -> io::Result<Option<RunEvent>> {
    let container = order.container.is_some();
    let timeout = if container { CONTAINER_TIMEOUT } else { START_TIMEOUT };
    loop {
        // An incomplete file counts as missing: the monitor will still write one, or end.
        if let Ok(Some(final_status)) = run_dir::read::<FinalStatus>(dir, run_dir::FINAL_STATUS) {
            return Ok(Some(final_status.into_event()));
        }
        if let Ok(Some(status)) = run_dir::read::<Status>(dir, run_dir::STATUS) {
            return Ok(Some(RunEvent::Started { pid: status.program.pid }));
        }
        if !monitor_lives(dir)? {
            return Ok(None);
        }
        let is_later =
            [run_dir::SLOW, run_dir::PRE_START].iter().any(|name| dir.join(name).exists());
        if begun.elapsed() >= timeout || is_later {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "its monitor does not start it"));
        }
        thread::sleep(START_PAUSE);
    }
}

/// A run whose monitor is gone: its final status is on the disk, or its end is unknown.
fn without_monitor(
    context: &DriverContext,
    run: Run,
    dir: &Path,
    order: &Order,
) -> io::Result<RunEvent> {
    match run_dir::read::<FinalStatus>(dir, run_dir::FINAL_STATUS) {
        Ok(Some(final_status)) => return Ok(final_status.into_event()),
        Ok(None) => {}
        Err(error) => tracing::warn!(run = run_dir::name(run), "how it ended is lost: {error}"),
    }
    // An incomplete status counts as missing: its processes are found by cgroup or environment.
    let status = run_dir::read::<Status>(dir, run_dir::STATUS).ok().flatten();
    orphans::end_now(&order.cgroup, &run_dir::name(run), status.as_ref(), &context.boot);
    oci::remove_files(dir);
    let ran = dir.join(run_dir::STATUS).exists();
    let interrupted = StartError::Interrupted;
    Ok(if ran {
        RunEvent::Exited { exit: Exit::Unknown, oom: false }
    } else {
        RunEvent::Refused { permanent: false, reason: interrupted.to_string() }
    })
}

/// Moves an unreadable folder aside, and ends its processes, because no order could name them.
fn put_aside(context: &DriverContext, run: Run, dir: &Path, error: &io::Error) {
    let name = run_dir::name(run);
    tracing::warn!(run = name, "its folder cannot be read and is put aside: {error}");
    let _ = control::send(dir, StopOrder { signal: None, grace_ms: 0 });
    let status = run_dir::read::<Status>(dir, run_dir::STATUS).ok().flatten();
    orphans::end_now(&context.cgroup(run), &name, status.as_ref(), &context.boot);
    let quarantine = context.runs.join(QUARANTINE);
    make_room(&quarantine);
    let moved = fs::create_dir_all(&quarantine)
        .and_then(|()| fs::rename(dir, quarantine.join(&name)))
        .or_else(|_| fs::remove_dir_all(dir));
    if let Err(error) = moved {
        tracing::warn!(run = name, "its folder stays where it is: {error}");
    }
}

fn make_room(quarantine: &Path) {
    let age = |entry: &fs::DirEntry| entry.metadata().and_then(|found| found.modified()).ok();
    let mut kept: Vec<fs::DirEntry> =
        fs::read_dir(quarantine).into_iter().flatten().flatten().collect();
    kept.sort_by_key(age);
    for oldest in kept.iter().take((kept.len() + 1).saturating_sub(QUARANTINE_MAX)) {
        let _ = fs::remove_dir_all(oldest.path());
    }
}
