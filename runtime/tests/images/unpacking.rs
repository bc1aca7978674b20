//! Unpacked trees, compared with umoci's trees of the same image.

use std::fs::{self, File};
use std::process::Command;

use runtime::image::{Images, platform};

use crate::tools::{self, CAPABILITY, Host};
use crate::tree;

/// The tree that the store unpacks from the only image of an archive.
fn unpacked(images: &Images, archive: &str) -> tree::Tree {
    let loaded = images.load(File::open(archive).expect("it was written")).expect("it loads");
    let image = images.image(&loaded[0].digest).expect("it is sound").expect("it is complete");
    tree::merge(&images.rootfs(&image).expect("it unpacks").layers)
}

#[test]
fn every_form_of_an_image_unpacks_to_the_tree_that_umoci_makes() {
    if !tools::ready() {
        return;
    }
    let host = Host::new();
    let expected = tree::read(&tools::write_layout(host.dir.path()));
    assert!(expected.contains_key("bin/capable") && expected.contains_key("null"));
    let layout = format!("oci:{}:app", host.path("layout"));
    let zstd = ["--dest-compress-format", "zstd", "--dest-compress-level", "3"];
    for (form, options) in
        [("oci-archive", [].as_slice()), ("docker-archive", &[]), ("oci-archive", &zstd)]
    {
        let archive = host.path("archive.tar");
        fs::remove_file(&archive).ok();
        tools::copy(&layout, &format!("{form}:{archive}:team/app:1"), options);
        // A store of its own for each: a layer that is there already is not unpacked again.
        let fresh = Host::new();
        let found = tree::differences(&unpacked(&fresh.images, &archive), &expected);
        assert!(found.is_empty(), "{form} {options:?}:\n{}", found.join("\n"));
    }
}

#[test]
fn a_file_keeps_its_capabilities_and_setuid_bits() {
    if !tools::ready() {
        return;
    }
    let host = Host::new();
    tools::write_layout(host.dir.path());
    let archive = host.path("a.tar");
    tools::copy(
        &format!("oci:{}:app", host.path("layout")),
        &format!("oci-archive:{archive}:app:1"),
        &[],
    );
    let tree = unpacked(&host.images, &archive);
    assert_eq!(tree["bin/capable"].capability.as_deref(), Some(CAPABILITY.as_slice()));
    assert_eq!(tree["bin/tool"].mode, 0o4755);
    assert_eq!(tree["etc/hard"].linked.as_deref(), Some("bin/tool"));
    assert!(!tree.contains_key("gone/file") && !tree.contains_key("cleared/old"));
}

#[test]
fn gnu_tar_in_every_format_unpacks_to_what_was_packed() {
    if !tools::ready() {
        return;
    }
    let host = Host::new();
    let root = tools::write_layout(host.dir.path());
    tools::write_sparse(&root);
    let expected = tree::read(&root);
    for format in ["gnu", "posix", "pax-sparse-0.0", "pax-sparse-0.1", "pax-sparse-1.0"] {
        let archive = host.path("root.tar");
        let mut tar = Command::new("tar");
        tar.args([
            "-C",
            root.to_str().expect("UTF-8"),
            "-cf",
            &archive,
            "--sparse",
            "--hole-detection=raw",
        ]);
        match format.strip_prefix("pax-sparse-") {
            Some(version) => tar.args(["--format=posix", &format!("--sparse-version={version}")]),
            None => tar.arg(format!("--format={format}")),
        };
        if format != "gnu" {
            tar.args(["--xattrs", "--xattrs-include=*"]);
        }
        assert!(tar.arg(".").status().expect("tar runs").success());
        let fresh = Host::new();
        let stream = File::open(&archive).expect("it was written");
        let import = runtime::image::Import::default();
        let digest = fresh.images.import(stream, &import).expect("it is a tar");
        let image = fresh.images.image(&digest).expect("it is sound").expect("it is complete");
        let mut found = tree::merge(&fresh.images.rootfs(&image).expect("it unpacks").layers);
        if format == "gnu" {
            // This format has no attributes.
            let capable = found.get_mut("bin/capable").expect("it is there");
            capable.capability = expected["bin/capable"].capability.clone();
            capable.note = expected["bin/capable"].note.clone();
        }
        let found = tree::differences(&found, &expected);
        assert!(found.is_empty(), "{format}:\n{}", found.join("\n"));
        let sparse = image.layers[0].diff_id.clone();
        let sparse = fs::metadata(fresh.images.layer_path(&sparse).join("sparse")).expect("there");
        let on_disk = std::os::unix::fs::MetadataExt::blocks(&sparse) * 512;
        assert!(on_disk < 1_000_000, "{format}: the hole takes {on_disk} bytes");
    }
}

#[test]
fn a_layer_is_unpacked_once_however_many_ask_at_once() {
    if !tools::ready() {
        return;
    }
    let host = Host::new();
    tools::write_layout(host.dir.path());
    let archive = host.path("a.tar");
    tools::copy(
        &format!("oci:{}:app", host.path("layout")),
        &format!("docker-archive:{archive}:app:1"),
        &[],
    );
    let loaded = host.images.load(File::open(&archive).expect("it is there")).expect("it loads");
    let image = host.images.image(&loaded[0].digest).expect("sound").expect("complete");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| host.images.rootfs(&image).expect("it unpacks"));
        }
    });
    let layers = fs::read_dir(host.dir.path().join("images/layers")).expect("a folder");
    assert_eq!(layers.count(), image.layers.len(), "no draft is left");
}

#[test]
fn an_unfinished_layer_is_gone_after_a_restart() {
    let mut host = Host::new();
    let draft = host.dir.path().join("images/layers/.new-1234-0/etc");
    fs::create_dir_all(&draft).expect("a folder");
    host.reopen();
    assert!(!draft.exists());
    assert_eq!(host.images.platform(), &platform::this_node());
}
