//! A root with busybox in a folder of its own, and the guard that removes the containers made from
//! it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crdt_state::id::{ServiceId, TaskId};
use crdt_state::spec::{Template, TemplateVersion};
use crdt_state::task::{Run, Slot, TaskStart};
use nix::sys::stat::{major, minor};
use nix::unistd::geteuid;
use oci_spec::image::{ConfigBuilder, ImageConfigurationBuilder};
use runtime::oci::bundle::{BundleInput, HostFeatures, bundle};

static BOXES: AtomicU32 = AtomicU32::new(0);

/// The runtimes of a test, and how each is called: crun refuses hybrid cgroups, so it gets a view
/// of the machine without the unified half.
const RUNTIMES: [(&str, &str); 2] = [
    ("runc", "exec runc \"$@\""),
    ("crun", "umount /sys/fs/cgroup/unified 2>/dev/null; exec crun \"$@\""),
];

/// How a container ended.
#[derive(Debug)]
pub struct Ended {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Ended {
    /// Its output, if it ended well.
    pub fn text(&self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout.clone()
    }
}

/// A root and the mounts of its container.
pub struct Boxed {
    dir: tempfile::TempDir,
    call: &'static str,
    pub volumes: BTreeMap<String, PathBuf>,
}

/// Runs a test with every OCI runtime.
pub fn everywhere(test: impl Fn(&mut Boxed)) {
    if !geteuid().is_root() {
        return eprintln!("skipped: containers need root");
    }
    for (name, call) in RUNTIMES {
        eprintln!("with {name}:");
        test(&mut Boxed::new(call));
    }
}

/// The first of these devices that the machine has.
pub fn first_device(paths: &[&str]) -> Option<(String, u64, u64)> {
    paths.iter().find_map(|path| {
        let found = fs::metadata(path).ok().filter(|found| found.file_type().is_char_device())?;
        fs::File::open(path).ok()?;
        Some(((*path).to_owned(), major(found.rdev()), minor(found.rdev())))
    })
}

impl Boxed {
    fn new(call: &'static str) -> Boxed {
        let dir = tempfile::tempdir().expect("a folder");
        let boxed = Boxed { dir, call, volumes: BTreeMap::new() };
        let root = boxed.rootfs();
        for folder in ["bin", "etc", "mnt", "srv"] {
            fs::create_dir_all(root.join(folder)).expect("writable");
        }
        let busybox = root.join("bin/busybox");
        fs::copy("/bin/busybox", &busybox).expect("busybox-static is installed");
        let install =
            Command::new(&busybox).args(["--install", "-s"]).arg(root.join("bin")).status();
        assert!(install.expect("busybox runs").success());
        // The links name busybox by its path outside of the root.
        for entry in fs::read_dir(root.join("bin")).expect("a folder").flatten() {
            if entry.file_name() != "busybox" {
                fs::remove_file(entry.path()).expect("ours");
                std::os::unix::fs::symlink("busybox", entry.path()).expect("writable");
            }
        }
        let passwd = "root:x:0:0::/root:/bin/sh\nshop:x:900:901::/srv/shop:/bin/sh\n";
        fs::write(root.join("etc/passwd"), passwd).expect("writable");
        let group = "root:x:0:\nshop:x:901:\ndialout:x:20:shop\nvideo:x:44:\n";
        fs::write(root.join("etc/group"), group).expect("writable");
        boxed
    }

    pub fn rootfs(&self) -> PathBuf {
        self.dir.path().join("rootfs")
    }

    /// A folder of the node.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join("node").join(name);
        fs::create_dir_all(&path).expect("writable");
        path
    }

    /// Runs a shell line in a container of this template, and waits for its end.
    pub fn run(&self, mut template: Template, script: &str) -> Ended {
        let number = BOXES.fetch_add(1, Ordering::Relaxed);
        let id = format!("edgectl-test-{}-{number}", std::process::id());
        template.command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let image = ConfigBuilder::default().env(vec!["FROM_IMAGE=yes".to_owned()]).build();
        let image = image.expect("every field has a default");
        let image = ImageConfigurationBuilder::default().config(image).build();
        let start = TaskStart {
            run: Run { task: TaskId([7; 16]), attempt: number },
            service: ServiceId([1; 16]),
            service_name: "box".to_owned(),
            slot: Slot::Number(1),
            template_version: TemplateVersion(1),
            template,
            interfaces: Vec::new(),
        };
        let made = bundle(&BundleInput {
            start: &start,
            image: &image.expect("every field has a default"),
            run_dir: self.dir.path(),
            rootfs: &self.rootfs(),
            cgroups_path: &format!("/{id}"),
            volumes: &self.volumes,
            hostname: "box-1",
            init: None,
            network: None,
            filled: &[],
            machine: &HostFeatures::detect(),
        });
        let spec = made.expect("it is well formed").spec;
        let json = serde_json::to_vec(&spec).expect("it has a form in JSON");
        fs::write(self.dir.path().join("config.json"), json).expect("writable");
        self.execute(&id)
    }

    fn execute(&self, id: &str) -> Ended {
        let running = Running { boxed: self, id };
        let output = running.call(&["run", "--bundle", &self.dir.path().display().to_string()]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Ended { stdout, stderr, code: output.status.code() }
    }
}

/// Removes the container on drop, so that nothing is left of it in any case.
struct Running<'a> {
    boxed: &'a Boxed,
    id: &'a str,
}

impl Running<'_> {
    fn call(&self, words: &[&str]) -> std::process::Output {
        let state: &Path = &self.boxed.dir.path().join("state");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", self.boxed.call, "sh", "--root"]).arg(state);
        command.args(words).arg(self.id).stdin(Stdio::null());
        command.output().expect("unshare is installed")
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.call(&["delete", "--force"]);
    }
}
