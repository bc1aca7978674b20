//! Why a container cannot be made of a template and an image: what, why, what to type.

use nix::errno::Errno;

/// What is wrong. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Neither of both names a program.
    #[error(
        "neither the image nor the service says what to run: \
         give the program after the image, or --entrypoint"
    )]
    NothingToRun,
    /// The image's files do not have the program.
    #[error(
        "the image has no program {program:?} in {path}: \
         change --entrypoint or the arguments, or take an image that has it"
    )]
    NoProgram {
        /// As it was asked for.
        program: String,
        /// Where it was looked for.
        path: String,
    },
    /// It is there and cannot be executed.
    #[error(
        "{program} in the image is not an executable file: chmod +x it when building the image"
    )]
    NotExecutable {
        /// Its path.
        program: String,
    },
    /// A user that the image does not know.
    #[error(
        "the image's /etc/passwd has no user {0:?}: \
         give one that it has with --user, or a number as in --user 1000:1000"
    )]
    NoUser(String),
    /// A group that the image does not know.
    #[error(
        "the image's /etc/group has no group {0:?}: \
         give one that it has with --user or --group, or a number"
    )]
    NoGroup(String),
    /// Not a path from the root.
    #[error("the working directory {0:?} is not absolute: use --workdir /…")]
    RelativeDirectory(String),
    /// The working directory is something else.
    #[error("cannot make the working directory {dir:?} in the container: {errno}")]
    Directory {
        /// Which.
        dir: String,
        /// Why.
        errno: Errno,
    },
    /// A program is to run in a folder that is not there.
    #[error(
        "there is no folder {dir:?} in the container ({errno}): change --workdir, or make it first"
    )]
    NoDirectory {
        /// Which.
        dir: String,
        /// Why.
        errno: Errno,
    },
    /// The kernel knows no such parameter, or it cannot have this value.
    #[error(
        "this node's kernel does not take {sysctl} ({errno}): \
         change --sysctl, or constrain the service to nodes that have it"
    )]
    Sysctl {
        /// Name and value.
        sysctl: String,
        /// Why.
        errno: Errno,
    },
    /// No capability has this name.
    #[error(
        "there is no capability {0:?}: the names are those of capabilities(7), \
         as in --cap-add NET_ADMIN, or ALL"
    )]
    UnknownCapability(String),
    /// It exists, and this node cannot give it.
    #[error(
        "this node's agent does not hold the capability {0} and cannot hand it on: \
         run the agent with it, or leave out --cap-add"
    )]
    CapabilityNotHeld(String),
    /// No limit has this name.
    #[error(
        "there is no limit {0:?}: core, cpu, data, fsize, locks, memlock, msgqueue, nice, \
         nofile, nproc, rss, rtprio, rttime, sigpending and stack can be set with --ulimit"
    )]
    UnknownUlimit(String),
    /// Soft above hard.
    #[error("the limit {name}: soft {soft} is above hard {hard}: use --ulimit {name}=SOFT:HARD")]
    UlimitOrder {
        /// Which.
        name: String,
        /// -1: unlimited.
        soft: i64,
        /// -1: unlimited.
        hard: i64,
    },
    /// Below unlimited.
    #[error("the limit {name} cannot be {value}: give a number, or -1 for unlimited")]
    UlimitValue {
        /// Which.
        name: String,
        /// What it was set to.
        value: i64,
    },
    /// Above what the agent has.
    #[error(
        "this node's agent may not raise open files above its own limit of {max}: \
         use --ulimit nofile={max}, or give the agent more (LimitNOFILE=)"
    )]
    UlimitTooHigh {
        /// The limit of the agent.
        max: u64,
    },
    /// Outside of what the kernel takes.
    #[error("--oom-score-adj {0} is not between -1000 and 1000")]
    OomScore(i32),
    /// It would change the node.
    #[error(
        "the kernel parameter {0:?} is not the container's own but the node's: \
         kernel.msg*, kernel.sem, kernel.shm*, fs.mqueue.* and, with a network of its own, net.* \
         can be set with --sysctl; set others on the node itself"
    )]
    SysctlOfNode(String),
    /// It would change the node's network.
    #[error(
        "the kernel parameter {0:?} belongs to the network, and this container uses the node's: \
         take --network none, or set it on the node itself"
    )]
    SysctlOfNetwork(String),
    /// Not a path from the root.
    #[error("the mount target {0:?} is not an absolute path: use target=/…")]
    RelativeTarget(String),
    /// Would hide everything.
    #[error("nothing can be mounted on / of a container: mount it on a folder, target=/…")]
    TargetIsRoot,
    /// Twice the same place.
    #[error("two mounts have the target {0:?}: leave one of them out")]
    DuplicateTarget(String),
    /// Not a path from the root.
    #[error("the bind mount's source {0:?} is not an absolute path: use source=/…")]
    RelativeSource(String),
    /// Not there.
    #[error(
        "the bind mount's source {path} cannot be had on this node: {errno}: \
         create it on every node that may run the task, or constrain the service to those that have it"
    )]
    NoSource {
        /// Which.
        path: String,
        /// Why.
        errno: Errno,
    },
    /// Not one of the six.
    #[error(
        "there is no propagation {0:?}: \
         private, rprivate, shared, rshared, slave and rslave are"
    )]
    UnknownPropagation(String),
    /// Nobody prepared it.
    #[error("the volume {0:?} is not on this node")]
    NoVolume(String),
    /// Bits outside of 7777.
    #[error("the mode {0:o} of a tmpfs is not one: use tmpfs-mode=1777")]
    TmpfsMode(u32),
    /// Not there.
    #[error(
        "the device {path} cannot be had on this node: {errno}: plug it in, or constrain the \
         service to the nodes that have it (--constraint node.labels.…)"
    )]
    NoDevice {
        /// Which.
        path: String,
        /// Why.
        errno: Errno,
    },
    /// Something else.
    #[error("{0} is neither a device nor a folder of devices: use --mount type=bind for files")]
    NotADevice(String),
    /// Other letters.
    #[error("the permissions {permissions:?} of the device {path} are not of r, w and m")]
    DevicePermissions {
        /// Of which.
        path: String,
        /// What was given.
        permissions: String,
    },
    /// A name server that is none.
    #[error("the name server {0:?} is not an address: use --dns 192.0.2.53")]
    NameServer(String),
    /// A line that is none.
    #[error("the host entry {0:?} is not an address and a name: use --host NAME:ADDRESS")]
    HostEntry(String),
    /// The kernel takes none like this.
    #[error(
        "the host name {0:?} is empty, longer than 63 bytes or has other characters than letters, digits, - and .: change --hostname"
    )]
    Hostname(String),
}

impl BundleError {
    /// Can it never work with this template on this node? What somebody can plug in, create or
    /// mount may come.
    pub fn is_permanent(&self) -> bool {
        !matches!(
            self,
            BundleError::NoSource { .. } | BundleError::NoDevice { .. } | BundleError::NoVolume(_)
        )
    }
}
