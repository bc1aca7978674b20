//! Containers: from unpacked layers and a template to a running container, through one of three
//! OCI runtimes.
//!
//! ```text
//! monitor ──forks──▶ launcher: private mounts ─▶ overlay ─▶ config.json ─▶ backend: create, start
//!    │                 └─ends; all it needed goes with it                    │
//!    └──────────────── waits for, as its subreaper ──────────────▶ container's first process
//! ```
//! Everything here runs in a monitor or in a helper process of our own binary, with one thread.
//! It must never run in the agent: it forks, changes namespaces and mounts.

pub mod backend;
pub mod bundle;
mod command;
pub mod console;
mod devices;
pub(crate) mod embedded;
pub mod exec;
mod explain;
mod idmap;
mod init;
pub mod launcher;
pub(crate) mod own_users;
pub mod rootfs;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crdt_state::ConfigId;
use crdt_state::spec::HealthCheck;
use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};

use backend::Backend;
use command::Command;
use embedded::Embedded;

use crate::fleet_files::FileData;
use crate::user_range::UserRange;

/// The program that makes containers from bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum OciRuntime {
    /// The one that is part of this program: a device needs nothing else.
    #[default]
    Embedded,
    /// `runc`, or one that takes its arguments, by its path.
    Runc(PathBuf),
    /// `crun`, by its path.
    Crun(PathBuf),
}

/// A text that names no runtime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no OCI runtime is called {0:?}: write embedded, runc, crun, or the full path of a program \
     that takes runc's arguments"
)]
pub struct UnknownRuntime(pub String);

impl FromStr for OciRuntime {
    type Err = UnknownRuntime;

    fn from_str(text: &str) -> Result<OciRuntime, UnknownRuntime> {
        match text {
            "embedded" => Ok(OciRuntime::Embedded),
            "runc" => Ok(OciRuntime::Runc(PathBuf::from("runc"))),
            "crun" => Ok(OciRuntime::Crun(PathBuf::from("crun"))),
            path if path.starts_with('/') && path.ends_with("/crun") => {
                Ok(OciRuntime::Crun(PathBuf::from(path)))
            }
            path if path.starts_with('/') => Ok(OciRuntime::Runc(PathBuf::from(path))),
            other => Err(UnknownRuntime(other.to_owned())),
        }
    }
}

impl fmt::Display for OciRuntime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OciRuntime::Embedded => formatter.write_str("embedded"),
            OciRuntime::Runc(path) | OciRuntime::Crun(path) => path.display().fmt(formatter),
        }
    }
}

/// What a container is made of: the part of an order that a program of the host does not need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerOrder {
    /// The folders of the image's unpacked layers, lowest first. Never written to.
    pub layers: Vec<PathBuf>,
    /// The image's configuration.
    pub config: ImageConfiguration,
    /// The image's health check, used unless the template has one.
    #[serde(default)]
    pub health: Option<HealthCheck>,
    /// Where its volumes are: by name; a volume without a name by its path in the container.
    pub volumes: BTreeMap<String, PathBuf>,
    /// The OCI runtime that makes the container.
    pub runtime: OciRuntime,
    /// The container's own host name, placeholders expanded.
    pub hostname: String,
    /// The network namespace that it joins, if it has networks of the fleet.
    #[serde(default)]
    pub network: Option<PathBuf>,
    /// Those of its configs that were filled in for this run: they are in memory, as its secrets are.
    #[serde(default)]
    pub filled: Vec<ConfigId>,
    /// Its user and group ids, if it has some of its own.
    #[serde(default)]
    pub users: Option<UserRange>,
    /// The data of its configs and secrets, which never is in the order itself.
    #[serde(skip)]
    pub files: FileData,
}

/// The backend for a runtime. Changes this process' view of the machine where that runtime needs
/// it, so that [`rootfs::isolate`] must be called before.
pub(crate) fn backend_of(runtime: &OciRuntime) -> Box<dyn Backend> {
    match runtime {
        OciRuntime::Embedded => Box::new(Embedded::default()),
        OciRuntime::Runc(path) => Box::new(Command::runc(path)),
        OciRuntime::Crun(path) => {
            rootfs::hide_unified_cgroup();
            Box::new(Command::crun(path))
        }
    }
}

/// Removes the root file system of a container that has ended, and the state of its runtime. What it
/// wrote into volumes of its run stays.
pub fn remove_root(run_dir: &Path) {
    rootfs::remove_root(run_dir);
    let _ = fs::remove_dir_all(run_dir.join(backend::STATE));
}

/// Removes what a container that has ended left in the folder of its run: its files and the state
/// of its runtime. Its log and its final status stay.
pub fn remove_files(run_dir: &Path) {
    rootfs::remove(run_dir);
    let _ = fs::remove_dir_all(run_dir.join(backend::STATE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_named_by_a_word_or_by_a_path() {
        let parse = |text: &str| text.parse::<OciRuntime>();
        assert_eq!(parse("embedded"), Ok(OciRuntime::Embedded));
        assert_eq!(parse("crun"), Ok(OciRuntime::Crun(PathBuf::from("crun"))));
        let path = "/opt/bin/kata-runtime";
        assert_eq!(parse(path), Ok(OciRuntime::Runc(PathBuf::from(path))));
        assert_eq!(parse("/usr/bin/crun"), Ok(OciRuntime::Crun(PathBuf::from("/usr/bin/crun"))));
        for wrong in ["", "docker", "bin/runc"] {
            assert!(parse(wrong).expect_err(wrong).to_string().contains("embedded"));
        }
    }
}
