//! Volumes on a real disk.

use super::*;
use crdt_state::spec::{Container, Mount};
use oci_spec::image::{ConfigBuilder, ImageConfiguration, ImageConfigurationBuilder};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

struct Disk {
    dir: tempfile::TempDir,
    volumes: Volumes,
}

impl Disk {
    fn new() -> Disk {
        let dir = tempfile::tempdir().expect("a folder");
        let volumes = Volumes::open(&dir.path().join("volumes")).expect("it is made");
        fs::create_dir_all(dir.path().join("rootfs/var/lib/pg/base")).expect("writable");
        Disk { dir, volumes }
    }

    fn rootfs(&self) -> PathBuf {
        self.dir.path().join("rootfs")
    }

    fn fill(&self, template: &Template) -> BTreeMap<String, PathBuf> {
        let named = self.volumes.of_template(template).expect("they are made");
        let (run_dir, rootfs) = (self.dir.path().join("run"), self.rootfs());
        let image = &image();
        fill(&Filling { template, image, named: &named, run_dir: &run_dir, rootfs: &rootfs })
            .expect("they are filled")
    }
}

fn image() -> ImageConfiguration {
    let config = ConfigBuilder::default().volumes(vec!["/var/lib/pg/".to_owned()]).build();
    let config = config.expect("every field has a default");
    ImageConfigurationBuilder::default().config(config).build().expect("every field has a default")
}

enum Copied {
    Yes,
    No,
}

fn with_volume(name: &str, copied: &Copied) -> Template {
    let source = MountSource::Volume {
        name: name.to_owned(),
        no_copy: matches!(copied, Copied::No),
        labels: Labels::from([("tier".to_owned(), "db".to_owned())]),
    };
    let mount = Mount { source, target: "/var/lib/pg".to_owned(), read_only: false };
    let container = Container { mounts: vec![mount], ..Container::default() };
    Template { container, ..Template::default() }
}

#[test]
fn a_volume_is_made_once_and_found_again() {
    let disk = Disk::new();
    let labels = Labels::from([("tier".to_owned(), "db".to_owned())]);
    let made = disk.volumes.create("pgdata", &labels).expect("it is made");
    assert_eq!(disk.volumes.create("pgdata", &Labels::new()).expect("it is there"), made);
    let again = Volumes::open(&disk.dir.path().join("volumes")).expect("it is there");
    assert_eq!(again.list(), [made]);
}

#[test]
fn a_volume_made_anew_is_another_one() {
    let disk = Disk::new();
    let first = disk.volumes.create("pgdata", &Labels::new()).expect("it is made");
    fs::write(first.data.join("row"), "1").expect("writable");
    disk.volumes.remove("pgdata").expect("it is there");
    assert!(disk.volumes.list().is_empty() && !first.data.exists());
    assert!(matches!(disk.volumes.remove("pgdata"), Err(VolumeError::Unknown(_))));
    let second = disk.volumes.create("pgdata", &Labels::new()).expect("it is made");
    assert_ne!(first.id, second.id);
}

#[test]
fn a_volume_whose_disk_is_not_mounted_is_never_made_anew_by_itself() {
    let disk = Disk::new();
    disk.volumes.create("pgdata", &Labels::new()).expect("it is made");
    fs::rename(disk.volumes.root.join("pgdata"), disk.dir.path().join("elsewhere")).expect("ours");
    let refused = disk.volumes.of_template(&with_volume("pgdata", &Copied::Yes));
    assert!(matches!(refused, Err(VolumeError::Missing(_))));
    fs::rename(disk.dir.path().join("elsewhere"), disk.volumes.root.join("pgdata")).expect("ours");
    assert!(disk.volumes.of_template(&with_volume("pgdata", &Copied::Yes)).is_ok());

    let after = Volumes::open(&disk.dir.path().join("unmounted")).expect("it is made");
    after.know(["pgdata".to_owned()]);
    assert!(matches!(after.create("pgdata", &Labels::new()), Err(VolumeError::Missing(_))));
    after.remove("pgdata").expect("somebody said that it is lost");
    assert!(after.create("pgdata", &Labels::new()).is_ok());
}

#[test]
fn what_was_in_a_removed_volume_is_deleted_later() {
    let disk = Disk::new();
    let made = disk.volumes.create("pgdata", &Labels::new()).expect("it is made");
    fs::write(made.data.join("row"), vec![1; 8192]).expect("writable");
    disk.volumes.remove("pgdata").expect("it is there");
    disk.volumes.create("pgdata", &Labels::new()).expect("it is made again");
    assert!(disk.volumes.sweep() >= 8192);
    assert_eq!((disk.volumes.sweep(), disk.volumes.list().len()), (0, 1));
}

#[test]
fn names_are_those_that_docker_takes() {
    let disk = Disk::new();
    for name in ["", "a", ".hidden", "../escape", "a/b", "-x", &"a".repeat(101)] {
        let refused = disk.volumes.create(name, &Labels::new()).expect_err(name);
        assert!(matches!(&refused, VolumeError::Name(_)) && refused.is_permanent(), "{name}");
        assert!(disk.volumes.find(name).is_none());
    }
    assert!(disk.volumes.create("Web_data.1-x", &Labels::new()).is_ok());
}

