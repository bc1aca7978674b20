//! Images as other programs build them: archives put together here, in the forms that those write.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use runtime::image::{Digest, Import, Loaded};
use serde_json::{Value, json};

use crate::hostile::Layer;
use crate::tools::Host;
use crate::tree;

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes.as_slice()).expect("memory takes it");
    }
    tar.into_inner().expect("it ends")
}

/// A `docker save` archive of layers, with further fields in its configuration.
fn docker_archive(layers: &[Vec<u8>], stored: &[Vec<u8>], mut config: Value) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    let names: Vec<String> =
        (0..stored.len()).map(|number| format!("{number}/layer.tar")).collect();
    let list = json!([{"Config": "config.json", "RepoTags": ["app:1"], "Layers": names}]);
    let mut files: Vec<(String, Vec<u8>)> = names.into_iter().zip(stored.iter().cloned()).collect();
    files.push(("config.json".to_owned(), config.to_string().into_bytes()));
    files.push(("manifest.json".to_owned(), list.to_string().into_bytes()));
    tar(&files)
}

fn load(host: &Host, archive: &[u8]) -> Loaded {
    host.images.load(archive).expect("it loads").swap_remove(0)
}

/// The output of a program for these bytes; `None` if it is not installed.
fn through(program: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new(program);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &bytes));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it ends").expect("it reads all of it");
    Some(output.stdout)
}

#[test]
fn a_configuration_that_does_not_say_what_it_is_for_is_for_this_node() {
    let host = Host::new();
    let layer = Layer::new().file("a").bytes();
    for config in [json!({}), json!({"os": "linux"}), json!({"architecture": "", "os": ""})] {
        let archive =
            docker_archive(std::slice::from_ref(&layer), std::slice::from_ref(&layer), config);
        let loaded = load(&host, &archive);
        let image = host.images.image(&loaded.digest).expect("it is sound").expect("it is here");
        assert_eq!(image.platform.arch, runtime::image::platform::this_node().arch);
        assert_eq!(image.platform.os, "linux");
    }
}

#[test]
fn a_hard_link_to_a_file_of_a_layer_below_is_one_file_with_it() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: unpacking needs root");
        return;
    }
    let host = Host::new();
    let below = Layer::new().folder("bin").file("bin/tool").link("sbin", "/bin").file("gone");
    let above = Layer::new().hard_link("usr/tool", "bin/tool").hard_link("by-link", "sbin/tool");
    let layers = [below.bytes(), above.bytes()];
    let config = json!({"architecture": "amd64", "os": "linux"});
    let loaded = load(&host, &docker_archive(&layers, &layers, config));
    let image = host.images.image_of_manifest(&loaded.digest).expect("sound").expect("here");
    let found = host.images.rootfs(&image).expect("it unpacks").layers;
    let node = |name: &str| fs::symlink_metadata(found[1].join(name)).expect(name);
    assert_eq!(fs::read(found[1].join("usr/tool")).expect("a file"), b"hostile");
    assert_eq!(node("usr/tool").ino(), node("bin/tool").ino());
    assert_eq!(node("by-link").ino(), node("bin/tool").ino());
    assert_eq!(node("bin/tool").mode() & 0o7777, 0o755);
    assert_eq!(node("bin/tool").mtime(), 1);
    let merged = tree::merge(&found);
    assert_eq!(merged["sbin"].content, b"/bin", "the link below is not hidden");

    // A file that the layer itself removes cannot be linked to.
    let above = Layer::new().file(".wh.gone").hard_link("again", "gone").bytes();
    let below = layers[0].clone();
    let layers = [below, above];
    let loaded = load(&host, &docker_archive(&layers, &layers, json!({})));
    let image = host.images.image_of_manifest(&loaded.digest).expect("sound").expect("here");
    let error = host.images.rootfs(&image).expect_err("there is nothing").to_string();
    assert!(error.contains("not in the layer"), "{error}");
}

#[test]
fn xz_and_bzip2_are_read_as_docker_reads_them() {
    let host = Host::new();
    let layer = Layer::new().folder("etc").file("etc/motd").bytes();
    let plain = host.images.import(layer.as_slice(), &Import::default()).expect("a tar");
    let layers = std::slice::from_ref(&layer);
    let archive = docker_archive(layers, layers, json!({}));
    let expected = load(&host, &archive).digest;
    for program in ["xz", "bzip2", "gzip", "zstd"] {
        let Some(packed) = through(program, &layer) else {
            eprintln!("skipped: {program} is not installed");
            continue;
        };
        let digest = host.images.import(packed.as_slice(), &Import::default()).expect(program);
        let is_kept = matches!(program, "gzip" | "zstd");
        assert_eq!(digest != plain, is_kept, "{program}: no registry knows such a layer");
        let outside = through(program, &archive).expect("it is installed");
        assert_eq!(load(&host, &outside).digest, expected, "{program}");
        let inside = docker_archive(layers, &[packed], json!({}));
        assert_eq!(load(&host, &inside).digest != expected, is_kept, "{program}");
    }
}

/// An OCI layout with an index inside an index, after one that has nothing for this node.
#[test]
fn an_index_in_an_index_is_searched() {
    let host = Host::new();
    let layer = Layer::new().file("a").bytes();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut blob = |bytes: Vec<u8>| {
        let digest = Digest::of(&bytes);
        let described = json!({"digest": digest.to_string(), "size": bytes.len()});
        files.push((format!("blobs/sha256/{}", digest.hex()), bytes));
        described
    };
    let here = runtime::image::platform::this_node();
    let platform = json!({"architecture": here.arch, "os": here.os});
    let config = json!({
        "architecture": here.arch, "os": here.os,
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer).to_string()]},
    });
    let manifest = json!({
        "schemaVersion": 2, "config": blob(config.to_string().into_bytes()),
        "layers": [blob(layer)],
    });
    let mut build = blob(manifest.to_string().into_bytes());
    build["platform"] = platform;
    let mut other = build.clone();
    other["platform"] = json!({"architecture": "s390x", "os": "linux"});
    let index = |builds: &[&Value]| json!({"schemaVersion": 2, "manifests": builds});
    let for_others = blob(index(&[&other]).to_string().into_bytes());
    let for_us = blob(index(&[&build]).to_string().into_bytes());
    let outer = blob(index(&[&for_others, &for_us]).to_string().into_bytes());
    files.push(("index.json".to_owned(), index(&[&outer]).to_string().into_bytes()));

    let loaded = load(&host, &tar(&files));
    let image = host.images.image(&loaded.digest).expect("it is sound").expect("it is here");
    assert_eq!(Some(image.manifest.as_str()), build["digest"].as_str());
    // Then to the next machine, complete.
    let next = Host::new();
    let selection = host.images.select(&[loaded.digest.to_string()]).expect("it is here");
    let mut saved = Vec::new();
    host.images.save(&selection, &mut saved).expect("it is written");
    let again = load(&next, &saved);
    assert_eq!(again.digest, loaded.digest);
    assert!(next.images.image(&again.digest).expect("it is sound").is_some());
}
