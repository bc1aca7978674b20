//! From a template and an image to the `config.json` that an OCI runtime takes, with the rules that
//! users of Docker expect.
//!
//! The rules are pure and one file each; facts about the machine come in as [`HostFeatures`]. Only
//! files below the container's own root, resolved inside it ([`Root`]), and the node's `/etc/hosts`
//! and `/etc/resolv.conf` are read. Only the run's folder and the working directory are written. It
//! must never follow a link out of the container's root.

mod capabilities;
mod devices;
mod files;
mod identity;
mod machine;
mod mounts;
mod process;
mod refusal;
mod resources;
pub(crate) mod seccomp;
mod sysctls;
mod ulimits;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crdt_state::ConfigId;
use crdt_state::spec::{Container, NetworkMode, Template};
use crdt_state::task::TaskStart;
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{
    Linux, LinuxBuilder, LinuxCapabilities, LinuxNamespace, LinuxNamespaceType, LinuxSeccomp,
    Mount, RootBuilder, Spec, User,
};

pub use machine::HostFeatures;
pub use refusal::BundleError;

use crate::cgroup::Limits;
use crate::refusal::StartError;
use crate::tree::Root;
use mounts::Mounted;
use seccomp::profile::{Circumstances, Profile};

/// The version of the specification that is written: what runc 1.1 and crun 1.8 know.
const OCI_VERSION: &str = "1.0.2";

/// Docker's masked paths: files in `/proc` and `/sys` that reveal or change something of the node.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// The read-only paths of Docker.
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The inputs that a container is made from.
#[derive(Debug, Clone, Copy)]
pub struct BundleInput<'a> {
    /// What to run, templates expanded.
    pub start: &'a TaskStart,
    /// The image's configuration.
    pub image: &'a ImageConfiguration,
    /// The folder of the run: files to mount into the container are written here.
    pub run_dir: &'a Path,
    /// The root of the container, mounted and writable.
    pub rootfs: &'a Path,
    /// The container's own cgroup, unique to it, from the root of the hierarchy.
    pub cgroups_path: &'a str,
    /// Where the content of its volumes is on this node: by name; a volume without a name by its
    /// path in the container.
    pub volumes: &'a BTreeMap<String, PathBuf>,
    /// Its host name.
    pub hostname: &'a str,
    /// A program of the node that is to be its first process, if `--init` needs one.
    pub init: Option<&'a Path>,
    /// The network namespace that it joins, if it has networks of the fleet.
    pub network: Option<&'a Path>,
    /// Those of its configs that are in memory.
    pub filled: &'a [ConfigId],
    /// What is known of the machine.
    pub machine: &'a HostFeatures,
}

impl<'a> BundleInput<'a> {
    fn template(&self) -> &'a Template {
        &self.start.template
    }
}

/// The description of a container for an OCI runtime.
#[derive(Debug, Clone)]
pub struct BundleOutput {
    /// `config.json`.
    pub spec: Spec,
    /// Requests that this machine cannot fulfil, as text for people.
    pub warnings: Vec<String>,
}

/// Makes the bundle of a run. Writes `hosts`, `resolv.conf` and `hostname` into the run's folder.
pub fn bundle(input: &BundleInput<'_>) -> Result<BundleOutput, StartError> {
    let template = input.template();
    let root = open_root(input.rootfs)?;
    let mut warnings = Vec::new();
    let capabilities = capabilities::allowed(&template.container, input.machine)?;
    warnings.extend(capabilities.missing_words());
    let files = files::write(input)?;
    let Mounted { mounts, propagation } = mounts::mounts(input, &files, &mut warnings)?;
    let process = process::process(input, &root, &capabilities, &mounts, &mut warnings)?;
    let linux = linux(input, &capabilities, propagation)?;

    let root = RootBuilder::default()
        .path(input.rootfs)
        .readonly(template.container.read_only)
        .build()
        .expect("every field has a default");
    let mut spec = Spec::default();
    spec.set_version(OCI_VERSION.to_owned())
        .set_root(Some(root))
        .set_mounts(Some(mounts))
        .set_process(Some(process))
        .set_hostname(Some(input.hostname.to_owned()))
        .set_linux(Some(linux));
    Ok(BundleOutput { spec, warnings })
}

