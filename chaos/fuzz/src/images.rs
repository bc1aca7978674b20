//! What registries and archives bring.

use std::io::Cursor;

use runtime::image::manifest::Document;
use runtime::image::platform::this_node;
use runtime::image::{Digest, Images, Import};

fn images() -> (tempfile::TempDir, Images) {
    let dir = tempfile::tempdir().expect("a folder");
    let images = Images::open(&dir.path().join("images"), this_node()).expect("a store");
    (dir, images)
}

/// A manifest or an index.
pub fn manifest(bytes: &[u8]) {
    let _ = Document::parse(&Digest::of(bytes), bytes);
}

/// A tar, perhaps compressed, of which an image is made.
pub fn tar(bytes: &[u8]) {
    let (_dir, images) = images();
    let made = images.import(Cursor::new(bytes.to_vec()), &Import::default());
    if let Ok(digest) = made
        && let Ok(Some(image)) = images.image(&digest)
    {
        let _ = images.rootfs(&image);
    }
}

/// What `docker save` writes.
pub fn archive(bytes: &[u8]) {
    let (_dir, images) = images();
    let _ = images.load(Cursor::new(bytes.to_vec()));
}
