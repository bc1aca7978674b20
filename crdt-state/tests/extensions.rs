//! What tasks have beyond the frozen fields of a template: its bytes, which are frozen too, and
//! what agents that know nothing of it leave behind. See `frozen.rs`.

use std::sync::Arc;

use crdt_state::limits::EXTENSION_BYTES_MAX;
use crdt_state::signature::{HashSigner, HashVerifier, Signer};
use crdt_state::spec::extension::{EarlierExtension, EarlierExtensions, Property};
use crdt_state::spec::{
    Extension, Facet, Life, Standalone, StoredTemplate, Swap, Template, TemplateVersion,
    UserNamespace,
};
use crdt_state::{NodeId, RecordKey, Replica, Service, ServiceId, StoreId, Writer, wire};

const ID: ServiceId = ServiceId([1; 16]);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn template(image: &str) -> Template {
    Template { image: image.to_owned(), ..Template::default() }
}

fn swapping(bytes: u64) -> Extension {
    Extension { swap: Some(Swap::Bytes(bytes)), ..Extension::default() }
}

fn replica() -> Replica {
    let signer = HashSigner::from_seed(1);
    let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
    let mut replica = Replica::new(writer, Box::new(signer), Arc::new(HashVerifier));
    let life = Life::Present { name: "web".into(), created: replica.next_stamp() };
    replica.edit(RecordKey::service(ID), Facet::LIFE, &life, 0);
    replica
}

#[test]
fn what_tasks_have_beyond_the_template_is_read_by_agents_of_other_versions() {
    let pre_start = vec![vec!["a".to_owned(), "b".to_owned()]];
    let all = Extension {
        swap: Some(Swap::Bytes(7)),
        swappiness: Some(10),
        pre_start,
        ..Extension::default()
    };
    let properties = all.properties();
    assert_eq!(hex(&wire::encode(&properties)), "0103000007010a02010201610162");
    assert_eq!(wire::decode(&wire::encode(&properties)), Ok(properties.clone()));
    let standalone = Some(Standalone {
        node: NodeId([5; 16]),
        auto_remove: true,
        stdin_once: false,
        unless_stopped: true,
    });
    let by_hand = Extension { standalone, ..Extension::default() }.properties();
    assert_eq!(hex(&wire::encode(&by_hand)), format!("010104{}010001", "05".repeat(16)));
    let unlimited = Extension { swap: Some(Swap::Unlimited), ..Extension::default() }.properties();
    assert_eq!(hex(&wire::encode(&unlimited)), "01010001");
    let (seccomp, apparmor) = (Some("{}".to_owned()), Some("shop".to_owned()));
    let profiles = Extension { seccomp, apparmor, ..Extension::default() }.properties();
    assert_eq!(hex(&wire::encode(&profiles)), "010206027b7d070473686f70");
    let users = Some(UserNamespace::Own);
    let users = Extension { users, ..Extension::default() }.properties();
    assert_eq!(hex(&wire::encode(&users)), "01010800");
    let had = EarlierExtension { of: TemplateVersion(9), properties };
    let earlier = EarlierExtensions { last_good: Some(had), previous: None };
    assert_eq!(hex(&wire::encode(&earlier)), "01010903000007010a0201020161016200");
    assert_eq!(wire::decode(&wire::encode(&earlier)), Ok(earlier));
}

#[test]
fn a_template_is_stored_without_what_it_has_beyond_its_frozen_fields() {
    let bare = wire::encode(&StoredTemplate(template("app:1")));
    let extended = Template { extension: swapping(7), ..template("app:1") };
    assert_eq!(wire::encode(&StoredTemplate(extended)), bare);
    let StoredTemplate(read) = wire::decode(&bare).expect("it is one");
    assert_eq!(read, template("app:1"));
}

/// The version is part of what tasks are known by: another one would restart every task of the
/// fleet when an agent is upgraded.
#[test]
fn a_service_of_before_there_were_extensions_has_the_version_that_it_had() {
    let mut replica = replica();
    replica.edit(RecordKey::service(ID), Facet::TEMPLATE, &StoredTemplate(template("app:1")), 0);
    let service = Service::read(&replica, ID).expect("it lives");
    assert_eq!(format!("{:016x}", service.template_version.0), "1f6ffd3f92099c41");
}

#[test]
fn a_service_has_the_extension_that_is_written_and_earlier_ones_theirs() {
    let mut replica = replica();
    let key = RecordKey::service(ID);
    replica.edit(key, Facet::TEMPLATE, &StoredTemplate(template("app:2")), 0);
    replica.edit(key, Facet::LAST_GOOD, &StoredTemplate(template("app:1")), 0);
    replica.edit(key, Facet::TEMPLATE_EXTENSION, &swapping(2).properties(), 0);
    let service = Service::read(&replica, ID).expect("it lives");
    assert_eq!(service.template.extension, swapping(2));
    let (_, good) = service.last_good.expect("there is one");
    assert_eq!(good.extension, swapping(2), "an older agent wrote the template, and left the rest");
    let had = EarlierExtension::of(&Template { extension: swapping(1), ..template("app:1") });
    let earlier = EarlierExtensions { last_good: Some(had), previous: None };
    replica.edit(key, Facet::EARLIER_EXTENSIONS, &earlier, 0);
    let (version, good) = Service::read(&replica, ID).expect("it lives").last_good.expect("one");
    assert_eq!(good.extension, swapping(1));
    assert_eq!(version, TemplateVersion::of(&good));
}

#[test]
fn properties_that_no_edit_writes_are_read_by_nobody() {
    let (swap, swappiness) = (Property::Swap(Swap::Bytes(7)), Property::Swappiness(10));
    let bad: [&[Property]; 13] = [
        &[Property::PreStart(vec![Vec::new()])],
        &[Property::PreStart(Vec::new())],
        &[Property::PreStart(vec![vec!["a".to_owned()]; 17])],
        &[Property::PreStart(vec![vec!["a".repeat(9_000)]])],
        &[Property::Swappiness(101)],
        &[Property::Seccomp(String::new())],
        &[Property::Seccomp("x".repeat(EXTENSION_BYTES_MAX))],
        &[Property::AppArmor(String::new())],
        &[Property::AppArmor("x".repeat(256))],
        &[Property::Swap(Swap::Bytes(0))],
        &[Property::Swap(Swap::Bytes(u64::MAX))],
        &[swappiness.clone(), swap.clone()],
        &[swap.clone(), swap.clone()],
    ];
    let key = RecordKey::service(ID);
    for properties in bad {
        let mut replica = replica();
        replica.edit(key, Facet::TEMPLATE_EXTENSION, &properties.to_vec(), 0);
        assert_eq!(Service::read(&replica, ID), None, "{properties:?}");
    }
    let mut later = replica();
    // A list of one property that this version does not know.
    later.edit(key, Facet::TEMPLATE_EXTENSION, &vec![(250_u8, 1_u8)], 0);
    assert_eq!(Service::read(&later, ID), None, "a task must not run without it");
    let mut sound = replica();
    sound.edit(key, Facet::TEMPLATE_EXTENSION, &vec![swap, swappiness], 0);
    assert!(Service::read(&sound, ID).is_some());
}
