//! From a prepared program to a process: the fork, and every system call of the child.
//!
//! The monitor has one thread, so its child may do anything. It still only makes system calls on
//! prepared values, and reports through a pipe which of them failed. The pipe closes by itself when
//! the program runs.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{self, c_char, c_int};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};

use super::fork::{Forked, fork_into};
use super::program::{Program, Setting};
use crate::refusal::StartError;

/// What a child does before it executes its program, in this order.
#[derive(Debug, Clone, Copy)]
enum Step {
    Session = 1,
    Cgroup,
    Stdio,
    Groups,
    Group,
    User,
    Directory,
    Exec,
}

const STEPS: [Step; 8] = [
    Step::Session,
    Step::Cgroup,
    Step::Stdio,
    Step::Groups,
    Step::Group,
    Step::User,
    Step::Directory,
    Step::Exec,
];

/// Starts a program in a session of its own, with these as stdin, stdout and stderr. Returns once
/// the program runs, or after a failure when nothing of it is left.
pub fn spawn(
    setting: &Setting,
    program: &Program,
    stdio: [BorrowedFd<'_>; 3],
) -> Result<Pid, StartError> {
    let (report, reporter) =
        pipe2(OFlag::O_CLOEXEC).map_err(|errno| StartError::Step { step: "make a pipe", errno })?;
    let argv = pointers(&program.argv);
    let env = pointers(&setting.env);
    let home = setting.home.as_ref().map(|home| home.dir.as_fd());
    // SAFETY: a monitor has one thread.
    match unsafe { fork_into(home) }.map_err(StartError::Fork)? {
        born @ (Forked::Child | Forked::ChildInCgroup) => {
            let stdio = stdio.map(|fd| fd.as_raw_fd());
            // SAFETY: this is the child, and its lists end in a null pointer.
            let (step, errno) = unsafe {
                prepare_child(setting, born, stdio).err().unwrap_or_else(|| {
                    libc::execve(program.path.as_ptr(), argv.as_ptr(), env.as_ptr());
                    (Step::Exec, Errno::last())
                })
            };
            let message = [step as u8, errno as i32 as u8];
            // SAFETY: the buffer is valid for its length; _exit runs nothing of this process.
            unsafe {
                libc::write(reporter.as_raw_fd(), message.as_ptr().cast(), message.len());
                libc::_exit(127)
            }
        }
        Forked::Parent(child) => {
            drop(reporter);
            let mut message = [0; 2];
            match into_file(report).read_exact(&mut message) {
                // The pipe closed without a message: the program runs.
                Err(_) => Ok(child),
                Ok(()) => {
                    let _ = waitpid(child, None);
                    Err(explain(setting, program, message))
                }
            }
        }
    }
}

fn into_file(fd: OwnedFd) -> File {
    // SAFETY: the descriptor is owned and handed over.
    unsafe { File::from_raw_fd(fd.into_raw_fd()) }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
}

fn explain(setting: &Setting, program: &Program, [step, errno]: [u8; 2]) -> StartError {
    let errno = Errno::from_raw(i32::from(errno));
    let text = |text: &CStr| text.to_string_lossy().into_owned();
    let step = STEPS.into_iter().find(|known| *known as u8 == step);
    match step.expect("the child is this program") {
        Step::Session => StartError::Step { step: "begin a session", errno },
        Step::Cgroup => StartError::Step { step: "join the run's cgroup", errno },
        Step::Stdio => StartError::Step { step: "connect the output", errno },
        Step::Groups => StartError::Step { step: "take on the user's groups", errno },
        Step::Group => StartError::Step { step: "take on the user's group", errno },
        // The kernel checks a user's number of processes when a process becomes that user.
        Step::User if errno == Errno::EAGAIN => StartError::Fork(errno),
        Step::User => StartError::Step { step: "become the user", errno },
        Step::Directory => StartError::Directory { dir: text(&setting.dir), errno },
        Step::Exec => StartError::Exec { program: text(&program.path), errno },
    }
}

fn check(step: Step, result: c_int) -> Result<(), (Step, Errno)> {
    if result == -1 { Err((step, Errno::last())) } else { Ok(()) }
}

/// All that comes between the fork and the exec.
///
/// # Safety
/// Only in the child of a process with one thread.
unsafe fn prepare_child(
    setting: &Setting,
    born: Forked,
    stdio: [c_int; 3],
) -> Result<(), (Step, Errno)> {
    let home = setting.home.as_ref().filter(|_| born == Forked::Child);
    let home = home.map(|home| &home.entrance);
    // SAFETY: plain system calls on integers and on C strings that live as long as `setting`.
    unsafe {
        check(Step::Session, libc::setsid())?;
        for entrance in home.into_iter().chain(&setting.entrances) {
            write_file(Step::Cgroup, entrance, b"0")?;
        }
        // The agent may be protected; its tasks are not. Without privileges this is not permitted,
        // and then the agent was not protected either.
        let _ = write_file(Step::Session, c"/proc/self/oom_score_adj", b"0");
        for (wanted, fd) in (0..).zip(stdio) {
            check(Step::Stdio, libc::dup2(fd, wanted))?;
        }
        // A terminal becomes the session's own; for anything else the call fails, which is
        // harmless.
        libc::ioctl(0, libc::TIOCSCTTY, 0);
        if let Some(identity) = &setting.identity {
            let groups = identity.groups.as_ptr();
            check(Step::Groups, libc::setgroups(identity.groups.len(), groups))?;
            check(Step::Group, libc::setresgid(identity.gid, identity.gid, identity.gid))?;
            check(Step::User, libc::setresuid(identity.uid, identity.uid, identity.uid))?;
        }
        check(Step::Directory, libc::chdir(setting.dir.as_ptr()))?;
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
    Ok(())
}

/// Writes a kernel file.
///
/// # Safety
/// Only for a process with one thread: it may be called between fork and exec.
unsafe fn write_file(step: Step, path: &CStr, bytes: &[u8]) -> Result<(), (Step, Errno)> {
    // SAFETY: the path ends in NUL, the buffer is valid for its length, the fd was just opened.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check(step, fd)?;
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        let result = check(step, if written < 0 { -1 } else { 0 });
        libc::close(fd);
        result
    }
}
