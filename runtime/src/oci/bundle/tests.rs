//! Tests of the rules together, and the machine that all tests of the rules use.

use super::*;
use crdt_state::id::{ServiceId, TaskId};
use crdt_state::spec::{Container, Mount, MountSource, TemplateVersion};
use crdt_state::task::{Run, Slot};
use oci_spec::image::{ConfigBuilder, ImageConfigurationBuilder};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A machine that can do everything.
pub fn machine() -> HostFeatures {
    HostFeatures {
        capabilities: (1 << 41) - 1,
        cgroup_namespaces: true,
        seccomp: true,
        kernel: (6, 1),
        apparmor: true,
        apparmor_profiles: Some(vec!["docker-default".to_owned()]),
        swap_limit: true,
        oom_score_adj: 0,
        open_files_max: 1 << 20,
        net_sysctls: machine::NET_DEFAULTS.iter().map(|(name, _)| *name).collect(),
        resolv_conf: "nameserver 192.0.2.1\n".to_owned(),
        hosts: "127.0.0.1 localhost\n".to_owned(),
    }
}

/// A container with a root that holds `/bin/app` and `/bin/sh`.
pub struct Made {
    dir: tempfile::TempDir,
    /// Where its volumes are.
    pub volumes: BTreeMap<String, PathBuf>,
    /// The image's configuration.
    pub image: ImageConfiguration,
    /// The machine that it runs on.
    pub machine: HostFeatures,
}

impl Made {
    pub fn new() -> Made {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("rootfs/bin")).expect("writable");
        for program in ["app", "sh"] {
            let path = dir.path().join("rootfs/bin").join(program);
            fs::write(&path, "").expect("writable");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
        }
        let config = ConfigBuilder::default()
            .entrypoint(vec!["app".to_owned()])
            .cmd(vec!["--serve".to_owned()])
            .env(vec!["COLOUR=blue".to_owned(), "EMPTY".to_owned()])
            .working_dir("/srv/app".to_owned())
            .volumes(vec!["/data".to_owned()])
            .build()
            .expect("every field has a default");
        let image = ImageConfigurationBuilder::default().config(config).build();
        let image = image.expect("every field has a default");
        Made { dir, volumes: BTreeMap::new(), image, machine: machine() }
    }

    pub fn rootfs(&self) -> PathBuf {
        self.dir.path().join("rootfs")
    }

    pub fn bundle(&self, template: Template) -> Result<BundleOutput, StartError> {
        let start = TaskStart {
            run: Run { task: TaskId([7; 16]), attempt: 1 },
            service: ServiceId([1; 16]),
            service_name: "web".to_owned(),
            slot: Slot::Number(1),
            template_version: TemplateVersion(1),
            template,
            interfaces: Vec::new(),
        };
        bundle(&BundleInput {
            start: &start,
            image: &self.image,
            run_dir: self.dir.path(),
            rootfs: &self.rootfs(),
            cgroups_path: "/edgectl/a.1",
            volumes: &self.volumes,
            hostname: "web-1",
            init: None,
            network: None,
            filled: &[],
            machine: &self.machine,
        })
    }
}

fn of(container: Container) -> Result<BundleOutput, StartError> {
    Made::new().bundle(Template { container, ..Template::default() })
}

fn kinds(bundle: &BundleOutput) -> Vec<LinuxNamespaceType> {
    let linux = bundle.spec.linux().as_ref().expect("it is Linux");
    linux.namespaces().iter().flatten().map(LinuxNamespace::typ).collect()
}

#[test]
fn a_container_has_namespaces_of_its_own_except_the_network() {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, Uts};
    let bundle = of(Container::default()).expect("nothing special");
    assert_eq!(kinds(&bundle), [Pid, Mount, Uts, Ipc, Cgroup]);
    assert_eq!(bundle.spec.hostname().as_deref(), Some("web-1"));
    let none = Container { network: NetworkMode::None, ..Container::default() };
    assert!(kinds(&of(none).expect("a loopback")).contains(&Network));
}

#[test]
fn privileged_lifts_filter_masks_and_capabilities_and_nothing_else() {
    let bundle = of(Container { privileged: true, ..Container::default() }).expect("allowed");
    let linux = bundle.spec.linux().as_ref().expect("it is Linux");
    assert!(linux.seccomp().is_none());
    assert_eq!(linux.masked_paths().as_ref().map(Vec::len), Some(0));
    assert_eq!(linux.readonly_paths().as_ref().map(Vec::len), Some(0));
    let process = bundle.spec.process().as_ref().expect("a process");
    let capabilities = process.capabilities().as_ref().expect("they are set");
    assert_eq!(capabilities.effective().as_ref().map(|set| set.len()), Some(41));
    assert!(kinds(&bundle).contains(&LinuxNamespaceType::Pid));
}

#[test]
fn the_filter_is_there_unless_somebody_asked_otherwise() {
    let seccomp = |container| {
        let bundle = of(container).expect("nothing special");
        bundle.spec.linux().as_ref().and_then(|linux| linux.seccomp().clone())
    };
    assert!(seccomp(Container::default()).is_some());
    let unconfined = Container { seccomp_unconfined: true, ..Container::default() };
    assert!(seccomp(unconfined).is_none());
}

#[test]
fn a_profile_that_this_machine_cannot_have_ends_the_start() {
    let mut made = Made::new();
    let mut template = Template::default();
    template.extension.seccomp = Some(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#.to_owned());
    template.extension.apparmor = Some("docker-default".to_owned());
    let bundle = made.bundle(template.clone()).expect("it has both");
    let process = bundle.spec.process().clone().expect("some");
    assert_eq!(process.apparmor_profile().as_deref(), Some("docker-default"));
    let refused = |made: &Made, template: &Template| {
        let refused = made.bundle(template.clone()).expect_err("it lacks something");
        assert!(refused.is_permanent());
        refused.to_string()
    };
    let mut other = template.clone();
    other.extension.apparmor = Some("shop".to_owned());
    assert!(refused(&made, &other).contains("shop is not loaded on this node"));
    made.machine.apparmor = false;
    assert!(refused(&made, &template).contains("has no AppArmor"));
    template.extension.apparmor = None;
    made.machine.seccomp = false;
    assert!(refused(&made, &template).contains("filters no system calls"));
}

#[test]
fn what_an_oci_runtime_reads_is_written_in_its_words() {
    let mount = Mount {
        source: MountSource::Tmpfs { size_bytes: 1 << 20, mode: 0 },
        target: "/cache".to_owned(),
        read_only: false,
    };
    let container = Container { read_only: true, mounts: vec![mount], ..Container::default() };
    let json = serde_json::to_value(of(container).expect("well formed").spec).expect("JSON");
    let at = |pointer: &str| json.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/ociVersion"), "1.0.2");
    assert_eq!(at("/root/readonly"), true);
    assert_eq!(at("/process/args/0"), "app");
    assert_eq!(at("/process/noNewPrivileges"), false);
    assert_eq!(at("/linux/cgroupsPath"), "/edgectl/a.1");
    assert_eq!(at("/linux/seccomp/defaultAction"), "SCMP_ACT_ERRNO");
    let last = json["mounts"]
        .as_array()
        .and_then(|mounts| mounts.iter().find(|mount| mount["destination"] == "/cache").cloned());
    assert_eq!(last.expect("it is mounted")["type"], "tmpfs");
}
