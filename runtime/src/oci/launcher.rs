//! The launcher: a child of the monitor that makes a container and ends.
//!
//! Mounts, the OCI runtime and its memory end with the launcher; the monitor stays as small as
//! before. The launcher reports the result through a pipe. It must never outlive the monitor, and
//! never keep the monitor's descriptors open: the lock on the order, and the notify pipe.

use std::fs;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Gid, Uid, fchown};
use oci_spec::runtime::{LinuxResources, Spec};
use serde::{Deserialize, Serialize};

use super::backend::{self, Bundle, Stdio};
use super::bundle::{BundleError, BundleInput, HostFeatures, bundle, is_bind};
use super::{ContainerOrder, OciRuntime, backend_of, console, devices, explain, init};
use super::{own_users, rootfs};
use crate::cgroup::{Cgroup, CgroupScope, Limits, entry};
use crate::fleet_files;
use crate::refusal::StartError;
use crate::run_dir::{self, Order};
use crate::secret_files;
use crate::volume::{self, Filling};

/// The result of making a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LaunchReport {
    /// Its program runs.
    Running {
        /// Its first process.
        pid: i32,
        /// Requests that could not be fulfilled as given.
        warnings: Vec<String>,
    },
    /// The container could not be made: nothing of it is left, once the launcher's children are
    /// ended.
    Refused {
        /// As in [`StartError::is_permanent`].
        permanent: bool,
        /// What, why, what to do.
        reason: String,
    },
}

/// Where the container's input and output are.
#[derive(Debug, Clone, Copy)]
pub struct Io<'a> {
    /// Standard input, output and error.
    pub streams: [BorrowedFd<'a>; 3],
    /// The socket for its terminal.
    pub console: Option<&'a Path>,
    /// The data of its secrets.
    pub secrets: Option<BorrowedFd<'a>>,
}

/// Makes the container of an order in the current folder, and reports it. For a process with one
/// thread that ends when this returns.
pub fn make(order: &Order, container: &ContainerOrder, io: Io<'_>, mut report: impl Write) {
    let made = match attempt(order, container, io, &mut report) {
        Ok((pid, warnings)) => LaunchReport::Running { pid, warnings },
        Err(error) => {
            LaunchReport::Refused { permanent: error.is_permanent(), reason: error.to_string() }
        }
    };
    // If the monitor is gone, this process ends as well.
    let _ = report.write_all(&serde_json::to_vec(&made).unwrap_or_default());
}

fn attempt(
    order: &Order,
    container: &ContainerOrder,
    io: Io<'_>,
    report: &mut impl Write,
) -> Result<(i32, Vec<String>), StartError> {
    become_launcher();
    let dir = std::env::current_dir()
        .map_err(|source| StartError::RunDir { path: ".".to_owned(), source })?;
    let id = run_dir::name(order.start.run);
    rootfs::isolate()?;
    let mut backend = backend_of(&container.runtime);
    let copied = build(order, container)?;
    if container.users.is_some() && copied.is_some() {
        return Err(BundleError::NoMappedRoot(Errno::ENOTSUP).into());
    }
    let mut warnings: Vec<String> = copied.into_iter().collect();
    let mut in_memory = fleet_files::in_memory(&order.start.template.extension, &container.filled);
    if let Some(range) = container.users {
        for file in &mut in_memory {
            for id in [&mut file.uid, &mut file.gid] {
                *id = range.on_node(*id).ok_or(BundleError::FileOwner(*id))?;
            }
        }
    }
    secret_files::mount_files(&in_memory, io.secrets)?;
    let (mut spec, missing) = specify(order, container, &dir)?;
    warnings.extend(missing);
    let embedded = container.runtime == OciRuntime::Embedded;
    if embedded {
        entry::enter(&order.cgroup, &shown(&spec));
    }
    if let Some(range) = container.users {
        own_users::apply(range, container, &mut spec)?;
    }
    let null = container.users.map(|_| own_users::null()).transpose()?;
    let io = Io { streams: own_users::streams(io.streams, null.as_ref()), ..io };
    backend::write_config(&dir, &spec)?;
    own_streams(&spec, io)?;
    let init = embedded && order.start.template.container.init;
    let bundle = Bundle { dir: &dir, id: &id, spec: &spec, init };
    let stdio = Stdio { streams: io.streams, console: io.console };
    let reworded =
        |error| explain::reworded(&spec, &spec.process().clone().unwrap_or_default(), error);
    // Everything before may take long; from here on the monitor measures the time. JSON ignores a
    // blank.
    let _ = report.write_all(b" ");
    let pid = backend.create(&bundle, stdio).map_err(reworded)?;
    if let (Some(_), Some(process)) = (io.console, spec.process()) {
        // If the terminal's file system does not change owners, the program can still use its
        // descriptors.
        let user = own_users::on_node(&spec, process.user().uid());
        let _ = user.map(|user| console::own_terminal(pid, user));
    }
    if embedded {
        keep_from_devices(order, &spec)?;
    }
    // crun starts with groups of its own, without limits.
    let limits = Limits::of(&order.start.template);
    let limited = Cgroup::create(&order.cgroup, &limits, CgroupScope::There);
    warnings.extend(limited.warnings);
    backend.start(&bundle).map_err(reworded)?;
    Ok((pid.as_raw(), warnings))
}

