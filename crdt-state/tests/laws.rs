//! The laws of merging, on whole replicas after random histories: edits, removals, owned writes,
//! partial messages in any order, twice or never, restarts, and stores that were lost.

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;

use crdt_state::removal::RemovalFact;
use crdt_state::spec::{Facet, Life};
use crdt_state::wire;
use proptest::prelude::*;
use world::{World, everything, full_delta, history, join, knows, writes};

fn removals(replica: &crdt_state::Replica) -> BTreeSet<crdt_state::RecordKey> {
    let removed = |(key, facet, write): (_, Facet, crdt_state::register::Write)| {
        let life = wire::decode::<Life>(&write.value);
        (facet == Facet::LIFE && matches!(life, Ok(Life::Removed { .. }))).then_some(key)
    };
    writes(replica).into_iter().filter_map(removed).collect()
}

/// Equal values, or equal names: when an object was created is no operator's choice.
fn says_the_same(facet: Facet, one: &[u8], other: &[u8]) -> bool {
    let name = |value: &[u8]| match wire::decode(value) {
        Ok(Life::Present { name, .. }) if facet == Facet::LIFE => Some(name),
        _ => None,
    };
    one == other || name(one).is_some() && name(one) == name(other)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn merging_is_commutative_associative_and_idempotent(history in history()) {
        let world = World::after(&history);
        let deltas = world.deltas();
        let [a, b, c, _] = &deltas[..] else { unreachable!("four replicas") };
        prop_assert_eq!(everything(&join([a, b])), everything(&join([b, a])));
        let (ab, bc) = (full_delta(&join([a, b])), full_delta(&join([b, c])));
        prop_assert_eq!(everything(&join([&ab, c])), everything(&join([a, &bc])));
        let mut joined = join([a]);
        prop_assert_eq!(everything(&joined), everything(&world.replicas[0]));
        joined.drain_changed();
        prop_assert_eq!(joined.merge(a).changed, []);
        prop_assert!(joined.drain_changed().is_empty());
    }

    #[test]
    fn merging_never_loses_what_was_known(history in history()) {
        let mut world = World::after(&history);
        for at in 0..world.replicas.len() {
            let before = (writes(&world.replicas[at]), world.replicas[at].lamport());
            for delta in world.deltas() {
                world.replicas[at].merge(&delta);
            }
            let replica = &world.replicas[at];
            for (key, facet, write) in before.0 {
                prop_assert!(knows(replica, &key, facet, &write));
            }
            prop_assert!(replica.lamport() >= before.1);
        }
    }

    #[test]
    fn after_a_full_exchange_all_are_equal_and_no_write_is_lost(history in history()) {
        let mut world = World::after(&history);
        world.exchange();
        let first = everything(&world.replicas[0]);
        for replica in &world.replicas {
            prop_assert_eq!(&everything(replica), &first);
            prop_assert_eq!(replica.digest(), world.replicas[0].digest());
            for (key, facet, write) in &world.made {
                prop_assert!(knows(replica, key, *facet, write), "{:?} {:?}", key, write);
            }
        }
    }

    #[test]
    fn digests_are_equal_exactly_when_encodings_are(history in history()) {
        let world = World::after(&history);
        for one in &world.replicas {
            for other in &world.replicas {
                let equal = everything(one) == everything(other);
                prop_assert_eq!(one.digest() == other.digest(), equal);
            }
        }
    }

    #[test]
    fn what_changed_is_reported_and_nothing_else(history in history()) {
        let mut world = World::after(&history);
        let deltas = world.deltas();
        let replica = &mut world.replicas[0];
        for delta in &deltas {
            replica.drain_changed();
            let before = everything(replica);
            let reported: BTreeSet<_> = replica.merge(delta).changed.into_iter().collect();
            let after = everything(replica);
            let differ = after.iter().filter(|(key, bytes)| before.get(*key) != Some(*bytes));
            prop_assert_eq!(&differ.map(|(key, _)| *key).collect::<BTreeSet<_>>(), &reported);
            prop_assert_eq!(replica.drain_changed(), reported);
        }
    }

    #[test]
    fn a_removal_wins_over_every_edit_that_it_did_not_see(history in history()) {
        let mut world = World::after(&history);
        world.exchange();
        let replica = &world.replicas[0];
        for key in removals(replica) {
            let removed = matches!(replica.life(&key), Some(Life::Removed { .. }));
            prop_assert!(removed);
        }
    }

    #[test]
    fn a_conflict_lists_every_value_that_did_not_win(history in history()) {
        let mut world = World::after(&history);
        world.exchange();
        let replica = &world.replicas[0];
        let conflicts = replica.conflicts();
        let removed = removals(replica);
        for (key, facet, write) in writes(replica) {
            if facet == Facet::REMOVAL || removed.contains(&key) {
                continue;
            }
            let winner = replica.record(&key).and_then(|r| r.as_shared()).and_then(|r| r.winner(facet));
            let won = winner.is_some_and(|winner| says_the_same(facet, &winner.value, &write.value));
            let listed = conflicts.iter().any(|conflict| {
                conflict.key == key
                    && conflict.facet == facet
                    && conflict.losers.iter().any(|loser| loser.stamp == write.stamp)
            });
            prop_assert!(won != listed);
        }
    }

    #[test]
    fn a_removed_record_lists_exactly_what_no_removal_saw(history in history()) {
        let mut world = World::after(&history);
        world.exchange();
        let replica = &world.replicas[0];
        let conflicts = replica.conflicts();
        let removed = removals(replica);
        let facts = writes(replica).into_iter().filter(|(_, facet, _)| *facet == Facet::REMOVAL);
        let facts: Vec<(_, RemovalFact)> = facts
            .map(|(key, _, write)| (key, wire::decode(&write.value).expect("we wrote it")))
            .collect();
        for (key, facet, write) in writes(replica) {
            if !removed.contains(&key) || matches!(facet, Facet::LIFE | Facet::REMOVAL) {
                continue;
            }
            let saw = |(of, fact): &(_, RemovalFact)| {
                *of == key && fact.seen.contains(&(facet, write.stamp))
            };
            let listed = conflicts.iter().any(|conflict| {
                let is_it = |loser: &crdt_state::Alternative| loser.stamp == write.stamp;
                conflict.key == key && conflict.losers.iter().any(is_it)
            });
            prop_assert_eq!(listed, !facts.iter().any(saw), "{:?} {:?}", key, write);
        }
    }
}
