//! The descent through the digest tree finds the differences, and its cost grows with their number.

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;

use crdt_state::spec::Facet;
use crdt_state::{Kind, RecordKey, Replica, TreePath};
use proptest::prelude::*;
use world::{everything, full_delta, replica};

/// The keys that differ, found as two nodes find them, and how many paths had to be compared.
fn descend(one: &Replica, other: &Replica) -> (BTreeSet<RecordKey>, usize) {
    let (mut found, mut places, mut open) = (BTreeSet::new(), 0, vec![TreePath::ROOT]);
    if one.digest() == other.digest() {
        return (found, 1);
    }
    while let Some(path) = open.pop() {
        places += 1;
        if path.is_leaf() {
            let (mine, theirs) = (one.leaf(path), other.leaf(path));
            let mine: BTreeSet<_> = mine.into_iter().collect();
            let theirs: BTreeSet<_> = theirs.into_iter().collect();
            found.extend(mine.symmetric_difference(&theirs).map(|(key, _)| *key));
            continue;
        }
        let pairs = one.children(path).into_iter().zip(other.children(path)).enumerate();
        let differing = pairs.filter(|(_, (mine, theirs))| mine != theirs);
        open.extend(differing.filter_map(|(branch, _)| path.child(branch)));
    }
    (found, places)
}

fn key(n: u16) -> RecordKey {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    RecordKey { kind: Kind::CONFIG, id }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_descent_finds_exactly_the_differing_keys(
        common in prop::collection::btree_set(0u16..2000, 0..150),
        mine in prop::collection::btree_set(0u16..2000, 0..15),
        theirs in prop::collection::btree_set(0u16..2000, 0..15),
    ) {
        let (mut one, mut other) = (replica(1, 1), replica(2, 2));
        for n in common {
            one.edit(key(n), Facet(3), &n, 0);
        }
        other.merge(&full_delta(&one));
        mine.iter().for_each(|n| { one.edit(key(*n), Facet(3), &1, 0); });
        theirs.iter().for_each(|n| { other.edit(key(*n), Facet(4), &2, 0); });
        let (found, places) = descend(&one, &other);
        let expected: BTreeSet<_> = mine.union(&theirs).map(|n| key(*n)).collect();
        prop_assert!(places <= 1 + 3 * expected.len());
        prop_assert_eq!(&found, &expected);
        other.merge(&one.delta(found.iter().copied()));
        one.merge(&other.delta(found.iter().copied()));
        prop_assert_eq!(one.digest(), other.digest());
        prop_assert_eq!(everything(&one), everything(&other));
    }
}

#[test]
fn forgetting_a_record_leaves_no_trace_of_it() {
    let mut replica = replica(1, 1);
    replica.edit(key(1), Facet(3), &1, 0);
    let (before, bytes) = (replica.digest(), replica.bytes());
    replica.edit(key(2), Facet(3), &2, 0);
    assert_ne!(replica.digest(), before);
    replica.forget(&key(2));
    assert_eq!((replica.digest(), replica.bytes()), (before, bytes));
    assert!(replica.record(&key(2)).is_none());
    assert_eq!(replica.leaf(TreePath::ROOT).len(), 1);
}
