//! What happens to records over the life of a fleet: disks are lost and damaged, versions of the
//! agent differ, conflicts are settled, and what is removed stays removed.

#[path = "support/world.rs"]
mod world;

use crdt_state::spec::{Facet, Labels, Life, Scale};
use crdt_state::task::{Slot, TaskRecord};
use crdt_state::{
    Junk, Kind, NoSuchValue, NodeId, RecordKey, Replica, Service, ServiceId, name_conflicts,
    name_owner, services,
};
use world::{everything, full_delta, replica};

const ID: ServiceId = ServiceId([1; 16]);

fn create(replica: &mut Replica, id: ServiceId, name: &str) {
    let life = Life::Present { name: name.into(), created: replica.next_stamp() };
    replica.edit(RecordKey::service(id), Facet::LIFE, &life, 1_000);
}

fn scale(replica: &mut Replica, replicas: u32) {
    let scale = Scale::Replicated { replicas };
    replica.edit(RecordKey::service(ID), Facet::SCALE, &scale, 2_000);
}

fn remove(replica: &mut Replica) {
    replica.remove(RecordKey::service(ID), 3_000).expect("it exists");
}

fn exchange(one: &mut Replica, other: &mut Replica) {
    assert_eq!(other.merge(&full_delta(one)).junk, []);
    assert_eq!(one.merge(&full_delta(other)).junk, []);
    assert_eq!(one.digest(), other.digest());
}

fn task(replica: &Replica) -> (RecordKey, TaskRecord) {
    let (node, slot) = (replica.me(), Slot::Number(3));
    let record = TaskRecord { service: ID, slot, node, tasks: Vec::new() };
    (RecordKey::task(node, ID, slot), record)
}

/// A record of a kind that this version does not read: its value may be anything.
fn of_later(owner: NodeId) -> RecordKey {
    RecordKey::owned(Kind(0xf4), owner, &[])
}

#[test]
fn edits_of_different_facets_on_both_sides_both_survive() {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    create(&mut one, ID, "web");
    exchange(&mut one, &mut other);
    scale(&mut one, 5);
    let labels = Labels::from([("a".into(), "b".into())]);
    other.edit(RecordKey::service(ID), Facet::LABELS, &labels, 0);
    exchange(&mut one, &mut other);
    let service = Service::read(&one, ID).expect("living");
    assert_eq!((service.scale, service.labels), (Scale::Replicated { replicas: 5 }, labels));
    assert_eq!(one.conflicts(), []);
}

#[test]
fn a_node_that_lost_its_store_outranks_what_it_said_before() {
    let (mut before, mut peer) = (replica(1, 1), replica(2, 2));
    let (key, record) = task(&before);
    for n in 0..20 {
        before.put_owned(of_later(before.me()), &n, 0);
    }
    before.put_owned(key, &record, 0);
    scale(&mut before, 9);
    peer.merge(&full_delta(&before));

    let mut after = replica(1, 7);
    after.put_owned(of_later(after.me()), &"new", 0);
    scale(&mut after, 4);
    exchange(&mut after, &mut peer);
    assert_eq!(after.owned::<i32>(&of_later(after.me())), Some((after.me(), 19)));
    assert_eq!(after.lamport(), before.lamport());
    after.put_owned(of_later(after.me()), &"new", 0);
    exchange(&mut after, &mut peer);
    let (_, said) = peer.owned::<String>(&of_later(after.me())).expect("held");
    assert_eq!(said, "new");
    assert_eq!(peer.conflicts().len(), 1);
}

#[test]
fn saying_the_same_again_writes_nothing() {
    let mut replica = replica(1, 1);
    let (key, record) = task(&replica);
    replica.put_owned(key, &record, 1);
    assert_eq!(replica.drain_changed().into_iter().collect::<Vec<_>>(), [key]);
    let (digest, lamport) = (replica.digest(), replica.lamport());
    replica.put_owned(key, &record, 2);
    assert!(replica.drain_changed().is_empty());
    assert_eq!((replica.digest(), replica.lamport()), (digest, lamport));
}

#[test]
fn a_retired_record_stays_retired_until_its_owner_says_more() {
    let (mut owner, mut peer) = (replica(1, 1), replica(2, 2));
    let (key, record) = task(&owner);
    owner.retire_owned(key, 0);
    assert!(owner.record(&key).is_none());
    owner.put_owned(key, &record, 0);
    exchange(&mut owner, &mut peer);
    let old = full_delta(&peer);
    owner.retire_owned(key, 0);
    owner.drain_changed();
    owner.retire_owned(key, 0);
    assert!(owner.drain_changed().is_empty());
    exchange(&mut owner, &mut peer);
    assert_eq!(peer.merge(&old).changed, []);
    assert_eq!(peer.owned::<TaskRecord>(&key), None);
    owner.put_owned(key, &record, 0);
    exchange(&mut owner, &mut peer);
    assert_eq!(peer.owned::<TaskRecord>(&key), Some((owner.me(), record)));
}

#[test]
#[should_panic(expected = "only its own")]
fn writing_a_record_of_another_node_is_a_bug() {
    let (mut one, other) = (replica(1, 1), replica(2, 2));
    one.put_owned(RecordKey::node(other.me()), &1, 0);
}

