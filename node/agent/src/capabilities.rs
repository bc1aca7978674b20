//! What root may do and an agent never does is taken from it: a fault in it loads no kernel module, restarts
//! no machine, sets no clock and reads no memory of the kernel. Programs that it starts (runtimes, monitors
//! and their tasks, nft) get from the kernel what root has.

use caps::{CapSet, Capability, CapsHashSet};

/// What an agent does itself.
const NEEDED: [Capability; 19] = [
    // Files of others: layers, volumes, secrets in tasks.
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_MKNOD,
    Capability::CAP_SETFCAP,
    // Mounts, namespaces, and the processes in them.
    Capability::CAP_KILL,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_SETUID,
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_SYS_NICE,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_SYS_RESOURCE,
    // Networks.
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
];

/// Drops the others, for this thread and those that it starts from now on.
///
/// # Errors
/// The kernel's. What was held before is still held then.
pub fn drop_unneeded() -> Result<(), caps::errors::CapsError> {
    let held = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = held.into_iter().filter(|held| NEEDED.contains(held)).collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)
}