fn build(order: &Order, container: &ContainerOrder) -> Result<Option<String>, StartError> {
    let shared = order
        .start
        .template
        .is_standalone()
        .then(|| Path::new("..").join(run_dir::name(run_dir::shared(order.start.run.task))));
    rootfs::build(&container.layers, shared.as_deref())
}

/// The folders of the node that a container sees.
fn shown(spec: &Spec) -> Vec<PathBuf> {
    let binds = spec.mounts().iter().flatten().filter(|mount| is_bind(mount));
    binds.filter_map(|mount| mount.source().as_ref()?.canonicalize().ok()).collect()
}

/// Undoes, in a fork of the monitor, what is special to a monitor.
fn become_launcher() {
    // Ends when the monitor ends, however that ends.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    let _ = SigSet::empty().thread_set_mask();
    for signal in 1..=64 {
        // SAFETY: one system call on a number.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // The monitor is protected; its container is not, unless its template says so.
    let _ = fs::write("/proc/self/oom_score_adj", "0");
}

/// Describes the container, with warnings about requests that could not be fulfilled.
fn specify(
    order: &Order,
    container: &ContainerOrder,
    dir: &Path,
) -> Result<(Spec, Vec<String>), StartError> {
    let init = match (order.start.template.container.init, &container.runtime) {
        (false, _) | (true, OciRuntime::Embedded) => None,
        (true, runtime) => Some(init::program(runtime)?),
    };
    let rootfs = dir.join(rootfs::ROOTFS);
    let volumes = volume::fill(&Filling {
        template: &order.start.template,
        image: &container.config,
        named: &container.volumes,
        run_dir: dir,
        rootfs: &rootfs,
    })?;
    let made = bundle(&BundleInput {
        start: &order.start,
        image: &container.config,
        run_dir: dir,
        rootfs: &rootfs,
        cgroups_path: &format!("/{}", order.cgroup.path),
        volumes: &volumes,
        hostname: &container.hostname,
        init: init.as_deref(),
        network: container.network.as_deref(),
        filled: &container.filled,
        machine: &HostFeatures::detect(),
    })?;
    let mut spec = made.spec;
    limits_are_set(&mut spec);
    Ok((spec, made.warnings))
}

/// libcontainer keeps the container from the node's devices with version 1 of cgroups only. Where
/// nothing can do that, the container must not run.
fn keep_from_devices(order: &Order, spec: &Spec) -> Result<(), StartError> {
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let rules = resources.and_then(|resources| resources.devices().as_deref()).unwrap_or_default();
    if devices::allow_all(rules) {
        return Ok(());
    }
    let cgroup = Cgroup::existing(&order.cgroup);
    let kept = |group: &Path| {
        let list = fs::read_to_string(group.join("devices.list"));
        list.is_ok_and(|list| !list.lines().any(|line| line.starts_with("a ")))
    };
    if cgroup.separate().any(kept) {
        return Ok(());
    }
    let confined =
        cgroup.unified().map_or(Err(Errno::ENOENT), |group| devices::confine(group, rules));
    confined.map_err(StartError::NoDeviceFilter)
}

/// The monitor has set the limits on the same groups, and reported which ones this machine cannot
/// enforce; a runtime would refuse the container because of these.
fn limits_are_set(spec: &mut Spec) {
    let Some(linux) = spec.linux_mut() else { return };
    let Some(resources) = linux.resources() else { return };
    let mut kept = LinuxResources::default();
    kept.set_devices(resources.devices().clone());
    linux.set_resources(Some(kept));
}

/// Gives the streams to the user of the container, who may want to open `/dev/stdout`.
fn own_streams(spec: &Spec, io: Io<'_>) -> Result<(), StartError> {
    let Some(user) = spec.process().as_ref().map(|process| process.user().clone()) else {
        return Ok(());
    };
    let on_node = |id| own_users::on_node(spec, id).ok_or(BundleError::OwnUser(id));
    let (uid, gid) = (on_node(user.uid())?, on_node(user.gid())?);
    let [_, stdout, stderr] = io.streams;
    for stream in [stdout, stderr] {
        fchown(stream, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|errno| StartError::Step { step: "hand the output over", errno })?;
    }
    Ok(())
}
