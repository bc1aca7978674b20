//! Why a run could not be started: what, why, what to type, and whether trying again can help.

use std::io;

use nix::errno::Errno;

use crate::image::ImageError;
use crate::oci::bundle::BundleError;
use crate::signal::UnknownSignal;
use crate::user::UnknownIdentity;
use crate::volume::VolumeError;

/// A failed start. Nothing of the run is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The template asks for an OCI container.
    #[error(
        "this node runs host processes only, not the image {image:?}: \
         create the service with --runtime process and a command"
    )]
    NoContainers {
        /// The image that it names.
        image: String,
    },
    /// A command that comes before the program.
    #[error("the pre-start command `{command}` {how}: `edgectl service logs` has its output")]
    PreStart {
        /// The command.
        command: String,
        /// How it ended.
        how: String,
    },
    /// Too many containers with ids of their own.
    #[error(
        "this node has no user ids left for a container of its own: stop one that has --userns \
         auto, or create the service with --userns host"
    )]
    NoUserRange,
    /// Only the embedded runtime.
    #[error(
        "the embedded OCI runtime makes no containers with ids of their own: install crun or runc on \
         this node, or create the service with --userns host"
    )]
    NoRuntimeOfUsers,
    /// Neither command nor arguments.
    #[error("the service has no command: give the program to run after the options")]
    NoCommand,
    /// A NUL byte where the kernel accepts none.
    #[error("the {what} holds a NUL byte: remove it")]
    NulByte {
        /// Where.
        what: &'static str,
    },
    /// A malformed variable.
    #[error("the environment entry {0:?} is not NAME=value: use --env NAME=value")]
    BadVariable(String),
    /// The stop signal.
    #[error("the stop signal: {0}")]
    Signal(#[from] UnknownSignal),
    /// A log option.
    #[error("the log option {name}={value}: {hint}")]
    LogOption {
        /// Which.
        name: String,
        /// What it was set to.
        value: String,
        /// What it can be.
        hint: &'static str,
    },
    /// The health command.
    #[error("the health command {0:?}: it must be CMD program…, CMD-SHELL line, or NONE")]
    HealthTest(Vec<String>),
    /// The user.
    #[error("{0}")]
    User(#[from] UnknownIdentity),
    /// The container.
    #[error("{0}")]
    Bundle(#[from] BundleError),
    /// Only root may make namespaces and mounts.
    #[error(
        "the agent (uid {uid}) may not run the container {image:?}: run the agent as root, \
         or create the service with --runtime process and a command"
    )]
    NotRoot {
        /// The agent's user.
        uid: u32,
        /// What was to be run.
        image: String,
    },
    /// The run is a program of the host.
    #[error("the task is not a container, or has ended")]
    NoContainer,
    /// A layer of the image is not on the disk.
    #[error(
        "the image's layer {path} cannot be read: {errno}: remove the image and bring it again"
    )]
    Layer {
        /// Its folder.
        path: String,
        /// Why.
        errno: Errno,
    },
    /// The OCI runtime could not be run.
    #[error(
        "cannot run the OCI runtime {path}: {source}: install it on this node, \
         or set oci_runtime = \"embedded\" in its configuration"
    )]
    NoRuntime {
        /// As it was configured.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// There is no init program for the container.
    #[error(
        "--init with the OCI runtime {runtime} needs docker-init, tini-static or catatonit on \
         this node: apt-get install catatonit, or set oci_runtime = \"embedded\""
    )]
    NoInit {
        /// As it was configured.
        runtime: String,
    },
    /// Root in the container could open the node's disks.
    #[error(
        "this node cannot keep a container from its devices: {0}: it needs a kernel with \
         CONFIG_CGROUP_BPF, or cgroups of version 1; or trust the service with --privileged"
    )]
    NoDeviceFilter(Errno),
    /// The OCI runtime did not make the container, or did not run the program.
    #[error("the OCI runtime {runtime} refused: {reason}")]
    Runtime {
        /// Which.
        runtime: String,
        /// Its own message.
        reason: String,
    },
    /// The OCI runtime neither started the container nor refused it.
    #[error(
        "the OCI runtime {runtime} does not come to an end: see on this node what it waits for, or \
         set another oci_runtime in its configuration"
    )]
    Slow {
        /// Which.
        runtime: String,
    },
    /// As the process that tried has reported it.
    #[error("{reason}")]
    Told {
        /// Can it never start with this template on this node?
        permanent: bool,
        /// What, why, what to do.
        reason: String,
    },
    /// One of its volumes.
    #[error("{0}")]
    Volume(#[from] VolumeError),
    /// Its image.
    #[error("{0}")]
    Image(#[from] ImageError),
    /// The agent may not become another user.
    #[error(
        "the agent (uid {uid}) may not run a task as {user:?}: \
         run the agent as root, or leave --user out"
    )]
    MayNotSwitchUser {
        /// The agent's user.
        uid: u32,
        /// The user that was asked for.
        user: String,
    },
    /// The program is in none of the folders of the task's PATH.
    #[error("no program {program:?} in {path}: install it on this node or give its full path")]
    NotInPath {
        /// The name.
        program: String,
        /// The PATH that was searched.
        path: String,
    },
    /// The kernel would not run the program.
    #[error("cannot run {program}: {}", explain_exec(*.errno))]
    Exec {
        /// Its path.
        program: String,
        /// Why.
        errno: Errno,
    },
    /// The working directory.
    #[error(
        "cannot enter the directory {dir:?}: {errno}: create it on this node, or change --workdir"
    )]
    Directory {
        /// Which.
        dir: String,
        /// Why.
        errno: Errno,
    },
    /// No process could be made.
    #[error(
        "no process could be made: {0}: the limit of processes (ulimit -u, \
         /proc/sys/kernel/threads-max) or of memory is reached; stop something or raise it"
    )]
    Fork(Errno),
    /// The task's cgroup is at its limit of processes.
    #[error(
        "the task has as many processes as it may: wait until some of them end, or raise --limit-pids"
    )]
    NoMoreProcesses,
    /// A step of the preparation failed.
    #[error("cannot {step}: {errno}")]
    Step {
        /// Which.
        step: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The folder of the run.
    #[error("cannot write the run's folder {path}: {source}{}", explain_disk(.source))]
    RunDir {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The agent's own program could not be started as the monitor.
    #[error("cannot start the monitor {path}: {source}")]
    Monitor {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The run was stopped before its program started.
    #[error("stopped while its image was being brought here")]
    Unwanted,
    /// The time for which the run may live had passed before its program started.
    #[error("the time for which it may run had passed before its program started")]
    Late,
    /// The agent, or the monitor, died before the program ran.
    #[error("the start was interrupted before the program ran")]
    Interrupted,
}

impl StartError {
    /// Can it never start with this template on this node? Otherwise it may later.
    pub fn is_permanent(&self) -> bool {
        match self {
            StartError::NoContainers { .. }
            | StartError::NoCommand
            | StartError::NulByte { .. }
            | StartError::BadVariable(_)
            | StartError::Signal(_)
            | StartError::LogOption { .. }
            | StartError::HealthTest(_)
            | StartError::User(_)
            | StartError::MayNotSwitchUser { .. }
            | StartError::NotInPath { .. } => true,
            StartError::Bundle(error) => error.is_permanent(),
            StartError::Told { permanent, .. } => *permanent,
            StartError::Volume(error) => error.is_permanent(),
            StartError::Exec { errno, .. } | StartError::Directory { errno, .. } => matches!(
                errno,
                Errno::ENOENT
                    | Errno::EACCES
                    | Errno::EPERM
                    | Errno::ENOEXEC
                    | Errno::ENOTDIR
                    | Errno::EISDIR
                    | Errno::ELOOP
                    | Errno::ENAMETOOLONG
                    | Errno::EINVAL
                    | Errno::E2BIG
                    | Errno::ELIBBAD
            ),
            StartError::PreStart { .. }
            | StartError::NoUserRange
            | StartError::NoRuntimeOfUsers
            | StartError::NotRoot { .. }
            | StartError::NoMoreProcesses
            | StartError::NoContainer
            | StartError::Image(_)
            | StartError::Layer { .. }
            | StartError::NoRuntime { .. }
            | StartError::NoInit { .. }
            | StartError::NoDeviceFilter(_)
            | StartError::Runtime { .. }
            | StartError::Slow { .. }
            | StartError::Fork(_)
            | StartError::Step { .. }
            | StartError::RunDir { .. }
            | StartError::Monitor { .. }
            | StartError::Unwanted
            | StartError::Late
            | StartError::Interrupted => false,
        }
    }
}

fn explain_exec(errno: Errno) -> String {
    let hint = match errno {
        Errno::ENOENT => "there is no such file, or the interpreter it names is missing",
        Errno::EACCES => {
            "it is not executable for the task's user, or its disk is mounted noexec; chmod +x it"
        }
        Errno::ENOEXEC => {
            "it is neither a program of this machine nor a script that begins with #!"
        }
        Errno::ETXTBSY => "somebody is writing to it",
        Errno::E2BIG => "arguments and environment are too long",
        Errno::ENOTDIR => "a part of its path is not a folder",
        Errno::EAGAIN => "the user's limit of processes is reached",
        Errno::ENOMEM => "there is no memory",
        other => return other.to_string(),
    };
    format!("{hint} ({errno})")
}

fn explain_disk(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": free some space on it",
        io::ErrorKind::ReadOnlyFilesystem => ": the disk is read-only, look at dmesg",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_template_got_wrong_is_permanent_and_what_the_machine_lacks_is_not() {
        let exec = |errno| StartError::Exec { program: "/bin/x".to_owned(), errno };
        assert!(exec(Errno::ENOENT).is_permanent());
        assert!(exec(Errno::EACCES).is_permanent());
        assert!(!exec(Errno::EAGAIN).is_permanent());
        assert!(!exec(Errno::ETXTBSY).is_permanent());
        assert!(!StartError::Fork(Errno::EAGAIN).is_permanent());
        assert!(StartError::NoContainers { image: "nginx".to_owned() }.is_permanent());
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        let source = io::Error::from(Errno::ENOSPC);
        let error = StartError::RunDir { path: "/var/lib/edgectl/runs/a".to_owned(), source };
        assert!(!error.is_permanent());
        assert!(error.to_string().ends_with("free some space on it"), "{error}");
    }
}
