//! The kernel's names for rights and limits of a container: capabilities, limits, and parameters of
//! a container's namespaces.
//!
//! One list for both: the command line suggests names from it, and the API refuses other names.

/// Every capability, without `CAP_`.
pub const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Every resource limit of a process.
pub const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Parameters of the IPC namespace, beside everything in `fs.mqueue.`.
const SYSCTLS_OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// A capability in Docker's form: `CAP_NET_ADMIN`, or `ALL`. `None` if it does not exist.
pub fn capability(text: &str) -> Option<String> {
    let upper = text.trim().to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    match name {
        "ALL" => Some(name.to_owned()),
        name => CAPABILITIES.contains(&name).then(|| format!("CAP_{name}")),
    }
}

/// The owner of a kernel parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SysctlOwner {
    /// The container's own, always.
    Container,
    /// The network's: the container's own unless it uses the node's.
    Network,
    /// The whole machine's.
    Machine,
}

/// The owner of this parameter.
pub fn sysctl_owner(name: &str) -> SysctlOwner {
    if name.starts_with("net.") {
        SysctlOwner::Network
    } else if name.starts_with("fs.mqueue.") || SYSCTLS_OF_IPC.contains(&name) {
        SysctlOwner::Container
    } else {
        SysctlOwner::Machine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_kept_as_docker_keeps_it() {
        for text in ["net_admin", "NET_ADMIN", "cap_net_admin", "CAP_NET_ADMIN"] {
            assert_eq!(capability(text).as_deref(), Some("CAP_NET_ADMIN"), "{text}");
        }
        assert_eq!(capability("all").as_deref(), Some("ALL"));
        assert_eq!(capability("NET_ADMEN"), None);
        assert!(CAPABILITIES.is_sorted() && ULIMITS.is_sorted());
    }

    #[test]
    fn only_parameters_of_namespaces_are_a_container_s() {
        assert_eq!(sysctl_owner("net.ipv4.ip_forward"), SysctlOwner::Network);
        assert_eq!(sysctl_owner("kernel.shmmax"), SysctlOwner::Container);
        assert_eq!(sysctl_owner("fs.mqueue.msg_max"), SysctlOwner::Container);
        assert_eq!(sysctl_owner("vm.swappiness"), SysctlOwner::Machine);
    }
}
