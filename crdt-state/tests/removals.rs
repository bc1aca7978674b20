//! Removals and the edits that they did not see: listed alike everywhere, restored or confirmed.

#[path = "support/world.rs"]
mod world;

use crdt_state::spec::{Facet, Life, Scale};
use crdt_state::{NoSuchValue, RecordKey, Replica, Service, ServiceId, Stamp};
use world::{full_delta, replica};

const ID: ServiceId = ServiceId([1; 16]);
const KEY: RecordKey = RecordKey { kind: crdt_state::Kind::SERVICE, id: ID.0 };

fn create(replica: &mut Replica) -> Stamp {
    let created = replica.next_stamp();
    replica.edit(KEY, Facet::LIFE, &Life::Present { name: "web".into(), created }, 1_000);
    created
}

fn rename(replica: &mut Replica, name: &str, created: Stamp) {
    replica.edit(KEY, Facet::LIFE, &Life::Present { name: name.into(), created }, 1_000);
}

fn scale(replica: &mut Replica, replicas: u32) -> Stamp {
    replica.edit(KEY, Facet::SCALE, &Scale::Replicated { replicas }, 2_000)
}

fn exchange(one: &mut Replica, other: &mut Replica) {
    assert_eq!(other.merge(&full_delta(one)).junk, []);
    assert_eq!(one.merge(&full_delta(other)).junk, []);
    assert_eq!(one.digest(), other.digest());
    assert_eq!(one.conflicts(), other.conflicts());
}

/// Two sides that both hold a service.
fn sides() -> (Replica, Replica, Stamp) {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    let created = create(&mut one);
    scale(&mut one, 2);
    exchange(&mut one, &mut other);
    (one, other, created)
}

#[test]
fn an_edit_that_a_removal_did_not_see_is_listed_and_brings_the_service_back() {
    let (mut one, mut other, created) = sides();
    let removal = one.remove(KEY, 3_000).expect("it exists");
    let edit = scale(&mut other, 7);
    exchange(&mut one, &mut other);
    assert_eq!(Service::read(&one, ID), None);
    let conflicts = one.conflicts();
    let [conflict] = &conflicts[..] else { panic!("one conflict: {conflicts:?}") };
    assert_eq!((conflict.winner.facet, conflict.winner.stamp), (Facet::LIFE, removal));
    assert_eq!((conflict.facet, conflict.losers[0].stamp), (Facet::SCALE, edit));

    other.pick(KEY, Facet::SCALE, edit, 4_000).expect("it is listed");
    exchange(&mut one, &mut other);
    let service = Service::read(&one, ID).expect("back");
    assert_eq!((service.name.as_str(), service.created), ("web", created));
    assert_eq!(service.scale, Scale::Replicated { replicas: 7 });
    assert_eq!(one.conflicts(), []);
    one.remove(KEY, 5_000).expect("it exists again");
    exchange(&mut one, &mut other);
    assert_eq!((Service::read(&other, ID), other.conflicts()), (None, Vec::new()));
}

#[test]
fn a_removal_that_is_confirmed_saw_everything() {
    let (mut one, mut other, _) = sides();
    let removal = one.remove(KEY, 3_000).expect("it exists");
    scale(&mut other, 7);
    exchange(&mut one, &mut other);
    one.pick(KEY, Facet::LIFE, removal, 4_000).expect("the removal is held");
    exchange(&mut one, &mut other);
    assert_eq!((Service::read(&other, ID), other.conflicts()), (None, Vec::new()));
}

#[test]
fn what_a_removal_saw_cannot_be_picked_any_more() {
    let (mut one, mut other, _) = sides();
    let (five, seven) = (scale(&mut one, 5), scale(&mut other, 7));
    exchange(&mut one, &mut other);
    one.remove(KEY, 3_000).expect("it exists");
    assert_eq!(one.conflicts(), []);
    for stamp in [five, seven] {
        assert_eq!(one.pick(KEY, Facet::SCALE, stamp, 4_000), Err(NoSuchValue));
    }
    assert_eq!(Service::read(&one, ID), None);
}

