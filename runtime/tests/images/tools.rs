//! The independent programs, and a root file system with everything in it that a layer can hold.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use runtime::image::{Images, platform};

/// A file capability that contains a line end: `cap_dac_override,cap_fowner=ep`.
pub const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Is this root, with the tools? If not, prints why a test is skipped.
pub fn ready() -> bool {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: unpacking needs root");
        return false;
    }
    for tool in ["umoci", "skopeo"] {
        if Command::new(tool).arg("--version").output().is_err() {
            eprintln!("skipped: {tool} is not installed (apt install {tool})");
            return false;
        }
    }
    true
}

/// Runs a tool; it must succeed.
pub fn run(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).output().expect("the tool starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `skopeo copy`, without a policy on this machine.
pub fn copy(from: &str, to: &str, options: &[&str]) {
    let mut arguments = vec!["--insecure-policy", "copy", "-q"];
    arguments.extend(options);
    run("skopeo", &[arguments.as_slice(), &[from, to]].concat());
}

/// A store in a folder of its own.
pub struct Host {
    pub dir: tempfile::TempDir,
    pub images: Images,
}

impl Host {
    pub fn new() -> Host {
        let dir = tempfile::tempdir().expect("a folder");
        let images = Images::open(&dir.path().join("images"), platform::this_node());
        Host { images: images.expect("the store opens"), dir }
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("a name in UTF-8").to_owned()
    }

    /// Opens the store again, as the next agent does.
    pub fn reopen(&mut self) {
        let root = self.dir.path().join("images");
        self.images = Images::open(&root, platform::this_node()).expect("the store opens");
    }
}

/// Writes an OCI layout `layout` into the folder, with the image `app` of two layers: one with
/// every kind of entry, one with changes of these. Returns the path of umoci's own unpacked tree.
pub fn write_layout(dir: &Path) -> PathBuf {
    let path = |name: &str| dir.join(name).to_str().expect("UTF-8").to_owned();
    let (layout, bundle) = (path("layout"), path("bundle"));
    let image = format!("{layout}:app");
    run("umoci", &["init", "--layout", &layout]);
    run("umoci", &["new", "--image", &image]);
    let entry = ["config", "--image", &image, "--config.entrypoint", "/bin/tool"];
    run("umoci", &entry);
    run("umoci", &["unpack", "--image", &image, &bundle]);
    let root = Path::new(&bundle).join("rootfs");
    write_first(&root);
    run("umoci", &["repack", "--refresh-bundle", "--image", &image, &bundle]);
    change(&root);
    run("umoci", &["repack", "--image", &image, &bundle]);
    let seen = path("seen");
    run("umoci", &["unpack", "--image", &image, &seen]);
    Path::new(&seen).join("rootfs")
}

/// Writes a file that has a hole and data at its end.
pub fn write_sparse(root: &Path) {
    let sparse = fs::File::create(root.join("sparse")).expect("a file");
    sparse.write_all_at(b"end", 5_000_000).expect("a hole and an end");
}

fn write_first(root: &Path) {
    let write = |name: &str, bytes: &[u8]| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        path
    };
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    mode(&write("bin/tool", b"#!/bin/sh\n"), 0o4755);
    write("etc/empty", b"");
    write("etc/grüße", "ü".as_bytes());
    write(&format!("long/{}/{}", "d".repeat(120), "f".repeat(200)), b"long");
    write("gone/file", b"1");
    write("gone-whole/deep/file", b"2");
    write("becomes-file/inner", b"3");
    write("becomes-folder", b"4");
    write("cleared/old", b"5");
    write("big", &(0..3_000_000_u32).map(|at| (at / 7 % 251) as u8).collect::<Vec<_>>());
    let owned = write("srv/owned", b"owned");
    chown(&owned, Some(1000), Some(70_000)).expect("an owner");
    chown(root.join("srv"), Some(1000), Some(1000)).expect("an owner");
    mode(&write("tmp/x", b""), 0o640);
    mode(&root.join("tmp"), 0o1777);
    symlink("tool", root.join("bin/link")).expect("a link");
    symlink("/etc/empty", root.join("etc/absolute")).expect("a link");
    symlink("../../../../../etc/passwd", root.join("etc/outside")).expect("a link");
    fs::hard_link(root.join("bin/tool"), root.join("etc/hard")).expect("a hard link");
    write_sparse(root);
    let device = makedev(1, 3);
    mknod(&root.join("null"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), device)
        .expect("a device");
    nix::unistd::mkfifo(&root.join("fifo"), Mode::from_bits_truncate(0o600)).expect("a fifo");
    let capable = write("bin/capable", b"capable");
    crate::tree::set_attribute(&capable, "security.capability", &CAPABILITY);
    crate::tree::set_attribute(&capable, "user.note", b"a note");
}

fn change(root: &Path) {
    fs::remove_file(root.join("gone/file")).expect("it was there");
    fs::remove_dir_all(root.join("gone-whole")).expect("it was there");
    fs::remove_dir_all(root.join("becomes-file")).expect("it was there");
    fs::write(root.join("becomes-file"), b"now a file").expect("a file");
    fs::remove_file(root.join("becomes-folder")).expect("it was there");
    fs::create_dir(root.join("becomes-folder")).expect("a folder");
    fs::write(root.join("becomes-folder/inner"), b"inner").expect("a file");
    fs::remove_dir_all(root.join("cleared")).expect("it was there");
    fs::create_dir(root.join("cleared")).expect("a folder");
    fs::write(root.join("cleared/new"), b"new").expect("a file");
    fs::write(root.join("srv/owned"), b"changed").expect("a file");
}
