//! A supervised container: the launcher that makes it.
//!
//! The launcher is a fork of the monitor, which has one thread, and it ends with the monitor.
//! Memory that the launcher needs never becomes the monitor's.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crdt_state::spec::Template;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};

use super::body::{Begun, Body};
use super::descendants;
use super::fork::{Forked, fork_into};
use super::inherited::{self, Inherited};
use super::output::Output;
use super::stdin::{self, Stdin, TakesInput};
use crate::cgroup::{Cgroup, CgroupScope, Limits};
use crate::logs::writer::LogWriter;
use crate::oci::console::Console;
use crate::oci::launcher::{self, Io, LaunchReport};
use crate::oci::{ContainerOrder, OciRuntime};
use crate::proc_table;
use crate::refusal::StartError;
use crate::run_dir::{self, Order};

/// Where the terminal is delivered, in the folder of the run.
const CONSOLE: &str = "console.sock";
/// How long a start that is no longer wanted may still take: as long as making a container takes on
/// a slow machine, and half of the time that an agent waits for a run that it forgets.
const UNWANTED_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes the container of an order.
pub fn begin(
    order: &Order,
    container: &ContainerOrder,
    log: LogWriter,
    inherited: &Inherited,
) -> Result<Begun, StartError> {
    let step = |step| move |errno| StartError::Step { step, errno };
    let template = &order.start.template;
    let (output, write_ends) = Output::open(log, None).map_err(step("make pipes"))?;
    let (stdin, kept_open) = stdin_of(template).map_err(step("make pipes"))?;
    let console = template.container.tty.then(console).transpose()?;
    // Making a container takes processes: the limit of processes is set just before its program
    // runs.
    let mut to_begin_with = Limits::of(template);
    to_begin_with.resources.pids = 0;
    let cgroup = Cgroup::create(&order.cgroup, &to_begin_with, CgroupScope::All);
    let null = inherited.null();
    let stdin = stdin.as_ref().map_or(null, OwnedFd::as_fd);
    let io = Io {
        streams: [stdin, write_ends.stdout.as_fd(), write_ends.stderr.as_fd()],
        console: console.as_ref().map(Console::path),
        secrets: inherited.secrets(),
    };
    let made = make(order, container, io, &cgroup, inherited);
    drop(write_ends);
    // The runtime has made groups of its own under the same name.
    let warnings = cgroup.warnings;
    let mut cgroup = Cgroup::existing(&order.cgroup);
    cgroup.warnings = warnings;
    let begun = made.and_then(|(program, warnings)| {
        let new = warnings.into_iter().filter(|warning| !cgroup.warnings.contains(warning));
        let new: Vec<String> = new.collect();
        cgroup.warnings.extend(new);
        let (output, stdin) = match console {
            Some(console) => of_terminal(template, output, console.take()?)?,
            None => (output, Stdin::of_pipe(kept_open)),
        };
        let is_standalone = template.is_standalone();
        let output = if is_standalone { output.write_partial_lines() } else { output };
        Ok((program, output, stdin))
    });
    match begun {
        Ok((program, output, stdin)) => {
            let body = Body::Container { order: Box::new(order.clone()), stdin };
            Ok(Begun { program, cgroup, output, body })
        }
        Err(error) => {
            descendants::end_all(&cgroup);
            cgroup.remove();
            Err(error)
        }
    }
}

/// Both ends of the standard input of a container without a terminal, if it has one. Clients attach
/// only to a container that was made by hand.
fn stdin_of(template: &Template) -> nix::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    if !template.container.open_stdin || template.container.tty {
        return Ok((None, None));
    }
    let (read, write) = match template.is_standalone() {
        true => stdin::pipe().map_err(errno_of)?,
        false => pipe2(OFlag::O_CLOEXEC)?,
    };
    Ok((Some(read), Some(write)))
}

/// A terminal carries all output, and what clients send.
fn of_terminal(
    template: &Template,
    output: Output,
    master: OwnedFd,
) -> Result<(Output, Stdin), StartError> {
    let takes_input = match template.container.open_stdin && template.is_standalone() {
        true => TakesInput::Yes,
        false => TakesInput::No,
    };
    let stdin = master.try_clone().and_then(|master| Stdin::of_terminal(master, takes_input));
    let stdin = stdin.map_err(|error| StartError::Step {
        step: "make a pipe for the terminal",
        errno: errno_of(error),
    })?;
    Ok((Output::of_terminal(output.into_log(), master), stdin))
}

