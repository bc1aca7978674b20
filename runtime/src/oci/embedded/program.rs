//! The last step of a container's process: from libcontainer's hands to the program.
//!
//! libcontainer's own step looks for the program differently from Docker, loses the error number
//! and filters no system calls of programs that are run later. Here the number goes through a
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

/// A terminal that is not given to its user by then stays root's: the program runs without.
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

    /// What came through the pipe; nothing is no failure.
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
    /// What is left once the filter is in force.
    pub capabilities: LinuxCapabilities,
}

/// Who is the container's first process.
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
    /// Reports to this pipe.
    pub fn new(report: OwnedFd, first: First, filter: Option<Filter>) -> Program {
        Program { report: Rc::new(report), first, filter, entrances: Rc::default() }
    }

    /// Joins cgroups by these files of them.
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
            // An older kernel asks who writes, not who opened: then the other groups must do.
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

    /// Nothing: whether it can be executed shows when it is.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }
}

/// libcontainer leaves a terminal without a size. What is no terminal refuses one, and needs none.
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

/// The terminal was opened by root. It is given to the program's user from outside, by whoever had it
/// made; until then the program could not open `/dev/stdout`.
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

/// A program begins with no signal blocked or ignored, whatever its helper process waits for.
fn forget_signals() {
    for signal in 1..=64 {
        // SAFETY: one system call on a number.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let _ = SigSet::empty().thread_set_mask();
}

/// As the shell looks for it; unlike `execvp`, a file that is no program is not given to a shell.
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
