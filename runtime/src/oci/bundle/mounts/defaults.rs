//! The file systems that every container of Docker has.

use std::path::Path;

use crdt_state::spec::Container;
use oci_spec::runtime::Mount;

use super::mount;

/// `/dev/shm` of Docker: 64 MiB.
const SHM_SIZE: &str = "size=67108864";

/// The default mounts in the order in which they are made. Only a privileged container may write to
/// `/sys` and to its cgroup.
pub fn defaults(container: &Container) -> Vec<Mount> {
    let writable = if container.privileged { "rw" } else { "ro" };
    let quiet = ["nosuid", "noexec", "nodev"];
    let all: [(&str, &str, &str, &[&str]); 7] = [
        ("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]),
        ("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        (
            "devpts",
            "devpts",
            "/dev/pts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        ("sysfs", "sysfs", "/sys", &[quiet[0], quiet[1], quiet[2], writable]),
        ("cgroup", "cgroup", "/sys/fs/cgroup", &[quiet[0], quiet[1], quiet[2], writable]),
        ("mqueue", "mqueue", "/dev/mqueue", &quiet),
        ("tmpfs", "shm", "/dev/shm", &[quiet[0], quiet[1], quiet[2], "mode=1777", SHM_SIZE]),
    ];
    all.into_iter()
        .map(|(kind, source, target, options)| mount(kind, Path::new(source), target, options))
        .collect()
}
