//! A first process for containers that ask for one: it starts the program, passes every signal on,
//! reaps orphans, and ends with the program's code.
//!
//! It is a fork of this program in the process that libcontainer made, and executes nothing: a
//! device needs no file for it. It must never hold a file open, or a descriptor that the program
//! could need.

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{ForkResult, fork};

/// Which side of the fork this is.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    /// The side of the program.
    Program,
    /// The side of the container's first process.
    First(libc::pid_t),
}

/// Forks the process that becomes the program, in a session of its own.
pub fn fork_program() -> nix::Result<Side> {
    // Before the fork: a signal that comes in between stays pending.
    // SAFETY: the set is written before it is read.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
    // SAFETY: libcontainer's process has one thread.
    match unsafe { fork() }? {
        ForkResult::Child => {
            // SAFETY: plain system calls; the set is written before it is read.
            unsafe {
                let mut none = std::mem::zeroed();
                libc::sigemptyset(&raw mut none);
                libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
                own_session();
            }
            Ok(Side::Program)
        }
        ForkResult::Parent { child } => Ok(Side::First(child.as_raw())),
    }
}

/// The program leads its own group; a terminal, if it has one, is its own.
///
/// # Safety
/// Only between fork and exec.
unsafe fn own_session() {
    // SAFETY: plain system calls on integers.
    unsafe {
        libc::setpgid(0, 0);
        if libc::isatty(0) == 1 {
            // A background group that takes the terminal gets this signal.
            libc::signal(libc::SIGTTOU, libc::SIG_IGN);
            libc::tcsetpgrp(0, libc::getpgrp());
            libc::signal(libc::SIGTTOU, libc::SIG_DFL);
        }
    }
}

/// The rest of the first process' life.
pub fn reap_children(program: libc::pid_t) -> ! {
    // SAFETY: nothing in this process uses a descriptor any more.
    unsafe { libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) };
    loop {
        // SAFETY: the set and the place for the signal's number are valid.
        let signal = unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            let mut signal = 0;
            libc::sigwait(&raw const all, &raw mut signal);
            signal
        };
        match signal {
            libc::SIGCHLD => reap(program),
            // These signals concern the background group, not the program.
            libc::SIGTTIN | libc::SIGTTOU => {}
            other => {
                // SAFETY: the program is a child that was not waited for.
                unsafe { libc::kill(program, other) };
            }
        }
    }
}

/// Reaps every child that has ended; when the program has ended, this process ends too.
fn reap(program: libc::pid_t) {
    loop {
        let mut status = 0;
        // SAFETY: the status is valid for writing.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid == -1 && Errno::last() == Errno::EINTR {
            continue;
        }
        if pid <= 0 {
            return;
        }
        if pid == program {
            let code = if libc::WIFSIGNALED(status) {
                128 + libc::WTERMSIG(status)
            } else {
                libc::WEXITSTATUS(status)
            };
            // SAFETY: it runs nothing of this process.
            unsafe { libc::_exit(code) };
        }
    }
}