#[test]
fn one_removal_that_saw_the_edit_is_enough() {
    let (mut one, mut other, _) = sides();
    one.remove(KEY, 3_000).expect("it exists");
    scale(&mut other, 7);
    other.remove(KEY, 3_000).expect("it exists there");
    exchange(&mut one, &mut other);
    assert_eq!((Service::read(&one, ID), one.conflicts()), (None, Vec::new()));
}

#[test]
fn a_name_given_on_the_other_side_brings_the_service_back_under_it() {
    let (mut one, mut other, created) = sides();
    one.remove(KEY, 3_000).expect("it exists");
    rename(&mut other, "shop", created);
    exchange(&mut one, &mut other);
    let conflict = one.conflicts().remove(0);
    assert_eq!(conflict.facet, Facet::LIFE);
    one.pick(KEY, Facet::LIFE, conflict.losers[0].stamp, 0).expect("listed");
    exchange(&mut one, &mut other);
    let service = Service::read(&other, ID).expect("back");
    assert_eq!((service.name.as_str(), service.created), ("shop", created));
    assert_eq!(other.conflicts(), []);
}

#[test]
fn of_two_edits_that_a_removal_did_not_see_the_picked_one_counts() {
    let (mut one, mut other, _) = sides();
    let mut third = replica(3, 3);
    exchange(&mut one, &mut third);
    one.remove(KEY, 3_000).expect("it exists");
    let (five, seven) = (scale(&mut other, 5), scale(&mut third, 7));
    exchange(&mut one, &mut other);
    exchange(&mut one, &mut third);
    let listed: Vec<Stamp> = one.conflicts()[0].losers.iter().map(|loser| loser.stamp).collect();
    assert!(listed.contains(&five) && listed.contains(&seven));
    for (at, (stamp, replicas)) in [(five, 5), (seven, 7)].into_iter().enumerate() {
        let mut copy = replica(4 + at as u64, 4);
        copy.merge(&full_delta(&one));
        copy.pick(KEY, Facet::SCALE, stamp, 0).expect("listed");
        let service = Service::read(&copy, ID).expect("back");
        assert_eq!(service.scale, Scale::Replicated { replicas });
        assert_eq!(copy.conflicts(), []);
    }
}

#[test]
fn bringing_back_and_confirming_at_once_is_listed_too() {
    let (mut one, mut other, _) = sides();
    let removal = one.remove(KEY, 3_000).expect("it exists");
    let edit = scale(&mut other, 7);
    exchange(&mut one, &mut other);
    one.pick(KEY, Facet::LIFE, removal, 4_000).expect("held");
    let back = other.pick(KEY, Facet::SCALE, edit, 4_000).expect("listed");
    exchange(&mut one, &mut other);
    assert_eq!(Service::read(&one, ID), None);
    let conflict = one.conflicts().remove(0);
    assert_eq!((conflict.facet, conflict.losers[0].stamp), (Facet::LIFE, back));
    other.pick(KEY, Facet::LIFE, back, 5_000).expect("listed");
    exchange(&mut one, &mut other);
    assert_eq!(Service::read(&one, ID).map(|s| s.scale), Some(Scale::Replicated { replicas: 7 }));
}

#[test]
fn of_a_removal_by_an_older_version_nothing_is_said() {
    let (mut one, mut other, created) = sides();
    one.edit(KEY, Facet::LIFE, &Life::Removed { name: "web".into() }, 3_000);
    let edit = scale(&mut other, 7);
    exchange(&mut one, &mut other);
    assert_eq!(one.conflicts(), []);
    assert_eq!(one.pick(KEY, Facet::SCALE, edit, 0), Err(NoSuchValue));
    rename(&mut one, "web", created);
    // What an earlier removal had seen says nothing about a later removal.
    one.remove(KEY, 4_000).expect("it exists");
    rename(&mut one, "web", created);
    scale(&mut one, 3);
    one.edit(KEY, Facet::LIFE, &Life::Removed { name: "web".into() }, 5_000);
    assert_eq!(one.conflicts(), []);
}

#[test]
fn what_does_not_exist_is_not_removed() {
    let mut one = replica(1, 1);
    assert_eq!(one.remove(KEY, 0), Err(NoSuchValue));
    scale(&mut one, 3);
    assert_eq!(one.remove(KEY, 0), Err(NoSuchValue));
}