fn errno_of(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

fn console() -> Result<Console, StartError> {
    let here = std::env::current_dir()
        .map_err(|source| StartError::RunDir { path: ".".to_owned(), source })?;
    Console::listen(&here, CONSOLE)
}

/// Runs the launcher, and waits for its report.
fn make(
    order: &Order,
    container: &ContainerOrder,
    io: Io<'_>,
    cgroup: &Cgroup,
    inherited: &Inherited,
) -> Result<(Pid, Vec<String>), StartError> {
    let step = |step| move |errno| StartError::Step { step, errno };
    let (report, reporter) = pipe2(OFlag::O_CLOEXEC).map_err(step("make a pipe"))?;
    // Everything that the embedded runtime forks starts in the container's cgroup, and is found
    // there if both the launcher and this monitor are killed. Other runtimes refuse a group that
    // has members.
    let home = cgroup.unified().filter(|_| container.runtime == OciRuntime::Embedded);
    let home = home.and_then(|dir| File::open(dir).ok());
    // SAFETY: a monitor has one thread.
    let launcher = match unsafe { fork_into(home.as_ref().map(AsFd::as_fd)) } {
        Ok(Forked::Parent(launcher)) => launcher,
        Ok(Forked::Child | Forked::ChildInCgroup) => {
            let [stdin, stdout, stderr] = io.streams;
            let secrets = io.secrets.unwrap_or(stdin);
            inherited::keep_only(&[stdin, stdout, stderr, secrets, reporter.as_fd()]);
            launcher::make(order, container, io, File::from(reporter));
            // SAFETY: it runs nothing of the monitor's.
            unsafe { libc::_exit(0) }
        }
        Err(errno) => return Err(StartError::Fork(errno)),
    };
    drop(reporter);
    let told = await_report(report, launcher, order.making_ms_max, inherited);
    let _ = waitpid(launcher, None);
    let told = told.ok_or_else(|| StartError::Slow { runtime: container.runtime.to_string() })?;
    match serde_json::from_slice(&told) {
        Ok(LaunchReport::Running { pid, warnings }) => Ok((Pid::from_raw(pid), warnings)),
        Ok(LaunchReport::Refused { permanent, reason }) => {
            Err(StartError::Told { permanent, reason })
        }
        Err(_) => Err(StartError::Interrupted),
    }
}

/// Reads the launcher's whole report; `None`: the launcher was killed, because the OCI runtime took
/// too long. An order to stop that comes meanwhile is carried out when the container runs; a
/// launcher that does not finish in time after such an order is killed.
fn await_report(
    report: OwnedFd,
    launcher: Pid,
    making_ms_max: u64,
    inherited: &Inherited,
) -> Option<Vec<u8>> {
    let end = || proc_table::signal(launcher.as_raw() as u32, libc::SIGKILL);
    let timeout = Duration::from_millis(making_ms_max);
    let mut report = File::from(report);
    let mut told = Vec::new();
    let mut bytes = [0; 1024];
    let mut unwanted: Option<Instant> = None;
    // Since when the OCI runtime makes the container, and how long it may take until the next step.
    let mut making: Option<(Instant, Duration)> = None;
    loop {
        let left = |since: Instant, timeout: Duration| timeout.saturating_sub(since.elapsed());
        let unwanted_left = unwanted.map(|since| left(since, UNWANTED_TIMEOUT));
        if unwanted_left.is_some_and(|left| left.is_zero()) {
            end();
            return Some(Vec::new());
        }
        let making_left = making.map(|(since, timeout)| left(since, timeout));
        if making_left.is_some_and(|left| left.is_zero()) {
            if making.is_some_and(|(_, waited)| waited > timeout) {
                end();
                return None;
            }
            making = making.map(|(since, _)| (since, timeout * 2));
            // If the file cannot be made, the agent is not told; everything else happens all the
            // same.
            let _ = File::create(run_dir::SLOW);
            inherited.notify();
            continue;
        }
        let since = [unwanted_left, making_left].into_iter().flatten().min();
        let left = since.map(|left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        let mut fds = vec![PollFd::new(report.as_fd(), PollFlags::POLLIN)];
        if unwanted.is_none() {
            fds.push(PollFd::new(inherited.control.as_fd(), PollFlags::POLLIN));
        }
        let _ = poll(&mut fds, left.unwrap_or(PollTimeout::NONE));
        let ready = |at: usize| fds.get(at).and_then(PollFd::any).unwrap_or_default();
        let (reads, is_told) = (ready(0), ready(1));
        if is_told {
            // Until when the run may live is told again and again, and is no reason to stop.
            inherited.control.receive();
            unwanted = inherited.control.has_stop().then(Instant::now);
        }
        if reads {
            match report.read(&mut bytes) {
                Ok(0) => return Some(told),
                Ok(length) => {
                    told.extend_from_slice(&bytes[..length]);
                    making.get_or_insert_with(|| (Instant::now(), timeout));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Some(told),
            }
        }
    }
}
