//! Volumes of real containers, the same with each runtime: filled from the image once, kept from
//! run to run; those without a name are removed with their run.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crdt_state::spec::{Labels, Mount, MountSource};
use crdt_state::task::{Exit, TaskStart};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use oci_spec::image::{ConfigBuilder, ImageConfiguration};
use runtime::volume::{Volumes, in_use};
use runtime::{Driver, run_dir};

use crate::host::{Host, until};
use crate::test_images::{TestImages, shell};

fn test_images(host: &Host) -> &TestImages {
    host.test_images.as_ref().expect("it runs containers")
}

/// An image with `/data/seed`, owned by the shop; the folder of the volume `pgdata`.
fn image_with_data(host: &Host) -> PathBuf {
    let volumes = Volumes::open(&test_images(host).path().join("volumes")).expect("it is made");
    let volume = volumes.create("pgdata", &Labels::new()).expect("it is made");
    let layer = test_images(host).layer("with-data");
    fs::create_dir(layer.join("data")).expect("writable");
    fs::write(layer.join("data/seed"), "grain\n").expect("writable");
    std::os::unix::fs::chown(layer.join("data"), Some(900), Some(901)).expect("root may");
    let layers = [test_images(host).path().join("busybox"), layer];
    let mut config = ImageConfiguration::default();
    let declared = ConfigBuilder::default().volumes(["/data".to_owned()]).build();
    config.set_config(Some(declared.expect("every field has a default")));
    test_images(host).change("database", |order| {
        order.layers = layers.to_vec();
        order.config = config;
        order.volumes.insert("pgdata".to_owned(), volume.data.clone());
    });
    volume.data
}

fn with_volume(line: &str) -> TaskStart {
    let mut order = shell(line);
    order.template.image = "database".to_owned();
    let source =
        MountSource::Volume { name: "pgdata".to_owned(), no_copy: false, labels: Labels::new() };
    let mount = Mount { source, target: "/data".to_owned(), read_only: false };
    order.template.container.mounts.push(mount);
    order
}

fn a_named_volume_is_filled_once_and_kept_from_run_to_run(host: &mut Host) {
    let data = image_with_data(host);
    let first = with_volume("cat /data/seed; echo rows > /data/table; rm -f /data/seed");
    host.run(&first);
    assert_eq!(host.exit(first.run), Exit::Code(0), "{}", host.said(first.run));
    assert_eq!(host.said(first.run), "grain\n");
    let second = with_volume("cat /data/table; ls /data; exec sleep 1000");
    host.run(&second);
    host.hear(second.run, "table");
    assert_eq!(host.said(second.run), "rows\ntable\n", "what was removed stays so");
    let found = fs::metadata(&data).expect("it is there");
    assert_eq!((found.uid(), found.gid()), (900, 901), "as the image has it");
    let used = in_use(host.dir(second.run).parent().expect("a folder"));
    assert!(used.contains("pgdata"));
    assert_eq!(host.stop(second.run, None, 0), Exit::Signal(9));
    until("nobody to use it", || {
        let runs = host.dir(second.run).parent().map(in_use);
        runs.filter(|used| used.is_empty())
    });
}

fn a_volume_without_a_name_is_gone_with_its_run(host: &mut Host) {
    image_with_data(host);
    let mut order = shell("cat /data/seed; echo x > /data/mine; exec sleep 1000");
    order.template.image = "database".to_owned();
    host.run(&order);
    host.hear(order.run, "grain");
    let dir = host.dir(order.run);
    let mine = || {
        let found = fs::read_dir(dir.join("volumes")).ok()?.next()?.ok()?;
        found.path().join("_data/mine").exists().then_some(())
    };
    until("it is written to the folder of the run", mine);
    assert_eq!(host.stop(order.run, None, 0), Exit::Signal(9));
    until("the volume to go", || (!dir.join("volumes").exists()).then_some(()));
    assert!(dir.join(run_dir::LOG).exists(), "what it said stays");
    host.driver().forget(order.run);
    until("the folder to go", || (!dir.exists()).then_some(()));
}

/// A folder of the node with mounts that propagate to others; unmounted on drop.
struct Shared(tempfile::TempDir);

impl Shared {
    fn make() -> Shared {
        let shared = Shared(tempfile::tempdir().expect("a folder"));
        let (none, hub) = (None::<&str>, shared.hub());
        fs::create_dir(&hub).expect("writable");
        mount(Some(&hub), &hub, none, MsFlags::MS_BIND, none).expect("root may");
        mount(none, &hub, none, MsFlags::MS_SHARED, none).expect("root may");
        fs::create_dir(hub.join("card")).expect("writable");
        shared
    }

    fn hub(&self) -> PathBuf {
        self.0.path().join("hub")
    }

    /// Mounts a memory card.
    fn insert(&self) {
        let card = self.hub().join("card");
        mount(Some("card"), &card, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("it may");
        fs::write(card.join("photo"), "x").expect("writable");
    }
}

impl Shared {
    fn remove(&self) {
        let _ = umount2(&self.hub().join("card"), MntFlags::MNT_DETACH);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.remove();
        let _ = umount2(&self.hub(), MntFlags::MNT_DETACH);
    }
}

fn what_the_node_mounts_later_is_seen_where_it_was_asked_for(host: &mut Host) {
    let shared = [Shared::make(), Shared::make()];
    let (first, second, above) = (shared[0].hub(), shared[1].hub(), shared[0].0.path().to_owned());
    let cases: [&[(&PathBuf, &str, bool)]; 5] = [
        &[(&first, "rslave", true)],
        &[(&first, "rshared", true)],
        &[(&first, "", false)],
        &[(&first, "rslave", true), (&second, "rprivate", false)],
        &[(&above, "", false), (&first, "rslave", true)],
    ];
    for binds in cases {
        let mut order = shell(
            "echo ready; until [ -e /go/go ]; do sleep 0.01; done; ls $CARD0 $CARD1; echo looked; \
             exec sleep 1000",
        );
        let go = tempfile::tempdir().expect("a folder");
        let mut bind = |path: &Path, propagation: &str, target: String| {
            let (path, propagation) = (path.display().to_string(), propagation.to_owned());
            let source =
                MountSource::Bind { path, propagation, non_recursive: false, create: false };
            order.template.container.mounts.push(Mount { source, target, read_only: false });
        };
        bind(go.path(), "", "/go".to_owned());
        for (number, (path, propagation, _)) in binds.iter().enumerate() {
            let card = if **path == above { "hub/card" } else { "card" };
            bind(path, propagation, format!("/media/{number}"));
            order.template.env.push(format!("CARD{number}=/media/{number}/{card}/photo"));
        }
        host.run(&order);
        host.hear(order.run, "ready");
        shared.iter().for_each(Shared::insert);
        fs::write(go.path().join("go"), "").expect("writable");
        host.hear(order.run, "looked");
        let said = host.said(order.run);
        for (number, (_, propagation, seen)) in binds.iter().enumerate() {
            let found = said.lines().any(|line| line.starts_with(&format!("/media/{number}/")));
            assert_eq!(found, *seen, "{number} {propagation}: {said}");
        }
        host.stop(order.run, None, 0);
        shared.iter().for_each(Shared::remove);
    }
}

every_runtime!(
    a_named_volume_is_filled_once_and_kept_from_run_to_run,
    what_the_node_mounts_later_is_seen_where_it_was_asked_for,
    a_volume_without_a_name_is_gone_with_its_run,
);
