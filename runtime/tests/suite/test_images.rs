//! Images made by hand: folders with busybox, in place of unpacked layers.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crdt_state::spec::{Runtime, Template};
use crdt_state::task::TaskStart;
use runtime::{ContainerOrder, OciRuntime, Prepare, Prepared, StartError};

use crate::host;

/// The commands of busybox that the image has.
const WORDS: [&str; 27] = [
    "sh", "sleep", "echo", "cat", "true", "false", "id", "env", "ls", "dd", "seq", "kill", "ps",
    "mkdir", "test", "grep", "stat", "head", "tr", "wc", "hostname", "touch", "setsid", "tty",
    "mount", "umount", "rm",
];

/// Images by name.
#[derive(Debug)]
pub struct TestImages {
    runtime: OciRuntime,
    images: Mutex<BTreeMap<String, ContainerOrder>>,
    dir: tempfile::TempDir,
}

impl TestImages {
    /// A set with the image `busybox`.
    pub fn new(runtime: &str) -> TestImages {
        let runtime = runtime.parse().expect("it is one");
        let dir = tempfile::tempdir().expect("a folder");
        let test_images = TestImages { runtime, images: Mutex::default(), dir };
        let layer = test_images.layer("busybox");
        for folder in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
            fs::create_dir(layer.join(folder)).expect("writable");
        }
        fs::copy("/bin/busybox", layer.join("bin/busybox")).expect("busybox-static is installed");
        for word in WORDS {
            symlink("busybox", layer.join("bin").join(word)).expect("writable");
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nshop:x:900:901::/srv:/bin/sh\n";
        fs::write(layer.join("etc/passwd"), passwd).expect("writable");
        fs::write(layer.join("etc/group"), "root:x:0:\nshop:x:901:\ncrew:x:50:shop\n")
            .expect("writable");
        fs::set_permissions(layer.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("ours");
        test_images.put("busybox", &[layer]);
        test_images
    }

    /// Is crun the runtime?
    pub fn is_crun(&self) -> bool {
        matches!(self.runtime, OciRuntime::Crun(_))
    }

    /// A folder for a layer.
    pub fn layer(&self, name: &str) -> PathBuf {
        let layer = self.dir.path().join(name);
        fs::create_dir(&layer).expect("writable");
        layer
    }

    /// Makes an image of layers, lowest first.
    pub fn put(&self, name: &str, layers: &[PathBuf]) {
        self.change(name, |order| order.layers = layers.to_vec());
    }

    /// Changes the order that an image gives.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut ContainerOrder)) {
        let mut images = self.images.lock().expect("nobody panicked");
        change(images.entry(name.to_owned()).or_insert_with(|| ContainerOrder {
            layers: Vec::new(),
            config: Default::default(),
            health: None,
            volumes: BTreeMap::new(),
            runtime: self.runtime.clone(),
            hostname: "till-3".to_owned(),
            network: None,
            filled: Vec::new(),
            users: None,
            files: BTreeMap::new(),
        }));
    }
}

impl TestImages {
    /// Where its layers are.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Prepare for TestImages {
    fn prepare<'a>(
        &'a self,
        start: &'a TaskStart,
        say: &'a (dyn Fn(String) + Send + Sync),
    ) -> Prepared<'a> {
        Box::pin(async move {
            let image = start.template.image.as_str();
            if image == "far-away" {
                say("fetching far-away".to_owned());
                std::future::pending::<()>().await;
            }
            let images = self.images.lock().expect("nobody panicked");
            let order = images.get(image).cloned();
            let reason = format!("no image {image:?} on the shelf");
            order.ok_or(StartError::Told { permanent: false, reason })
        })
    }
}

/// A run of a program in the image `busybox`.
pub fn container(words: &[&str]) -> TaskStart {
    host::start(Template {
        runtime: Runtime::Container,
        image: "busybox".to_owned(),
        args: words.iter().map(|word| (*word).to_owned()).collect(),
        stop_grace_ms: 5_000,
        ..Template::default()
    })
}

/// A run of the shell in the image `busybox`.
pub fn shell(line: &str) -> TaskStart {
    container(&["sh", "-c", line])
}
