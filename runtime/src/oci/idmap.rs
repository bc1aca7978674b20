//! Mounts that show a tree of files with other user and group ids than it has on the disk.
//!
//! ```text
//! fork ─▶ child: a user namespace ─▶ parent: writes its maps, opens it ─▶ child ends
//! open_tree (a copy of a mount, nowhere yet) ─▶ mount_setattr (with that namespace) ─▶ move_mount
//! ```
//! For a process with one thread. A tree is either mapped as a whole or not attached at all.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe2, read};
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use crate::user_range::{IDS, UserRange};

/// How much of what is mounted below a folder belongs to a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only its own file system.
    One,
    /// All of it.
    Whole,
}

/// A user namespace whose ids 0 to 65535 are those of the range. No process is in it.
pub fn namespace(range: UserRange) -> nix::Result<OwnedFd> {
    let (ready, is_ready) = pipe2(OFlag::O_CLOEXEC)?;
    let (wait, waits) = pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: this process has one thread, and the child only makes system calls and ends.
    let child = match unsafe { fork() }? {
        ForkResult::Child => {
            drop((ready, waits));
            let errno = unshare(CloneFlags::CLONE_NEWUSER).err().map_or(0, |errno| errno as i32);
            let _ = nix::unistd::write(&is_ready, &errno.to_ne_bytes());
            // Until the parent has it open, or is gone.
            let _ = read(&wait, &mut [0; 1]);
            // SAFETY: ends this process without running what belongs to its parent.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => child,
    };
    drop((is_ready, wait));
    let opened = opened(child, &ready, range);
    drop(waits);
    let _ = waitpid(child, None);
    opened
}

fn opened(child: Pid, ready: &OwnedFd, range: UserRange) -> nix::Result<OwnedFd> {
    let mut errno = [0; 4];
    if read(ready, &mut errno)? != errno.len() {
        return Err(Errno::ECHILD);
    }
    match i32::from_ne_bytes(errno) {
        0 => {}
        errno => return Err(Errno::from_raw(errno)),
    }
    let map = format!("0 {} {IDS}\n", range.first);
    let write = |name: &str| {
        let file = File::options().write(true).open(format!("/proc/{child}/{name}"));
        file.and_then(|mut file| file.write_all(map.as_bytes()))
    };
    let opened = write("uid_map")
        .and_then(|()| write("gid_map"))
        .and_then(|()| File::open(format!("/proc/{child}/ns/user")));
    opened.map(OwnedFd::from).map_err(|error| raw(&error))
}

/// A copy of what is mounted at a path, attached nowhere.
pub fn tree(path: &Path, depth: Depth) -> nix::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if depth == Depth::Whole {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(CWD, path, flags).map_err(|errno| Errno::from_raw(errno.raw_os_error()))
}

/// Shows a tree that is attached nowhere with the ids of a user namespace.
pub fn map(tree: &OwnedFd, depth: Depth, namespace: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: it is a plain structure of numbers.
    let mut attributes: libc::mount_attr = unsafe { std::mem::zeroed() };
    attributes.attr_set = libc::MOUNT_ATTR_IDMAP;
    attributes.userns_fd = u64::try_from(namespace.as_raw_fd()).expect("an open one");
    let below = if depth == Depth::Whole { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: path and structure are valid, the structure of the size given, the descriptors open.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | below,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(done).map(drop)
}

/// Attaches a tree at a place that is made for it: a folder or a file.
pub fn attach(tree: &OwnedFd, place: &Path) -> nix::Result<()> {
    let found = nix::sys::stat::fstat(tree)?;
    let made = match found.st_mode & libc::S_IFMT {
        libc::S_IFDIR => fs::create_dir(place),
        _ => File::create(place).map(drop),
    };
    made.map_err(|error| raw(&error))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    let moved = move_mount(tree, "", CWD, place, flags);
    moved.map_err(|errno| Errno::from_raw(errno.raw_os_error()))
}

fn raw(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
