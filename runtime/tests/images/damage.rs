//! Damaged disks, interrupted transfers, and full disks.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};

use runtime::image::{Damage, Digest, ImageError, Import};

use crate::tools::Host;

fn tar_with(name: &str, data: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, name, data).expect("memory takes it");
    tar.into_inner().expect("it ends")
}

/// Changes one byte in the middle.
fn flip(path: &std::path::Path, at: u64) {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path).expect("it is there");
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).expect("a place");
    file.read_exact(&mut byte).expect("a byte");
    file.seek(SeekFrom::Start(at)).expect("a place");
    file.write_all(&[byte[0] ^ 1]).expect("another byte");
}

#[test]
fn a_blob_goes_on_where_the_last_attempt_ended() {
    let mut host = Host::new();
    let content = vec![7; 100_000];
    let digest = Digest::of(&content);
    let mut writer = host.images.write_blob(&digest, Some(100_000)).expect("a writer");
    writer.write(&content[..60_000]).expect("written");
    let second = host.images.write_blob(&digest, Some(100_000));
    assert!(matches!(second, Err(ImageError::Busy(_))));
    drop(writer);
    host.reopen();
    assert_eq!(host.images.has_blob(&digest), None);
    let mut writer = host.images.write_blob(&digest, Some(100_000)).expect("a writer");
    assert_eq!(writer.offset(), 60_000);
    writer.write(&content[60_000..]).expect("written");
    writer.commit().expect("it is what its name says");
    assert_eq!(host.images.has_blob(&digest), Some(100_000));
}

#[test]
fn a_blob_can_be_read_while_it_grows() {
    let host = Host::new();
    let content = b"one two".as_slice();
    let digest = Digest::of(content);
    assert!(host.images.partial(&digest).is_none());
    let mut writer = host.images.write_blob(&digest, Some(7)).expect("a writer");
    writer.write(b"one").expect("written");
    let mut partial = host.images.partial(&digest).expect("it grows");
    assert_eq!((partial.size, partial.growth.borrow_and_update().bytes), (Some(7), 3));
    writer.write(b" two").expect("written");
    assert!(partial.growth.has_changed().expect("its writer lives"));
    writer.commit().expect("it is what its name says");
    assert!(partial.growth.borrow().complete);
    let mut read = Vec::new();
    partial.file.read_to_end(&mut read).expect("still readable");
    assert_eq!(read, content);
}

#[test]
fn wrong_content_never_gets_the_name_and_does_not_stay_in_the_way() {
    let host = Host::new();
    let digest = Digest::of(b"right");
    let mut writer = host.images.write_blob(&digest, Some(5)).expect("a writer");
    writer.write(b"wrong").expect("written");
    let error = writer.commit().expect_err("it is not what its name says");
    assert!(matches!(error, ImageError::WrongDigest { .. }), "{error}");
    let mut writer = host.images.write_blob(&digest, Some(5)).expect("a writer");
    assert_eq!(writer.offset(), 0);
    assert!(writer.write(b"too long").is_err());
    writer.write(b"right").expect("written");
    writer.commit().expect("it is what its name says");
}

#[test]
fn a_blob_that_the_disk_has_no_room_for_is_refused_before_it_is_fetched() {
    let host = Host::new();
    let error = host.images.write_blob(&Digest::of(b"huge"), Some(1 << 60)).expect_err("too big");
    assert!(matches!(error, ImageError::DiskFull { wanted: Some(_), .. }), "{error}");
    assert!(error.to_string().contains("edgectl image prune"), "{error}");
}

#[test]
fn a_damaged_manifest_counts_as_missing_and_is_taken_again() {
    let host = Host::new();
    let bytes = tar_with("file", b"content");
    let digest = host.images.import(bytes.as_slice(), &Import::default()).expect("it is a tar");
    flip(&host.dir.path().join("images/blobs/sha256").join(digest.hex()), 20);
    assert_eq!(host.images.image(&digest).expect("no error"), None);
    assert_eq!(host.images.has_blob(&digest), None);
    host.images.import(bytes.as_slice(), &Import::default()).expect("it is a tar");
    assert!(host.images.image(&digest).expect("sound").is_some());
}

#[test]
fn a_damaged_layer_is_found_when_it_is_unpacked_and_fetched_again() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: unpacking needs root");
    }
    let host = Host::new();
    let bytes = tar_with("file", &[1; 5000]);
    let digest = host.images.import(bytes.as_slice(), &Import::default()).expect("it is a tar");
    let image = host.images.image(&digest).expect("sound").expect("complete");
    let blob = host.dir.path().join("images/blobs/sha256").join(image.layers[0].digest.hex());
    flip(&blob, 2000);
    let error = host.images.rootfs(&image).expect_err("it is damaged").to_string();
    assert!(error.contains("fetched again"), "{error}");
    assert_eq!(host.images.image(&digest).expect("sound"), None, "not complete any more");
    host.images.import(bytes.as_slice(), &Import::default()).expect("it is a tar");
    host.images.rootfs(&image).expect("it unpacks");
}

#[test]
fn verify_finds_a_flipped_byte_in_a_blob_and_in_an_unpacked_layer() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: unpacking needs root");
    }
    let host = Host::new();
    let bytes = tar_with("etc/file", &[1; 5000]);
    let digest = host.images.import(bytes.as_slice(), &Import::default()).expect("it is a tar");
    let image = host.images.image(&digest).expect("sound").expect("complete");
    let root = host.images.rootfs(&image).expect("it unpacks").layers.remove(0);
    assert_eq!(host.images.verify().expect("it looks"), []);
    flip(&root.join("etc/file"), 4000);
    let found = host.images.verify().expect("it looks");
    let diff_id = image.layers[0].diff_id.clone();
    assert_eq!(found, [Damage::Layer { diff_id, entry: "etc/file".to_owned() }]);
    assert!(!root.exists());
    host.images.rootfs(&image).expect("it unpacks again");
    let layer = image.layers[0].digest.clone();
    flip(&host.dir.path().join("images/blobs/sha256").join(layer.hex()), 2000);
    assert_eq!(host.images.verify().expect("it looks"), [Damage::Blob(layer)]);
    assert_eq!(host.images.verify().expect("it looks"), []);
}
