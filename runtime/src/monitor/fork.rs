//! A fork whose child starts in a cgroup, where the kernel can do that.
//!
//! Moving a process into a cgroup waits for a grace period of the kernel: 11 ms measured, one move
//! at a time on the whole machine. A child that starts there (Linux 5.7, version 2) costs nothing.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{ForkResult, Pid, fork};

/// `CLONE_INTO_CGROUP`, for which libc declares a type that is too narrow.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The kernel's `struct clone_args`, as of version 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Which side of the fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// The child, in the cgroup that was asked for.
    ChildInCgroup,
    /// The child, where its parent is.
    Child,
    /// The parent.
    Parent(Pid),
}

/// Forks, into this cgroup if there is one and the kernel is able to.
///
/// # Safety
/// Only for a process with one thread, so that its child sees memory in a consistent state.
pub unsafe fn fork_into(cgroup: Option<BorrowedFd<'_>>) -> nix::Result<Forked> {
    if let Some(cgroup) = cgroup {
        // SAFETY: as promised by the caller.
        match unsafe { clone_into(cgroup) } {
            Ok(0) => return Ok(Forked::ChildInCgroup),
            Ok(pid) => return Ok(Forked::Parent(Pid::from_raw(pid))),
            // An older kernel, a sandbox, a group that accepts no process: the child tries to join
            // by itself.
            Err(_) => {}
        }
    }
    // SAFETY: as promised by the caller.
    Ok(match unsafe { fork() }? {
        ForkResult::Child => Forked::Child,
        ForkResult::Parent { child } => Forked::Parent(child),
    })
}

/// # Safety
/// As [`fork_into`].
unsafe fn clone_into(cgroup: BorrowedFd<'_>) -> nix::Result<libc::pid_t> {
    let arguments = CloneArgs {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: cgroup.as_raw_fd() as u64,
        ..CloneArgs::default()
    };
    let size = size_of::<CloneArgs>();
    // SAFETY: the structure is valid and of the size given; without CLONE_VM the child gets its
    // own copy of all memory, the stack included, as after a fork.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size) };
    Errno::result(pid).map(|pid| pid as libc::pid_t)
}
