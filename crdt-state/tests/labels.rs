//! Labels of two sides merge key by key, even if one side runs an older version.

#[path = "support/world.rs"]
mod world;

use crdt_state::labels::{REMOVED_MAX, labels};
use crdt_state::spec::{Facet, Labels, Life};
use crdt_state::{Kind, RecordKey, Replica, wire};
use proptest::prelude::*;
use world::{full_delta, replica};

const KEY: RecordKey = RecordKey { kind: Kind::SERVICE, id: [1; 16] };

/// Edits the labels that this side has: `a=1 b` sets `a` and removes `b`.
fn edit(replica: &mut Replica, words: &str) {
    let mut wanted = labels(replica, &KEY);
    for word in words.split_whitespace() {
        match word.split_once('=') {
            Some((label, value)) => drop(wanted.insert(label.into(), value.into())),
            None => drop(wanted.remove(word)),
        }
    }
    replica.edit_labels(KEY, &wanted, 0);
}

/// The same edit by a version that knows only the map.
fn edit_old(replica: &mut Replica, words: &str) {
    let mut wanted: Labels =
        replica.facet(&KEY, Facet::LABELS).map(|(_, map)| map).unwrap_or_default();
    for word in words.split_whitespace() {
        match word.split_once('=') {
            Some((label, value)) => drop(wanted.insert(label.into(), value.into())),
            None => drop(wanted.remove(word)),
        }
    }
    replica.edit(KEY, Facet::LABELS, &wanted, 0);
}

fn shown(replica: &Replica) -> String {
    let labels = labels(replica, &KEY);
    labels.iter().map(|(label, value)| format!("{label}={value}")).collect::<Vec<_>>().join(" ")
}

fn exchange(one: &mut Replica, other: &mut Replica) {
    assert_eq!(other.merge(&full_delta(one)).junk, []);
    assert_eq!(one.merge(&full_delta(other)).junk, []);
    assert_eq!((one.digest(), shown(one)), (other.digest(), shown(other)));
    assert_eq!(one.conflicts(), other.conflicts());
}

/// Two sides that start with the same labels and then make these edits.
fn sides(first: &str, one_words: &str, other_words: &str) -> (Replica, Replica) {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    edit(&mut one, first);
    exchange(&mut one, &mut other);
    edit(&mut one, one_words);
    edit(&mut other, other_words);
    exchange(&mut one, &mut other);
    (one, other)
}

#[test]
fn labels_added_changed_and_removed_on_each_side_all_count() {
    for (first, one, other, both) in [
        ("", "a=1", "b=2", "a=1 b=2"),
        ("x=0", "a=1", "b=2", "a=1 b=2 x=0"),
        ("x=0 y=0", "x=1", "y=2", "x=1 y=2"),
        ("x=0 y=0", "x", "y", ""),
        ("x=0 y=0", "x a=1", "y=2", "a=1 y=2"),
        ("x=0", "x=1", "x=1", "x=1"),
    ] {
        let (merged, _) = sides(first, one, other);
        assert_eq!((shown(&merged).as_str(), merged.conflicts()), (both, vec![]), "{one} {other}");
    }
}

#[test]
fn a_key_set_to_two_values_is_listed_and_picked_alone() {
    let (mut one, mut other) = sides("x=0", "x=1 a=1", "x=2 b=2");
    let conflicts = one.conflicts();
    let [conflict] = &conflicts[..] else { panic!("one key conflicts: {conflicts:?}") };
    assert_eq!(conflict.label.as_deref(), Some("x"));
    let value = |bytes: &[u8]| wire::decode::<Option<String>>(bytes).expect("a label");
    let lost = value(&conflict.losers[0].value).expect("set");
    let won = labels(&one, &KEY).remove("x").expect("set");
    assert_eq!(value(&conflict.winner.value), Some(won.clone()));
    assert_ne!(lost, won);
    // An edit of another label settles nothing.
    edit(&mut other, "c=3");
    exchange(&mut one, &mut other);
    assert_eq!(one.conflicts().len(), 1);
    let stamp = conflict.losers[0].stamp;
    one.pick_label(KEY, "x", stamp, 0).expect("it is listed");
    exchange(&mut one, &mut other);
    assert_eq!(shown(&other), format!("a=1 b=2 c=3 x={lost}"));
    assert_eq!(one.conflicts(), []);
    assert!(one.pick_label(KEY, "x", stamp, 0).is_err());
}

