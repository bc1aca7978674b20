//! Facts about the machine that the container will run on, as the rules need them.
//!
//! They are read once per start. The rules themselves read nothing of the machine, so that a test
//! can describe any machine.

use std::fs;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};

use super::seccomp::profile::version_of;

/// Facts about the machine and about what this process may do on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFeatures {
    /// The capabilities that this process holds and can hand on, bit by number.
    pub capabilities: u64,
    /// The kernel has namespaces of cgroups.
    pub cgroup_namespaces: bool,
    /// The kernel filters system calls.
    pub seccomp: bool,
    /// The kernel's version and its first part behind the point.
    pub kernel: (u32, u32),
    /// The kernel has AppArmor, and it is on.
    pub apparmor: bool,
    /// The AppArmor profiles that are loaded; `None`: this process cannot read them.
    pub apparmor_profiles: Option<Vec<String>>,
    /// Swap can be limited together with memory.
    pub swap_limit: bool,
    /// This process' `/proc/self/oom_score_adj`: without privileges no lower score is possible.
    pub oom_score_adj: i32,
    /// The hard limit of open files of this process: without privileges no higher limit is
    /// possible.
    pub open_files_max: u64,
    /// Parameters below `/proc/sys` that this kernel has, of those that Docker sets by itself.
    pub net_sysctls: Vec<&'static str>,
    /// The node's `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// The node's own `/etc/hosts`.
    pub hosts: String,
}

/// The number of `CAP_SYS_RESOURCE`.
const SYS_RESOURCE: u32 = 24;

/// What Docker sets in a container's own network namespace: every user may ping, and bind ports
/// below 1024.
pub const NET_DEFAULTS: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];

fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    version_of(&release).unwrap_or_default()
}

/// Their names: a line is `docker-default (enforce)`.
fn apparmor_profiles() -> Option<Vec<String>> {
    let list = fs::read_to_string("/sys/kernel/security/apparmor/profiles").ok()?;
    let name = |line: &str| line.rsplit_once(" (").map_or(line, |(name, _)| name).to_owned();
    Some(list.lines().map(name).collect())
}

impl HostFeatures {
    /// Reads the facts of this machine, as this process sees it.
    pub fn detect() -> HostFeatures {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim_start_matches(':').trim().to_owned())
        };
        // Runtimes are other programs: the kernel gives root's all that is not taken from it for good.
        let can_have = if nix::unistd::geteuid().is_root() { "CapBnd" } else { "CapEff" };
        let held = field(can_have).and_then(|hex| u64::from_str_radix(&hex, 16).ok());
        let score = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
        let net = NET_DEFAULTS.iter().map(|(name, _)| *name);
        HostFeatures {
            capabilities: held.unwrap_or_default(),
            cgroup_namespaces: Path::new("/proc/self/ns/cgroup").exists(),
            seccomp: field("Seccomp").is_some(),
            kernel: kernel(),
            apparmor: fs::read_to_string("/sys/module/apparmor/parameters/enabled")
                .is_ok_and(|word| word.starts_with('Y')),
            apparmor_profiles: apparmor_profiles(),
            swap_limit: swap_limit(),
            oom_score_adj: score.trim().parse().unwrap_or_default(),
            open_files_max: getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard),
            net_sysctls: net.filter(|name| sysctl_path(name).exists()).collect(),
            resolv_conf: fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
            hosts: fs::read_to_string("/etc/hosts").unwrap_or_default(),
        }
    }

    /// May it raise limits and lower scores?
    pub fn holds_sys_resource(&self) -> bool {
        self.capabilities & (1 << SYS_RESOURCE) != 0
    }
}

/// The file in which the kernel shows a parameter.
fn sysctl_path(name: &str) -> std::path::PathBuf {
    Path::new("/proc/sys").join(name.replace('.', "/"))
}

/// On version 1 the file exists only if the kernel accounts for swap. On version 2 the limit can
/// always be set, and is ignored without swap.
fn swap_limit() -> bool {
    let version_1 = Path::new("/sys/fs/cgroup/memory");
    !version_1.is_dir() || version_1.join("memory.memsw.limit_in_bytes").exists()
}