fn linux(
    input: &BundleInput<'_>,
    capabilities: &capabilities::Allowed,
    propagation: Option<&'static str>,
) -> Result<Linux, StartError> {
    let template = input.template();
    let container = &template.container;
    let (devices, rules) = devices::devices(container)?;
    let sysctls = sysctls::sysctls(container, input.machine)?;
    let paths = |paths: &[&str]| -> Vec<String> {
        let paths = if container.privileged { &[] } else { paths };
        paths.iter().map(|path| (*path).to_owned()).collect()
    };
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces(container.network, input))
        .devices(devices)
        .resources(resources::resources(&Limits::of(template), rules, input.machine))
        .cgroups_path(input.cgroups_path)
        .sysctl(sysctls.into_iter().collect::<HashMap<_, _>>())
        .masked_paths(paths(&MASKED))
        .readonly_paths(paths(&READ_ONLY))
        .build()
        .expect("every field has a default");
    linux.set_rootfs_propagation(propagation.map(str::to_owned));
    linux.set_seccomp(system_calls(input, capabilities)?);
    Ok(linux)
}

/// The filter of system calls. As with Docker, a profile of its own also holds for a privileged
/// container.
fn system_calls(
    input: &BundleInput<'_>,
    capabilities: &capabilities::Allowed,
) -> Result<Option<LinuxSeccomp>, StartError> {
    let (template, machine) = (input.template(), input.machine);
    let container = &template.container;
    let Some(text) = &template.extension.seccomp else {
        let is_filtered = !container.privileged && !container.seccomp_unconfined;
        return Ok((is_filtered && machine.seccomp).then(|| seccomp::filter(capabilities)));
    };
    if !machine.seccomp {
        return Err(BundleError::NoSeccomp.into());
    }
    let resolved = Profile::parse(text).and_then(|profile| {
        profile.resolve(&Circumstances {
            has_capability: &|name| capabilities.has(name),
            knows_call: &seccomp::knows,
            kernel: machine.kernel,
        })
    });
    Ok(Some(resolved.map_err(BundleError::SeccompProfile)?))
}

fn namespaces(network: NetworkMode, input: &BundleInput<'_>) -> Vec<LinuxNamespace> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, Uts};
    let own = [Pid, Mount, Uts, Ipc].into_iter();
    let own = own.chain((network == NetworkMode::None).then_some(Network));
    let own = own.chain(input.machine.cgroup_namespaces.then_some(Cgroup));
    own.map(|typ| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(typ);
        if typ == Network {
            namespace.set_path(input.network.map(Path::to_path_buf));
        }
        namespace
    })
    .collect()
}

/// Is it a bind mount, which shows something of the node?
pub fn is_bind(mount: &Mount) -> bool {
    mount.options().iter().flatten().any(|option| option == "bind" || option == "rbind")
}

/// The user that a text means in the container with this root, for a program that is run in it
/// later.
pub fn user_in(root: &Path, text: &str) -> Result<User, StartError> {
    Ok(identity::look_up(&open_root(root)?, Some(text), &[])?.user)
}

/// The root of a container. An image comes from somebody else: a link in it may lead anywhere.
fn open_root(path: &Path) -> Result<Root, StartError> {
    let step = "open the container's root";
    Root::open(path).map_err(|errno| StartError::Step { step, errno })
}

/// All capabilities that this process may hand on, for a privileged program of this user.
pub fn every_capability(uid: u32) -> Result<LinuxCapabilities, StartError> {
    let privileged = Container { privileged: true, ..Container::default() };
    Ok(capabilities::allowed(&privileged, &HostFeatures::detect())?.of_user(uid))
}

#[cfg(test)]
mod tests;