#[test]
fn a_key_removed_here_and_changed_there_is_listed() {
    let (mut one, mut other) = sides("x=0", "x", "x=2");
    let conflict = one.conflicts().remove(0);
    assert_eq!(conflict.label.as_deref(), Some("x"));
    one.pick_label(KEY, "x", conflict.winner.stamp, 0).expect("the winner can be kept");
    exchange(&mut one, &mut other);
    assert_eq!(one.conflicts(), []);
}

#[test]
fn the_map_of_an_older_version_counts_whole_until_somebody_edits_key_by_key() {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    edit_old(&mut one, "a=1 b=2");
    exchange(&mut one, &mut other);
    assert_eq!(shown(&other), "a=1 b=2");
    // Both sides are of this version: a label that neither edited causes no conflict.
    edit(&mut one, "c=3");
    edit(&mut other, "a=9 b");
    exchange(&mut one, &mut other);
    assert_eq!((shown(&one).as_str(), one.conflicts()), ("a=9 c=3", vec![]));
    // An older version writes the map that it sees.
    edit_old(&mut other, "a=9 b c=3 d=4");
    edit_old(&mut other, "a");
    exchange(&mut one, &mut other);
    assert_eq!((shown(&one).as_str(), one.conflicts()), ("c=3 d=4", vec![]));
    edit(&mut one, "e=5");
    exchange(&mut one, &mut other);
    assert_eq!((shown(&other).as_str(), other.conflicts()), ("c=3 d=4 e=5", vec![]));
}

#[test]
fn against_a_map_of_an_older_version_the_whole_conflicts() {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    edit(&mut one, "x=0");
    exchange(&mut one, &mut other);
    edit(&mut one, "a=1");
    edit_old(&mut other, "b=2");
    exchange(&mut one, &mut other);
    let conflict = one.conflicts().remove(0);
    assert_eq!((conflict.facet, conflict.label), (Facet::LABELS, None));
    let loser = conflict.losers[0].stamp;
    one.pick(KEY, Facet::LABELS, loser, 0).expect("it is listed");
    exchange(&mut one, &mut other);
    assert_eq!(one.conflicts(), []);
    let picked = if loser.writer.node == one.me() { "a=1 x=0" } else { "b=2 x=0" };
    assert_eq!(shown(&one), picked);
}

#[test]
fn labels_of_a_service_that_was_removed_meanwhile_come_back_with_it() {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    let life = Life::Present { name: "web".into(), created: one.next_stamp() };
    one.edit(KEY, Facet::LIFE, &life, 0);
    exchange(&mut one, &mut other);
    one.remove(KEY, 0).expect("it exists");
    edit(&mut other, "a=1");
    exchange(&mut one, &mut other);
    let conflicts = one.conflicts();
    let [conflict] = &conflicts[..] else { panic!("listed once: {conflicts:?}") };
    one.pick(KEY, conflict.facet, conflict.losers[0].stamp, 0).expect("it is listed");
    exchange(&mut one, &mut other);
    assert_eq!((shown(&one).as_str(), one.conflicts()), ("a=1", vec![]));
}

#[test]
fn removed_keys_are_forgotten_in_the_end_and_stay_removed() {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    for n in 0..3 * REMOVED_MAX {
        edit(&mut one, &format!("k{n}=v"));
        exchange(&mut one, &mut other);
        edit(&mut one, &format!("k{n}"));
    }
    edit(&mut other, "here=1");
    exchange(&mut one, &mut other);
    let writes = one.record(&KEY).and_then(|record| record.as_shared()).expect("held");
    let bytes = |facet| writes.writes_of(facet).iter().map(|w| w.value.len()).max();
    assert!(bytes(Facet::LABEL_CHANGES) < Some(100 * REMOVED_MAX));
    assert!(!shown(&one).contains("k0="));
}

