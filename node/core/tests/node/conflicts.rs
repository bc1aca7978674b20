//! What two sides wrote without each other: a removal against edits, and the same name twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use crdt_state::spec::{Facet, Scale};
use crdt_state::{
    Conflict, HashSigner, HashVerifier, Kind, NodeId, RecordKey, Replica, ServiceId, Signer,
    StoreId, Writer,
};
use node_core::{Edit, Edited};

use crate::host::{Host, replica, spec};

/// The other side of a cut, which knows what is on the disk of this one.
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

/// The host after the heal, begun again with what both sides wrote.
fn heal(host: &Host, other: &Replica) -> Host {
    let mut merged = replica(1, &host.disk);
    assert_eq!(merged.merge(&other.delta(keys(other))).junk, []);
    let encoded = |key| (key, merged.encode_record(&key).expect("held"));
    let disk: BTreeMap<_, _> = keys(&merged).into_iter().map(encoded).collect();
    let mut healed = Host::boot(1, disk, Vec::new());
    healed.wait(60_000);
    healed
}

/// A service that was removed here and scaled to 3 there.
fn removed_against_scaled() -> (Host, ServiceId, Conflict) {
    let mut host = Host::new();
    let id = host.create(spec("web", 1));
    let mut other = other_side(&host);
    let three = Scale::Replicated { replicas: 3 };
    other.edit(RecordKey::service(id), Facet::SCALE, &three, 0);
    host.edit(Edit::RemoveService { id }).expect("it exists");
    let healed = heal(&host, &other);
    assert!(healed.started.is_empty());
    let conflict = healed.node.conflicts().pop().expect("the edit is listed");
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
    assert_eq!((host.started.len(), host.node.conflicts()), (3, Vec::new()));
}

#[test]
fn a_removal_is_kept_and_the_list_is_empty() {
    let (mut host, id, conflict) = removed_against_scaled();
    let (key, stamp) = (conflict.key, conflict.winner.stamp);
    assert_eq!(host.edit(Edit::PickConflict { key, facet: Facet::LIFE, stamp }), Ok(Edited::Done));
    host.wait(1_000);
    assert!(host.node.service(id).is_none() && host.started.is_empty());
    assert_eq!(host.node.conflicts(), []);
}

#[test]
fn what_comes_back_leaves_its_name_to_who_has_it_now() {
    let (mut host, id, conflict) = removed_against_scaled();
    let now = host.create(spec("web", 1));
    let (key, stamp) = (conflict.key, conflict.losers[0].stamp);
    host.edit(Edit::PickConflict { key, facet: Facet::SCALE, stamp }).expect("listed");
    let name = |id| host.node.service(id).map(|service| service.name.clone());
    assert_eq!((name(now), name(id)), (Some("web".into()), Some("web-2".into())));
    assert_eq!(host.node.name_conflicts(), []);
}
