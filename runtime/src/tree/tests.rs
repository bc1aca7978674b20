//! Hostile links, and what must not be read or made because of them.

use super::*;
use std::fs;
use std::os::unix::fs::symlink;

fn root() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().expect("a folder");
    let root = Root::open(dir.path()).expect("it is there");
    (dir, root)
}

#[test]
fn a_link_out_of_the_root_leads_to_the_same_name_inside() {
    let (dir, root) = root();
    let read = |path: &str| root.read(Path::new(path), 100);
    fs::create_dir_all(dir.path().join("etc")).expect("writable");
    symlink("/etc/hostname", dir.path().join("etc/passwd")).expect("writable");
    symlink("../../../../etc/hostname", dir.path().join("etc/group")).expect("writable");
    assert_eq!(read("/etc/passwd"), Err(Errno::ENOENT));
    fs::write(dir.path().join("etc/hostname"), "inside").expect("writable");
    assert_eq!(read("/etc/passwd").expect("a link"), b"inside");
    assert_eq!(read("/etc/group").expect("a link"), b"inside");
}

#[test]
fn a_magic_link_is_never_followed() {
    let (dir, root) = root();
    symlink("/proc/self/root", dir.path().join("link")).expect("writable");
    assert!(root.folder(Path::new("link/etc")).is_err());
    let machine = Root::open(Path::new("/")).expect("it is there");
    assert_eq!(machine.folder(Path::new("proc/self/root/etc")).err(), Some(Errno::ELOOP));
}

#[test]
fn a_name_that_holds_nul_is_never_cut() {
    let (dir, root) = root();
    fs::create_dir(dir.path().join("etc")).expect("writable");
    assert_eq!(root.folder(Path::new("etc\0x")).err(), Some(Errno::EINVAL));
    assert_eq!(root.make_folders(Path::new("new\0x")).err(), Some(Errno::EINVAL));
}

#[test]
fn nothing_special_is_read() {
    let (dir, root) = root();
    nix::unistd::mkfifo(&dir.path().join("fifo"), Mode::from_bits_truncate(0o600)).expect("a fifo");
    fs::create_dir(dir.path().join("folder")).expect("writable");
    symlink("loop", dir.path().join("loop")).expect("writable");
    for name in ["/fifo", "/folder"] {
        assert_eq!(root.read(Path::new(name), 100).expect(name), b"", "{name}");
    }
    assert_eq!(root.read(Path::new("loop"), 100), Err(Errno::ELOOP));
}

#[test]
fn a_folder_is_made_below_the_root_and_never_beside_it() {
    let (dir, root) = root();
    let outside = tempfile::tempdir().expect("a folder");
    symlink(outside.path(), dir.path().join("way")).expect("writable");
    root.make_folders(Path::new("/srv/app/../data")).expect("it is made");
    assert!(dir.path().join("srv/data").is_dir());
    root.make_folders(Path::new("../../up")).expect("it is made");
    assert!(dir.path().join("up").is_dir());
    assert!(root.make_folders(Path::new("/way/out")).is_err());
    assert!(!outside.path().join("out").exists());
    fs::write(dir.path().join("file"), "").expect("writable");
    assert_eq!(root.make_folders(Path::new("/file/x")).err(), Some(Errno::ENOTDIR));
}