#[test]
fn labels_too_large_for_their_entries_merge_as_a_whole() {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    let many: Vec<String> = (0..4_000).map(|n| format!("k{n:04}=value{n:04}")).collect();
    edit(&mut one, &many.join(" "));
    exchange(&mut one, &mut other);
    assert_eq!(labels(&other, &KEY).len(), 4_000);
    edit(&mut other, "a=1");
    edit(&mut one, "b=1");
    exchange(&mut one, &mut other);
    assert_eq!((labels(&one, &KEY).len(), one.conflicts().len()), (4_001, 1));
}

/// One side's edits in words: a key and its value, or its removal.
fn words() -> impl Strategy<Value = Vec<(usize, String)>> {
    let word = prop_oneof![
        3 => (0u8..4, 0u8..9).prop_map(|(label, value)| format!("k{label}={value}")),
        1 => (0u8..4).prop_map(|label| format!("k{label}")),
    ];
    prop::collection::vec((0usize..3, word), 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Each side has its own keys: whatever the others do, each side finds what it wrote.
    #[test]
    fn what_one_side_alone_writes_is_there_in_the_end(edits in words(), met in any::<u32>()) {
        let mut sides: Vec<Replica> = (1..=3).map(|seed| replica(seed, seed)).collect();
        for (at, (side, word)) in edits.iter().enumerate() {
            edit(&mut sides[*side], &format!("{side}{word}"));
            if met >> (at % 32) & 1 == 1 {
                let delta = full_delta(&sides[*side]);
                sides[(side + 1) % 3].merge(&delta);
            }
        }
        let own: Vec<Vec<(String, String)>> = (0..3).map(|side| {
            let own = |(label, _): &(String, String)| label.starts_with(&side.to_string());
            labels(&sides[side], &KEY).into_iter().filter(own).collect()
        }).collect();
        let deltas: Vec<_> = sides.iter().map(full_delta).collect();
        for side in &mut sides {
            deltas.iter().for_each(|delta| assert_eq!(side.merge(delta).junk, []));
            prop_assert_eq!(side.conflicts(), vec![]);
            let all: Vec<(String, String)> = labels(side, &KEY).into_iter().collect();
            prop_assert_eq!(&all, &own.concat());
        }
    }

    /// For keys that several sides write: each value that counts or is listed was written, and all
    /// sides agree.
    #[test]
    fn every_side_reads_the_same_labels_and_conflicts(edits in words(), met in any::<u32>()) {
        let mut sides: Vec<Replica> = (1..=3).map(|seed| replica(seed, seed)).collect();
        for (at, (side, word)) in edits.iter().enumerate() {
            edit(&mut sides[*side], word);
            if met >> (at % 32) & 1 == 1 {
                let delta = full_delta(&sides[*side]);
                sides[(side + 1) % 3].merge(&delta);
            }
        }
        let deltas: Vec<_> = sides.iter().map(full_delta).collect();
        for (at, side) in sides.iter_mut().enumerate() {
            deltas.iter().cycle().skip(at).take(3).for_each(|delta| drop(side.merge(delta)));
        }
        for side in &sides {
            prop_assert_eq!(shown(side), shown(&sides[0]));
            prop_assert_eq!(side.conflicts(), sides[0].conflicts());
        }
        let conflicts = sides[0].conflicts();
        for conflict in conflicts {
            let label = conflict.label.expect("of one label");
            let stamp = conflict.winner.stamp;
            prop_assert!(sides[0].pick_label(KEY, &label, stamp, 0).is_ok());
        }
        prop_assert_eq!(sides[0].conflicts(), vec![]);
        prop_assert_eq!(shown(&sides[0]), shown(&sides[1]));
    }
}
