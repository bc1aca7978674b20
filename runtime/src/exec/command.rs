//! A command in the circumstances of a task: for a program of the host its cgroup, environment,
//! user and directory; for a container whatever its OCI runtime sets up.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::stat::fstat;
use nix::unistd::{Pid, Uid, fchown, pipe2};

use super::terminal::{self, Terminal};
use super::{CODE_CANNOT_RUN, CODE_NOT_FOUND, ExecOrder, ExecRefusal, Fault, Target};
use crate::cgroup::Cgroup;
use crate::monitor::program::Setting;
use crate::monitor::spawn::spawn;
use crate::oci::bundle::BundleError;
use crate::oci::exec::{self, ExecSpec};
use crate::refusal::StartError;
use crate::run_dir;

/// The variable that names the type of a terminal, and Docker's value for it.
const TERM: (&str, &str) = ("TERM=", "TERM=xterm");

/// Why a command does not run.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// It cannot be started.
    #[error("{0}")]
    Start(#[from] StartError),
    /// Pipes, a terminal, or the wait for signals.
    #[error("cannot prepare the command: {0}")]
    Prepare(#[from] io::Error),
}

impl EnterError {
    /// The refusal that is sent to the client.
    pub fn refusal(&self) -> ExecRefusal {
        let (fault, code) = match self {
            EnterError::Start(
                StartError::NotInPath { .. } | StartError::Bundle(BundleError::NoProgram { .. }),
            ) => (Fault::Bad, CODE_NOT_FOUND),
            EnterError::Start(StartError::Exec { errno: Errno::ENOENT, .. }) => {
                (Fault::Bad, CODE_NOT_FOUND)
            }
            EnterError::Start(_) => (Fault::Bad, CODE_CANNOT_RUN),
            EnterError::Prepare(_) => (Fault::Failed, CODE_CANNOT_RUN),
        };
        ExecRefusal { fault, code, message: self.to_string() }
    }
}

/// A running command, and our ends of its input and output; none of these blocks.
#[derive(Debug)]
pub struct Running {
    /// Its process.
    pub pid: Pid,
    /// What it reads.
    pub stdin: Option<File>,
    /// Its standard output; with a terminal, all of its output.
    pub stdout: Option<File>,
    /// Its standard error.
    pub stderr: Option<File>,
    /// Our end of its terminal.
    pub terminal: Option<File>,
}

/// Starts a command.
pub fn start(target: &Target, order: &ExecOrder) -> Result<Running, EnterError> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    if order.detached {
        let null = null.as_fd();
        let (pid, _) = execute(target, &ExecOrder { terminal: None, ..order.clone() }, [null; 3])?;
        return Ok(Running { pid, stdin: None, stdout: None, stderr: None, terminal: None });
    }
    if order.terminal.is_some() {
        let (pid, terminal) = execute(target, order, [null.as_fd(); 3])?;
        let ours = terminal.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        let stdin = if order.stdin { Some(ours.try_clone()?) } else { None };
        let stdout = Some(ours.try_clone()?);
        return Ok(Running { pid, stdin, stdout, stderr: None, terminal: Some(ours) });
    }
    let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
    let (stderr, their_stderr) = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
    let (their_stdin, stdin) = if order.stdin {
        let (theirs, ours) = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
        (theirs, Some(ours))
    } else {
        (OwnedFd::from(null), None)
    };
    let streams = [their_stdin.as_fd(), their_stdout.as_fd(), their_stderr.as_fd()];
    let (pid, _) = execute(target, order, streams)?;
    for ours in [Some(&stdout), Some(&stderr), stdin.as_ref()].into_iter().flatten() {
        fcntl(ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(io::Error::from)?;
    }
    Ok(Running {
        pid,
        stdin: stdin.map(File::from),
        stdout: Some(File::from(stdout)),
        stderr: Some(File::from(stderr)),
        terminal: None,
    })
}

/// Runs it on these streams, or on a terminal of its own; returns our end of the terminal.
fn execute(
    target: &Target,
    order: &ExecOrder,
    streams: [BorrowedFd<'_>; 3],
) -> Result<(Pid, Option<File>), EnterError> {
    match target.order.container {
        Some(_) => in_container(target, order, streams),
        None => on_host(target, order, streams),
    }
}

fn in_container(
    target: &Target,
    order: &ExecOrder,
    streams: [BorrowedFd<'_>; 3],
) -> Result<(Pid, Option<File>), EnterError> {
    let program = ExecSpec {
        args: order.words.clone(),
        env: order.env.iter().map(|entry| filled_in(entry)).collect(),
        user: order.user.clone(),
        dir: order.dir.clone(),
        tty: order.terminal.is_some(),
        size: order.terminal.map(|size| (size.rows, size.columns)),
        privileged: order.privileged,
    };
    let executed = exec::exec(Path::new("."), &target.order, &program, streams)?;
    let terminal = executed.terminal.map(File::from);
    if let (Some(ours), Some(size)) = (&terminal, order.terminal) {
        terminal::resize(ours, size);
    }
    Ok((executed.pid, terminal))
}

fn on_host(
    target: &Target,
    order: &ExecOrder,
    streams: [BorrowedFd<'_>; 3],
) -> Result<(Pid, Option<File>), EnterError> {
    let setting = setting(target, order)?;
    let program = setting.find(&order.words)?;
    let user = setting.identity.as_ref().map(|user| user.uid);
    if let Some(size) = order.terminal {
        let Terminal { ours, theirs } = Terminal::open(size, user)?;
        let pid = spawn(&setting, &program, [theirs.as_fd(); 3])?;
        return Ok((pid, Some(ours)));
    }
    for stream in streams {
        // The command may open /dev/stdout by its name. Only pipes change owner: /dev/null stays
        // everybody's.
        let is_pipe =
            fstat(stream).is_ok_and(|found| found.st_mode & libc::S_IFMT == libc::S_IFIFO);
        if is_pipe {
            let _ = fchown(stream, user.map(Uid::from_raw), None);
        }
    }
    Ok((spawn(&setting, &program, streams)?, None))
}

fn setting(target: &Target, order: &ExecOrder) -> Result<Setting, StartError> {
    let start = &target.order.start;
    let mut template = start.template.clone();
    template.env.extend(order.env.iter().map(|entry| filled_in(entry)));
    if order.terminal.is_some() && !template.env.iter().any(|entry| entry.starts_with(TERM.0)) {
        template.env.push(TERM.1.to_owned());
    }
    template.user = order.user.clone().or(template.user);
    template.dir = order.dir.clone().or(template.dir);
    let mut setting = Setting::of(&template, &run_dir::name(start.run))?;
    setting.join(&Cgroup::existing(&target.order.cgroup));
    Ok(setting)
}

/// A name without `=` is a variable without a value: the client had no variable of that name.
fn filled_in(entry: &str) -> String {
    if entry.contains('=') { entry.to_owned() } else { format!("{entry}=") }
}
