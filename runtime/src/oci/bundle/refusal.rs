//! Why a container cannot be made from a template and an image: what, why, what to type.

use nix::errno::Errno;

use super::seccomp::profile::BadProfile;

/// The error. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Neither the image nor the service names a program.
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
        /// The PATH that was searched.
        path: String,
    },
    /// The program is there but cannot be executed.
    #[error(
        "{program} in the image is not an executable file: chmod +x it when building the image"
    )]
    NotExecutable {
        /// Its path.
        program: String,
    },
    /// A user that is not in the image.
    #[error(
        "the image's /etc/passwd has no user {0:?}: \
         give one that it has with --user, or a number as in --user 1000:1000"
    )]
    NoUser(String),
    /// A group that is not in the image.
    #[error(
        "the image's /etc/group has no group {0:?}: \
         give one that it has with --user or --group, or a number"
    )]
    NoGroup(String),
    /// Not a path from the root.
    #[error("the working directory {0:?} is not absolute: use --workdir /…")]
    RelativeDirectory(String),
    /// The working directory cannot be made.
    #[error("cannot make the working directory {dir:?} in the container: {errno}")]
    Directory {
        /// Which.
        dir: String,
        /// Why.
        errno: Errno,
    },
    /// A program is to run in a folder that does not exist.
    #[error(
        "there is no folder {dir:?} in the container ({errno}): change --workdir, or make it first"
    )]
    NoDirectory {
        /// Which.
        dir: String,
        /// Why.
        errno: Errno,
    },
    /// The kernel has no such parameter, or does not accept this value.
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
    /// The capability exists, but this node cannot give it.
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
    /// A negative value other than -1.
    #[error("the limit {name} cannot be {value}: give a number, or -1 for unlimited")]
    UlimitValue {
        /// Which.
        name: String,
        /// What it was set to.
        value: i64,
    },
    /// Above the agent's own limit.
    #[error(
        "this node's agent may not raise open files above its own limit of {max}: \
         use --ulimit nofile={max}, or give the agent more (LimitNOFILE=)"
    )]
    UlimitTooHigh {
        /// The limit of the agent.
        max: u64,
    },
    /// A filter of system calls that cannot be had.
    #[error(
        "this node's kernel filters no system calls, and the container asks for a profile of its own: \
         place it on other nodes (--constraint), or take --security-opt seccomp=unconfined"
    )]
    NoSeccomp,
    /// A profile that makes no filter here.
    #[error("its seccomp profile cannot be used on this node: {0}")]
    SeccompProfile(BadProfile),
    /// A profile where there is no AppArmor.
    #[error(
        "this node's kernel has no AppArmor, and the container asks for its profile {0}: place it \
         on nodes that have it (--constraint), or take --security-opt apparmor=unconfined"
    )]
    NoAppArmor(String),
    /// A profile that is not there.
    #[error(
        "the AppArmor profile {0} is not loaded on this node: load it there (apparmor_parser -r \
         FILE), or name another one with --security-opt apparmor="
    )]
    AppArmorProfile(String),
    /// No namespace for users.
    #[error(
        "this node makes no user namespaces ({0}), and the container asks for ids of its own: allow \
         them there (sysctl user.max_user_namespaces), or take --userns host"
    )]
    NoUserNamespace(Errno),
    /// A file system, or a kernel, that maps no ids.
    #[error(
        "{path} cannot be shown with ids of the container's own on this node ({errno}): its file \
         system or the kernel is not able to; leave it out, move it to ext4, xfs or btrfs, or take \
         --userns host"
    )]
    NoMappedIds {
        /// Of what.
        path: String,
        /// Why.
        errno: Errno,
    },
    /// A root that cannot be made of layers with mapped ids.
    #[error(
        "overlayfs takes no layers with ids of the container's own on this node ({0}): Linux 5.19 \
         and a data directory on ext4, xfs or btrfs can; or take --userns host"
    )]
    NoMappedRoot(Errno),
    /// Devices for somebody who may not use them.
    #[error(
        "the devices of a node belong to its users, and the container's are others: take its \
         devices away (--device, --generic-resource), or take --userns host"
    )]
    DevicesOfOwnUsers,
    /// A file for nobody.
    #[error(
        "the container has the ids 0 to 65535, and {0} is to have the file of a config or secret: \
         give it another uid and gid, or take --userns host"
    )]
    FileOwner(u32),
    /// A program for nobody.
    #[error(
        "the container has the ids 0 to 65535, and its program is to be {0}: give it another user \
         (--user), or take --userns host"
    )]
    OwnUser(u32),
    /// Outside of the range that the kernel accepts.
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
    /// The same target twice.
    #[error("two mounts have the target {0:?}: leave one of them out")]
    DuplicateTarget(String),
    /// Not a path from the root.
    #[error("the bind mount's source {0:?} is not an absolute path: use source=/…")]
    RelativeSource(String),
    /// The source does not exist.
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
    /// Not one of the six propagations.
    #[error(
        "there is no propagation {0:?}: \
         private, rprivate, shared, rshared, slave and rslave are"
    )]
    UnknownPropagation(String),
    /// The volume is not prepared.
    #[error("the volume {0:?} is not on this node")]
    NoVolume(String),
    /// Bits outside of 7777.
    #[error("the mode {0:o} of a tmpfs is not one: use tmpfs-mode=1777")]
    TmpfsMode(u32),
    /// The device does not exist.
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
    /// The path is neither a device nor a folder.
    #[error("{0} is neither a device nor a folder of devices: use --mount type=bind for files")]
    NotADevice(String),
    /// Other letters than r, w and m.
    #[error("the permissions {permissions:?} of the device {path} are not of r, w and m")]
    DevicePermissions {
        /// Of which.
        path: String,
        /// What was given.
        permissions: String,
    },
    /// Not an address.
    #[error("the name server {0:?} is not an address: use --dns 192.0.2.53")]
    NameServer(String),
    /// Not an address and a name.
    #[error("the host entry {0:?} is not an address and a name: use --host NAME:ADDRESS")]
    HostEntry(String),
    /// A host name that the kernel does not accept.
    #[error(
        "the host name {0:?} is empty, longer than 63 bytes or has other characters than letters, digits, - and .: change --hostname"
    )]
    Hostname(String),
}

impl BundleError {
    /// Is it certain that this template can never run on this node? Devices, folders and mounts may
    /// still be added to the node.
    pub fn is_permanent(&self) -> bool {
        !matches!(
            self,
            BundleError::NoSource { .. } | BundleError::NoDevice { .. } | BundleError::NoVolume(_)
        )
    }
}
