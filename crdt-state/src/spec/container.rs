//! What only a container has: the part of a template that a host process does not need.
//!
//! The default of everything here is what `docker run` gives. What the image itself says
//! (entrypoint, command, variables, user, directory, health check, stop signal, volumes) is not
//! repeated: it is read from the image on the node that runs the task, below what the template
//! says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Labels;

/// How a container differs from `docker run <image>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Container {
    /// What the image was built for, recorded when its digest was pinned; a node that fits none is
    /// never chosen. Empty: not known, so any node may be.
    pub platforms: Vec<Platform>,
    /// A first process that reaps and forwards signals.
    pub init: bool,
    /// The root file system is read-only.
    pub read_only: bool,
    /// A terminal instead of two pipes.
    pub tty: bool,
    /// Standard input stays open.
    pub open_stdin: bool,
    /// Supplementary groups, by name or number.
    pub groups: Vec<String>,
    /// Lines for `/etc/hosts`: address, then names.
    pub hosts: Vec<String>,
    /// What goes into `/etc/resolv.conf`; empty lists take the node's.
    pub dns: Dns,
    /// Added to the default set; `ALL`, or names with or without `CAP_`.
    pub cap_add: Vec<String>,
    /// Taken from the default set; likewise.
    pub cap_drop: Vec<String>,
    /// Resource limits of each process.
    pub ulimits: Vec<Ulimit>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// What is mounted into it.
    pub mounts: Vec<Mount>,
    /// Devices of the node that it may use.
    pub devices: Vec<Device>,
    /// Every capability and device, and no filter.
    pub privileged: bool,
    /// No program in it can gain privileges by being executed.
    pub no_new_privileges: bool,
    /// No filter of system calls.
    pub seccomp_unconfined: bool,
    /// Added to the kernel's score of whom to kill for memory, -1000 to 1000.
    pub oom_score_adj: i32,
    /// Which network it sees.
    pub network: NetworkMode,
}

/// What an image is built for, in the words of OCI: `linux`, `arm`, `v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// Go's name: `amd64`, `arm64`, `arm`.
    pub arch: String,
    /// `v7`; empty if there is none.
    pub variant: String,
}

/// The network that a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum NetworkMode {
    /// The node's own.
    #[default]
    Host,
    /// A loopback of its own and nothing else.
    None,
}

/// How names are resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Dns {
    /// Addresses of name servers.
    pub nameservers: Vec<String>,
    /// Domains that are searched.
    pub search: Vec<String>,
    /// Options of the resolver: `ndots:2`.
    pub options: Vec<String>,
}

/// A limit per process, as `setrlimit` knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`.
    pub name: String,
    /// -1: unlimited.
    pub soft: i64,
    /// -1: unlimited.
    pub hard: i64,
}

/// A device of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its path on the node: `/dev/ttyUSB0`.
    pub host: String,
    /// Its path in the container.
    pub container: String,
    /// Of `r`, `w` and `m` (make the node).
    pub permissions: String,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What.
    pub source: MountSource,
    /// Where in the container, absolute.
    pub target: String,
    /// Not writable.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A path of the node.
    Bind {
        /// Absolute.
        path: String,
        /// `rprivate` unless given: `private`, `shared`, `slave`, `rshared`, `rslave`.
        propagation: String,
        /// Without what is mounted below it.
        non_recursive: bool,
        /// Made as a folder if it is not there.
        create: bool,
    },
    /// A named volume of the node: the task is bound to the node that holds it.
    Volume {
        /// Its name; empty: one of the task's own, gone with it.
        name: String,
        /// What the image has at the target is not copied into an empty volume.
        no_copy: bool,
        /// For a volume that is made.
        labels: Labels,
    },
    /// Memory.
    Tmpfs {
        /// 0: half of the node's memory.
        size_bytes: u64,
        /// Permission bits; 0: `1777`.
        mode: u32,
    },
}
