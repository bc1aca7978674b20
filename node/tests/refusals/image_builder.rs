//! An agent that makes images of busybox and pushes them to registries.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use runtime::image::Digest;
use serde_json::Value;

use crate::fleet::Fleet;

/// The content of an image.
#[derive(Debug, Clone, Copy)]
pub enum Build {
    /// A shell and its tools, for this machine.
    Here,
    /// The program only, under one name.
    WithoutShell,
    /// For another processor.
    For(&'static str),
    /// With this many additional bytes, which cannot be compressed.
    Large(usize),
}

pub struct ImageBuilder {
    pub fleet: Fleet,
    dir: tempfile::TempDir,
}

/// Digests of a pushed image.
pub struct Pushed {
    pub manifest: String,
    pub layer: String,
}

impl ImageBuilder {
    pub fn open(net: u8) -> ImageBuilder {
        ImageBuilder::open_with(net, &[])
    }

    pub fn open_with(net: u8, settings: &[(&str, &str)]) -> ImageBuilder {
        let dir = tempfile::tempdir().expect("a folder");
        let logins = dir.path().join("config.json").display().to_string();
        let settings = [&[("EDGECTL_DOCKER_CONFIG", logins.as_str())], settings].concat();
        let folder = tempfile::tempdir().expect("a folder");
        ImageBuilder { fleet: Fleet::start_in(folder, net, 1, &settings), dir }
    }

    pub fn log_in(&self, host: &str) {
        fs::write(self.dir.path().join("config.json"), login(host)).expect("writable");
    }

    /// Makes an image. Each one is different, even with the same content.
    pub fn make(&self, name: &str, build: Build) {
        let path = self.dir.path().join("root.tar");
        let mut tar = tar::Builder::new(fs::File::create(&path).expect("writable"));
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
        let busybox = busybox.into_iter().find(|path| path.exists()).expect("busybox is installed");
        tar.append_path_with_name(busybox, "bin/busybox").expect("added");
        let mut add = |path: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, bytes).expect("added");
        };
        add("name", name.as_bytes());
        if let Build::Large(bytes) = build {
            add("large", &noise(bytes));
        }
        if !matches!(build, Build::WithoutShell) {
            for tool in ["sh", "sleep"] {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, format!("bin/{tool}"), "busybox").expect("added");
            }
        }
        tar.finish().expect("written");
        let path = path.display().to_string();
        let mut words = vec!["image", "import", &path, name];
        let platform;
        if let Build::For(architecture) = build {
            platform = format!("linux/{architecture}");
            words.extend(["--platform", &platform]);
        }
        expect(&self.fleet, &words);
    }
}

/// Pushes an image under a name with a registry.
pub fn push(builder: &ImageBuilder, image: &str, name: &str) {
    expect(&builder.fleet, &["image", "tag", image, name]);
    expect(&builder.fleet, &["image", "push", name]);
}

/// The digests of the image that a registry without login has under a tag.
pub fn pushed(host: &str, repository: &str, tag: &str) -> Pushed {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(host).expect("it listens");
    let accept = "application/vnd.oci.image.manifest.v1+json";
    write!(stream, "GET /v2/{repository}/manifests/{tag} HTTP/1.0\r\nAccept: {accept}\r\n\r\n")
        .expect("asked");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("answered");
    let head = reply.windows(4).position(|part| part == b"\r\n\r\n").expect("HTTP");
    let body = &reply[head + 4..];
    let manifest: Value = serde_json::from_slice(body).expect("a manifest");
    let layer = manifest["layers"][0]["digest"].as_str().expect("a layer").to_owned();
    Pushed { manifest: Digest::of(body).to_string(), layer }
}

/// A `config.json` in Docker's form, with a login for ann.
pub fn login(host: &str) -> String {
    // ann:s3cret
    format!(r#"{{"auths":{{"{host}":{{"auth":"YW5uOnMzY3JldA=="}}}}}}"#)
}

/// Runs our own client, as an operator would.
pub fn edgectl(fleet: &Fleet, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
    command.arg("-H").arg(fleet.socket(1)).args(words);
    command.stdin(Stdio::null()).output().expect("edgectl runs")
}

fn expect(fleet: &Fleet, words: &[&str]) -> String {
    let done = edgectl(fleet, words);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(done.status.success(), "{words:?}: {}", text(&done.stderr));
    text(&done.stdout)
}

fn noise(length: usize) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = vec![0; length];
    let mut source = fs::File::open("/dev/urandom").expect("readable");
    source.read_exact(&mut bytes).expect("endless");
    bytes
}
