//! The last step of a container's process: from libcontainer to the program.
//!
//! libcontainer's own step searches the program differently from Docker, loses the error number,
//! and does not filter system calls of programs that are run later. Here the number goes through a
//! pipe, which closes by itself when the program runs.

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::time::{Duration, Instant};
use std::{fs, path::Path};

use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use libcontainer::{capabilities, syscall::syscall::SyscallType};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::SigSet;
use nix::unistd::execv;
use oci_spec::runtime::{LinuxCapabilities, Spec};
use rustix::termios::{Winsize, tcsetwinsize};

use super::filter::Compiled;
use super::init;

/// After this time a terminal that was not given to its user stays root's, and the program runs all
/// the same.
const TERMINAL_WAIT_MAX: Duration = Duration::from_secs(1);
const TERMINAL_CHECK_INTERVAL: Duration = Duration::from_millis(1);

/// Why a program does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It is in no folder of the PATH.
    NotFound,
    /// The kernel would not execute it.
    Exec(Errno),
    /// Its system calls could not be filtered.
    Filter(Errno),
    /// The first process could not make a second one.
    Fork(Errno),
}

impl Failure {
    fn encode(self) -> [u8; 2] {
        let (kind, errno) = match self {
            Failure::NotFound => (1, Errno::ENOENT),
            Failure::Exec(errno) => (2, errno),
            Failure::Filter(errno) => (3, errno),
            Failure::Fork(errno) => (4, errno),
        };
        [kind, errno as i32 as u8]
    }

    /// The failure that came through the pipe; an empty message is no failure.
    pub fn decode(message: &[u8]) -> Option<Failure> {
        let &[kind, errno, ..] = message else { return None };
        let errno = Errno::from_raw(i32::from(errno));
        match kind {
            1 => Some(Failure::NotFound),
            2 => Some(Failure::Exec(errno)),
            3 => Some(Failure::Filter(errno)),
            4 => Some(Failure::Fork(errno)),
            _ => None,
        }
    }
}

/// The filter of system calls, set as the last thing before the program.
#[derive(Debug, Clone)]
pub struct Filter {
    /// The container's.
    pub program: Compiled,
    /// The capabilities that remain once the filter is in force.
    pub capabilities: LinuxCapabilities,
}

/// Which process is the container's first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// The program.
    Program,
    /// A process of ours, which starts it.
    Init,
}

/// The step.
#[derive(Debug, Clone)]
pub struct Program {
    report: Rc<OwnedFd>,
    first: First,
    filter: Option<Filter>,
    entrances: Rc<Vec<File>>,
}

impl Program {
    /// A step that reports to this pipe.
    pub fn new(report: OwnedFd, first: First, filter: Option<Filter>) -> Program {
        Program { report: Rc::new(report), first, filter, entrances: Rc::default() }
    }

    /// Joins the cgroups of these files.
    pub fn entering(self, entrances: Vec<File>) -> Program {
        Program { entrances: Rc::new(entrances), ..self }
    }

    fn tell(&self, failure: Failure) {
        let message = failure.encode();
        // SAFETY: the buffer is valid for its length and the descriptor is open.
        unsafe { libc::write(self.report.as_raw_fd(), message.as_ptr().cast(), message.len()) };
    }

    fn filter(&self) -> Result<(), Failure> {
        let Some(filter) = &self.filter else { return Ok(()) };
        filter.program.enforce().map_err(Failure::Filter)?;
        let syscall = SyscallType::Linux.create_syscall();
        capabilities::drop_privileges(&filter.capabilities, &*syscall)
            .map_err(|_| Failure::Filter(Errno::last()))
    }

    fn execute(&self, args: &[CString]) -> Failure {
        match find(args) {
            Ok(path) => match execv(&path, args) {
                Err(errno) => Failure::Exec(errno),
            },
            Err(failure) => failure,
        }
    }
}

impl Executor for Program {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let args = spec.process().as_ref().and_then(|process| process.args().clone());
        let args = args.unwrap_or_default();
        let args: Result<Vec<CString>, _> = args.into_iter().map(CString::new).collect();
        let args = args.map_err(|_| ExecutorError::InvalidArg)?;
        forget_signals();
        set_size(spec);
        await_terminal(spec);
        for mut entrance in self.entrances.iter() {
            // An older kernel checks the writer instead of the opener: then the other groups must
            // be enough.
            let _ = entrance.write_all(b"0");
        }
        if let Err(failure) = self.filter() {
            self.tell(failure);
            return Err(ExecutorError::Other(format!("{failure:?}")));
        }
        if self.first == First::Init {
            match init::fork_program() {
                Ok(init::Side::Program) => {}
                Ok(init::Side::First(child)) => init::reap_children(child),
                Err(errno) => self.tell(Failure::Fork(errno)),
            }
        }
        let failure = self.execute(&args);
        self.tell(failure);
        Err(ExecutorError::Other(format!("{failure:?}")))
    }

    /// Checks nothing: whether the program can be executed shows when it is executed.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }
}

/// libcontainer leaves a terminal without a size. Anything but a terminal refuses one, and needs
/// none.
fn set_size(spec: &Spec) {
    let size = spec.process().as_ref().and_then(|process| process.console_size());
    let Some(size) = size else { return };
    let number = |amount: u64| u16::try_from(amount).unwrap_or(u16::MAX);
    let size = Winsize {
        ws_row: number(size.height()),
        ws_col: number(size.width()),
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let _ = tcsetwinsize(std::io::stdin(), size);
}

/// Waits until the terminal, which root opened, is given to the program's user by the process that
/// had it made; before that the program could not open `/dev/stdout`.
fn await_terminal(spec: &Spec) {
    let Some(process) = spec.process().as_ref().filter(|p| p.terminal() == Some(true)) else {
        return;
    };
    let uid = process.user().uid();
    let begun = Instant::now();
    while begun.elapsed() < TERMINAL_WAIT_MAX {
        let owner = nix::sys::stat::fstat(std::io::stdin()).map(|found| found.st_uid);
        if owner.is_ok_and(|owner| owner != uid) {
            std::thread::sleep(TERMINAL_CHECK_INTERVAL);
        } else {
            return;
        }
    }
}

/// A program starts with no signal blocked or ignored, whatever its helper process waits for.
fn forget_signals() {
    for signal in 1..=64 {
        // SAFETY: one system call on a number.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let _ = SigSet::empty().thread_set_mask();
}

/// Searches the program as a shell does. Unlike with `execvp`, a file that is no program is not
/// given to a shell.
fn find(args: &[CString]) -> Result<CString, Failure> {
    let Some(name) = args.first().and_then(|name| name.to_str().ok()) else {
        return Err(Failure::Exec(Errno::EINVAL));
    };
    if name.is_empty() {
        return Err(Failure::NotFound);
    }
    if name.contains('/') {
        return Ok(args[0].clone());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let mut denied = false;
    for folder in path.split(':').filter(|folder| !folder.is_empty()) {
        let candidate = Path::new(folder).join(name);
        let Ok(found) = fs::metadata(&candidate) else { continue };
        if found.is_file() && found.permissions().mode() & 0o111 != 0 {
            let candidate = candidate.into_os_string().into_encoded_bytes();
            return CString::new(candidate).map_err(|_| Failure::NotFound);
        }
        denied |= found.is_file();
    }
    Err(if denied { Failure::Exec(Errno::EACCES) } else { Failure::NotFound })
}
