//! Archives written and read back, through the programs that others use.

use std::fs::{self, File};
use std::io::Cursor;

use runtime::image::{ImageError, Images, Loaded};

use crate::tools::{self, Host, copy, run};
use crate::tree;

fn load(images: &Images, path: &str) -> Vec<Loaded> {
    images.load(File::open(path).expect("it was written")).expect("it loads")
}

fn names(loaded: &[Loaded]) -> Vec<String> {
    loaded.iter().flat_map(|image| &image.names).map(ToString::to_string).collect()
}

fn save(images: &Images, names: &[&str], path: &str) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let selection = images.select(&names).expect("they are here");
    images.save(&selection, File::create(path).expect("a file")).expect("it is written");
}

#[test]
fn what_we_save_is_read_by_others_in_both_forms() {
    if !tools::ready() {
        return;
    }
    let host = Host::new();
    let expected = tree::read(&tools::write_layout(host.dir.path()));
    let archive = host.path("in.tar");
    let layout = format!("oci:{}:app", host.path("layout"));
    copy(&layout, &format!("docker-archive:{archive}:team/app:1"), &[]);
    assert_eq!(names(&load(&host.images, &archive)), ["team/app:1"]);
    let saved = host.path("out.tar");
    save(&host.images, &["team/app:1"], &saved);

    for source in [format!("docker-archive:{saved}:team/app:1"), format!("oci-archive:{saved}:1")] {
        let back = Host::new();
        copy(&source, &format!("oci:{}:back", back.path("layout")), &[]);
        let image = format!("{}:back", back.path("layout"));
        run("umoci", &["unpack", "--image", &image, &back.path("bundle")]);
        let found = tree::read(&back.dir.path().join("bundle/rootfs"));
        let found = tree::differences(&found, &expected);
        assert!(found.is_empty(), "{source}:\n{}", found.join("\n"));
    }
}

#[test]
fn an_image_keeps_its_digest_on_the_way_from_store_to_store() {
    if !tools::ready() {
        return;
    }
    let host = Host::new();
    tools::write_layout(host.dir.path());
    let archive = host.path("in.tar");
    let layout = format!("oci:{}:app", host.path("layout"));
    copy(&layout, &format!("docker-archive:{archive}:app:1"), &[]);
    let first = load(&host.images, &archive);
    assert_eq!(first, load(&Host::new().images, &archive), "the same archive is the same image");
    let saved = host.path("out.tar");
    save(&host.images, &["app:1"], &saved);
    run("gzip", &[&saved]);
    let other = Host::new();
    let packed = format!("{saved}.gz");
    assert_eq!(load(&other.images, &packed), first);
    assert_eq!(load(&other.images, &packed), first, "twice is as once");
}

#[test]
fn an_archive_without_a_name_or_with_a_lone_word_gives_none() {
    if !tools::ready() {
        return;
    }
    let host = Host::new();
    tools::write_layout(host.dir.path());
    let archive = host.path("in.tar");
    let layout = format!("oci:{}:app", host.path("layout"));
    copy(&layout, &format!("oci-archive:{archive}:app"), &[]);
    let loaded = load(&host.images, &archive);
    assert!(loaded[0].names.is_empty());
    let row = host.images.inspect(loaded[0].digest.short()).expect("found by its id");
    assert_eq!(row.image.manifest, loaded[0].digest);
    assert!(row.names.is_empty());
}

#[test]
fn an_archive_cut_anywhere_names_nothing() {
    if !tools::ready() {
        return;
    }
    let host = Host::new();
    tools::write_layout(host.dir.path());
    let archive = host.path("in.tar");
    let layout = format!("oci:{}:app", host.path("layout"));
    copy(&layout, &format!("docker-archive:{archive}:app:1"), &[]);
    let bytes = fs::read(&archive).expect("it was written");
    // After the last entry there are only zeros.
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("it is not empty");
    let other = Host::new();
    for part in 0..40 {
        let cut = end * part / 40;
        let result = other.images.load(Cursor::new(&bytes[..cut]));
        assert!(matches!(result, Err(ImageError::Archive(_))), "cut at {cut}: {result:?}");
    }
    assert!(other.images.names().is_empty());
    assert_eq!(names(&load(&other.images, &archive)), ["app:1"]);
}

#[test]
fn what_is_no_archive_says_what_to_give() {
    let host = Host::new();
    let junk = host.images.load(b"junk".as_slice()).expect_err("it is none").to_string();
    assert!(junk.contains("docker save"), "{junk}");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(2);
    tar.append_data(&mut header, "some/file", b"hi".as_slice()).expect("memory takes it");
    let bytes = tar.into_inner().expect("it ends");
    let none = host.images.load(bytes.as_slice()).expect_err("it is none").to_string();
    assert!(none.contains("edgectl image import"), "{none}");
}
