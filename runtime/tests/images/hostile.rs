//! Layers that try to leave their root, and data that is no layer at all.

use std::fs;
use std::path::Path;

use runtime::image::{ImageError, Import};
use tar::{Builder, EntryType, Header};

use crate::tools::Host;

pub struct Layer(Builder<Vec<u8>>);

impl Layer {
    pub fn new() -> Layer {
        Layer(Builder::new(Vec::new()))
    }

    /// Adds an entry with name and target as given, without the checks of the `tar` crate.
    fn add(mut self, kind: EntryType, name: &str, link: &str, data: &[u8]) -> Layer {
        let mut header = Header::new_ustar();
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.0.append(&header, data).expect("memory takes it");
        self
    }

    pub fn file(self, name: &str) -> Layer {
        self.add(EntryType::Regular, name, "", b"hostile")
    }

    pub fn link(self, name: &str, target: &str) -> Layer {
        self.add(EntryType::Symlink, name, target, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Layer {
        self.add(EntryType::Link, name, target, b"")
    }

    pub fn folder(self, name: &str) -> Layer {
        self.add(EntryType::Directory, name, "", b"")
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("it ends")
    }

    fn unpack(self, host: &Host) -> Result<std::path::PathBuf, ImageError> {
        let bytes = self.bytes();
        let digest = host.images.import(bytes.as_slice(), &Import::default())?;
        let image = host.images.image(&digest)?.expect("it was imported");
        Ok(host.images.rootfs(&image)?.layers.remove(0))
    }
}

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: unpacking needs root");
    }
    is_root
}

#[test]
fn a_layer_that_tries_to_leave_its_root_is_refused_and_leaves_nothing() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let outside = host.dir.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("secret"), b"untouched").expect("a file");
    let outside = outside.to_str().expect("UTF-8");
    let layers = [
        Layer::new().file("../escaped"),
        Layer::new().file("a/../../escaped"),
        Layer::new().link("out", outside).file("out/escaped"),
        Layer::new().link("out", outside).folder("out/folder"),
        Layer::new().link("out", "../../../outside").file("out/escaped"),
        Layer::new().link("out", outside).hard_link("in", "out/secret"),
        Layer::new().hard_link("in", "../../../outside/secret"),
        Layer::new().link("out", outside).file("out/.wh.secret"),
        Layer::new().link("out", outside).file("out/.wh..wh..opq"),
        Layer::new().file("a/.wh..."),
        Layer::new().link("one", "two").link("two", "one").file("one/x"),
    ];
    for (number, layer) in layers.into_iter().enumerate() {
        let error = layer.unpack(&host).expect_err("it is refused");
        let text = error.to_string();
        assert!(text.contains("would leave the layer"), "{number}: {text}");
    }
    assert_eq!(fs::read(Path::new(outside).join("secret")).expect("there"), b"untouched");
    assert_eq!(fs::read_dir(outside).expect("a folder").count(), 1);
    let layers = host.dir.path().join("images/layers");
    assert_eq!(fs::read_dir(layers).expect("a folder").count(), 0, "nothing is left");
}

/// A link in a layer is resolved as in the container that will have this root.
#[test]
fn a_link_means_what_it_means_in_the_container() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let layer = Layer::new().folder("usr").folder("usr/lib").link("lib", "/usr/lib").file("lib/so");
    let layer = layer.link("usr/up", "../../../..").file("usr/up/top").folder("lib/deep");
    let layer =
        layer.link("all", "/").link("chain", "/all/lib").hard_link("chain/deep/so", "lib/so");
    let layer = layer.link("a", ".").link("a/b", "..").file("a/b/../c/inside").file("b/x");
    let root = layer.file("chain/.wh.gone").unpack(&host).expect("it unpacks");
    for name in ["usr/lib/so", "usr/lib/deep/so", "top", "c/inside", "x"] {
        assert_eq!(fs::read(root.join(name)).expect(name), b"hostile");
    }
    let kind = |name: &str| fs::symlink_metadata(root.join(name)).expect(name).file_type();
    assert!(kind("lib").is_symlink() && kind("b").is_symlink());
    assert!(std::os::unix::fs::FileTypeExt::is_char_device(&kind("usr/lib/gone")));
    assert!(!host.dir.path().join("images/layers/x").exists());
}

#[test]
fn a_name_counts_from_the_layers_root_with_a_slash_too() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let layer = Layer::new().file("/etc/motd").file("./a/./b").hard_link("c", "/etc/motd");
    let root = layer.link("inner", "etc").file("inner/through").unpack(&host).expect("it unpacks");
    for name in ["etc/motd", "a/b", "c", "etc/through"] {
        assert_eq!(fs::read(root.join(name)).expect(name), b"hostile");
    }
}

#[test]
fn a_later_entry_replaces_an_earlier_one_of_its_name() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let layer = Layer::new()
        .link("a", "/etc/hosts")
        .file("a")
        .folder("b")
        .file("b/inner")
        .file("b")
        .file("c")
        .folder("c")
        .file(".wh.d")
        .folder("d");
    let root = layer.unpack(&host).expect("it unpacks");
    assert!(fs::symlink_metadata(root.join("a")).expect("there").is_file());
    assert!(root.join("b").is_file() && root.join("c").is_dir());
    let opaque = crate::tree::attribute(&root.join("d"), "trusted.overlay.opaque");
    assert_eq!(opaque.as_deref(), Some(b"y".as_slice()), "what was below d stays hidden");
}

#[test]
fn whiteouts_below_what_is_gone_bring_nothing_back() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let layer = Layer::new()
        .file(".wh.first")
        .file("first/deep/.wh.inner")
        .file("last/deep/.wh.inner")
        .file("last/.wh.other")
        .file(".wh.last")
        .file("now-file")
        .file("now-file/.wh.inner")
        .file("now-file/.wh..wh..opq")
        .file("stays/.wh.inner")
        .file("stays/new")
        .file(".wh.stays");
    let root = layer.unpack(&host).expect("it unpacks");
    let kind = |name: &str| fs::symlink_metadata(root.join(name)).expect(name).file_type();
    let is_whiteout = |name| std::os::unix::fs::FileTypeExt::is_char_device(&kind(name));
    assert!(is_whiteout("first") && is_whiteout("last"));
    assert!(kind("now-file").is_file() && kind("stays/new").is_file());
    let opaque = crate::tree::attribute(&root.join("stays"), "trusted.overlay.opaque");
    assert!(opaque.is_some());
}

#[test]
fn what_cannot_be_a_layer_says_why() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    for (layer, says) in [
        (Layer::new().file("f").file("f/below"), "no folder"),
        (Layer::new().hard_link("a", "missing"), "not in the layer"),
        (Layer::new().add(EntryType::Regular, "", "", b"root"), "layer's root"),
        (Layer::new().add(EntryType::new(b'?'), "odd", "", b""), "unknown type"),
    ] {
        let error = layer.unpack(&host).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    }
    let junk = host.images.import(b"no tar at all".repeat(100).as_slice(), &Import::default());
    assert!(matches!(junk, Err(ImageError::Archive(_))), "{junk:?}");
}
