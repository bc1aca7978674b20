//! Which mounts a container has, and in which order.

use super::super::tests::Made;
use super::super::{BundleOutput, StartError};
use super::*;
use crdt_state::spec::{self, Container, MountSource, Template};
use oci_spec::runtime::Mount;

fn bind_of(path: &str, target: &str) -> spec::Mount {
    let source = MountSource::Bind {
        path: path.to_owned(),
        propagation: String::new(),
        non_recursive: false,
        create: false,
    };
    spec::Mount { source, target: target.to_owned(), read_only: false }
}

fn volume_of(name: &str, target: &str) -> spec::Mount {
    let source =
        MountSource::Volume { name: name.to_owned(), no_copy: false, labels: Default::default() };
    spec::Mount { source, target: target.to_owned(), read_only: true }
}

fn with(made: &Made, mounts: &[spec::Mount]) -> Result<BundleOutput, StartError> {
    let container = Container { mounts: mounts.to_vec(), ..Container::default() };
    made.bundle(Template { container, ..Template::default() })
}

fn mounts_of(bundle: &BundleOutput) -> Vec<Mount> {
    bundle.spec.mounts().clone().unwrap_or_default()
}

fn at(bundle: &BundleOutput, target: &str) -> Mount {
    let mounts = mounts_of(bundle);
    let mut found = mounts.into_iter().filter(|mount| mount.destination() == Path::new(target));
    let mount = found.next().unwrap_or_else(|| panic!("nothing at {target}"));
    assert!(found.next().is_none(), "{target} is mounted twice");
    mount
}

fn refused(mounts: &[spec::Mount]) -> BundleError {
    match with(&Made::new(), mounts).map(|_| ()).expect_err("it cannot be mounted") {
        StartError::Bundle(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn every_container_has_what_containers_of_docker_have() {
    let bundle = with(&Made::new(), &[]).expect("nothing is asked");
    let targets: Vec<String> =
        mounts_of(&bundle).iter().map(|mount| mount.destination().display().to_string()).collect();
    let expected = [
        "/proc",
        "/dev",
        "/sys",
        "/dev/pts",
        "/dev/mqueue",
        "/dev/shm",
        "/etc/hosts",
        "/etc/resolv.conf",
        "/etc/hostname",
        "/sys/fs/cgroup",
    ];
    assert_eq!(targets, expected);
    assert!(at(&bundle, "/sys").options().as_ref().expect("options").contains(&"ro".to_owned()));
}

#[test]
fn a_mount_of_the_service_replaces_what_it_covers() {
    let bundle = with(&Made::new(), &[bind_of("/tmp", "/dev"), bind_of("/tmp", "/etc/hosts")]);
    let bundle = bundle.expect("both are there");
    let below =
        mounts_of(&bundle).into_iter().filter(|mount| mount.destination().starts_with("/dev"));
    assert_eq!(below.count(), 1);
    assert_eq!(at(&bundle, "/etc/hosts").source().as_deref(), Some(Path::new("/tmp")));
}

#[test]
fn folders_are_mounted_before_what_is_in_them() {
    let made = Made::new();
    let bundle = with(&made, &[bind_of("/tmp", "/a/b/c"), bind_of("/tmp", "/a/./x/../b")]);
    let bundle = bundle.expect("both are there");
    let position = |target: &str| {
        mounts_of(&bundle).iter().position(|mount| mount.destination() == Path::new(target))
    };
    assert!(position("/a/b").expect("made plain") < position("/a/b/c").expect("it is there"));
}

#[test]
fn volumes_are_found_by_name_and_anonymous_ones_by_their_place() {
    let mut made = Made::new();
    made.volumes.insert("pgdata".to_owned(), "/volumes/pgdata/_data".into());
    made.volumes.insert("/cache".to_owned(), "/volumes/0/_data".into());
    made.volumes.insert("/data".to_owned(), "/volumes/1/_data".into());
    let mounts = [volume_of("pgdata", "/var/lib/pg"), volume_of("", "/cache/")];
    let bundle = with(&made, &mounts).expect("both are known");
    let source = |target| at(&bundle, target).source().clone().expect("a source");
    assert_eq!(source("/var/lib/pg"), Path::new("/volumes/pgdata/_data"));
    assert_eq!(source("/cache"), Path::new("/volumes/0/_data"));
    assert_eq!(source("/data"), Path::new("/volumes/1/_data"), "as the image declares it");
    let options = at(&bundle, "/var/lib/pg").options().clone().expect("options");
    assert_eq!(options, ["rbind", "ro", "rprivate"]);
    let over = with(&made, &[volume_of("pgdata", "/data")]).expect("it is known");
    assert_eq!(at(&over, "/data").source().as_deref(), Some(Path::new("/volumes/pgdata/_data")));
}

#[test]
fn a_missing_source_is_made_only_if_somebody_said_so() {
    let made = Made::new();
    let path = made.rootfs().join("new/folder");
    let mut mount = bind_of(&path.display().to_string(), "/x");
    let error = with(&made, std::slice::from_ref(&mount)).map(|_| ()).expect_err("not there");
    assert!(!error.is_permanent(), "somebody may create it: {error}");
    if let MountSource::Bind { create, .. } = &mut mount.source {
        *create = true;
    }
    with(&made, &[mount]).expect("it is made");
    assert!(path.is_dir());
}

#[test]
fn a_shared_mount_is_a_slave_and_says_so() {
    let mut mount = bind_of("/tmp", "/x");
    if let MountSource::Bind { propagation, non_recursive, .. } = &mut mount.source {
        *propagation = "rshared".to_owned();
        *non_recursive = true;
    }
    let bundle = with(&Made::new(), &[mount]).expect("it works one way");
    assert_eq!(at(&bundle, "/x").options().clone().expect("options"), ["bind", "rw", "rshared"]);
    assert!(bundle.warnings[0].contains("does not reach the node"), "{:?}", bundle.warnings);
}

#[test]
fn malformed_mounts_are_refused_each_with_its_own_reason() {
    assert!(matches!(refused(&[bind_of("/tmp", "data")]), BundleError::RelativeTarget(_)));
    assert!(matches!(refused(&[bind_of("tmp", "/x")]), BundleError::RelativeSource(_)));
    assert!(matches!(refused(&[bind_of("/tmp", "/x/..")]), BundleError::TargetIsRoot));
    let twice = [bind_of("/tmp", "/x"), bind_of("/tmp", "/x/")];
    assert!(matches!(refused(&twice), BundleError::DuplicateTarget(_)));
    assert!(matches!(refused(&[volume_of("nobody", "/x")]), BundleError::NoVolume(_)));
    let source = MountSource::Tmpfs { size_bytes: 0, mode: 0o17777 };
    let tmpfs = spec::Mount { source, target: "/x".to_owned(), read_only: false };
    assert!(matches!(refused(&[tmpfs]), BundleError::TmpfsMode(_)));
    let mut mount = bind_of("/tmp", "/x");
    if let MountSource::Bind { propagation, .. } = &mut mount.source {
        *propagation = "both".to_owned();
    }
    assert!(matches!(refused(&[mount]), BundleError::UnknownPropagation(_)));
}
