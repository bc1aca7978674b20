//! The files of a running task, as the task sees them.

use std::fs::File;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::CopyError;
use super::folder_entry::root_of;
use crate::exec::target::Target;
use crate::proc_table::Process;
use crate::tree::Root;

/// Opens the root of a task. In a container with ids of its own this process becomes its root, for
/// good: files that were written in the name of the node's root would be nobody's there.
pub(super) fn enter(target: &Target) -> Result<Root, CopyError> {
    let program = target.program();
    let root = root_of(program)?;
    let users = target.order.container.as_ref().and_then(|container| container.users);
    if users.is_some() {
        become_its_root(program).map_err(|errno| CopyError::of("/", errno))?;
    }
    Ok(root)
}

fn become_its_root(program: Process) -> nix::Result<()> {
    let raw = |error: std::io::Error| error.raw_os_error().map_or(Errno::ESRCH, Errno::from_raw);
    let users = File::open(format!("/proc/{}/ns/user", program.pid)).map_err(raw)?;
    if !program.is_alive() {
        return Err(Errno::ESRCH);
    }
    setns(users, CloneFlags::CLONE_NEWUSER)?;
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    // Another user's process: else its own descriptors in `/proc` would be closed to it.
    prctl::set_dumpable(true)
}
