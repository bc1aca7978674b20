//! Edits on two sides of a partition: a removal against edits, and the same name twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use crdt_state::service;
use crdt_state::spec::{Facet, PublishedPort, Scale};
use crdt_state::{
    Conflict, HashSigner, HashVerifier, Kind, NodeId, RecordKey, Replica, ServiceId, Signer,
    StoreId, Writer,
};
use node_core::{Edit, Edited, Refusal};

use crate::host::{Host, replica, spec};

/// The other side of a partition, which has the service records of this one.
fn other_side(host: &Host) -> Replica {
    let signer = HashSigner::from_seed(2);
    let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
    let mut other = Replica::new(writer, Box::new(signer), Arc::new(HashVerifier));
    other.merge(&host.node.replica().delta(keys(host.node.replica())));
    other
}

fn keys(replica: &Replica) -> Vec<RecordKey> {
    replica.keys(Kind::SERVICE).collect()
}

/// The host after the partition healed, started again with the records of both sides.
fn heal(host: &Host, other: &Replica) -> Host {
    let mut merged = replica(1, &host.disk);
    assert_eq!(merged.merge(&other.delta(keys(other))).junk, []);
    let encoded = |key| (key, merged.encode_record(&key).expect("held"));
    let disk: BTreeMap<_, _> = keys(&merged).into_iter().map(encoded).collect();
    let mut healed = Host::boot(1, disk, Vec::new());
    healed.wait(60_000);
    healed
}

/// A service that was removed on this side and scaled to 3 on the other side.
fn removed_against_scaled() -> (Host, ServiceId, Conflict) {
    let mut host = Host::new();
    let id = host.create(spec("web", 1));
    let mut other = other_side(&host);
    let three = Scale::Replicated { replicas: 3 };
    other.edit(RecordKey::service(id), Facet::SCALE, &three, 0);
    host.edit(Edit::RemoveService { id }).expect("it exists");
    let healed = heal(&host, &other);
    assert!(healed.started.is_empty());
    let conflict = healed.node.replica().conflicts().pop().expect("the edit is listed");
    (healed, id, conflict)
}

#[test]
fn an_edit_that_the_removal_did_not_see_brings_the_tasks_back() {
    let (mut host, id, conflict) = removed_against_scaled();
    let (key, stamp) = (conflict.key, conflict.losers[0].stamp);
    let pick = Edit::PickConflict { key, facet: Facet::SCALE, stamp };
    assert_eq!(host.edit(pick), Ok(Edited::Done));
    host.wait(1_000);
    assert_eq!(host.node.service(id).map(|service| service.name.as_str()), Some("web"));
    assert_eq!((host.started.len(), host.node.replica().conflicts()), (3, Vec::new()));
}

#[test]
fn a_removal_is_kept_and_the_list_is_empty() {
    let (mut host, id, conflict) = removed_against_scaled();
    let (key, stamp) = (conflict.key, conflict.winner.stamp);
    assert_eq!(host.edit(Edit::PickConflict { key, facet: Facet::LIFE, stamp }), Ok(Edited::Done));
    host.wait(1_000);
    assert!(host.node.service(id).is_none() && host.started.is_empty());
    assert_eq!(host.node.replica().conflicts(), []);
}

#[test]
fn what_comes_back_leaves_its_name_to_who_has_it_now() {
    let (mut host, id, conflict) = removed_against_scaled();
    let now = host.create(spec("web", 1));
    let (key, stamp) = (conflict.key, conflict.losers[0].stamp);
    host.edit(Edit::PickConflict { key, facet: Facet::SCALE, stamp }).expect("listed");
    let name = |id| host.node.service(id).map(|service| service.name.clone());
    assert_eq!((name(now), name(id)), (Some("web".into()), Some("web-2".into())));
    assert_eq!(service::name_conflicts(host.node.replica()), []);
}

/// `web`, changed by `edit` and created on both sides: the service of the other side is older.
fn same_name(edit: impl Fn(&mut node_core::ServiceSpec)) -> (Host, ServiceId, ServiceId) {
    let mut other = Host::new();
    let mut web = spec("web", 1);
    edit(&mut web);
    let older = other.create(web.clone());
    let mut here = Host::boot(2, BTreeMap::new(), Vec::new());
    here.create(spec("db", 0));
    web.template.env.push("SIDE=here".into());
    let younger = here.create(web);
    (heal(&here, other.node.replica()), older, younger)
}

#[test]
fn two_services_of_one_name_both_run_and_the_older_is_meant_by_it() {
    let (host, older, younger) = same_name(|_| {});
    let mut started: Vec<ServiceId> = host.started.iter().map(|start| start.service).collect();
    started.sort_unstable();
    let mut both = vec![older, younger];
    both.sort_unstable();
    assert_eq!(started, both);
    let [shared] = &service::name_conflicts(host.node.replica())[..] else {
        panic!("one name is shared")
    };
    assert_eq!((shared.owner, &shared.others[..]), (older, &[younger][..]));
    let called = |id| host.node.report(host.now).called(host.node.service(id).expect("living"));
    assert_eq!((called(older), called(younger)), ("web".into(), younger.to_string()));
    assert_eq!(host.node.report(host.now).why_service(younger)[0].name, format!("{younger}.1"));
}

#[test]
fn a_name_goes_to_who_is_picked_and_nothing_restarts() {
    for pick_younger in [true, false] {
        let (mut host, older, younger) = same_name(|_| {});
        host.start_all();
        let (picked, other) = if pick_younger { (younger, older) } else { (older, younger) };
        assert_eq!(host.edit(Edit::TakeName { id: picked }), Ok(Edited::Service(picked)));
        host.wait(60_000);
        let name = |id| host.node.service(id).map(|service| service.name.clone());
        assert_eq!((name(picked), name(other)), (Some("web".into()), Some("web-2".into())));
        assert_eq!(
            (service::name_conflicts(host.node.replica()), host.node.replica().conflicts()),
            (vec![], vec![])
        );
        assert!(host.started.is_empty() && host.stopped.is_empty());
        assert_eq!(host.edit(Edit::TakeName { id: picked }), Err(Refusal::NoSuchConflict));
    }
}

#[test]
fn a_service_is_renamed_and_its_tasks_go_on() {
    let (mut host, older, younger) = same_name(|_| {});
    host.start_all();
    let mut shop = spec("shop", 1);
    shop.template.env.push("SIDE=here".into());
    let rename = |id, spec| Edit::UpdateService { id, version: None, spec: Box::new(spec) };
    assert_eq!(host.edit(rename(younger, shop)), Ok(Edited::Service(younger)));
    host.wait(60_000);
    assert!(host.started.is_empty() && host.stopped.is_empty());
    assert_eq!(service::name_conflicts(host.node.replica()), []);
    let taken = host.edit(rename(older, spec("shop", 1)));
    assert_eq!(taken, Err(Refusal::NameTaken { name: "shop".into(), id: younger }));
}

#[test]
fn of_two_services_of_one_name_and_port_the_younger_waits_and_says_so() {
    let port = PublishedPort { published: 8080, target: 80, protocol: "tcp".into(), host: true };
    let (host, older, younger) = same_name(|web| web.endpoint.ports.push(port.clone()));
    let started: Vec<ServiceId> = host.started.iter().map(|start| start.service).collect();
    assert_eq!(started, [older]);
    let why = &host.node.report(host.now).why_service(younger)[0];
    assert_eq!(why.nodes[0].code, "host-port");
    assert!(why.fixes[0].ends_with(&younger.to_string()), "{:?}", why.fixes);
}