#[test]
fn a_removal_wins_over_later_edits_that_did_not_see_it() {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    create(&mut one, ID, "web");
    exchange(&mut one, &mut other);
    remove(&mut one);
    for n in 0..5 {
        scale(&mut other, n);
    }
    create(&mut other, ID, "renamed");
    exchange(&mut one, &mut other);
    for replica in [&one, &other] {
        assert!(matches!(replica.life(&RecordKey::service(ID)), Some(Life::Removed { .. })));
        assert_eq!(Service::read(replica, ID), None);
        assert_eq!(services(replica), []);
    }
    let listed: Vec<Facet> = one.conflicts().iter().map(|conflict| conflict.facet).collect();
    assert_eq!(listed, [Facet::LIFE, Facet::SCALE]);
}

#[test]
fn a_conflict_is_listed_until_one_of_its_values_is_picked() {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    create(&mut one, ID, "web");
    exchange(&mut one, &mut other);
    scale(&mut one, 5);
    scale(&mut other, 7);
    exchange(&mut one, &mut other);
    let conflicts = one.conflicts();
    assert_eq!(conflicts, other.conflicts());
    let [conflict] = &conflicts[..] else { panic!("one conflict: {conflicts:?}") };
    let (key, facet, loser) = (conflict.key, conflict.facet, conflict.losers[0].stamp);
    assert_eq!((key, facet, loser.lamport), (RecordKey::service(ID), Facet::SCALE, 2));
    assert!(loser < conflict.winner.stamp);
    let stamp = one.pick(key, facet, loser, 0).expect("a value that is held");
    exchange(&mut one, &mut other);
    let (picked, scale) = other.facet::<Scale>(&key, facet).expect("written");
    let lost = if one.me() == loser.writer.node { 5 } else { 7 };
    assert_eq!((picked, scale), (stamp, Scale::Replicated { replicas: lost }));
    assert_eq!(other.conflicts(), []);
    assert_eq!(other.pick(key, facet, loser, 0), Err(NoSuchValue));
}

#[test]
fn the_same_value_written_on_both_sides_is_no_conflict() {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    scale(&mut one, 5);
    scale(&mut other, 5);
    exchange(&mut one, &mut other);
    assert_eq!(one.conflicts(), []);
}

#[test]
fn a_name_that_both_sides_created_has_one_owner_on_every_node() {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    let [a, b, c] = [1, 2, 3].map(|n| ServiceId([n; 16]));
    create(&mut other, b, "web");
    create(&mut one, c, "db");
    create(&mut one, a, "web");
    exchange(&mut one, &mut other);
    for replica in [&one, &other] {
        assert_eq!(name_owner(replica, "web"), Some(b));
        assert_eq!(name_owner(replica, "db"), Some(c));
        assert_eq!(name_owner(replica, "none"), None);
        let conflicts = name_conflicts(replica);
        assert_eq!(conflicts.len(), 1);
        assert_eq!((conflicts[0].owner, &conflicts[0].others[..]), (b, &[a][..]));
    }
}

#[test]
fn what_a_later_version_wrote_is_kept_and_passed_on() {
    let (mut later, mut now, mut third) = (replica(1, 1), replica(2, 2), replica(3, 3));
    let key = RecordKey { kind: Kind(0x44), id: [4; 16] };
    later.edit(key, Facet(7_000), &"a facet of later", 0);
    create(&mut later, ID, "web");
    later.edit(RecordKey::service(ID), Facet::SCALE, &("a scale", "of later"), 0);
    let owned = of_later(later.me());
    later.put_owned(owned, &"an owned record of later", 0);
    now.merge(&full_delta(&later));
    assert_eq!(Service::read(&now, ID), None, "a scale of later is not taken for the default");
    now.edit(key, Facet(3), &1, 0);
    third.merge(&full_delta(&now));
    exchange(&mut third, &mut later);
    let (_, value) = later.facet::<String>(&key, Facet(7_000)).expect("kept");
    assert_eq!(value, "a facet of later");
    assert_eq!(third.unfit().collect::<Vec<_>>(), now.unfit().collect::<Vec<_>>());
    assert!(third.owned::<String>(&owned).is_some());
}

#[test]
fn a_damaged_record_of_the_store_is_set_aside_and_healed_by_a_peer() {
    let mut peer = replica(2, 2);
    create(&mut peer, ID, "web");
    let key = RecordKey::service(ID);
    let mut bytes = peer.encode_record(&key).expect("held");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mut replica = replica(1, 1);
    assert_eq!(replica.load(key, &bytes), Err(Junk::BadSignature));
    assert_eq!(replica.load(RecordKey::node(peer.me()), b"rubbish"), Err(Junk::UnknownVersion));
    let kept: Vec<_> = replica.quarantined().map(|(key, kept)| (*key, &kept.bytes)).collect();
    assert!(kept.contains(&(key, &bytes)));
    assert_eq!((kept.len(), replica.record(&key)), (2, None));
    assert!(replica.drain_changed().is_empty());
    assert_eq!(replica.merge(&full_delta(&peer)).changed, [key]);
    assert_eq!(replica.quarantined().count(), 1);
    assert_eq!(replica.digest(), peer.digest());
}

#[test]
fn a_store_read_back_is_the_same_replica() {
    let mut before = replica(1, 1);
    create(&mut before, ID, "web");
    let (key, record) = task(&before);
    before.put_owned(key, &record, 0);
    let mut after = replica(1, 1);
    for (key, bytes) in everything(&before) {
        assert_eq!(after.load(key, &bytes), Ok(()));
    }
    assert_eq!((after.digest(), after.lamport()), (before.digest(), before.lamport()));
    assert!(after.drain_changed().is_empty());
    assert_eq!(after.next_stamp(), before.next_stamp());
}