#[test]
fn a_folder_that_was_never_acknowledged_is_no_volume() {
    let disk = Disk::new();
    fs::create_dir_all(disk.dir.path().join("volumes/pgdata/_data")).expect("writable");
    assert!(disk.volumes.list().is_empty());
    disk.volumes.create("pgdata", &Labels::new()).expect("it is made");
    assert_eq!(disk.volumes.list().len(), 1);
}

#[test]
fn whoever_waits_is_woken_by_a_change() {
    let disk = Disk::new();
    let changes = disk.volumes.changes();
    assert!(!changes.has_changed().expect("it is open"));
    disk.volumes.create("pgdata", &Labels::new()).expect("it is made");
    assert!(changes.has_changed().expect("it is open"));
}

#[test]
fn an_empty_volume_gets_what_the_image_has_there_with_owners_modes_and_links() {
    let disk = Disk::new();
    let there = disk.rootfs().join("var/lib/pg");
    fs::write(there.join("base/1"), "row").expect("writable");
    fs::hard_link(there.join("base/1"), there.join("same")).expect("writable");
    symlink("base/1", there.join("link")).expect("writable");
    fs::set_permissions(&there, fs::Permissions::from_mode(0o1700)).expect("ours");
    let root = nix::unistd::geteuid().is_root();
    if root {
        std::os::unix::fs::chown(&there, Some(999), Some(998)).expect("root may");
    }
    let volumes = disk.fill(&with_volume("pgdata", &Copied::Yes));
    let data = &volumes["pgdata"];
    assert_eq!(fs::read_to_string(data.join("link")).expect("a link"), "row");
    assert_eq!(fs::metadata(data.join("same")).expect("it is there").nlink(), 2);
    let found = fs::metadata(data).expect("it is there");
    assert_eq!(found.mode() & 0o7777, 0o1700);
    assert!(!root || (found.uid(), found.gid()) == (999, 998));
    assert_eq!(disk.volumes.find("pgdata").expect("it is there").labels["tier"], "db");
}

#[test]
fn a_volume_with_anything_in_it_is_left_alone() {
    let disk = Disk::new();
    let template = with_volume("pgdata", &Copied::Yes);
    let data = disk.volumes.of_template(&template).expect("it is made")["pgdata"].clone();
    fs::write(data.join("row"), "1").expect("writable");
    disk.fill(&template);
    assert!(data.join("row").exists() && !data.join("base").exists());
}

#[test]
fn nothing_is_copied_where_the_service_says_so_and_half_a_copy_is_thrown_away() {
    let disk = Disk::new();
    let data = disk.fill(&with_volume("pgdata", &Copied::No))["pgdata"].clone();
    assert!(!data.join("base").exists());
    let half = data.parent().expect("a folder").join("_new/half");
    fs::create_dir_all(half).expect("writable");
    disk.fill(&with_volume("pgdata", &Copied::Yes));
    assert!(data.join("base").is_dir() && !data.join("half").exists());
}

#[test]
fn a_copy_that_was_cut_off_is_gone_on_with_and_the_folder_stays_the_same() {
    let disk = Disk::new();
    let template = with_volume("pgdata", &Copied::Yes);
    let data = disk.volumes.of_template(&template).expect("it is made")["pgdata"].clone();
    let number = fs::metadata(&data).expect("it is there").ino();
    fs::write(data.join("moved"), "1").expect("writable");
    let whole = data.parent().expect("a folder").join("_whole");
    fs::create_dir(&whole).expect("writable");
    fs::write(whole.join("rest"), "2").expect("writable");
    disk.fill(&template);
    assert!(data.join("moved").exists() && data.join("rest").exists() && !whole.exists());
    assert_eq!(fs::metadata(&data).expect("it is there").ino(), number);
    assert!(!data.join("base").exists(), "it is not empty");
}

#[test]
fn volumes_without_a_name_live_in_the_folder_of_their_run() {
    let disk = Disk::new();
    let volumes = disk.fill(&Template::default());
    let data = &volumes["/var/lib/pg"];
    assert!(data.starts_with(disk.dir.path().join("run")) && data.join("base").is_dir());
    let volumes = disk.fill(&with_volume("", &Copied::No));
    assert_eq!(volumes.keys().collect::<Vec<_>>(), ["/var/lib/pg"]);
    assert!(disk.volumes.list().is_empty());
}

#[test]
fn a_link_of_the_image_never_leads_to_the_nodes_own_files() {
    let disk = Disk::new();
    let secret = disk.dir.path().join("secret");
    fs::create_dir(&secret).expect("writable");
    fs::write(secret.join("key"), "k").expect("writable");
    fs::remove_dir_all(disk.rootfs().join("var/lib/pg")).expect("ours");
    symlink(&secret, disk.rootfs().join("var/lib/pg")).expect("writable");
    let data = disk.fill(&with_volume("pgdata", &Copied::Yes))["pgdata"].clone();
    assert!(!data.join("key").exists());
}
