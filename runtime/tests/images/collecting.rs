//! What garbage collection removes and what it keeps.

use std::collections::BTreeSet;
use std::fs;

use runtime::image::{
    Digest, ImageError, Images, Import, Origin, Prune, Reference, Removal, Users,
};

use crate::tools::Host;

fn name(text: &str) -> Reference {
    text.parse().expect("a name")
}

/// An image with one file, imported under a name.
fn import(images: &Images, file: &str, called: Option<&str>) -> Digest {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(file.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, file, file.as_bytes()).expect("memory takes it");
    let bytes = tar.into_inner().expect("it ends");
    let import = Import { name: called.map(name), ..Import::default() };
    images.import(bytes.as_slice(), &import).expect("it is a tar")
}

fn blobs(host: &Host) -> usize {
    fs::read_dir(host.dir.path().join("images/blobs/sha256")).map_or(0, Iterator::count)
}

#[test]
fn an_image_goes_with_its_last_name_and_what_others_share_stays() {
    let host = Host::new();
    let digest = import(&host.images, "a", Some("app:1"));
    import(&host.images, "b", Some("other:1"));
    host.images.set_name(&name("app:2"), &digest, Origin::Loaded).expect("a name");
    let users = Users::new();
    let first = host.images.remove("app:1", &users, Removal::Careful).expect("a name goes");
    assert_eq!((first.untagged, first.deleted), (vec!["app:1".to_owned()], vec![]));
    let last = host.images.remove("app:2", &users, Removal::Careful).expect("the image goes");
    assert_eq!(last.deleted.len(), 3, "manifest, configuration, layer");
    assert!(last.bytes > 0);
    assert_eq!(blobs(&host), 3, "the other image");
    let error = host.images.remove("app:2", &users, Removal::Careful).expect_err("it is gone");
    assert!(matches!(error, ImageError::Unknown(_)), "{error}");
}

#[test]
fn what_runs_or_has_two_names_goes_only_by_force() {
    let host = Host::new();
    let digest = import(&host.images, "a", Some("app:1"));
    let users = Users::from([(digest.clone(), "web.1".to_owned())]);
    let used = host.images.remove("app:1", &users, Removal::Careful).expect_err("it runs");
    assert!(used.to_string().contains("in use by web.1"), "{used}");
    host.images.set_name(&name("app:2"), &digest, Origin::Loaded).expect("a name");
    let id = digest.short();
    let many = host.images.remove(id, &Users::new(), Removal::Careful).expect_err("two names");
    assert!(matches!(many, ImageError::ManyNames(_)), "{many}");
    host.images.remove("app:2", &users, Removal::Careful).expect("not the last name");
    let freed = host.images.remove(id, &users, Removal::Forced).expect("by force");
    assert_eq!(freed.untagged, ["app:1"]);
    assert_eq!(freed.deleted, [], "a container still needs it");
}

#[test]
fn a_node_collects_what_was_brought_and_is_named_no_more() {
    let host = Host::new();
    let loaded = import(&host.images, "a", Some("kept:1"));
    for version in ["1", "2", "3"] {
        let digest = import(&host.images, version, None);
        let reference = name(&format!("brought:{version}"));
        host.images.remove(digest.short(), &Users::new(), Removal::Careful).expect("nameless");
        let digest = import(&host.images, version, None);
        host.images.set_name(&reference, &digest, Origin::ForTask).expect("a name");
        // Removes the nameless entry that the import made.
        host.images.prune(Prune::Nameless, &Users::new()).expect("pruned");
    }
    let digest = |text: &str| host.images.digest_of(&name(text)).map(|named| named.digest);
    let keep: BTreeSet<_> = ["brought:2", "brought:3"].iter().filter_map(|n| digest(n)).collect();
    let freed = host.images.collect(&keep).expect("it collects");
    assert_eq!(freed.untagged, ["brought:1"]);
    assert_eq!(digest("kept:1"), Some(loaded));
    assert!(digest("brought:2").is_some() && digest("brought:3").is_some());
}

#[test]
fn what_was_written_just_now_is_not_collected_before_it_has_a_name() {
    let host = Host::new();
    let blob = host.images.keep(b"a layer of an image that is being pulled").expect("kept");
    host.images.collect(&BTreeSet::new()).expect("it collects");
    assert!(host.images.has_blob(&blob).is_some());
    let mut next = host;
    next.reopen();
    next.images.collect(&BTreeSet::new()).expect("it collects");
    assert!(next.images.has_blob(&blob).is_none(), "the next agent knows of nobody who pulls it");
}

#[test]
fn prune_takes_the_nameless_or_all_that_nobody_runs() {
    let host = Host::new();
    import(&host.images, "a", None);
    let runs = import(&host.images, "b", Some("runs:1"));
    import(&host.images, "c", Some("idle:1"));
    let users = Users::from([(runs, "web.1".to_owned())]);
    let nameless = host.images.prune(Prune::Nameless, &users).expect("pruned");
    assert_eq!(nameless.untagged.len(), 1);
    let unused = host.images.prune(Prune::Unused, &users).expect("pruned");
    assert_eq!(unused.untagged, ["idle:1"]);
    assert_eq!(host.images.list().expect("a list").len(), 1);
}
