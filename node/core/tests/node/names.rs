//! Names of services: which are refused, and how a name works that an older version allowed.

use crdt_state::spec::{Facet, Life, Scale, StoredTemplate};
use crdt_state::{RecordKey, ServiceId};
use node_core::{Edit, Edited, Refusal};

use crate::host::{Host, replica, spec};
use std::collections::BTreeMap;

#[test]
fn a_service_that_would_pass_for_a_task_of_another_is_refused() {
    let mut host = Host::new();
    host.create(spec("web", 1));
    let shadow = host.edit(Edit::CreateService(Box::new(spec("web.1", 1))));
    assert_eq!(shadow, Err(Refusal::BadName("web.1".into())));
    let words = Refusal::BadName("web.1".into()).to_string();
    assert!(words.contains("no dot: `web.1` is a task of `web`"), "{words}");
}

#[test]
fn a_stored_name_with_a_dot_is_read_and_changed_and_can_be_given_up() {
    let mut old = replica(1, &BTreeMap::new());
    let id = ServiceId([7; 16]);
    let key = RecordKey::service(id);
    let created = old.next_stamp();
    old.edit(key, Facet::LIFE, &Life::Present { name: "web.1".into(), created }, 0);
    old.edit(key, Facet::TEMPLATE, &StoredTemplate(spec("web.1", 1).template), 0);
    let disk = BTreeMap::from([(key, old.encode_record(&key).expect("just written"))]);
    let mut host = Host::boot(1, disk, Vec::new());
    let update = |name: &str, replicas| Edit::UpdateService {
        id,
        version: None,
        spec: Box::new(spec(name, replicas)),
    };
    assert_eq!(host.edit(update("web.1", 3)), Ok(Edited::Service(id)));
    let scale = host.node.service(id).map(|service| service.scale);
    assert_eq!(scale, Some(Scale::Replicated { replicas: 3 }));
    assert_eq!(host.edit(update("web.2", 3)), Err(Refusal::BadName("web.2".into())));
    assert_eq!(host.edit(update("web-1", 3)), Ok(Edited::Service(id)));
}

#[test]
fn a_rename_that_is_refused_writes_nothing() {
    let mut host = Host::new();
    host.create(spec("web", 1));
    let id = host.create(spec("db", 1));
    let digest = host.node.replica().digest();
    let update = Edit::UpdateService { id, version: None, spec: Box::new(spec("web", 2)) };
    assert!(matches!(host.edit(update), Err(Refusal::NameTaken { .. })));
    assert_eq!(host.node.replica().digest(), digest);
}
