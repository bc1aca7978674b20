//! The part of a template that only a container has.
//!
//! The default of everything here is what `docker run` does. The image's own settings (entrypoint,
//! command, variables, user, directory, health check, stop signal, volumes) are not repeated here.
//! The node that runs the task reads them from the image, and the template overrides them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Labels;

/// How a container differs from `docker run <image>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Container {
    /// The platforms of the image, recorded when its digest was pinned; a node with none of them is
    /// never chosen. Empty: not known, so every node may be chosen.
    pub platforms: Vec<Platform>,
    /// Run an init process that forwards signals and reaps children.
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
    /// Content of `/etc/resolv.conf`; empty lists use the node's values.
    pub dns: Dns,
    /// Added to the default set of capabilities; `ALL`, or names with or without `CAP_`.
    pub cap_add: Vec<String>,
    /// Removed from the default set; same form.
    pub cap_drop: Vec<String>,
    /// Resource limits of each process.
    pub ulimits: Vec<Ulimit>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// What is mounted into the container.
    pub mounts: Vec<Mount>,
    /// Devices of the node that it may use.
    pub devices: Vec<Device>,
    /// All capabilities and devices, and no system call filter.
    pub privileged: bool,
    /// No program in it can gain privileges by being executed.
    pub no_new_privileges: bool,
    /// No filter of system calls.
    pub seccomp_unconfined: bool,
    /// Added to the kernel's OOM score, -1000 to 1000.
    pub oom_score_adj: i32,
    /// The network that the container uses.
    pub network: NetworkMode,
}

/// A platform that an image is built for, in OCI's terms: `linux`, `arm`, `v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// Go's name: `amd64`, `arm64`, `arm`.
    pub arch: String,
    /// `v7`; empty if there is none.
    pub variant: String,
}

/// The network that a container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum NetworkMode {
    /// The node's own network.
    #[default]
    Host,
    /// Only a loopback interface of its own.
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

/// A limit per process, as in `setrlimit`.
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
    /// Any of `r`, `w` and `m` (make the device node).
    pub permissions: String,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Path in the container, absolute.
    pub target: String,
    /// Not writable.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A path of the node.
    Bind {
        /// Path on the node, absolute.
        path: String,
        /// `rprivate` unless given: `private`, `shared`, `slave`, `rshared`, `rslave`.
        propagation: String,
        /// Without the mounts below it.
        non_recursive: bool,
        /// Created as a folder if it does not exist.
        create: bool,
    },
    /// A named volume of the node: the task is bound to the node that holds it.
    Volume {
        /// Its name; empty: an anonymous volume, deleted together with the task.
        name: String,
        /// The image's files at the target are not copied into an empty volume.
        no_copy: bool,
        /// Labels of a volume that is created for this mount.
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
